"""What is on the page and how it looks; nothing here reacts to anything."""

from __future__ import annotations

import json
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from hsm.pipeline import STAGES
from hsm.views import (
    empty_report,
)
from hsm.views.bank_map import NEIGHBOURS
from page.requests import AS_UNDERSTOOD, LIMITS

ASSETS = Path(__file__).parents[1] / "assets"


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
    dark: gr.Checkbox

    @property
    def request(self) -> list[Any]:
        """The inputs of the `separate` endpoint."""
        return [self.audio, self.instruction, self.operation, self.description]


@dataclass(frozen=True)
class Results:
    """What a visitor gets."""

    understood: gr.HTML
    report: gr.HTML
    sounds: gr.Column
    target: gr.Audio
    residual: gr.Audio
    pictures: gr.Column
    spectrograms: gr.Image
    attention: gr.Image
    bank: gr.Image
    data: gr.JSON

    @property
    def all(self) -> list[Any]:
        """Every component that a run may change."""
        return list(vars(self).values())


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
    dark = gr.Checkbox(visible="hidden", label="Dark page", elem_id="dark")
    return Inputs(audio, instruction, understood, operation, description, separate, cancel, dark)


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


def add_sounds() -> tuple[gr.HTML, gr.Column, gr.Audio, gr.Audio]:
    """The column on the right: how far it is, and what came out."""
    report = gr.HTML(empty_report(STAGES), elem_id="report")
    with gr.Column(visible=False, elem_id="sounds") as sounds:
        target = gr.Audio(label="Target", interactive=False, elem_id="target", buttons=["download"])
        residual = gr.Audio(label="Residual", interactive=False, elem_id="residual", buttons=["download"])
    return report, sounds, target, residual


def add_pictures() -> tuple[gr.Column, gr.Image, gr.Image, gr.Image, gr.JSON]:
    """The lower half: what the model saw."""

    def picture(label: str, name: str, caption: str) -> gr.Image:
        image = gr.Image(
            label=label,
            show_label=False,
            interactive=False,
            type="filepath",
            format="png",
            elem_id=name,
            buttons=["download", "fullscreen"],
        )
        gr.HTML(f'<p class="caption">{caption}</p>')
        return image

    with gr.Column(visible=False, elem_id="pictures") as pictures:
        gr.HTML('<h2 class="section">What the model heard</h2>')
        with gr.Row(equal_height=False):
            with gr.Column(min_width=320):
                attention = picture(
                    "Attention",
                    "attention",
                    "How much the predicted global feature of the target looks at each moment (sum over 8 "
                    "bands) and at each patch of 0.16 s by one band. Dashed: attention spread evenly.",
                )
                spectrograms = picture(
                    "Spectrograms",
                    "spectrograms",
                    "Log-mel spectrograms, the model's view of the sound, on one colour scale.",
                )
            with gr.Column(min_width=320):
                bank = picture(
                    "Global features",
                    "bank",
                    "t-SNE of training clips, computed once, so the map stays put. The marks lie at the mean "
                    f"of their {NEIGHBOURS} most similar clips, weighted by similarity: their neighbourhood "
                    "is exact, their place is not.",
                )
                with gr.Accordion("Everything as data", open=False):
                    data = gr.JSON(show_label=False, label="Everything as data", elem_id="data")
    return pictures, spectrograms, attention, bank, data


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
    sources = (
        f"<details><summary>Where the examples come from</summary><ul>{rows}</ul></details>" if rows else ""
    )
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
