"""The page: bring a sound, say what to extract or remove, hear it and see why.

A handler converts what the page sends, calls one function of `hsm`, and converts back. The parts are in
`page/`: what is where, what may be sent, and how far a separation is.
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
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import gradio as gr

from hsm import HSM, Audio, HSMError, Instruction, Separation, SeparationOptions
from hsm.mixing import mix
from hsm.pipeline import STAGES
from hsm.views import (
    DARK,
    LIGHT,
    BankMap,
    attention_alt,
    attention_figure,
    bank_alt,
    bank_figure,
    save_figure,
    spectrogram_alt,
    spectrogram_figure,
    stage_report,
    understood_line,
)
from hsm.views.spectrograms import track_names
from page.layout import (
    ASSETS,
    Inputs,
    Results,
    add_examples,
    add_inputs,
    add_mixer,
    add_pictures,
    add_sounds,
    footer,
    header,
    read_examples,
    theme,
)
from page.requests import (
    AS_UNDERSTOOD,
    LARGEST_FILE,
    check_pair,
    check_request,
    instruction_json,
    page_errors,
    read_clip,
    read_wish,
    request_folder,
    separation_json,
)
from page.steps import Step, separate_in_steps

MOST_WAITING = 40
SWEEP_S, KEEP_S = 600, 3_600  # how often files are looked at, and how old they may get
# On a phone the report lies below the fold; where it is in sight already, nothing moves.
SHOW_REPORT = """(...given) => {
    document.getElementById('report').scrollIntoView({block: 'nearest', behavior: 'smooth'});
    return given;
}"""


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

        def steps(
            clip: Audio, wish: str | Instruction, options: SeparationOptions
        ) -> Iterator[Step | Separation]:
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
        spectrograms = save_figure(spectrogram_figure(separation, palette), folder / "spectrograms.png")
        yield "spectrograms", spectrograms, spectrogram_alt(separation)
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


def run(handlers: Handlers, results: Results) -> Callable[..., Iterator[dict[Any, Any]]]:
    """The handler of the page's button: sound first, as soon as it exists, then the pictures."""

    def separate_and_show(
        path: str | None, text: str, operation: str, description: str, dark: bool
    ) -> Iterator[dict[Any, Any]]:
        with page_errors():
            wish, options = read_wish(text, operation, description)
            clip = read_clip(path)
            assert path is not None
            yield {
                results.report: stage_report(STAGES, {}, STAGES[0], "Starting."),
                results.sounds: gr.update(visible=False),
                results.pictures: gr.update(visible=False),
                **dict.fromkeys((results.target, results.residual)),
                **dict.fromkeys((results.spectrograms, results.attention, results.bank)),
            }
            separation = None
            for step in handlers.steps(clip, wish, options):
                if isinstance(step, Separation):
                    separation = step
                else:
                    yield {results.report: stage_report(STAGES, step.seconds, step.stage, "", step.share)}
        assert separation is not None
        folder = request_folder()
        target, residual = handlers._save_sound(separation, path, folder)
        target_name, residual_name = track_names(separation)
        seconds = separation.timings_s
        took = f"{sum(seconds.values()):.1f} s for {clip.duration_s:.1f} s of sound."
        yield {
            results.understood: understood_line(separation.instruction),
            results.report: stage_report(STAGES, seconds, None, f"{took} Drawing the pictures."),
            results.sounds: gr.update(visible=True),
            results.target: gr.update(value=target, label=target_name),
            results.residual: gr.update(value=residual, label=residual_name),
            results.data: separation_json(separation),
        }
        for name, picture, alt in handlers.draw(separation, folder, dark):
            yield {
                results.pictures: gr.update(visible=True),
                getattr(results, name): gr.update(value=str(picture), alt_text=alt),
            }
        yield {results.report: stage_report(STAGES, seconds, None, took)}

    return separate_and_show


def wire_run(
    handlers: Handlers, inputs: Inputs, results: Results, cards: list[gr.Button], texts: Any
) -> None:
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
    gr.api(handlers.parse, api_name="parse", concurrency_limit=4)
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
    with gr.Blocks(
        title="HSM-TSS", analytics_enabled=False, delete_cache=(SWEEP_S, KEEP_S), fill_width=True
    ) as page:
        gr.HTML(header())
        cards = add_examples(examples) if examples else []
        with gr.Row(equal_height=False, elem_classes="bench"):
            with gr.Column(min_width=320, scale=5):
                inputs = add_inputs()
                mixer = add_mixer()
            with gr.Column(min_width=320, scale=6):
                report, sounds, target, residual = add_sounds()
        pictures, spectrograms, attention, bank, data = add_pictures()
        gr.HTML(footer(examples))
        results = Results(
            understood=inputs.understood,
            report=report,
            sounds=sounds,
            target=target,
            residual=residual,
            pictures=pictures,
            spectrograms=spectrograms,
            attention=attention,
            bank=bank,
            data=data,
        )
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
        page.load(
            None,
            None,
            inputs.dark,
            js="() => document.body.classList.contains('dark')",
            api_visibility="private",
        )
    return page.queue(max_size=MOST_WAITING)


def launch_options() -> dict[str, Any]:
    """Theme, style and limits: what Gradio takes at launch rather than when the page is built."""
    return {
        "theme": theme(),
        "css_paths": ASSETS / "style.css",
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
    parser.add_argument(
        "--weights", type=Path, help="a folder with manifest.json; the bundled one by default"
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda or mps")
    parser.add_argument("--share", action="store_true", help="a public link through Gradio's servers")
    chosen = parser.parse_args(arguments)
    model = (
        HSM.load(chosen.weights, device=chosen.device) if chosen.weights else HSM.load(device=chosen.device)
    )
    page = build_app(model)
    page.launch(server_name=chosen.host, server_port=chosen.port, share=chosen.share, **launch_options())


if __name__ == "__main__":
    main()
