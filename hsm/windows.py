"""Windows over long audio, and masks cross-faded between them; only what is in use is held.

window 0  |=========================|
window 1                    |=========================|
                             overlap: masks fade from one to the next, waveforms never do
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import torch
from torch import Tensor

from hsm.features import COLUMN_SAMPLES, FRAMES_PER_COLUMN, PATCH_COLUMNS, RATE_HZ, pad_to_multiple

Item = TypeVar("Item")

OVERLAP_COLUMNS = 8  # 1.28 s


class Stream:
    """Reads pieces that follow each other as if they were one tensor.

        pieces   |-----|-----|-----|-----|-----|  ->  pulled when a read reaches them
        held              |============|              from the last read's begin to what was pulled

    Args:
        pieces: tensors that are alike but for their length, such as blocks of (channels, S).
        dim: the dimension along which they follow each other.
    """

    def __init__(self, pieces: Iterable[Tensor], dim: int) -> None:
        self._pieces, self._dim = iter(pieces), dim
        self._held: Tensor | None = None
        self._first = 0  # absolute position of the first that is held

    def read(self, begin: int, end: int) -> Tensor:
        """Read [begin, end) and forget what lies before; shorter, down to nothing, where the stream ends."""
        assert self._first <= begin <= end, "what was forgotten cannot be read again"
        while self._held is None or self._first + self._held.shape[self._dim] < end:
            piece = next(self._pieces, None)
            if piece is None:
                break
            self._held = piece if self._held is None else torch.cat([self._held, piece], self._dim)
            self._forget(begin)
        self._forget(begin)
        assert self._held is not None, "a stream has at least one piece"
        return self._held.narrow(self._dim, 0, min(end - self._first, self._held.shape[self._dim]))

    def _forget(self, before: int) -> None:
        assert self._held is not None
        length = self._held.shape[self._dim]
        count = min(before - self._first, length)
        self._held = self._held.narrow(self._dim, count, length - count)
        self._first += count


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

    def next_first(self, columns: int) -> int:
        """First column of the window after it, in a sound of so many columns; the end after the last."""
        if self.first + self.count >= columns:
            return columns
        return min(self.first + PATCH_COLUMNS - OVERLAP_COLUMNS, columns - PATCH_COLUMNS)


def window_places(columns: int) -> Iterator[Window]:
    """Windows of 64 columns, 8 of them overlapping; the last ends with the sound. Up to 10.24 s are one window."""
    first = 0
    while first < columns:
        window = Window(first, min(PATCH_COLUMNS, columns))
        yield window
        first = window.next_first(columns)


def columns_of(length_samples: int, rate_hz: int) -> int:
    """Patch columns, of 0.16 s each, that a sound of any rate takes; the last may be filled in part."""
    at_model_rate = -(-length_samples * RATE_HZ // rate_hz)
    return max(1, -(-at_model_rate // COLUMN_SAMPLES))


def windows(pieces: Iterable[Tensor], columns: int) -> Iterator[tuple[Window, Tensor]]:
    """Cut a stream (S,) at 16 kHz into its windows with their samples, zeros behind the end of the sound."""
    stream = Stream(pieces, 0)
    for window in window_places(columns):
        yield window, pad_to_multiple(stream.read(window.samples.start, window.samples.stop), COLUMN_SAMPLES)


def batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Lists of `size` items in order, each read when it is asked for; the last may be shorter."""
    stream = iter(items)
    while group := list(islice(stream, size)):
        yield group


class CrossFade:
    """Joins per-window values (T, width) along frames, with weights that fall to zero at the inner edges."""

    def __init__(self, length: int, width: int, dtype: torch.dtype = torch.float32) -> None:
        self._length, self._done = length, 0
        self._sum = torch.zeros(0, width, dtype=dtype)  # from frame `_done` on
        self._weight = torch.zeros(0, 1)

    def add(self, first: int, values: Tensor, fade: int, at_start: bool, at_end: bool) -> None:
        """Add a window's values (T, width) from a frame on; `fade` frames fade but at the sound's own edges."""
        assert first >= self._done, "what was taken cannot change any more"
        weight = torch.ones(len(values), 1)
        ramp = ((torch.arange(min(fade, len(values))) + 0.5) / fade).unsqueeze(1)
        if not at_start:
            weight[: len(ramp)] *= ramp
        if not at_end:
            weight[-len(ramp) :] *= ramp.flip(0)
        begin, end = first - self._done, min(first + len(values), self._length) - self._done
        more = max(0, end - len(self._sum))
        self._sum = torch.nn.functional.pad(self._sum, (0, 0, 0, more))
        self._weight = torch.nn.functional.pad(self._weight, (0, 0, 0, more))
        self._sum[begin:end] += (weight * values)[: end - begin]
        self._weight[begin:end] += weight[: end - begin]

    def take(self, before: int) -> Tensor:
        """Hand out, once, the frames before the next window's first: no later window touches them."""
        count = before - self._done
        joined = self._sum[:count] / self._weight[:count].clamp_min(1e-6)
        self._sum, self._weight, self._done = self._sum[count:], self._weight[count:], before
        return joined

    def result(self) -> Tensor:
        """All frames that were not taken yet, (length, width) where none was."""
        return self.take(self._length)
