"""Windows over long audio, and masks cross-faded between them.

window 0  |=========================|
window 1                    |=========================|
                             overlap: masks fade from one to the next, waveforms never do
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from hsm.audio import COLUMN_SAMPLES, FRAMES_PER_COLUMN, PATCH_COLUMNS

OVERLAP_COLUMNS = 16  # 2.56 s


@dataclass(frozen=True)
class Window:
    """A stretch of patch columns [first, first + count)."""

    first: int
    count: int

    @property
    def samples(self) -> slice:
        """The same stretch in samples at 16 kHz."""
        return slice(self.first * COLUMN_SAMPLES, (self.first + self.count) * COLUMN_SAMPLES)

    @property
    def first_frame(self) -> int:
        """Its first STFT frame."""
        return self.first * FRAMES_PER_COLUMN


def windows(columns: int) -> Iterator[Window]:
    """Windows of 64 columns, 16 of them overlapping; the last one ends with the sound.

    Args:
        columns: length of the sound in columns of 0.16 s, at least 1.

    Yields:
        Windows in order; a sound of up to 10.24 s is one window of its own length.
    """
    if columns <= PATCH_COLUMNS:
        yield Window(0, columns)
        return
    step = PATCH_COLUMNS - OVERLAP_COLUMNS
    last = columns - PATCH_COLUMNS
    for first in range(0, last, step):
        yield Window(first, PATCH_COLUMNS)
    yield Window(last, PATCH_COLUMNS)


class CrossFade:
    """Joins per-window values along frames with weights that fall to zero at the inner edges.

    Args:
        length: frames of the whole sound.
        width: values a frame.
    """

    def __init__(self, length: int, width: int) -> None:
        self._sum = torch.zeros(length, width)
        self._weight = torch.zeros(length, 1)

    def add(self, first: int, values: Tensor, fade: int, at_start: bool, at_end: bool) -> None:
        """Add one window.

        Args:
            first: its first frame.
            values: (T, width).
            fade: frames of fade at an inner edge.
            at_start: whether the window begins the sound, so that nothing fades in.
            at_end: whether it ends the sound.
        """
        count = min(len(values), len(self._sum) - first)
        weight = torch.ones(len(values), 1)
        ramp = ((torch.arange(min(fade, len(values))) + 0.5) / fade).unsqueeze(1)
        if not at_start:
            weight[: len(ramp)] *= ramp
        if not at_end:
            weight[-len(ramp) :] *= ramp.flip(0)
        self._sum[first : first + count] += (weight * values)[:count]
        self._weight[first : first + count] += weight[:count]

    def result(self) -> Tensor:
        """(length, width)."""
        return self._sum / self._weight.clamp_min(1e-6)
