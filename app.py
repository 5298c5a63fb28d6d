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
import os
import random
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import gradio as gr
import numpy as np
import torch
from gradio.utils import get_upload_folder

from hsm import HSM, Audio, HSMError, Instruction, Separation, SeparationOptions
from hsm.audio import MEL_BANDS, is_silent, load_audio
from hsm.evaluation.known import is_sum, known_scores, true_target
from hsm.events import Event, events_csv, find_events
from hsm.instruction.language_model import add_options
from hsm.live import Listening, hear_on
from hsm.mixing import mix
from hsm.pipeline import STAGES
from hsm.reading import open_sound
from hsm.records import RENDERERS
from hsm.several import Wish, named_targets, share_out
from hsm.steps import TICK_S, Step, separate_in_steps
from hsm.views import (
    DARK,
    LIGHT,
    BankMap,
    Palette,
    Track,
    attention_alt,
    attention_figure,
    attention_layers,
    bank_alt,
    bank_figure,
    bank_points,
    colour_table,
    empty_report,
    events_table,
    instruction_json,
    level_bytes,
    marks,
    player_record,
    save_bundle,
    save_figure,
    scores_table,
    separation_json,
    separation_tracks,
    spectrogram_figure,
    stage_report,
    stem_tracks,
    understood_line,
)
from hsm.views.bank_map import NEIGHBOURS
from hsm.writing import save_parts

ASSETS = Path(__file__).parent / "assets"
LONGEST_S = 600.0
LONGEST_INSTRUCTION = 1_000
LARGEST_FILE = "300mb"  # ten minutes of stereo at 48 kHz in 32 bit are 230 MB
AS_UNDERSTOOD = "as understood"
PARTS = ("the first sound", "the second sound")
FORMATS = "WAV, FLAC, OGG, MP3, AIFF, M4A or a video's sound"
LIMITS = f"{FORMATS}, up to {LONGEST_S / 60:.0f} minutes and {LARGEST_FILE[:-2]} MB. Rate and channels are kept."
MOST_WAITING = 40
TEXT_ALONE = "text alone"
MOST_LIVE = 2
LIVE_S = 600  # a visitor's live listening ends after this time
SWEEP_S, KEEP_S = 600, 3_600  # how often files are looked at, and how old they may get
REQUEST = "request-"
LEVELS = "levels.bin"
RENDERERS_SAID = {
    TEXT_ALONE: "the mask without global and local features.",
    "codec": "the target drawn anew, token by token, 16 kHz and one channel; it may sound fuller than what the mask "
    "leaves, but it is not your recording and may be wrong.",
    "audiosep": "the rival, AudioSep's form at a small size, steered by text alone; {trained}.",
}
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
    clip = load_audio(path, LONGEST_S)
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


def read_wishes(
    text: str, operation: str, description: str, compared: Sequence[str], targets: Sequence[str]
) -> list[Wish]:
    """What a run asks: the targets of a list one by one, or one instruction of one or several renderers."""
    if not targets:
        wish, options = read_wish(text, operation, description)
        return [(wish, options), *((wish, rendered_by(options, name)) for name in compared)]
    if compared:
        raise HSMError("A list of sounds is separated by one renderer: clear the comparison, or name one sound.")
    if operation == "remove":
        raise HSMError("A list of sounds is taken apart into stems: choose another operation, or name one sound.")
    return [(Instruction("extract", target, text=text), SeparationOptions()) for target in targets]


def renderers_to_compare(model: HSM) -> list[str]:
    """What a visitor may compare the mask with: itself without the hierarchy, and all with weights."""
    return [TEXT_ALONE, *(name for name in RENDERERS if name != "mask" and not model.lacks(name))]


def said_of_renderers(model: HSM) -> str:
    """A sentence for each renderer to compare, with how long the rival was trained, and which are not there."""
    entry = model.weights_info.get("audiosep", {}).get("trained", {})
    minutes = entry.get("minutes")
    trained = f"trained on the same clips for {minutes:.0f} minutes" if minutes else "not trained"
    offered = renderers_to_compare(model)
    said = [f"{name}: {RENDERERS_SAID[name].format(trained=trained)}" for name in offered]
    absent = [name for name in RENDERERS_SAID if name not in offered]
    return " ".join([*said, *(f"{name} is not offered: its weights are not there." for name in absent)])


def rendered_by(options: SeparationOptions, name: str) -> SeparationOptions:
    """The same request by another renderer."""
    return replace(options, hierarchy=False) if name == TEXT_ALONE else replace(options, renderer=name)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Truth:
    """Files that add up to a recording, so that a separation can be held against them.

    Args:
        files: the parts.
        names: of the parts, in words.
        named: the one that the instruction names; found by its name where that is not said.
    """

    files: tuple[str, ...]
    names: tuple[str, ...]
    named: int | None = None


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
        seconds = open_sound(path).told_s
    except HSMError as error:
        return verdict(False, str(error))
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


def check_pair(first: str | None, second: str | None, snr_db: float, *_: Any) -> list[dict[str, Any]]:
    """A verdict on each input of a mixture."""
    return [check_sound(first), check_sound(second), *(verdict(True, "") for _ in range(1 + len(_)))]


def request_folder() -> Path:
    """A folder for the files of one request; its name cannot be guessed."""
    root = Path(get_upload_folder())
    root.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=REQUEST, dir=root))


def delete_requests(older_than_s: float) -> None:
    """Delete the folders of old requests; Gradio deletes only what it copied itself."""
    for folder in Path(get_upload_folder()).glob(f"{REQUEST}*"):
        if time.time() - folder.stat().st_mtime > older_than_s:
            shutil.rmtree(folder, ignore_errors=True)  # another server may be at it


def keep_deleting() -> None:
    """Delete old requests as long as the server runs."""
    while True:
        delete_requests(KEEP_S)
        time.sleep(SWEEP_S)


def served(path: Path) -> str:
    """The address of a file of a request, relative to the page."""
    return f"gradio_api/file={quote(str(path))}"


# --- What is on the page; nothing here reacts to anything ---


@dataclass(frozen=True)
class Inputs:
    """What a visitor fills in."""

    audio: gr.Audio
    instruction: gr.Textbox
    understood: gr.HTML
    operation: gr.Radio
    description: gr.Textbox
    compared: gr.CheckboxGroup
    blind: gr.Checkbox
    truth: gr.State
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
    scores: gr.HTML
    csv: gr.DownloadButton
    kept: gr.State
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


def add_inputs(renderers: list[str], said: str) -> Inputs:
    """The column on the left, with the renderers to compare and what is said of them."""
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
        placeholder='Such as "extract the dog barking", "remove the rain", or "dog; rain; rest" for stems',
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
    with gr.Accordion("Compare renderers", open=False):
        compared = gr.CheckboxGroup(renderers, label="Compare the guided mask with", info=said, elem_id="compared")
        blind = gr.Checkbox(label="Blind: hide which is which", elem_id="blind")
    with gr.Row(elem_classes="actions"):
        separate = gr.Button("Separate", variant="primary", elem_id="separate", scale=3)
        cancel = gr.Button("Cancel", variant="secondary", elem_id="cancel", scale=1, min_width=90)
    link = gr.Button("Copy link to these settings", size="sm", elem_id="link")
    link.click(
        None,
        [instruction, operation, description],
        link,
        js="async (instruction, operation, description) => {\n"
        + read_asset("visitor/address.js")
        + read_asset("visitor/copy_link.js")
        + "}",
        api_visibility="private",
    )
    earlier = gr.HTML(
        html_template=read_asset("visitor/earlier.html"),
        js_on_load=read_asset("visitor/address.js") + read_asset("visitor/earlier.js"),
        apply_default_css=False,
        elem_id="earlier",
    )
    dark = gr.Checkbox(visible="hidden", label="Dark page", elem_id="dark")
    truth = gr.State()
    return Inputs(
        audio,
        instruction,
        understood,
        operation,
        description,
        compared,
        blind,
        truth,
        separate,
        cancel,
        earlier,
        dark,
    )


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
        scores = gr.HTML(elem_id="scores", apply_default_css=False)
        times = gr.HTML(elem_id="times", apply_default_css=False)
        with gr.Row(elem_classes="downloads"):
            csv = gr.DownloadButton("Times (CSV)", size="sm", min_width=120, elem_id="csv")
            bundle = gr.Button("Everything (ZIP with FLAC)", size="sm", min_width=120, elem_id="bundle")
    kept = gr.State()
    add_bundle(bundle, kept)
    return {
        "report": report,
        "sounds": sounds,
        "player": player,
        "times": times,
        "scores": scores,
        "csv": csv,
        "kept": kept,
    }


def add_bundle(button: gr.Button, kept: gr.State) -> None:
    """Everything of a run in one file, packed when it is asked for."""
    packed = gr.HTML(
        html_template='<a hidden aria-hidden="true"></a>',
        js_on_load=read_asset("visitor/download.js"),
        apply_default_css=False,
        elem_id="packed",
    )
    button.click(pack, kept, packed, api_visibility="private", concurrency_limit=2, show_progress_on=button)


def add_pictures() -> dict[str, Any]:
    """The lower half: what the model saw; by their names in `Results`."""

    with gr.Column(visible="hidden", elem_id="pictures") as pictures:
        gr.HTML('<h2 class="section">What the model heard</h2>')
        with gr.Row(equal_height=False):
            with gr.Column(min_width=320):
                attention = gr.HTML(elem_id="attention", apply_default_css=False)
                gr.HTML(
                    '<p class="caption">How much the predicted global feature of the target looks at each moment '
                    "(sum over 8 bands) and at each patch of 0.16 s by one band; last layer, mean of the heads. "
                    "Dashed: attention spread evenly.</p>"
                )
            with gr.Column(min_width=320):
                bank = gr.HTML(
                    html_template=read_asset("pictures/bank.html"),
                    js_on_load=read_asset("pictures/bank.js"),
                    apply_default_css=False,
                    elem_id="bank",
                )
                gr.HTML(
                    '<p class="caption">t-SNE of training clips, computed once, so the map stays put; a pointer '
                    f"over a clip names it. The marks lie at the mean of their {NEIGHBOURS} most similar clips, "
                    "weighted by similarity: their neighbourhood is exact, their place is not.</p>"
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


@dataclass(frozen=True)
class Workbench:
    """Two known sounds into one mixture."""

    first: gr.Audio
    second: gr.Audio
    snr_db: gr.Slider
    named: gr.Radio
    button: gr.Button


def add_workbench() -> Workbench:
    """Where a mixture is made whose parts are known, so that its separation is scored."""
    with gr.Accordion("Workbench: mix two sounds, separate, compare with the truth", open=False):
        with gr.Row():
            first = gr.Audio(label="First sound", type="filepath", elem_id="first", min_width=240)
            second = gr.Audio(label="Second sound", type="filepath", elem_id="second", min_width=240)
        snr_db = gr.Slider(-30, 30, value=0, step=1, label="First over second (dB)", elem_id="snr")
        named = gr.Radio(list(PARTS), value=PARTS[0], label="The instruction will name", elem_id="named")
        button = gr.Button("Mix and use as the recording", elem_id="mix")
    return Workbench(first, second, snr_db, named, button)


def add_live() -> tuple[gr.Audio, gr.State, gr.HTML]:
    """The microphone, and what is heard in it as it happens."""
    with gr.Accordion("Listen live", open=False):
        gr.HTML('<p class="hint">Name a sound in the instruction, start the recording, and watch for it.</p>')
        microphone = gr.Audio(
            label="Microphone", sources=["microphone"], streaming=True, type="numpy", elem_id="microphone"
        )
        view = gr.HTML(
            html_template=read_asset("live/live.html"),
            js_on_load=read_asset("live/live.js"),
            apply_default_css=False,
            elem_id="live",
        )
    return microphone, gr.State(), view


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


def gpu_seconds(clip: Audio, wishes: Sequence[Wish]) -> int:
    """Seconds of a shared GPU to ask for."""
    return round(15 + clip.duration_s / 10 * len(wishes))


Steps = Callable[[Audio, Sequence[Wish]], Generator[Step | tuple[Separation, ...], None, None]]


def on_gpu(work: Steps) -> Steps:
    """Borrow a GPU on a Space that shares them; elsewhere change nothing."""
    return work if spaces is None else spaces.GPU(duration=gpu_seconds)(work)


class Handlers:
    """What the page and the API call. Holds what all visitors share and nobody changes.

    Args:
        model: separates.
        aside: does all the rest; on a Space that lends a GPU to separations only, this one stays on the CPU.
    """

    def __init__(self, model: HSM, aside: HSM | None = None) -> None:
        self.model, self.aside = model, aside or model
        # A few seconds of work that no visitor should wait for, and the same map for all of them.
        background = ThreadPoolExecutor(1, thread_name_prefix="bank-map")
        self.bank_map: Future[BankMap] = background.submit(BankMap.fit, model.bank)
        background.shutdown(wait=False)

        def steps(clip: Audio, wishes: Sequence[Wish]) -> Generator[Step | tuple[Separation, ...], None, None]:
            yield from separate_in_steps(model, clip, wishes)

        self.steps = on_gpu(steps)
        self._running: dict[str | None, threading.Event] = {}

    @contextmanager
    def cancellable(self, session: str | None) -> Iterator[threading.Event]:
        """While a visitor's run lasts: what tells it that `cancel` was called.

        Gradio closes a run's generator between two answers, but one that waits for a stage to end is hardly
        ever caught there; so the run looks for itself.
        """
        self._running[session] = given_up = threading.Event()
        try:
            yield given_up
        finally:
            self._running.pop(session, None)

    def cancel(self, session: str | None) -> None:
        """End a visitor's run at its next step."""
        if running := self._running.get(session):
            running.set()

    def parse(self, text: str) -> dict[str, Any]:
        """Read an instruction without separating anything.

        Args:
            text: free text such as "remove the dog barking"; a bare caption counts as an extraction.

        Returns:
            operation ("extract" or "remove"), description, parser and confidence from 0 to 1.
        """
        with page_errors():
            return instruction_json(self.aside.parse(text))

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
            The target and the residual as WAV at the rate and depth and with the channels of the mixture, and
            a record of what was understood, of the attention over time and of the seconds each stage took.
        """
        with page_errors():
            clip = read_clip(audio)
            *_, found = self.steps(clip, [read_wish(instruction, operation, description)])
        assert isinstance(found, tuple)
        paths = sound_paths(request_folder(), audio, ["target", "residual"])
        save_parts(clip, [found[0].target], paths, open_sound(audio).depth)
        return str(paths[0]), str(paths[1]), separation_json(found[0])

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
            mixture = mix(read_clip(first), read_clip(second), snr_db).mixture
        return str(mixture.save(request_folder() / "mixture.wav"))

    def mix_known(self, first: str, second: str, snr_db: float, named: str) -> tuple[str, Truth]:
        """The same for the page, which keeps the parts to hold the separation against them."""
        with page_errors():
            known = mix(read_clip(first), read_clip(second), snr_db)
        folder = request_folder()
        files = [
            str(sound.save(folder / f"{name}.wav"))
            for name, sound in (("mixture", known.mixture), ("first", known.first), ("second", known.second))
        ]
        return files[0], Truth(tuple(files[1:]), PARTS, PARTS.index(named))

    def understood(self, text: str) -> str:
        """The instruction as understood, while it is typed."""
        try:
            if targets := named_targets(text):
                return stems_line(targets)
            return understood_line(self.aside.preview(text)) if text.strip() else ""
        except HSMError:
            return ""  # half a sentence; the whole one is judged when it is sent

    def hear_live(
        self, chunk: tuple[int, np.ndarray] | None, before: Listening | None, text: str, description: str
    ) -> tuple[Listening | None, dict[str, Any] | None]:
        """The next piece from the microphone: where and how loud the named sound is in it."""
        if chunk is None:
            return before, gr.skip()
        with page_errors():
            sound = description.strip() or (self.aside.parse(text).description if text.strip() else "")
            if not sound:
                raise HSMError('Name a sound in the instruction first, for example "dog barking".')
            rate_hz, samples = chunk
            full_scale = -float(np.iinfo(samples.dtype).min) if samples.dtype.kind == "i" else 1.0
            piece = Audio(samples.astype(np.float32).T / full_scale, rate_hz)
            heard = hear_on(self.aside, before or Listening.begin(rate_hz), piece, sound)
        return heard, live_value(heard, sound)

    def known(self, clip: Audio, separation: Separation, truth: Truth | None) -> Known | None:
        """What is known about the target of a recording; None where its parts are not at hand."""
        if truth is None or not all(Path(file).is_file() for file in truth.files):
            return None
        parts = [Audio.load(file) for file in truth.files]
        if not is_sum(clip, parts):
            return None  # another recording was brought since
        instruction = separation.instruction
        named = truth.named
        if named is None:
            meant = self.aside.text.encode([instruction.description, *truth.names]).sentence()  # (1 + parts, W)
            likeness = torch.nn.functional.cosine_similarity(meant[:1], meant[1:])
            named = int(likeness.argmax())
        wanted = true_target(parts, named, instruction.operation)
        feature = self.aside.global_feature(wanted)
        seen = self.aside.separate(clip, instruction, separation.options, global_target=feature)
        words = truth.names[named] if instruction.operation == "extract" else f"all but {truth.names[named]}"
        return Known(wanted, words, feature, seen)

    def draw(
        self, separation: Separation, known: Known | None, folder: Path, palette: Palette
    ) -> Iterator[tuple[str, Any]]:
        """The pictures one by one: the name of the component, and its value."""
        seen, feature = (known.seen, known.feature) if known else (None, None)
        path = save_figure(attention_figure(separation, palette, seen), folder / "attention.png")
        address = served(path)
        # Gradio's own image loses a value that comes while it is mounted.
        image = f'<img src="{address}" alt="{escape(attention_alt(separation))}">'
        yield "attention", f'<a href="{address}" target="_blank">{image}</a>'
        bank_map = self.bank_map.result()
        marked = marks(separation, feature)
        figure = bank_figure(bank_map, marked, palette)
        path = save_figure(figure, folder / "global_features.png")
        clips = bank_points(bank_map, figure)
        yield "bank", {"url": served(path), "alt": bank_alt(bank_map, marked), "clips": clips}


@dataclass(frozen=True, eq=False)
class Known:
    """What the truth says.

    Args:
        wanted: what should come out.
        words: the same in words.
        feature: (D,) its global feature.
        seen: the separation computed with that feature in the place of the predicted one.
    """

    wanted: Audio
    words: str
    feature: np.ndarray
    seen: Separation


@dataclass(frozen=True)
class Kept:
    """What stays on the disk of a run, to be packed when it is asked for.

    Args:
        folder: of the request.
        name: of the recording.
        sounds: WAV files.
        tracks: names of the player's rows.
        duration_s: of each.
        dark: whether the page is dark.
    """

    folder: Path
    name: str
    sounds: tuple[Path, ...]
    tracks: tuple[str, ...]
    duration_s: float
    dark: bool


def sound_paths(folder: Path, upload: str, names: Sequence[str]) -> list[Path]:
    """Where the sounds of a request go."""
    parts = [re.sub(r"\W+", "_", name).strip("_")[:40] for name in names]
    return [folder / f"{Path(upload).stem[:60]}_{part}.wav" for part in parts]


def stems_line(targets: Sequence[str]) -> str:
    """How a list of sounds is understood, in one line."""
    names = escape(", ".join(targets))
    return f'<p class="understood"><span class="operation">Stems</span> <strong>{names}, the rest</strong></p>'


def live_value(heard: Listening, sound: str) -> dict[str, Any]:
    """What the live view draws."""
    curves = {"named_db": heard.named_db, "whole_db": heard.whole_db, "attention": heard.attention}
    rounded = {name: [round(float(value), 2) for value in curve] for name, curve in curves.items()}
    return {"sound": sound, **rounded}


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a run gave, as the page shows it.

    Args:
        separations: the first is the one that pictures show.
        tracks: rows of the player.
        letters: those of tracks whose names are hidden, by their number.
        looks: whose attention can be looked at, by name.
    """

    separations: tuple[Separation, ...]
    tracks: tuple[Track, ...]
    letters: dict[int, str]
    looks: dict[str, Separation]

    @staticmethod
    def of(
        separations: tuple[Separation, ...], compared: Sequence[str], targets: Sequence[str], blind: bool
    ) -> Outcome:
        """Put the answers of a run in the player's order."""
        if targets:
            shared = share_out(separations)
            looks = dict(zip(targets, shared, strict=True))
            return Outcome(shared, stem_tracks(shared), {}, looks)
        first, *others = separations
        looks = {first.instruction.description: first}
        tracks = separation_tracks(first, dict(zip(compared, others, strict=True)))
        if not (blind and others):
            return Outcome(separations, tracks, {}, looks)
        mixture, target, residual, *rest = tracks
        hidden = random.sample([target, *rest], len(separations))
        letters = {number: chr(64 + number) for number in range(1, 1 + len(hidden))}
        return Outcome(separations, (mixture, *hidden, residual), letters, looks)

    def save(self, folder: Path, upload: str, compared: Sequence[str], targets: Sequence[str]) -> list[Path]:
        """Write the sounds in the order in which tracks count them."""
        first, *others = self.separations
        depth = open_sound(upload).depth
        if targets:
            paths = sound_paths(folder, upload, [*(f"{i}_{name}" for i, name in enumerate(targets, 1)), "rest"])
            save_parts(first.mixture, [one.target for one in self.separations], paths, depth)
            return paths
        paths = sound_paths(folder, upload, ["target", "residual", *(f"target_by_{name}" for name in compared)])
        save_parts(first.mixture, [first.target], paths[:2], depth)
        return paths[:2] + [other.target.save(path) for other, path in zip(others, paths[2:], strict=True)]

    def player(self, folder: Path, sounds: Sequence[Path], events: dict[str, tuple[Event, ...]]) -> dict[str, Any]:
        """What the player gets: plain data, and addresses of files."""
        levels, looks = folder / LEVELS, folder / "attention.bin"
        levels.write_bytes(level_bytes(self.tracks).tobytes())
        looks.write_bytes(attention_layers(tuple(self.looks.values())).tobytes())
        record = player_record(self.tracks, self.looks, events)
        for number, letter in self.letters.items():
            record["tracks"][number]["letter"] = letter
        return record | {
            "files": [served(path) for path in sounds],
            "saved": [path.name for path in sounds],
            "levels": served(levels),
            "looks": served(looks),
            "blind": bool(self.letters),
        }


def pack(kept: Kept) -> dict[str, str | int]:
    """Everything of a run in one file: sounds as FLAC, pictures, times and a record."""
    with page_errors():
        if not kept.folder.is_dir():
            raise HSMError("The files of this run were deleted after an hour: separate once more.")
        levels = np.frombuffer((kept.folder / LEVELS).read_bytes(), dtype=np.uint8)
        levels = levels.reshape(len(kept.tracks), -1, MEL_BANDS)  # (tracks, columns, M)
        figure = spectrogram_figure(kept.tracks, levels, kept.duration_s, DARK if kept.dark else LIGHT)
        save_figure(figure, kept.folder / "spectrograms.png")
        files = sorted(path for path in kept.folder.iterdir() if path.suffix in (".png", ".csv", ".json"))
        bundle = save_bundle(kept.sounds, files, kept.folder / f"{kept.name}.zip")
    return {"url": served(bundle), "name": bundle.name, "at": round(1_000 * time.time())}  # new at every click


def cancelled_report() -> str:
    """What stands where the stages stood."""
    return stage_report(STAGES, {}, None, "Cancelled. Sound and instruction are still here.")


def run(handlers: Handlers, results: Results) -> Callable[..., Iterator[dict[Any, Any]]]:
    """The handler of the page's button: sound first, as soon as it exists, then the pictures.

    Every answer holds all that is shown so far: a browser that is behind draws only the newest one.
    """

    def separate_and_show(
        path: str | None,
        text: str,
        operation: str,
        description: str,
        dark: bool,
        compared: list[str],
        blind: bool,
        truth: Truth | None,
        request: gr.Request | None = None,
    ) -> Iterator[dict[Any, Any]]:
        with page_errors(), handlers.cancellable(request.session_hash if request else None) as given_up:
            targets = () if description.strip() else named_targets(text)
            wishes = read_wishes(text, operation, description, compared, targets)
            clip = read_clip(path)
            assert path is not None
            shown: dict[Any, Any] = {
                results.report: stage_report(STAGES, {}, STAGES[0], "Starting."),
                results.sounds: gr.update(visible="hidden"),
                results.player: None,  # what still plays ends
                results.scores: "",
                results.pictures: gr.update(visible="hidden"),
            }
            yield dict(shown)
            begin = time.perf_counter()
            found: tuple[Separation, ...] = ()
            seconds: dict[str, float] = {}
            with closing(handlers.steps(clip, wishes)) as steps:
                for step in steps:
                    if given_up.is_set():
                        yield shown | {results.report: cancelled_report()}
                        return
                    if isinstance(step, tuple):
                        found = step
                    else:
                        seconds = step.seconds
                        shown |= {results.report: stage_report(STAGES, seconds, step.stage, "", step.share)}
                        yield dict(shown)
        took = f"{time.perf_counter() - begin:.1f} s for {clip.duration_s:.1f} s of sound."
        outcome = Outcome.of(found, compared, targets, blind)
        first = outcome.separations[0]
        folder = request_folder()
        sounds = outcome.save(folder, path, compared, targets)
        if first.others and not targets:
            took += f" Told apart from what it took for {', '.join(first.others)}."
        events = {name: find_events(one) for name, one in outcome.looks.items()}
        csv = folder / "times.csv"
        csv.write_text(events_csv(events), encoding="utf-8")
        names = tuple(track.name for track in outcome.tracks)
        shown |= {
            results.understood: stems_line(targets) if targets else understood_line(first.instruction),
            results.report: stage_report(STAGES, seconds, None, f"{took} Drawing the pictures."),
            results.sounds: gr.update(visible=True),
            results.player: outcome.player(folder, sounds, events),
            results.times: "".join(events_table(spans, name) for name, spans in events.items()),
            results.csv: str(csv),
            results.kept: Kept(folder, Path(path).stem[:60], tuple(sounds), names, clip.duration_s, dark),
            results.pictures: gr.update(visible=True),
        }
        yield dict(shown)
        known = None if targets else handlers.known(clip, first, truth)
        scores = None
        if known:
            estimates = {"this separation": first.target, "with the true global feature": known.seen.target}
            estimates |= {f"by {name}": one.target for name, one in zip(compared, found[1:], strict=True)}
            try:
                scores = known_scores(clip, known.wanted, estimates)
                shown[results.scores] = scores_table(scores, known.words)
            except HSMError as error:
                shown[results.scores] = f'<p class="hint">{escape(str(error))}</p>'
        for name, value in handlers.draw(first, known, folder, DARK if dark else LIGHT):
            shown[getattr(results, name)] = value
            yield dict(shown)
        data = separation_json(first) | {"scores": scores, "others": [separation_json(one) for one in found[1:]]}
        (folder / "separation.json").write_text(json.dumps(data, indent=2, ensure_ascii=False), encoding="utf-8")
        yield shown | {
            results.data: data,
            results.report: stage_report(STAGES, seconds, None, took),
            results.earlier: {
                "instruction": text,
                "operation": operation,
                "description": description,
                "understood": "stems" if targets else first.instruction.operation,
                "at": round(1_000 * time.time()),
            },
        }

    return separate_and_show


def wire_run(handlers: Handlers, inputs: Inputs, results: Results, cards: list[gr.Button], texts: Any) -> None:
    """Button, Enter, example cards and Cancel."""
    separate_and_show = run(handlers, results)
    asked = {
        "fn": separate_and_show,
        "inputs": [*inputs.request, inputs.dark, inputs.compared, inputs.blind, inputs.truth],
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
                Truth(
                    tuple(str(ASSETS / source["file"]) for source in example["sources"]),
                    tuple(source["caption"] for source in example["sources"]),
                ),
            ),
            outputs=[*inputs.request, inputs.truth],
            js=SHOW_REPORT,
            api_visibility="private",
            show_progress="hidden",
            queue=False,
        )
        runs.append(chosen.success(**asked))

    def cancel(request: gr.Request) -> str:
        handlers.cancel(request.session_hash)
        time.sleep(TICK_S)  # what was under way at the click arrives first, and is overwritten
        return cancelled_report()

    inputs.cancel.click(
        cancel,
        outputs=results.report,
        cancels=runs,
        api_visibility="private",
        show_progress="hidden",
        concurrency_limit=None,
    )
    failed = json.dumps(stage_report(STAGES, {}, None, "Not separated. Sound and instruction are still here."))
    cancelled = json.dumps(cancelled_report())  # such a run fails for the browser, before or after `cancel` answers
    for one in runs:
        one.failure(
            None,
            results.report,
            results.report,
            js=f"(report) => (report === {cancelled} ? report : {failed})",
            api_visibility="private",
        )


def wire_workbench(handlers: Handlers, inputs: Inputs, bench: Workbench) -> None:
    """The button that mixes."""
    bench.button.click(
        handlers.mix_known,
        [bench.first, bench.second, bench.snr_db, bench.named],
        [inputs.audio, inputs.truth],
        validator=check_pair,
        api_visibility="private",
        concurrency_limit=2,
    )


def wire_live(handlers: Handlers, inputs: Inputs, live: tuple[gr.Audio, gr.State, gr.HTML]) -> None:
    """The microphone, piece by piece."""
    microphone, heard, view = live
    microphone.stream(
        handlers.hear_live,
        [microphone, heard, inputs.instruction, inputs.description],
        [heard, view],
        stream_every=0.5,
        time_limit=LIVE_S,
        concurrency_limit=MOST_LIVE,
        show_progress="hidden",
        api_visibility="private",
    )


def wire_api(handlers: Handlers, inputs: Inputs, bench: Workbench) -> None:
    """The three endpoints that programs call; their docstrings are their descriptions."""
    mixing = gr.Button(visible=False)
    mixing.click(
        handlers.mix,
        [bench.first, bench.second, bench.snr_db],
        gr.Audio(visible=False),
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


def build_app(model: HSM, aside: HSM | None = None) -> gr.Blocks:
    """Lay the page out and connect it to a model.

    Args:
        model: shared by all visitors, and not changed by them.
        aside: as `Handlers` takes it.

    Returns:
        The page, with a queue; `launch_options` says how to launch it.
    """
    handlers = Handlers(model, aside)
    threading.Thread(target=keep_deleting, daemon=True, name="delete-requests").start()
    examples = read_examples()
    page = gr.Blocks(title="HSM-TSS", analytics_enabled=False, delete_cache=(SWEEP_S, KEEP_S), fill_width=True)
    with page:
        gr.HTML(header())
        cards = add_examples(examples) if examples else []
        with gr.Row(equal_height=False, elem_classes="bench"):
            with gr.Column(min_width=320, scale=5):
                inputs = add_inputs(renderers_to_compare(model), said_of_renderers(model))
                bench = add_workbench()
                live = add_live()
            with gr.Column(min_width=320, scale=6):
                sounds = add_sounds()
        pictures = add_pictures()
        gr.HTML(footer(examples))
        results = Results(understood=inputs.understood, earlier=inputs.earlier, **sounds, **pictures)
        wire_run(handlers, inputs, results, cards, examples)
        wire_workbench(handlers, inputs, bench)
        wire_live(handlers, inputs, live)
        wire_api(handlers, inputs, bench)
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
        page.load(
            None,
            inputs.request[1:],
            inputs.request[1:],
            js=read_asset("visitor/read_address.js"),
            api_visibility="private",
        )
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
    parser.add_argument("--host", help="127.0.0.1 by default; 0.0.0.0 to be reached from other machines")
    parser.add_argument("--port", type=int, help="7860 by default, or the next one that is free")
    parser.add_argument("--weights", type=Path, help="a folder with manifest.json; the bundled one by default")
    shares_gpu = bool(os.environ.get("SPACES_ZERO_GPU"))  # a Space that lends a GPU for seconds
    parser.add_argument("--device", default="cuda" if shares_gpu else "cpu", help="cpu, cuda or mps")
    parser.add_argument("--share", action="store_true", help="a public link through Gradio's servers")
    add_options(parser)
    chosen = parser.parse_args(arguments)
    language_model = chosen.language_model, chosen.language_model_url
    model = HSM.load(chosen.weights, chosen.device, *language_model)
    page = build_app(model, HSM.load(chosen.weights, "cpu", *language_model) if shares_gpu else None)
    page.launch(server_name=chosen.host, server_port=chosen.port, share=chosen.share, **launch_options())


if __name__ == "__main__":
    main()
