"""Scores of one separation whose true parts are known, for the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from hsm.errors import HSMError
from hsm.evaluation import metrics
from hsm.evaluation.mixtures import Mixture, ideal_ratio_mask
from hsm.records import Audio, Operation

DEVIATION = 1e-3  # of the mixture's peak; more than any file's rounding


def true_target(parts: Sequence[Audio], named: int, operation: Operation) -> Audio:
    """What should come out: "extract" wants the named part, "remove" all others."""
    wanted = [part for i, part in enumerate(parts) if (i == named) == (operation == "extract")]
    return Audio(np.sum([part.samples for part in wanted], axis=0), parts[0].rate_hz)


def is_sum(mixture: Audio, parts: Sequence[Audio]) -> bool:
    """Whether parts add up to a mixture, and so are its truth."""
    if any((part.rate_hz, part.samples.shape) != (mixture.rate_hz, mixture.samples.shape) for part in parts):
        return False
    left = mixture.samples - np.sum([part.samples for part in parts], axis=0)
    return bool(np.abs(left).max() <= DEVIATION * np.abs(mixture.samples).max())


def known_scores(mixture: Audio, wanted: Audio, estimates: Mapping[str, Audio]) -> dict[str, dict[str, float]]:
    """Hold estimates against the truth, beside doing nothing, the ideal mask and the truth itself.

    Args:
        mixture: what went in.
        wanted: what should come out.
        estimates: what came out, by a name for it; all of one rate and length.

    Returns:
        By row, then by metric: SI-SDRi, SDRi, SI-SDR, mel-PSNR and LSD at 16 kHz mono.

    Raises:
        HSMError: a silent target or a clip too short to be scored.
    """
    if wanted.samples.shape != mixture.samples.shape:
        raise HSMError(f"truth: got {wanted.samples.shape}; wanted the mixture's {mixture.samples.shape}.")
    target = wanted.mono_16k.numpy()
    known = Mixture(np.stack([target, mixture.mono_16k.numpy() - target]))
    whole = known.wave
    waves = {
        "mixture, nothing done": known.wave,
        **{name: estimate.mono_16k.numpy() for name, estimate in estimates.items()},
        "ideal ratio mask": ideal_ratio_mask(known, target),
        "the truth itself": target,
    }
    before = metrics.si_sdr(target, whole)
    return {
        row: {
            "si_sdri": metrics.si_sdr(target, wave) - before,
            "sdri": metrics.sdri(target, wave, whole),
            "si_sdr": metrics.si_sdr(target, wave),
            "mel_psnr": metrics.mel_psnr(target, wave),
            "lsd": metrics.lsd(target, wave),
        }
        for row, wave in waves.items()
    }
