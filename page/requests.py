"""What the page and programs send, checked and turned into what `hsm` takes; and the answer as plain data."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
import soundfile
from gradio.utils import get_upload_folder

from hsm import Audio, HSMError, Instruction, Separation, SeparationOptions
from hsm.audio import is_silent
from hsm.views import (
    attention_grid,
)

LONGEST_S = 600.0
LONGEST_INSTRUCTION = 1_000
LARGEST_FILE = "300mb"  # ten minutes of stereo at 48 kHz in 32 bit are 230 MB
AS_UNDERSTOOD = "as understood"
FORMATS = "WAV, FLAC, OGG, MP3 or AIFF"
LIMITS = (
    f"{FORMATS}, up to {LONGEST_S / 60:.0f} minutes and {LARGEST_FILE[:-2]} MB. Rate and channels are kept."
)


@contextmanager
def page_errors() -> Iterator[None]:
    """Show what the visitor can put right as a message; anything else is a fault of ours and is raised."""
    try:
        yield
    except HSMError as error:
        raise gr.Error(
            escape(str(error), quote=False), print_exception=False, title="This needs you"
        ) from error


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


def check_sound(path: str | None) -> dict[str, Any]:
    """A verdict on a file from its header alone, so that it is given before the queue."""
    if not path:
        return gr.validate(False, "Upload or record a sound first, or choose an example.")
    name = Path(path).name
    try:
        seconds = soundfile.info(path).duration
    except soundfile.SoundFileError:
        return gr.validate(False, f"{name} cannot be read as sound; use {FORMATS}.")
    if seconds > LONGEST_S:
        most = f"{LONGEST_S / 60:.0f} minutes"
        return gr.validate(False, f"{name} is {seconds / 60:.1f} minutes long; at most {most} are taken.")
    return gr.validate(True, "")


def check_request(
    path: str | None, text: str, operation: str, description: str, *_: Any
) -> list[dict[str, Any]]:
    """A verdict on each input of a separation."""
    named = bool((text or "").strip() or (description or "").strip())
    short = len(text or "") <= LONGEST_INSTRUCTION
    wish = gr.validate(named and short, "")
    if not named:
        wish = gr.validate(False, 'Say what to do with the sound, for example "extract the dog barking".')
    elif not short:
        wish = gr.validate(
            False, f"That is {len(text):,} characters; at most {LONGEST_INSTRUCTION:,} are read."
        )
    return [check_sound(path), wish, *(gr.validate(True, "") for _ in range(2 + len(_)))]


def check_pair(first: str | None, second: str | None, snr_db: float) -> list[dict[str, Any]]:
    """A verdict on each input of a mixture."""
    return [check_sound(first), check_sound(second), gr.validate(True, "")]


def request_folder() -> Path:
    """A folder for the files of one request; its name cannot be guessed."""
    root = Path(get_upload_folder())
    root.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix="request-", dir=root))


def instruction_json(instruction: Instruction) -> dict[str, Any]:
    """An instruction as plain data."""
    return asdict(instruction) | {"descriptions": list(instruction.descriptions)}


def separation_json(separation: Separation) -> dict[str, Any]:
    """What an API client wants to know beside the sound."""
    mixture = separation.mixture
    return {
        "instruction": instruction_json(separation.instruction),
        "duration_s": round(mixture.duration_s, 3),
        "rate_hz": mixture.rate_hz,
        "channels": mixture.channels,
        "renderer": separation.options.renderer,
        "attention_per_column": [round(float(share), 5) for share in attention_grid(separation).sum(1)],
        "column_s": 0.16,
        "timings_s": {stage: round(seconds, 3) for stage, seconds in separation.timings_s.items()},
    }
