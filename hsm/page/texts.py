"""The lines of text beside the pictures as small pieces of HTML, and everything as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from html import escape
from typing import Any

from hsm.events import Event
from hsm.features import COLUMN_SAMPLES, RATE_HZ
from hsm.page.figures import attention_grid
from hsm.records import Instruction, Separation

SPOKEN = {
    "parse": ("Read", "the instruction: an operation and a description"),
    "local features": ("Listen", "512 local features for 10 s, in time and frequency"),
    "global features": ("Sum up", "one global feature of the whole mixture"),
    "global separation": ("Predict", "the target's global feature, guided by the words"),
    "local separation": ("Look", "the target's local features; here is the attention"),
    "render": ("Render", "two masks that sum to one: target and residual"),
}


def understood_line(instruction: Instruction) -> str:
    """What was understood, in one line.

    Args:
        instruction: as parsed or overridden.

    Returns:
        HTML such as "Remove: dog barking, read by grammar, 98 % sure", with the instruction's note under it.
    """
    note = f'<br><span class="note">{escape(instruction.note)}</span>' if instruction.note else ""
    sure = f"read by {escape(instruction.parser)}, {instruction.confidence:.0%} sure"
    if instruction.parser == "given":
        sure = "as you set it"
    return (
        f'<p class="understood" data-operation="{instruction.operation}">'
        f'<span class="operation">{instruction.operation.capitalize()}</span> '
        f'<strong>{escape(instruction.description)}</strong> <span class="sure">{sure}</span>{note}</p>'
    )


def stage_report(
    stages: Sequence[str],
    seconds: Mapping[str, float],
    running: str | None = None,
    message: str = "",
    fraction: float | None = None,
) -> str:
    """The stages as a list: done with its seconds, running, or still to come.

    Args:
        stages: all of them, in order.
        seconds: of those done, and so far of the one running.
        running: the one running, if any.
        message: the sentence under the list, read out by screen readers.
        fraction: share of the work done, drawn as a bar; none once nothing runs.

    Returns:
        HTML.
    """
    items = []
    for stage in stages:
        state = "running" if stage == running else "done" if stage in seconds else "waiting"
        name, meaning = SPOKEN.get(stage, (stage.capitalize(), stage))
        time = f"{seconds[stage]:.2f} s" if stage in seconds else "&nbsp;"
        items.append(
            f'<li class="{state}" title="{escape(meaning)}"><span class="name">{escape(name)}</span>'
            f'<span class="time">{time}</span><span class="meaning">{escape(meaning)}</span></li>'
        )
    bar = "" if fraction is None else f'<progress max="1" value="{fraction:.3f}" aria-label="Progress"></progress>'
    return (
        f'<ol class="stages" aria-label="Stages of the separation">{"".join(items)}</ol>{bar}'
        f'<p class="message" role="status">{escape(message)}</p>'
    )


def empty_report(stages: Sequence[str]) -> str:
    """The list before anything has run: it says what will happen."""
    return stage_report(stages, {}, None, "Choose an example, or bring a sound and name what you want from it.")


def events_table(events: Sequence[Event], description: str) -> str:
    """When the named sound is active, as a table.

    Args:
        events: in order.
        description: the sound that was named.

    Returns:
        HTML.
    """
    if not events:
        return f'<p class="hint">No span in which the mask clearly gives the energy to: {escape(description)}.</p>'
    rows = "".join(
        f"<tr><td>{event.start_s:.2f}</td><td>{event.end_s:.2f}</td><td>{event.confidence:.2f}</td></tr>"
        for event in events
    )
    return (
        f'<table class="events"><caption>When it sounds: {escape(description)}</caption>'
        "<thead><tr><th>from (s)</th><th>to (s)</th><th>confidence</th></tr></thead>"
        f"<tbody>{rows}</tbody></table>"
        '<p class="hint">Confidence: the share of the mixture\'s energy in the span that the mask gives to it.</p>'
    )


COLUMNS = {"si_sdri": "SI-SDRi dB", "sdri": "SDRi dB", "si_sdr": "SI-SDR dB", "mel_psnr": "mel-PSNR dB", "lsd": "LSD"}


def scores_table(scores: Mapping[str, Mapping[str, float]], wanted: str) -> str:
    """How near to the truth each answer is.

    Args:
        scores: by row, then by metric, as `hsm.evaluation.reference_scores` gives them.
        wanted: what should have come out, in words.

    Returns:
        HTML.
    """
    heads = "".join(f'<th scope="col">{name}</th>' for name in COLUMNS.values())
    rows = "".join(
        f'<tr><th scope="row">{escape(row)}</th>'
        + "".join(f"<td>{values[name]:.2f}</td>" for name in COLUMNS)
        + "</tr>"
        for row, values in scores.items()
    )
    return (
        f'<table class="scores"><caption>Against the truth: {escape(wanted)}</caption>'
        f'<thead><tr><th scope="col">answer</th>{heads}</tr></thead><tbody>{rows}</tbody></table>'
        '<p class="hint">The parts of this mixture are known. Higher is better, but for LSD. The ideal ratio mask '
        "knows both parts: no mask of magnitudes does much better.</p>"
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
        "attention_per_column": [round(float(share), 5) for share in attention_grid(separation).sum(1)],
        "column_s": COLUMN_SAMPLES / RATE_HZ,
        "events": [asdict(event) for event in separation.events],
        "timings_s": {stage: round(seconds, 3) for stage, seconds in separation.timings_s.items()},
    }
