"""Losses of the stages on tensors."""

from __future__ import annotations

from functools import cache

import torch
import torchaudio.functional as taf
from torch import Tensor
from torch.nn import functional as F

from hsm.features import RATE_HZ
from hsm.networks.codec import BINS

FLOOR = 0.01  # -20 dB: an error below this share of the reference is good enough
LABEL_SMOOTHING = 0.1
MEL_BANDS = 80


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


def contrastive(similarity: Tensor, positives: Tensor) -> Tensor:
    """Symmetric cross-entropy of (B, B) similarities where a row may have several positives (B, B) bool."""

    def one_way(scores: Tensor) -> Tensor:
        target = positives.float() / positives.float().sum(1, keepdim=True)
        target = (1 - LABEL_SMOOTHING) * target + LABEL_SMOOTHING / len(target)
        return -(target * scores.log_softmax(1)).sum(1).mean()

    return 0.5 * (one_way(similarity) + one_way(similarity.t()))


def global_loss(predicted: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """1 - cosine and L1, both weights 1: loss and cosine. Paper: Eq. 5-7."""
    cosine = F.cosine_similarity(predicted, truth).mean()
    return 1 - cosine + F.l1_loss(predicted, truth), cosine


@cache
def _mel_filters() -> Tensor:
    """(F, M) triangles of unit height over the bins of the codec's STFT."""
    filters: Tensor = taf.melscale_fbanks(BINS, 0.0, RATE_HZ / 2, MEL_BANDS, RATE_HZ)
    return filters


def spectral_losses(estimate: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
    """Of log magnitudes (..., F): L1 of log-mel amplitudes, and L1 of magnitudes^0.3, in which loud bins count more."""
    filters = _mel_filters().to(estimate.device)
    mel = (torch.log(estimate.exp() @ filters) - torch.log(reference.exp() @ filters)).abs().mean()
    return mel, ((0.3 * estimate).exp() - (0.3 * reference).exp()).abs().mean()
