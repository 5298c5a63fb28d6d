"""What costs more to compute than a step, kept and drawn from many times."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from hsm.training.processes import processes, share

Rows = tuple[Tensor, ...]  # their first axes agree


class Pool:
    """Batches of rows, computed together and drawn from until, after so many steps on average, they are drawn anew.

    Several processes fill one pool together and each draws from all of it. After a resume the same rows are
    computed again.

    Args:
        rng: of the mixer, on which alone it depends what `fill` draws.
        fill: computes a batch, of all processes.
        batches: in a pool.
        steps: from a pool, on average.
        seed: of `picks`.
    """

    def __init__(self, rng: np.random.Generator, fill: Callable[[], Rows], batches: int, steps: int, seed: int) -> None:
        self._rng, self._fill, self._batches, self._steps = rng, fill, batches, steps
        self.picks = np.random.default_rng(seed)  # draws what differs from step to step; the same in all processes
        self._start = np.random.default_rng()  # the mixer's state before the present rows
        self._start.bit_generator.state = rng.bit_generator.state
        self._rows: Rows | None = None

    @property
    def random_state(self) -> dict[str, np.random.Generator]:
        """What a checkpoint needs so that the same batches follow."""
        return {"mixer": self._rng, "picks": self.picks, "pool": self._start}

    @torch.no_grad()
    def rows(self) -> Rows:
        """All rows, for one step."""
        if self.picks.random() < 1 / self._steps:
            self._start.bit_generator.state = self._rng.bit_generator.state
            self._rows = None
        if self._rows is None:  # at the start, after a resume, or spent
            self._rng.bit_generator.state = self._start.bit_generator.state
            parts = [self._fill() for _ in range(self._batches)]
            self._rows = tuple(torch.cat(part) for part in zip(*parts, strict=True))
        return self._rows

    def draw(self, size: int) -> Rows:
        """Rows for one step: this process's `size` of those drawn for all."""
        rows = self.rows()
        chosen = torch.from_numpy(share(self.picks.choice(len(rows[0]), size * processes(), replace=False)))
        return tuple(part[chosen.to(part.device)] for part in rows)
