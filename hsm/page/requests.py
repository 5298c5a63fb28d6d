"""What a visitor may send, and how it is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from hsm import HSM, Audio, HSMError, Instruction, SeparationOptions
from hsm.audio import is_silent, load_audio
from hsm.reading import open_sound
from hsm.records import RENDERERS
from hsm.stems import Request

LONGEST_S = 600.0
LONGEST_INSTRUCTION = 1_000
LARGEST_FILE = "300mb"  # ten minutes of stereo at 48 kHz in 32 bit are 230 MB
AS_UNDERSTOOD = "as understood"
FORMATS = "WAV, FLAC, OGG, MP3, AIFF, M4A or a video's sound"
LIMITS = f"{FORMATS}, up to {LONGEST_S / 60:.0f} minutes and {LARGEST_FILE[:-2]} MB. Rate and channels are kept."
TEXT_ALONE = "text alone"
RENDERERS_SAID = {
    TEXT_ALONE: "the mask without global and local features.",
    "codec": "the target drawn anew, token by token, 16 kHz and one channel; it may sound fuller than what the mask "
    "leaves, but it is not your recording and may be wrong.",
    "audiosep": "the rival, AudioSep's form at a small size, steered by text alone; {trained}.",
}


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
    if clip.warning:
        gr.Warning(escape(f"{Path(path).name}: {clip.warning}", quote=False), title="Not all of it could be read")
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
) -> list[Request]:
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
    return [TEXT_ALONE, *(name for name in RENDERERS if name != "mask" and not model.missing_weights(name))]


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
        seconds = open_sound(path).duration_s
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
