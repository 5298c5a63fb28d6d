"""A stream of pieces, read by absolute position while only the stretch in use is held."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor


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
        """Read [begin, end) and forget what lies before.

        Args:
            begin: first position; no smaller than at the call before.
            end: position behind the last, at least begin.

        Returns:
            That stretch; shorter, down to nothing, where the stream ends before.
        """
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
