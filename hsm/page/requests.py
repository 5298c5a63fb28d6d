"""What a user may send, and how it is read."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from hsm import HSM, Audio, HSMError, Instruction, SeparationOptions
from hsm.audio import is_silent, load_audio
from hsm.audio.reading import open_sound
from hsm.page.gate import LARGEST_FILE_B, without_folders
from hsm.records import RENDERERS
from hsm.stems import Request, named_targets

LONGEST_S = 600.0
LONGEST_PIECE_S = 5.0  # of a live stream; pieces are half a second
LONGEST_INSTRUCTION, LONGEST_DESCRIPTION = 1_000, 300
MOST_WORK_S, MOST_WAIT_S = 2_400.0, 600.0  # of sound times what is asked of it, and by the clock
AS_UNDERSTOOD = "as understood"
FORMATS = "WAV, FLAC, OGG, MP3, AIFF, M4A or a video's sound"
LIMITS = f"{FORMATS}, up to {LONGEST_S / 60:.0f} minutes and {LARGEST_FILE_B / 1e6:g} MB. Rate and channels are kept."
TEXT_ALONE = "text alone"
log = logging.getLogger(__name__)
RENDERERS_SAID = {
    TEXT_ALONE: "the mask without global and local features.",
    "codec": "the paper's own: the target drawn anew, token by token, 16 kHz and one channel. It is not your "
    "recording, and with these weights it measures worse than doing nothing.",
    "audiosep": "the baseline, AudioSep's form at a small size, steered by text alone; {trained}.",
}


@contextmanager
def page_errors() -> Iterator[None]:
    """Whatever goes wrong reaches the user as one sentence; what is not theirs to put right is logged as well."""
    try:
        yield
    except HSMError as error:
        raise gr.Error(escape(without_folders(str(error)), quote=False), print_exception=False) from error
    except Exception as error:  # the last frame of ours before Gradio, which would show a user its text or nothing
        log.exception("a fault of ours")
        said = "Something went wrong on the server, and was noted there. Try another file or other words."
        raise gr.Error(said, print_exception=False) from error


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


def read_request(text: str, operation: str, description: str) -> Request:
    """The instruction, with the user's corrections of how it was understood."""
    text, description = (text or "").strip(), (description or "").strip()
    if len(text) > LONGEST_INSTRUCTION or len(description) > LONGEST_DESCRIPTION:
        raise HSMError(
            f"Got {len(text):,} characters of instruction and {len(description):,} of description; "
            f"wanted at most {LONGEST_INSTRUCTION:,} and {LONGEST_DESCRIPTION:,}."
        )
    chosen = None if operation in ("", AS_UNDERSTOOD) else operation
    options = SeparationOptions(operation=chosen, description=description or None)  # type: ignore[arg-type]
    if text:
        return text, options
    if description:
        return Instruction(chosen or "extract", description, text=description), options  # type: ignore[arg-type]
    raise HSMError('Say what to do with the sound, for example "extract the dog barking".')


def read_requests(text: str, operation: str, description: str, compared: Sequence[str] = ()) -> list[Request]:
    """What a run asks: the sounds of a list one by one, or one instruction of one or several renderers."""
    one, options = read_request(text, operation, description)
    sounds = listed_sounds(text, description)
    if not sounds:
        return [(one, options), *((one, rendered_by(options, name)) for name in dict.fromkeys(compared))]
    if compared:
        raise HSMError("A list of sounds is separated by one renderer: clear the comparison, or name one sound.")
    if operation == "remove":
        raise HSMError("A list of sounds is taken apart into stems: choose another operation, or name one sound.")
    return [(Instruction("extract", sound, text=text), SeparationOptions()) for sound in sounds]


def listed_sounds(text: str, description: str) -> tuple[str, ...]:
    """The sounds of a list such as "dog; rain"; none where a description overrules it."""
    return () if (description or "").strip() else named_targets(text or "")


def check_work(clip: Audio, requests: Sequence[Request]) -> None:
    """Refuse what would keep others waiting for long."""
    if clip.duration_s * len(requests) > MOST_WORK_S:
        raise HSMError(
            f"Got {len(requests)} separations of {clip.duration_s / 60:.0f} minutes; wanted at most "
            f"{MOST_WORK_S / 60:.0f} minutes in all. Cut the recording, or ask for less at once."
        )


def renderers_to_compare(model: HSM) -> list[str]:
    """What a user may compare the mask with: itself without the hierarchy, and all with weights."""
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
class Reference:
    """Files that add up to a recording, so that a separation can be held against them."""

    files: tuple[str, ...]
    names: tuple[str, ...]  # of the parts, in words
    named: int | None = None  # the part that the instruction names; found by its name where not given


def verdict(valid: bool, message: str = "") -> dict[str, Any]:
    """Whether an input will do, and what to show beside it if not."""
    said: dict[str, Any] = gr.validate(valid, message)
    return said


def validate_sound(path: str | None) -> dict[str, Any]:
    """A verdict on a file before the queue: whether it is one that is read. Its length is known once it is decoded."""
    if not path:
        return verdict(False, "Upload or record a sound first, or choose an example.")
    try:
        open_sound(path)
    except HSMError as error:
        return verdict(False, str(error))
    return verdict(True)


def validate_request(path: str | None, text: str, operation: str, description: str, *rest: Any) -> list[dict[str, Any]]:
    """A verdict on each input of a separation."""
    one = verdict(True)
    try:
        read_request(text, operation, description)
    except HSMError as error:
        one = verdict(False, str(error))
    return [validate_sound(path), one, *(verdict(True) for _ in range(2 + len(rest)))]


def validate_pair(first: str | None, second: str | None, snr_db: float, *rest: Any) -> list[dict[str, Any]]:
    """A verdict on each input of a mixture."""
    return [validate_sound(first), validate_sound(second), *(verdict(True) for _ in range(1 + len(rest)))]
