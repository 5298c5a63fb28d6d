"""What is on the page. Each block is one function that makes its components and wires what happens among them."""

from __future__ import annotations

import importlib.util
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from hsm import HSM
from hsm.page.figures import CLASS_COLOURS, NEIGHBOURS
from hsm.page.files import KEEP_S, SWEEP_S, keep_deleting
from hsm.page.gate import LARGEST_FILE_B, Gate
from hsm.page.handlers import CANCELLED, FAILED, PARTS, Handlers, pack
from hsm.page.player import colour_table
from hsm.page.requests import (
    AS_UNDERSTOOD,
    LIMITS,
    LONGEST_DESCRIPTION,
    LONGEST_INSTRUCTION,
    Reference,
    renderers_to_compare,
    said_of_renderers,
    validate_pair,
    validate_request,
)
from hsm.page.texts import report
from hsm.progress import TICK_S
from hsm.records import RENDERERS
from hsm.weights import bundled

ASSETS = bundled("assets")
MOST_WAITING = 100
MOST_LIVE = 2
LIVE_S = 600  # a user's live listening ends after this time
HIDDEN: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}


def read_asset(name: str) -> str:
    """A script or a template of the page; read once, when the page is built."""
    return (ASSETS / name).read_text(encoding="utf-8")


def read_examples() -> list[dict[str, Any]]:
    """The bundled mixtures, as `assets/examples.json` lists them, with the parts they are made of."""
    listed = ASSETS / "examples.json"
    examples = json.loads(listed.read_text(encoding="utf-8")) if listed.is_file() else []
    for example in examples:
        files = tuple(str(ASSETS / source["file"]) for source in example["sources"])
        names = tuple(source["caption"] for source in example["sources"])
        example |= {"path": str(ASSETS / example["file"]), "reference": Reference(files, names)}
    return examples


@dataclass(frozen=True)
class Asking:
    """The components with which a user asks."""

    audio: gr.Audio
    instruction: gr.Textbox
    operation: gr.Radio
    description: gr.Textbox
    understood: gr.HTML
    separate: gr.Button
    cancel: gr.Button
    compared: gr.CheckboxGroup
    blind: gr.Checkbox
    reference: gr.State
    cards: list[gr.Button]

    @property
    def request(self) -> list[Any]:
        """The inputs of the `separate` endpoint."""
        return [self.audio, self.instruction, self.operation, self.description]

    @property
    def run(self) -> list[Any]:
        """The inputs of a run."""
        return [*self.request, self.compared, self.blind, self.reference]


def asking(page: gr.Blocks, handlers: Handlers, examples: list[dict[str, Any]]) -> Asking:
    """Instruction, how it is understood, recording and examples; then what is seldom needed, folded."""
    with gr.Column(elem_id="ask", min_width=280):
        instruction = gr.Textbox(
            label="Instruction",
            placeholder='Such as "remove the rain", or "dog; rain" for stems',
            lines=1,
            max_lines=3,
            max_length=LONGEST_INSTRUCTION,
            elem_id="instruction",
        )
        understood = gr.HTML(elem_id="understood")
        with gr.Row(elem_classes="actions"):
            separate = gr.Button("Separate", variant="primary", elem_id="separate", scale=3)
            cancel = gr.Button("Cancel", elem_id="cancel", scale=1, min_width=90, interactive=False)
        audio = gr.Audio(
            label="Recording",
            sources=["upload", "microphone"],
            type="filepath",
            buttons=["download"],
            elem_id="recording",
        )
        with gr.Row(elem_classes="examples"):
            titles = [f"{example['title']}\n{example['instruction']}" for example in examples]
            cards = [gr.Button(title, elem_classes="example", min_width=120) for title in titles]
    with gr.Column(elem_id="more", min_width=280):
        gr.HTML(f'<p class="hint">{LIMITS}</p>')
        with gr.Accordion("Correct how it is understood", open=False):
            operation = gr.Radio(
                [AS_UNDERSTOOD, "extract", "remove"], value=AS_UNDERSTOOD, label="Operation", elem_id="operation"
            )
            description = gr.Textbox(
                value="",  # so that programs may leave it out
                label="Description of the sound",
                placeholder="As understood",
                lines=1,
                max_length=LONGEST_DESCRIPTION,
                elem_id="description",
            )
        with gr.Accordion("Compare renderers", open=False):
            offered, said = renderers_to_compare(handlers.model), said_of_renderers(handlers.model)
            compared = gr.CheckboxGroup(offered, label="Compare the guided mask with", info=said, elem_id="compared")
            blind = gr.Checkbox(label="Blind: hide which is which", elem_id="blind")
        made = Asking(
            audio, instruction, operation, description, understood, separate, cancel, compared, blind, gr.State(), cards
        )
        workbench(handlers, made)
        live_listening(handlers, made)
        settings(made, page)
    js = "() => document.querySelector('#result').classList.add('stale')"
    audio.change(None, None, None, js=js, **HIDDEN)
    # A new instruction clears what corrected the one before. Gradio's own event does not tell what is pasted.
    retyped = gr.Button("New instruction", elem_id="retyped")
    js = f"() => [{json.dumps(AS_UNDERSTOOD)}, '']"
    retyped.click(None, None, [operation, description], js=js, **HIDDEN)
    gr.on(
        [instruction.change, operation.change, description.change],
        handlers.understood,
        [instruction, operation, description],
        understood,
        queue=False,
        trigger_mode="always_last",
        **HIDDEN,
    )
    return made


def workbench(handlers: Handlers, asking: Asking) -> None:
    """A mixture whose parts are known, so that its separation is scored; and the endpoint that mixes."""
    with gr.Accordion("Workbench: mix two sounds, separate, compare with the truth", open=False):
        with gr.Row():
            first = gr.Audio(label="First sound", type="filepath", elem_id="first", min_width=240)
            second = gr.Audio(label="Second sound", type="filepath", elem_id="second", min_width=240)
        snr_db = gr.Slider(-30, 30, value=0, step=1, label="First over second (dB)", elem_id="snr")
        named = gr.Radio(list(PARTS), value=PARTS[0], label="The instruction will name", elem_id="named")
        button = gr.Button("Mix and use as the recording", elem_id="mix")
    limits: dict[str, Any] = {"validator": validate_pair, "concurrency_limit": 2}
    outputs = [asking.audio, asking.reference]
    button.click(handlers.mix_known, [first, second, snr_db, named], outputs, api_visibility="private", **limits)
    mixed = gr.Audio(visible=False)
    gr.Button(visible=False).click(handlers.mix, [first, second, snr_db], mixed, api_name="mix", **limits)


def live_listening(handlers: Handlers, asking: Asking) -> None:
    """The microphone piece by piece, and what is heard in it as it happens."""
    with gr.Accordion("Listen live", open=False):
        gr.HTML('<p class="hint">Name a sound in the instruction, start the recording, and watch for it.</p>')
        microphone = gr.Audio(
            label="Microphone", sources=["microphone"], streaming=True, type="filepath", elem_id="microphone"
        )
        view = gr.HTML(
            html_template=read_asset("live/live.html"),
            js_on_load=read_asset("live/live.js"),
            apply_default_css=False,
            elem_id="live",
        )
    heard = gr.State()
    microphone.stream(
        handlers.hear_live,
        [microphone, heard, asking.instruction, asking.description],
        [heard, view],
        stream_every=0.5,
        time_limit=LIVE_S,
        concurrency_limit=MOST_LIVE,
        **HIDDEN,
    )


def settings(asking: Asking, page: gr.Blocks) -> None:
    """What is asked as an address to pass on, and such an address read."""
    given = asking.request[1:]
    link = gr.Button("Copy link to these settings", size="sm", elem_id="link")
    write = read_asset("page/address.js") + read_asset("page/copy_link.js")
    link.click(None, given, link, js=f"async (instruction, operation, description) => {{\n{write}}}", **HIDDEN)
    page.load(None, given, given, js=read_asset("page/read_address.js"), **HIDDEN)


def earlier_instructions(asking: Asking) -> gr.HTML:
    """The list of what this user asked before; it stays in the browser."""
    earlier = gr.HTML(
        html_template=read_asset("page/earlier.html"),
        js_on_load=read_asset("page/address.js") + read_asset("page/earlier.js"),
        apply_default_css=False,
        elem_id="earlier",
    )
    js = "entry => [entry.instruction, entry.operation, entry.description]"
    earlier.input(None, earlier, asking.request[1:], js=js, **HIDDEN)
    return earlier


def result() -> dict[str, Any]:
    """How far a run is, and what came out, by the names that a run gives them."""
    with gr.Column(elem_id="result", min_width=320):
        progress = gr.HTML(
            report("Choose an example, or bring a recording and say what to do with it."), elem_id="report"
        )
        scripts = [read_asset(f"player/{name}.js") for name in ("stems", "lanes", "player")]
        player = gr.HTML(
            html_template=read_asset("player/player.html"),
            js_on_load="\n".join(scripts),
            apply_default_css=False,
            elem_id="player",
            colours=colour_table(),
        )
        times = gr.HTML(elem_id="times", apply_default_css=False)
        scores = gr.HTML(elem_id="scores", apply_default_css=False)
        with gr.Row(elem_classes="downloads"):
            csv = gr.DownloadButton("Times (CSV)", size="sm", min_width=120, elem_id="csv")
            bundle = gr.Button("Everything (ZIP with FLAC)", size="sm", min_width=120, elem_id="bundle")
        packed = gr.HTML(
            html_template='<a hidden aria-hidden="true"></a>',
            js_on_load=read_asset("page/download.js"),
            apply_default_css=False,
            elem_id="packed",
        )
    kept = gr.State()
    bundle.click(pack, kept, packed, api_visibility="private", concurrency_limit=2, show_progress_on=bundle)
    return {"report": progress, "player": player, "times": times, "scores": scores, "csv": csv, "kept": kept}


def pictures() -> dict[str, Any]:
    """The lower half: the map of global features, and everything as data."""
    with gr.Column(elem_id="pictures"):
        gr.HTML('<h2 class="section">What the model heard</h2>')
        bank = gr.HTML(
            html_template=read_asset("pictures/map.html"),
            js_on_load=read_asset("pictures/map.js"),
            apply_default_css=False,
            elem_id="map",
        )
        gr.HTML(
            '<p class="caption">t-SNE of the global features of training clips, computed once, so the map stays put. '
            f"The marks lie at the mean of their {NEIGHBOURS} most similar clips, weighted by similarity: their "
            "neighbourhood is exact, their place is not. The line leads from the mixture to the predicted target and "
            "to the words.</p>"
        )
        with gr.Accordion("Everything as data", open=False):
            data = gr.JSON(show_label=False, label="Everything as data", elem_id="data")
    return {"map": bank, "data": data}


def running(handlers: Handlers, asking: Asking, shown: dict[str, Any], examples: list[dict[str, Any]]) -> None:
    """Button, Enter, example cards and Cancel: what starts and ends a run, and what a run shows."""

    def separate_and_show(
        path: str | None,
        text: str,
        operation: str,
        description: str,
        compared: list[str],
        blind: bool,
        reference: Reference | None,
        request: gr.Request,
    ) -> Iterator[dict[Any, Any]]:
        for values in handlers.run(path, text, operation, description, compared, blind, reference, request):
            yield {shown[name]: value for name, value in values.items()}

    run: dict[str, Any] = {
        "fn": separate_and_show,
        "inputs": asking.run,
        "outputs": list(shown.values()),
        "validator": validate_request,
        "api_visibility": "private",
        "concurrency_id": "model",
        "concurrency_limit": 1,
        "show_progress": "minimal",
        "show_progress_on": shown["report"],
    }
    runs = [gr.on([asking.separate.click, asking.instruction.submit, asking.description.submit], **run)]
    for card, example in zip(asking.cards, examples, strict=True):
        values = (example["path"], example["instruction"], AS_UNDERSTOOD, "", example["reference"])
        outputs = [*asking.request, asking.reference]
        chosen = card.click(
            lambda values=values: values, None, outputs, js=read_asset("page/show_report.js"), queue=False, **HIDDEN
        )
        runs.append(chosen.success(**run))

    ended = [shown["report"], shown["cancel"]]

    def cancel(request: gr.Request) -> tuple[Any, Any]:
        if not handlers.cancel(request.session_hash):
            return gr.skip(), gr.skip()
        time.sleep(TICK_S)  # what was under way at the click arrives first, and is overwritten
        return CANCELLED, gr.update(interactive=False)

    asking.cancel.click(cancel, None, ended, cancels=runs, queue=False, **HIDDEN)
    for one in runs:  # a run that was cancelled fails for the browser, before or after `cancel` answers
        one.failure(
            lambda report: (report if report == CANCELLED else FAILED, gr.update(interactive=False)),
            shown["report"],
            ended,
            queue=False,
            **HIDDEN,
        )


def endpoints(handlers: Handlers, asking: Asking) -> None:
    """What programs call, beside `mix`; the docstrings of the handlers are their descriptions."""
    gr.events.api(handlers.parse, api_name="parse", queue=False)
    gr.Button(visible=False).click(
        handlers.separate,
        [*asking.request, gr.Dropdown(list(RENDERERS), value="mask", label="Renderer", visible=False)],
        [gr.Audio(visible=False), gr.Audio(visible=False), gr.JSON(visible=False)],
        api_name="separate",
        validator=validate_request,
        concurrency_id="model",
        concurrency_limit=1,
    )


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


def build_page(model: HSM, cpu_model: HSM | None = None) -> gr.Blocks:
    """Lay the page out, with a queue, and connect it to models as `Handlers` takes them; see `launch_options`."""
    examples = read_examples()
    handlers = Handlers(model, cpu_model, examples[0] if examples else None)
    threading.Thread(target=keep_deleting, args=(handlers.kept,), daemon=True, name="delete-old-files").start()
    page = gr.Blocks(title="HSM-TSS", analytics_enabled=False, delete_cache=(SWEEP_S, KEEP_S), fill_width=True)
    with page:
        gr.HTML(header())
        with gr.Row(equal_height=False, elem_id="bench"):
            asked = asking(page, handlers, examples)
            shown = result()
        shown |= pictures() | {"understood": asked.understood, "cancel": asked.cancel}
        shown["earlier"] = earlier_instructions(asked)
        gr.HTML(footer(examples))
        running(handlers, asked, shown, examples)
        endpoints(handlers, asked)
        first = ["player", "times", "scores", "csv", "kept", "map", "data"]
        page.load(
            lambda: {shown[name]: value for name, value in handlers.first.result().items()},
            None,
            [shown[name] for name in first],
            queue=False,
            **HIDDEN,
        )
    page.queue(max_size=MOST_WAITING, api_open=False)
    return page


def launch_options() -> dict[str, Any]:
    """Theme, style and limits: what Gradio takes at launch rather than when the page is built."""
    script = read_asset("page/browser.js")
    colours = ";".join(f"--class-{i}:{colour}" for i, colour in enumerate(CLASS_COLOURS))
    return {
        "theme": theme(),
        "css": f":root{{{colours}}}",
        "css_paths": [ASSETS / "style.css", ASSETS / "player" / "player.css"],
        "head": f"<style>{read_asset('page/first.css')}</style><script>{script}</script>",
        "footer_links": ["api", "settings"],
        "max_file_size": LARGEST_FILE_B,
        "allowed_paths": [str(ASSETS / "examples")],
        "enable_monitoring": False,
        "app_kwargs": {"middleware": [Middleware(Gate)]},
        "ssr_mode": False,
        # The tools of the page as tools of an assistant, where the package for it is installed.
        "mcp_server": importlib.util.find_spec("mcp") is not None,
    }
