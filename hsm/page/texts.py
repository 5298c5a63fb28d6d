"""The lines of text beside the pictures as small pieces of HTML, and everything as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from html import escape
from typing import Any

import numpy as np

from hsm.events import Event
from hsm.features import COLUMN_SAMPLES, RATE_HZ
from hsm.page.figures import attention_grid
from hsm.progress import STAGES
from hsm.records import Instruction, Separation

SPOKEN = {
    "parse": ("Read", "the instruction: an operation and a description"),
    "local features": ("Listen", "512 local features for 10 s, in time and frequency"),
    "global features": ("Sum up", "one global feature of the whole mixture"),
    "global separation": ("Predict", "the target's global feature, guided by the words"),
    "local separation": ("Look", "the target's local features; here is the attention"),
    "render": ("Render", "two masks that sum to one: target and residual"),
}
ABSENT = 0.3  # calibrated where half of the queries are absent; users mostly ask for what is there
SCORES = {"si_sdri": "SI-SDRi dB", "sdri": "SDRi dB", "si_sdr": "SI-SDR dB", "mel_psnr": "mel-PSNR dB", "lsd": "LSD"}


def hint(text: str) -> str:
    """A line in small type."""
    return f'<p class="hint">{escape(text)}</p>' if text else ""


def understood_line(instruction: Instruction, given: bool = False) -> str:
    """What is understood, or given by the user, in one line, with the instruction's note under it."""
    note = f'<br><span class="note">{escape(instruction.note)}</span>' if instruction.note else ""
    sure = f"read by {escape(instruction.parser)}, {instruction.confidence:.0%} sure"
    if given or instruction.parser == "given":
        sure = "as you set it"
    return (
        f'<p class="understood" data-operation="{instruction.operation}">'
        f'<span class="operation">{instruction.operation.capitalize()}</span> '
        f'<strong>{escape(instruction.description)}</strong> <span class="sure">{sure}</span>{note}</p>'
    )


def stems_line(sounds: Sequence[str]) -> str:
    """How a list of sounds is understood, in one line."""
    names = escape(", ".join(sounds))
    return f'<p class="understood"><span class="operation">Stems</span> <strong>{names}, the rest</strong></p>'


def report(
    message: str, seconds: Mapping[str, float] | None = None, running: str = "", share: float | None = None
) -> str:
    """How far a run is: one line with a bar, as high before, while and after; its stages unfold below.

    `seconds` are those of the stages done, and so far of the one running.
    """
    seconds = seconds or {}
    items = []
    for stage in STAGES:
        state = "running" if stage == running else "done" if stage in seconds else "waiting"
        name, meaning = SPOKEN[stage]
        time = f"{seconds[stage]:.2f} s" if stage in seconds else ""
        items.append(
            f'<li class="{state}"><span class="name">{name}</span><span class="meaning">{meaning}</span>'
            f'<span class="time">{time}</span></li>'
        )
    if running:
        message = ": ".join(SPOKEN[running])
    return (
        f'<details class="report" data-state="{"running" if share is not None and share < 1 else "ended"}">'
        f'<summary><span class="message" role="status">{escape(message)}</span></summary>'
        f'<ol class="stages" aria-label="Stages of the separation">{"".join(items)}</ol></details>'
        f'<progress max="1" value="{share or 0:.3f}" aria-label="Progress"></progress>'
    )


def named_level_db(separation: Separation) -> float:
    """How loud the named sound came out, in dB over the mixture."""
    named = separation.target if separation.instruction.operation == "extract" else separation.residual
    energy = float(np.square(named.samples, dtype=np.float64).sum())
    return float(10 * np.log10(max(energy, 1e-20) / np.square(separation.mixture.samples, dtype=np.float64).sum()))


def absent_note(separation: Separation) -> str:
    """What to know where the named sound is probably not there; else nothing."""
    if separation.present >= ABSENT:
        return ""
    sound, level_db = separation.instruction.description, named_level_db(separation)
    return f"“{sound}” seems not to be there: what came out of it is {-level_db:.0f} dB below the recording."


def heard_events(separation: Separation) -> tuple[Event, ...]:
    """When the named sound is active; never, where it seems not to be there."""
    return () if absent_note(separation) else separation.events


def events_table(events: Sequence[Event], sound: str, note: str = "") -> str:
    """When a named sound is active, as a table; the note instead, where it seems not to be there."""
    if note or not events:
        return hint(note or f"No span in which the mask clearly gives the energy to: {sound}.")
    rows = "".join(
        f"<tr><td>{event.start_s:.2f}</td><td>{event.end_s:.2f}</td><td>{event.confidence:.2f}</td></tr>"
        for event in events
    )
    return (
        f'<div class="scrolling" tabindex="0" role="region" aria-label="When it sounds: {escape(sound)}">'
        f'<table class="events"><caption>When it sounds: {escape(sound)}</caption>'
        "<thead><tr><th>from (s)</th><th>to (s)</th><th>confidence</th></tr></thead>"
        f"<tbody>{rows}</tbody></table></div>"
        + hint("Confidence: the share of the mixture's energy in the span that the mask gives to it.")
    )


def scores_table(scores: Mapping[str, Mapping[str, float]], wanted: str) -> str:
    """How near to the truth each answer is, the first row being the mixture."""
    heads = "".join(f'<th scope="col">{name}</th>' for name in SCORES.values())
    rows = ""
    for row, values in scores.items():
        cells = "".join(f"<td>{values[name]:.2f}</td>" for name in SCORES)
        rows += f'<tr><th scope="row">{escape(row)}</th>{cells}</tr>'
    return (
        f'<div class="scrolling" tabindex="0" role="region" aria-label="Scores">'
        f'<table class="scores"><caption>Against the truth: {escape(wanted)}</caption>'
        f'<thead><tr><th scope="col">answer</th>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'
        + hint(
            "The parts of this mixture are known. Higher is better, but for LSD. SDRi alone flatters what is only "
            "fainter. The ideal ratio mask knows both parts: no mask of magnitudes does much better."
        )
    )


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
        "told_apart_from": list(separation.competing_sounds),
        "present": round(separation.present, 3),
        "level_db": round(named_level_db(separation), 2),
        "note": absent_note(separation),
        "warning": mixture.warning,
        "attention_per_column": [round(float(share), 5) for share in attention_grid(separation).sum(1)],
        "column_s": COLUMN_SAMPLES / RATE_HZ,
        "events": [asdict(event) for event in heard_events(separation)],
        "timings_s": {stage: round(seconds, 3) for stage, seconds in separation.timings_s.items()},
    }
