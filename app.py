"""The page: bring a sound, say what to extract or remove, hear it and see why.

A handler converts what the page sends, calls one function of `hsm`, and converts back. In this order:
what may be sent, what is where, what happens.
Nothing of a visitor is kept on a shared object; each request writes to a folder of its own, and
Gradio deletes it after an hour.
"""

from __future__ import annotations

try:
    import spaces  # on a Hugging Face Space, and there it must come before torch
except ModuleNotFoundError:
    spaces = None

import argparse
import importlib.util
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import gradio as gr
import soundfile
from gradio.utils import get_upload_folder

from hsm import HSM, Audio, HSMError, Instruction, Separation, SeparationOptions
from hsm.audio import is_silent
from hsm.events import Event, events_csv, find_events
from hsm.mixing import mix
from hsm.pipeline import STAGES
from hsm.steps import Step, separate_in_steps
from hsm.views import (
    DARK,
    LIGHT,
    BankMap,
    attention_alt,
    attention_figure,
    bank_alt,
    bank_figure,
    colour_table,
    empty_report,
    events_table,
    instruction_json,
    level_bytes,
    player_record,
    save_bundle,
    save_figure,
    separation_json,
    stage_report,
    understood_line,
)
from hsm.views.bank_map import NEIGHBOURS

ASSETS = Path(__file__).parent / "assets"
LONGEST_S = 600.0
LONGEST_INSTRUCTION = 1_000
LARGEST_FILE = "300mb"  # ten minutes of stereo at 48 kHz in 32 bit are 230 MB
AS_UNDERSTOOD = "as understood"
FORMATS = "WAV, FLAC, OGG, MP3 or AIFF"
LIMITS = f"{FORMATS}, up to {LONGEST_S / 60:.0f} minutes and {LARGEST_FILE[:-2]} MB. Rate and channels are kept."
MOST_WAITING = 40
DOWNLOADS = {
    "target": "Target (WAV)",
    "residual": "Residual (WAV)",
    "csv": "Times (CSV)",
    "bundle": "Everything (ZIP)",
}
SWEEP_S, KEEP_S = 600, 3_600  # how often files are looked at, and how old they may get
# On a phone the report lies below the fold; where it is in sight already, nothing moves.
SHOW_REPORT = """(...given) => {
    document.getElementById('report').scrollIntoView({block: 'nearest', behavior: 'smooth'});
    return given;
}"""


# --- What is sent, and whether it will do ---


@contextmanager
def page_errors() -> Iterator[None]:
    """Show what the visitor can put right as a message; anything else is a fault of ours and is raised."""
    try:
        yield
    except HSMError as error:
        raise gr.Error(escape(str(error), quote=False), print_exception=False, title="This needs you") from error


def read_clip(path: str | None) -> Audio:
    """Read an upload, and refuse what cannot be separated."""
    if not path:
        raise HSMError("There is no sound yet: upload or record one, or choose an example.")
    clip = Audio.load(path)
    if clip.duration_s > LONGEST_S:
        raise HSMError(
            f"{Path(path).name}: this is {clip.duration_s / 60:.1f} minutes long; "
            f"at most {LONGEST_S / 60:.0f} are taken. Cut it first."
        )
    if is_silent(clip):
        raise HSMError(f"{Path(path).name}: this is silent from start to end; choose or record another.")
    return clip


def read_wish(text: str, operation: str, description: str) -> tuple[str | Instruction, SeparationOptions]:
    """The instruction, with the visitor's corrections of how it was understood."""
    text, description = (text or "").strip(), (description or "").strip()
    chosen = None if operation in ("", AS_UNDERSTOOD) else operation
    options = SeparationOptions(operation=chosen, description=description or None)  # type: ignore[arg-type]
    if text:
        return text, options
    if description:
        return Instruction(chosen or "extract", description, text=description), options  # type: ignore[arg-type]
    raise HSMError('Say what to do with the sound, for example "extract the dog barking".')


def verdict(valid: bool, message: str) -> dict[str, Any]:
    """Whether an input will do, and what to show beside it if not."""
    said: dict[str, Any] = gr.validate(valid, message)
    return said


def check_sound(path: str | None) -> dict[str, Any]:
    """A verdict on a file from its header alone, so that it is given before the queue."""
    if not path:
        return verdict(False, "Upload or record a sound first, or choose an example.")
    name = Path(path).name
    try:
        seconds = soundfile.info(path).duration
    except soundfile.SoundFileError:
        return verdict(False, f"{name} cannot be read as sound; use {FORMATS}.")
    if seconds > LONGEST_S:
        most = f"{LONGEST_S / 60:.0f} minutes"
        return verdict(False, f"{name} is {seconds / 60:.1f} minutes long; at most {most} are taken.")
    return verdict(True, "")


def check_request(path: str | None, text: str, operation: str, description: str, *_: Any) -> list[dict[str, Any]]:
    """A verdict on each input of a separation."""
    named = bool((text or "").strip() or (description or "").strip())
    short = len(text or "") <= LONGEST_INSTRUCTION
    wish = verdict(named and short, "")
    if not named:
        wish = verdict(False, 'Say what to do with the sound, for example "extract the dog barking".')
    elif not short:
        wish = verdict(False, f"That is {len(text):,} characters; at most {LONGEST_INSTRUCTION:,} are read.")
    return [check_sound(path), wish, *(verdict(True, "") for _ in range(2 + len(_)))]


def check_pair(first: str | None, second: str | None, snr_db: float) -> list[dict[str, Any]]:
    """A verdict on each input of a mixture."""
    return [check_sound(first), check_sound(second), verdict(True, "")]


def request_folder() -> Path:
    """A folder for the files of one request; its name cannot be guessed."""
    root = Path(get_upload_folder())
    root.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix="request-", dir=root))


# --- What is on the page; nothing here reacts to anything ---


@dataclass(frozen=True)
class Inputs:
    """What a visitor fills in."""

    audio: gr.Audio
    instruction: gr.Textbox
    understood: gr.HTML
    operation: gr.Radio
    description: gr.Textbox
    separate: gr.Button
    cancel: gr.Button
    earlier: gr.HTML
    dark: gr.Checkbox

    @property
    def request(self) -> list[Any]:
        """The inputs of the `separate` endpoint."""
        return [self.audio, self.instruction, self.operation, self.description]


@dataclass(frozen=True)
class Results:
    """What a visitor gets."""

    understood: gr.HTML
    earlier: gr.HTML
    report: gr.HTML
    sounds: gr.Column
    player: gr.HTML
    times: gr.HTML
    target: gr.DownloadButton
    residual: gr.DownloadButton
    csv: gr.DownloadButton
    bundle: gr.DownloadButton
    pictures: gr.Column
    attention: gr.HTML
    bank: gr.HTML
    data: gr.JSON

    @property
    def all(self) -> list[Any]:
        """Every component that a run may change."""
        return list(vars(self).values())


def read_asset(name: str) -> str:
    """A script or a template of the page; read once, when the page is built."""
    return (ASSETS / name).read_text(encoding="utf-8")


def add_inputs() -> Inputs:
    """The column on the left."""
    audio = gr.Audio(
        label="Recording",
        sources=["upload", "microphone"],
        type="filepath",
        buttons=["download"],
        elem_id="recording",
    )
    gr.HTML(f'<p class="hint">{LIMITS}</p>')
    instruction = gr.Textbox(
        label="Instruction",
        placeholder='Such as "extract the dog barking" or "remove the rain"',
        lines=1,
        max_lines=3,
        elem_id="instruction",
    )
    understood = gr.HTML(elem_id="understood")
    with gr.Accordion("Correct how it is understood", open=False):
        operation = gr.Radio(
            [AS_UNDERSTOOD, "extract", "remove"], value=AS_UNDERSTOOD, label="Operation", elem_id="operation"
        )
        description = gr.Textbox(
            value="",
            label="Description of the sound",
            placeholder="As understood",
            lines=1,
            elem_id="description",
        )
    with gr.Row(elem_classes="actions"):
        separate = gr.Button("Separate", variant="primary", elem_id="separate", scale=3)
        cancel = gr.Button("Cancel", variant="secondary", elem_id="cancel", scale=1, min_width=90)
    earlier = gr.HTML(
        html_template=read_asset("visitor/earlier.html"),
        js_on_load=read_asset("visitor/earlier.js"),
        apply_default_css=False,
        elem_id="earlier",
    )
    dark = gr.Checkbox(visible="hidden", label="Dark page", elem_id="dark")
    return Inputs(audio, instruction, understood, operation, description, separate, cancel, earlier, dark)


def read_examples() -> list[dict[str, Any]]:
    """The bundled mixtures, as `assets/examples.json` lists them."""
    listed = ASSETS / "examples.json"
    return json.loads(listed.read_text(encoding="utf-8")) if listed.is_file() else []


def add_examples(examples: list[dict[str, Any]]) -> list[gr.Button]:
    """One card for each example."""
    with gr.Row(elem_classes="examples"):
        return [
            gr.Button(f"{example['title']}\n{example['instruction']}", elem_classes="example", min_width=150)
            for example in examples
        ]


def add_player() -> gr.HTML:
    """All tracks in step; its scripts run once, when the page has loaded."""
    scripts = [read_asset(f"player/{name}.js") for name in ("stems", "lanes", "player")]
    return gr.HTML(
        html_template=read_asset("player/player.html"),
        js_on_load="\n".join(scripts),
        apply_default_css=False,
        elem_id="player",
        colours=colour_table(),
    )


def add_sounds() -> dict[str, Any]:
    """The column on the right: how far it is, and what came out; by their names in `Results`."""
    report = gr.HTML(empty_report(STAGES), elem_id="report")
    with gr.Column(visible="hidden", elem_id="sounds") as sounds:
        player = add_player()
        times = gr.HTML(elem_id="times", apply_default_css=False)
        with gr.Row(elem_classes="downloads"):
            files = {
                name: gr.DownloadButton(label, size="sm", min_width=120, elem_id=name)
                for name, label in DOWNLOADS.items()
            }
    return {"report": report, "sounds": sounds, "player": player, "times": times, **files}


def add_pictures() -> dict[str, Any]:
    """The lower half: what the model saw; by their names in `Results`."""

    def picture(name: str, caption: str) -> gr.HTML:
        image = gr.HTML(elem_id=name, apply_default_css=False)
        gr.HTML(f'<p class="caption">{caption}</p>')
        return image

    with gr.Column(visible="hidden", elem_id="pictures") as pictures:
        gr.HTML('<h2 class="section">What the model heard</h2>')
        with gr.Row(equal_height=False):
            with gr.Column(min_width=320):
                attention = picture(
                    "attention",
                    "How much the predicted global feature of the target looks at each moment (sum over 8 "
                    "bands) and at each patch of 0.16 s by one band. Dashed: attention spread evenly.",
                )
            with gr.Column(min_width=320):
                bank = picture(
                    "bank",
                    "t-SNE of training clips, computed once, so the map stays put. The marks lie at the mean "
                    f"of their {NEIGHBOURS} most similar clips, weighted by similarity: their neighbourhood "
                    "is exact, their place is not.",
                )
                with gr.Accordion("Everything as data", open=False):
                    data = gr.JSON(show_label=False, label="Everything as data", elem_id="data")
    return {"pictures": pictures, "attention": attention, "bank": bank, "data": data}


def header() -> str:
    """Title and what to do."""
    return (
        '<header class="title"><h1>HSM-TSS</h1><p>Bring a recording, name a sound to extract or to remove, '
        "and hear the target and what is left.</p></header>"
    )


def footer(examples: list[dict[str, Any]]) -> str:
    """What this is, what may be done with it, and where the examples come from."""
    rows = "".join(
        f"<li><strong>{escape(example['title'])}</strong>: "
        f"{escape('; '.join(source['caption'] for source in example['sources']))}. "
        f"{escape(str(example['made_with']))}</li>"
        for example in examples
    )
    sources = f"<details><summary>Where the examples come from</summary><ul>{rows}</ul></details>" if rows else ""
    return (
        '<footer class="about"><p><strong>HSM-TSS</strong> is text-queried target sound separation with '
        "hierarchical semantic guidance: it first predicts the global-semantic feature of the target from "
        "the mixture and the words, then the local-semantic features, then two masks over the mixture's "
        "spectrogram that sum to one. Target and residual together are exactly the mixture.</p>"
        "<p>The bundled weights were trained for this project partly on clips under CC BY-NC and are for "
        "<strong>non-commercial use</strong>. Recordings stay on the machine that runs this page and are "
        f"deleted after an hour.</p>{sources}</footer>"
    )


def add_mixer() -> tuple[gr.Audio, gr.Audio, gr.Slider, gr.Button]:
    """Two known sounds into one mixture."""
    with gr.Accordion("Make a mixture from two sounds", open=False):
        with gr.Row():
            first = gr.Audio(label="First sound", type="filepath", elem_id="first", min_width=240)
            second = gr.Audio(label="Second sound", type="filepath", elem_id="second", min_width=240)
        snr_db = gr.Slider(-30, 30, value=0, step=1, label="First over second (dB)", elem_id="snr")
        button = gr.Button("Mix and use as the recording", elem_id="mix")
    return first, second, snr_db, button


def theme() -> gr.themes.Base:
    """Colours and type, with contrasts that can be read."""
    fonts = ["ui-sans-serif", "system-ui", "-apple-system", "Segoe UI", "sans-serif"]
    return gr.themes.Base(
        primary_hue=gr.themes.colors.teal,
        neutral_hue=gr.themes.colors.slate,
        radius_size=gr.themes.sizes.radius_md,
        font=fonts,
        font_mono=["ui-monospace", "Menlo", "Consolas", "monospace"],
    ).set(
        # Gradio's own teal button and grey text are too faint for reading (WCAG AA wants 4.5 to 1).
        button_primary_background_fill="#0f766e",
        button_primary_background_fill_dark="#0f766e",
        button_primary_background_fill_hover="#115e59",
        button_primary_background_fill_hover_dark="#0d8478",
        button_primary_text_color="#ffffff",
        body_text_color_subdued="#526072",
        body_text_color_subdued_dark="#a3b2c4",
        block_label_text_color="#526072",
        block_label_text_color_dark="#a3b2c4",
        input_placeholder_color="#66748a",
        input_placeholder_color_dark="#94a3b8",
    )


# --- What happens ---


def gpu_seconds(clip: Audio, *_: Any) -> int:
    """Seconds of a shared GPU to ask for."""
    return round(15 + clip.duration_s / 10)


def on_gpu(work: Callable[..., Iterator[Step | Separation]]) -> Callable[..., Iterator[Step | Separation]]:
    """Borrow a GPU on a Space that shares them; elsewhere change nothing."""
    return work if spaces is None else spaces.GPU(duration=gpu_seconds)(work)


class Handlers:
    """What the page and the API call. Holds what all visitors share and nobody changes."""

    def __init__(self, model: HSM) -> None:
        self.model = model
        # A few seconds of work that no visitor should wait for, and the same map for all of them.
        background = ThreadPoolExecutor(1, thread_name_prefix="bank-map")
        self.bank_map: Future[BankMap] = background.submit(BankMap.fit, model.bank)
        background.shutdown(wait=False)

        def steps(clip: Audio, wish: str | Instruction, options: SeparationOptions) -> Iterator[Step | Separation]:
            return separate_in_steps(model, clip, wish, options)

        self.steps = on_gpu(steps)

    def parse(self, text: str) -> dict[str, Any]:
        """Read an instruction without separating anything.

        Args:
            text: free text such as "remove the dog barking"; a bare caption counts as an extraction.

        Returns:
            operation ("extract" or "remove"), description, parser and confidence from 0 to 1.
        """
        with page_errors():
            return instruction_json(self.model.parse(text))

    def separate(
        self, audio: str, instruction: str, operation: str = AS_UNDERSTOOD, description: str = ""
    ) -> tuple[str, str, dict[str, Any]]:
        """Separate the sound that an instruction names from the rest of a recording.

        Args:
            audio: the mixture, a sound file of up to ten minutes.
            instruction: what to do, such as "extract the dog barking" or "remove the rain".
            operation: "extract" or "remove" to overrule the instruction, else "as understood".
            description: the sound to separate, to overrule the instruction; empty to follow it.

        Returns:
            The target and the residual as WAV at the rate and with the channels of the mixture, and a
            record of what was understood, of the attention over time and of the seconds each stage took.
        """
        with page_errors():
            wish, options = read_wish(instruction, operation, description)
            *_, separation = self.steps(read_clip(audio), wish, options)
        assert isinstance(separation, Separation)
        target, residual = self._save_sound(separation, audio)
        return target, residual, separation_json(separation)

    def mix(self, first: str, second: str, snr_db: float = 0.0) -> str:
        """Mix two known sounds, to have a mixture whose parts are known.

        Args:
            first: a sound file; sets rate, channels and length.
            second: a sound file; repeated or cut to the length of the first.
            snr_db: how much louder the first is than the second, in dB, -30 to 30.

        Returns:
            The mixture as WAV.
        """
        with page_errors():
            mixture = mix(read_clip(first), read_clip(second), snr_db)
        return str(mixture.save(request_folder() / "mixture.wav"))

    def understood(self, text: str) -> str:
        """The instruction as understood, while it is typed."""
        try:
            return understood_line(self.model.parse(text)) if text.strip() else ""
        except HSMError:
            return ""  # half a sentence; the whole one is judged when it is sent

    def draw(self, separation: Separation, folder: Path, dark: bool) -> Iterator[tuple[str, Path, str]]:
        """The pictures one by one: name, file, and what it shows in words."""
        palette = DARK if dark else LIGHT
        attention = save_figure(attention_figure(separation, palette), folder / "attention.png")
        yield "attention", attention, attention_alt(separation)
        bank_map = self.bank_map.result()
        bank = save_figure(bank_figure(bank_map, separation, palette), folder / "global_features.png")
        yield "bank", bank, bank_alt(bank_map, separation)

    def _save_sound(self, separation: Separation, upload: str, folder: Path | None = None) -> tuple[str, str]:
        folder = folder or request_folder()
        name = Path(upload).stem[:60]
        target = separation.target.save(folder / f"{name}_target.wav")
        residual = separation.residual.save(folder / f"{name}_residual.wav")
        return str(target), str(residual)


def picture_html(picture: Path, alt: str) -> str:
    """A picture that opens in full by a click. Gradio's own image loses a value that comes while it is mounted."""
    address = f"gradio_api/file={quote(str(picture))}"
    return f'<a href="{address}" target="_blank"><img src="{address}" alt="{escape(alt)}"></a>'


def player_value(
    separation: Separation, events: tuple[Event, ...], target: str, residual: str, folder: Path
) -> dict[str, Any]:
    """What the player gets: plain data, and files that Gradio serves and deletes with the rest."""
    levels = folder / "levels.bin"
    levels.write_bytes(level_bytes(separation).tobytes())
    files = {"target": target, "residual": residual, "levels": str(levels)}
    served = {name: gr.FileData(path=path).model_dump() for name, path in files.items()}
    return player_record(separation, events) | served


def run(handlers: Handlers, results: Results) -> Callable[..., Iterator[dict[Any, Any]]]:
    """The handler of the page's button: sound first, as soon as it exists, then the pictures.

    Every answer holds all that is shown so far: a browser that is behind draws only the newest one.
    """

    def separate_and_show(
        path: str | None, text: str, operation: str, description: str, dark: bool
    ) -> Iterator[dict[Any, Any]]:
        with page_errors():
            wish, options = read_wish(text, operation, description)
            clip = read_clip(path)
            assert path is not None
            shown: dict[Any, Any] = {
                results.report: stage_report(STAGES, {}, STAGES[0], "Starting."),
                results.sounds: gr.update(visible="hidden"),
                results.player: None,  # what still plays ends
                results.pictures: gr.update(visible="hidden"),
            }
            yield dict(shown)
            separation = None
            for step in handlers.steps(clip, wish, options):
                if isinstance(step, Separation):
                    separation = step
                else:
                    shown |= {results.report: stage_report(STAGES, step.seconds, step.stage, "", step.share)}
                    yield dict(shown)
        assert separation is not None
        folder = request_folder()
        target, residual = handlers._save_sound(separation, path, folder)
        sound = separation.instruction.description
        events = find_events(separation)
        csv = folder / "times.csv"
        csv.write_text(events_csv(events, sound), encoding="utf-8")
        seconds = separation.timings_s
        took = f"{sum(seconds.values()):.1f} s for {clip.duration_s:.1f} s of sound."
        shown |= {
            results.understood: understood_line(separation.instruction),
            results.report: stage_report(STAGES, seconds, None, f"{took} Drawing the pictures."),
            results.sounds: gr.update(visible=True),
            results.player: player_value(separation, events, target, residual, folder),
            results.times: events_table(events, sound),
            results.target: target,
            results.residual: residual,
            results.csv: str(csv),
            results.bundle: gr.update(interactive=False),
            results.pictures: gr.update(visible=True),
            results.data: separation_json(separation),
        }
        yield dict(shown)
        files = [Path(target), Path(residual), csv]
        for name, picture, alt in handlers.draw(separation, folder, dark):
            files.append(picture)
            shown[getattr(results, name)] = picture_html(picture, alt)
            yield dict(shown)
        bundle = save_bundle(separation, files, folder / f"{Path(path).stem[:60]}.zip", DARK if dark else LIGHT)
        yield shown | {
            results.report: stage_report(STAGES, seconds, None, took),
            results.bundle: gr.update(value=str(bundle), interactive=True),
            results.earlier: {
                "instruction": text,
                "operation": operation,
                "description": description,
                "understood": separation.instruction.operation,
                "at": round(1_000 * time.time()),
            },
        }

    return separate_and_show


def wire_run(handlers: Handlers, inputs: Inputs, results: Results, cards: list[gr.Button], texts: Any) -> None:
    """Button, Enter, example cards and Cancel."""
    separate_and_show = run(handlers, results)
    asked = {
        "fn": separate_and_show,
        "inputs": [*inputs.request, inputs.dark],
        "outputs": results.all,
        "validator": check_request,
        "api_visibility": "private",
        "concurrency_id": "model",
        "concurrency_limit": 1,
        "show_progress": "minimal",
        "show_progress_on": results.report,
    }
    runs = [gr.on([inputs.separate.click, inputs.instruction.submit, inputs.description.submit], **asked)]
    for card, example in zip(cards, texts, strict=True):
        chosen = card.click(
            lambda example=example: (
                str(ASSETS / example["file"]),
                example["instruction"],
                AS_UNDERSTOOD,
                "",
            ),
            outputs=inputs.request,
            js=SHOW_REPORT,
            api_visibility="private",
            show_progress="hidden",
            queue=False,
        )
        runs.append(chosen.success(**asked))

    inputs.cancel.click(None, cancels=runs)
    for one in runs:
        one.failure(
            lambda: stage_report(STAGES, {}, None, "Not separated. Sound and instruction are still here."),
            outputs=results.report,
            api_visibility="private",
            show_progress="hidden",
            queue=False,
        )


def wire_api(handlers: Handlers, inputs: Inputs, mixer: tuple[Any, ...]) -> None:
    """The three endpoints that programs call; their docstrings are their descriptions."""
    first, second, snr_db, button = mixer
    button.click(
        handlers.mix,
        [first, second, snr_db],
        inputs.audio,
        api_name="mix",
        validator=check_pair,
        concurrency_limit=2,
    )
    gr.events.api(handlers.parse, api_name="parse", concurrency_limit=4)
    endpoint = gr.Button(visible=False)
    endpoint.click(
        handlers.separate,
        inputs.request,
        [gr.Audio(visible=False), gr.Audio(visible=False), gr.JSON(visible=False)],
        api_name="separate",
        validator=check_request,
        concurrency_id="model",
        concurrency_limit=1,
    )


def build_app(model: HSM) -> gr.Blocks:
    """Lay the page out and connect it to a model.

    Args:
        model: shared by all visitors, and not changed by them.

    Returns:
        The page, with a queue; `launch_options` says how to launch it.
    """
    handlers = Handlers(model)
    examples = read_examples()
    page = gr.Blocks(title="HSM-TSS", analytics_enabled=False, delete_cache=(SWEEP_S, KEEP_S), fill_width=True)
    with page:
        gr.HTML(header())
        cards = add_examples(examples) if examples else []
        with gr.Row(equal_height=False, elem_classes="bench"):
            with gr.Column(min_width=320, scale=5):
                inputs = add_inputs()
                mixer = add_mixer()
            with gr.Column(min_width=320, scale=6):
                sounds = add_sounds()
        pictures = add_pictures()
        gr.HTML(footer(examples))
        results = Results(understood=inputs.understood, earlier=inputs.earlier, **sounds, **pictures)
        wire_run(handlers, inputs, results, cards, examples)
        wire_api(handlers, inputs, mixer)
        inputs.instruction.change(
            handlers.understood,
            inputs.instruction,
            inputs.understood,
            api_visibility="private",
            show_progress="hidden",
            queue=False,
            trigger_mode="always_last",
        )
        inputs.earlier.input(
            None,
            inputs.earlier,
            inputs.request[1:],
            js="entry => [entry.instruction, entry.operation, entry.description]",
            api_visibility="private",
        )
        page.load(None, None, inputs.request[1:], js=read_asset("visitor/read_address.js"), api_visibility="private")
        page.load(
            None,
            None,
            inputs.dark,
            js="() => document.body.classList.contains('dark')",
            api_visibility="private",
        )
    page.queue(max_size=MOST_WAITING)
    return page


def launch_options() -> dict[str, Any]:
    """Theme, style and limits: what Gradio takes at launch rather than when the page is built."""
    return {
        "theme": theme(),
        "css_paths": [ASSETS / "style.css", ASSETS / "player" / "player.css"],
        "footer_links": ["api", "settings"],
        "max_file_size": LARGEST_FILE,
        "allowed_paths": [str(ASSETS)],
        "ssr_mode": False,
        # The tools of the page as tools of an assistant, where the package for it is installed.
        "mcp_server": importlib.util.find_spec("mcp") is not None,
    }


def main(arguments: list[str] | None = None) -> None:
    """Load the model and serve the page."""
    parser = argparse.ArgumentParser(description="Serve the HSM-TSS page.")
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 to be reached from other machines")
    parser.add_argument("--port", type=int, default=7860)
    parser.add_argument("--weights", type=Path, help="a folder with manifest.json; the bundled one by default")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or mps")
    parser.add_argument("--share", action="store_true", help="a public link through Gradio's servers")
    chosen = parser.parse_args(arguments)
    model = HSM.load(chosen.weights, device=chosen.device) if chosen.weights else HSM.load(device=chosen.device)
    page = build_app(model)
    page.launch(server_name=chosen.host, server_port=chosen.port, share=chosen.share, **launch_options())


if __name__ == "__main__":
    main()
