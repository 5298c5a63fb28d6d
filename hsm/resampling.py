"""From any rate to the models' 16 kHz, piece by piece, with the same samples as in one go.

Windowed sinc: an output at time t is a weighted sum of the inputs around it, and t is counted in
whole numbers, so that hour three is as exact as second one.

    input    . . . . . . . . . . . .     taps of one output: `width` to each side
    output        ^     ^     ^          at n * rate / 16,000, one of at most 16,000 phases

Six zero crossings and a roll-off of 0.99, as in torchaudio; its dense kernels take gigabytes where
the two rates share no factor, a table of phases never does.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import chain

import torch
from torch import Tensor

from hsm.windows import Stream

ZERO_CROSSINGS = 6
ROLL_OFF = 0.99
BLOCK = 1 << 13  # outputs computed at a time


@lru_cache(maxsize=4)
def _phases(rate_hz: int, wanted_hz: int) -> Tensor:
    """Weights (phases, taps) of the taps -width + 1 to width around floor(t), one row a phase."""
    cutoff = min(rate_hz, wanted_hz) * ROLL_OFF / rate_hz  # in cycles of the input's half rate
    width = math.ceil(ZERO_CROSSINGS / cutoff)
    taps = torch.arange(-width + 1, width + 1, dtype=torch.float64)
    place = torch.arange(wanted_hz, dtype=torch.float64)[:, None] / wanted_hz
    t = ((taps - place) * cutoff).clamp(-ZERO_CROSSINGS, ZERO_CROSSINGS)
    weights = torch.sinc(t) * torch.cos(t * (math.pi / 2 / ZERO_CROSSINGS)).square() * cutoff
    return weights.float()


def resample(pieces: Iterable[Tensor], rate_hz: int, wanted_hz: int) -> Iterator[Tensor]:
    """Change the rate of a stream of one channel.

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
    shared = math.gcd(rate_hz, wanted_hz)
    step, phases = rate_hz // shared, wanted_hz // shared
    weights = _phases(step, phases)
    width = weights.shape[1] // 2
    # Zeros on both sides: the first output has all its taps, and the last is the one before the input's end.
    padded = chain([torch.zeros(width - 1)], pieces, [torch.zeros(width)])
    stream, begun, known = Stream(padded, 0), 0, BLOCK
    while known == BLOCK:
        places = torch.arange(begun, begun + BLOCK) * step  # time in 1 / phases of an input sample
        first = int(places[0]) // phases
        near = stream.read(first, int(places[-1]) // phases + 2 * width)  # an output's first tap is at its floor
        floor = places // phases - first
        known = int((floor <= len(near) - 2 * width).sum())
        if known:
            around = near.unfold(0, 2 * width, 1)[floor[:known]]  # (outputs, taps)
            yield torch.einsum("nt,nt->n", around, weights[places[:known] % phases])
        begun += BLOCK
