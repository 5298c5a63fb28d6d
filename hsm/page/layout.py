"""What is on the page: each block makes its components; at the end all are connected and the limits are set."""

from __future__ import annotations

import importlib.util
import json
import threading
import time
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from hsm import HSM
from hsm.page.figures import NEIGHBOURS
from hsm.page.files import KEEP_S, SWEEP_S, keep_deleting
from hsm.page.handlers import PARTS, Handlers, Results, cancelled_report, pack, run
from hsm.page.player import colour_table
from hsm.page.requests import (
    AS_UNDERSTOOD,
    LARGEST_FILE,
    LIMITS,
    Truth,
    check_pair,
    check_request,
    renderers_to_compare,
    said_of_renderers,
)
from hsm.page.texts import empty_report, stage_report
from hsm.progress import STAGES, TICK_S
from hsm.weights import bundled

ASSETS = bundled("assets")
MOST_WAITING = 40
MOST_LIVE = 2
LIVE_S = 600  # a visitor's live listening ends after this time


# On a phone the report lies below the fold; where it is in sight already, nothing moves.
SHOW_REPORT = """(...given) => {
    document.getElementById('report').scrollIntoView({block: 'nearest', behavior: 'smooth'});
    return given;
}"""


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
