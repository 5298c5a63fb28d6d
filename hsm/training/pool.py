"""What costs more to compute than a step, kept and drawn from several times."""

from __future__ import annotations

import torch
from torch import Tensor

Rows = tuple[Tensor, ...]  # their first axes agree


class Pool:
    """The newest batches of rows; a stage with a pool of N batches has `prefill` N - 1."""

    def __init__(self, batches: int) -> None:
        self.batches, self._added = batches, 0
        self._rows: Rows = ()

    def add(self, *rows: Tensor) -> None:
        """Take in a batch of rows, always of one size, in the place of the oldest."""
        if not self._rows:
            self._rows = tuple(part.new_zeros(self.batches * len(part), *part.shape[1:]) for part in rows)
        start = self._added % self.batches * len(rows[0])
        for kept, part in zip(self._rows, rows, strict=True):
            kept[start : start + len(part)] = part
        self._added += 1

    def draw(self, size: int) -> Rows:
        """Different rows, by torch's generator of the CPU."""
        assert self._added >= self.batches, "Stage.prefill is too small"
        total = len(self._rows[0])
        newest = self._added % self.batches * (total // self.batches)  # numbered from the oldest: a resumed run's agree
        chosen = (torch.randperm(total)[:size] + newest) % total
        return tuple(part[chosen.to(part.device)] for part in self._rows)
