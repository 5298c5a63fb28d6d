"""Losses of the mask renderer on the waveform and on compressed magnitudes."""

from __future__ import annotations

import torch
from torch import Tensor

FLOOR = 0.01  # -20 dB: an error below this share of the reference is good enough


def error_db(error: Tensor, reference: Tensor) -> Tensor:
    """10 log10 of the error's energy relative to the reference's, with a floor at -20 dB: (..., S) to (...)."""
    share = error.square().mean(-1) / reference.square().mean(-1).clamp_min(1e-8)
    return 10 * torch.log10(share + FLOOR)


def compressed_l1(estimate: Tensor, reference: Tensor, scale: Tensor) -> Tensor:
    """L1 of magnitude^0.5 relative to the scale's mean: (..., T, F) to (...)."""

    def compress(magnitude: Tensor) -> Tensor:
        return (magnitude + 1e-6).sqrt()

    distance = (compress(estimate) - compress(reference)).abs().mean((-2, -1))
    return distance / compress(scale).mean((-2, -1)).clamp_min(1e-4)
