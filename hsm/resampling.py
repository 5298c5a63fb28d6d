"""From any rate to any other, piece by piece, with the same samples as in one go."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

import numpy as np
import soxr
import torch
from torch import Tensor

BLOCK = 1 << 14  # samples taken in at a time


def resample(pieces: Iterable[Tensor], rate_hz: int, wanted_hz: int) -> Iterator[Tensor]:
    """Change the rate of a stream of one channel; flat to 0.91 of the lower half rate (soxr's HQ).

    Args:
        pieces: (S,) float32 each, at least one, in order.
        rate_hz: their rate.
        wanted_hz: the rate to have.

    Yields:
        (S',) float32; together ceil(S * wanted / rate) samples.
    """
    if rate_hz == wanted_hz:
        yield from pieces
        return
    stream = soxr.ResampleStream(rate_hz, wanted_hz, 1, dtype="float32")
    received, left = 0, 0
    for piece in chain.from_iterable(torch.split(piece, BLOCK) for piece in pieces):
        received += len(piece)
        found = stream.resample_chunk(piece.numpy())
        left -= len(found)
        yield torch.from_numpy(found)
    left += -(-received * wanted_hz // rate_hz)
    rest = stream.resample_chunk(np.zeros(0, np.float32), last=True)[:left]
    yield torch.from_numpy(np.pad(rest, (0, left - len(rest))))  # soxr rounds to the nearest number of samples
