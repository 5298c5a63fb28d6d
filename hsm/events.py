"""Where is it? The spans of time in which the sound that an instruction names is active."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from hsm.features import COLUMN_SAMPLES, RATE_HZ, STFT_HOP, pad_to_multiple, stft

if TYPE_CHECKING:
    from hsm.records import Separation

FRAME_S = STFT_HOP / RATE_HZ  # 32 ms
SMOOTH_FRAMES = 5  # energies are means over 0.16 s
# An active span holds a frame of at least BEGIN and none below KEEP: shares of the mixture's energy. A mask
# of one half all over gives 0.25. Chosen on the bundled examples, whose times are known.
BEGIN, KEEP = 0.30, 0.15
FAINTEST_DB = -30.0  # below the sound's own loud moments; what is fainter is its tail or leakage
LOUD = 0.98  # quantile of its frames that counts as loud
JOIN_S = 0.2  # shorter pauses belong to the sound
SHORTEST_S = 0.1


@dataclass(frozen=True)
class Event:
    """One span of time in which the named sound is active.

    Args:
        start_s: from the start of the clip.
        end_s: from the start of the clip.
        confidence: 0 to 1, the share of the mixture's energy in this span that the mask gives to the
            named sound. It is no probability: a faint sound that is surely there scores low.
    """

    start_s: float
    end_s: float
    confidence: float


def hysteresis(values: np.ndarray, begin: float, keep: float) -> list[tuple[int, int]]:
    """First frame and frame behind the last of the runs of (T,) that reach `begin` and never fall below `keep`."""
    assert keep <= begin
    kept = np.concatenate([[False], values >= keep, [False]])
    edges = np.flatnonzero(kept[1:] != kept[:-1]).reshape(-1, 2)
    return [(int(first), int(behind)) for first, behind in edges if values[first:behind].max() >= begin]


def joined(runs: Sequence[tuple[int, int]], gap: int) -> list[tuple[int, int]]:
    """Runs with the pauses of fewer than `gap` frames between them filled."""
    whole: list[tuple[int, int]] = []
    for first, behind in runs:
        if whole and first - whole[-1][1] < gap:
            whole[-1] = (whole[-1][0], behind)
        else:
            whole.append((first, behind))
    return whole


def named_energies(separation: Separation) -> tuple[np.ndarray, np.ndarray]:
    """Energy over time (T,), a frame each 32 ms, of the sound that the instruction names, and of the mixture."""
    mask = torch.from_numpy(separation.mask)  # (T, F)
    if separation.instruction.operation == "remove":
        mask = 1.0 - mask
    window = np.full(SMOOTH_FRAMES, 1.0 / SMOOTH_FRAMES)
    named, mixture = np.zeros(len(mask)), np.zeros(len(mask))  # (T,)
    for wave in separation.mixture.heard_16k:
        magnitude = stft(pad_to_multiple(wave, COLUMN_SAMPLES)[None])[0].abs()  # (T, F)
        named += np.convolve((mask * magnitude).square().sum(1).numpy(), window, mode="same")
        mixture += np.convolve(magnitude.square().sum(1).numpy(), window, mode="same")
    return named, mixture


def find_events(separation: Separation) -> tuple[Event, ...]:
    """Find when the named sound is active, from the mask's share of the mixture's energy.

    Args:
        separation: what a call computed.

    Returns:
        The spans in order, none overlapping; none at all where the mask leaves the sound less than 30 %
        everywhere.
    """
    named, mixture = named_energies(separation)
    share = named / np.maximum(mixture, 1e-12)
    loud = float(np.quantile(named, LOUD))
    share[named < loud * 10 ** (FAINTEST_DB / 10)] = 0.0
    found = []
    for first, behind in joined(hysteresis(share, BEGIN, KEEP), round(JOIN_S / FRAME_S)):
        # Frame t stands for the 32 ms around t * FRAME_S.
        start_s = max(0.0, (first - 0.5) * FRAME_S)
        end_s = min(separation.mixture.duration_s, (behind - 0.5) * FRAME_S)
        if end_s - start_s >= SHORTEST_S:
            confidence = named[first:behind].sum() / mixture[first:behind].sum()
            found.append(Event(round(start_s, 3), round(end_s, 3), round(float(confidence), 3)))
    return tuple(found)


def events_csv(events: Mapping[str, Sequence[Event]]) -> str:
    """The spans of each named sound as CSV with the columns start_s, end_s, confidence and sound."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["start_s", "end_s", "confidence", "sound"])
    for sound, spans in events.items():
        table.writerows([event.start_s, event.end_s, event.confidence, sound] for event in spans)
    return text.getvalue()
