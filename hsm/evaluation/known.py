"""Scores of one separation whose true parts are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from hsm.audio import to_model_rate
from hsm.errors import HSMError
from hsm.evaluation.mixing import Mixture
from hsm.evaluation.rows import Answer, ideal_ratio_mask, score
from hsm.records import Audio, Operation

DEVIATION = 1e-3  # of the mixture's peak; more than any file's rounding
SHOWN = ("sdri", "si_sdr", "mel_psnr", "lsd")


def true_target(parts: Sequence[Audio], named: int, operation: Operation) -> Audio:
    """What should come out.

    Args:
        parts: of the mixture.
        named: which of them the instruction names.
        operation: "extract" wants the named one, "remove" all others.

    Returns:
        The sound with the mixture's rate, channels and length.
    """
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
        By row, then by metric: SDRi, SI-SDR, mel-PSNR and LSD at 16 kHz mono.

    Raises:
        HSMError: a silent target or a clip too short to be scored.
    """
    if wanted.samples.shape != mixture.samples.shape:
        raise HSMError(f"truth: got {wanted.samples.shape}; wanted the mixture's {mixture.samples.shape}.")
    target, whole = to_model_rate(wanted).numpy(), to_model_rate(mixture).numpy()
    known = Mixture(np.stack([target, whole - target]))
    answers = {
        "mixture, nothing done": known.wave,
        **{name: to_model_rate(estimate).numpy() for name, estimate in estimates.items()},
        "ideal ratio mask": ideal_ratio_mask(known),
        "the truth itself": target,
    }
    found = {row: score(Answer(wave, target), known, None, None) for row, wave in answers.items()}
    return {row: {name: scores[name] for name in SHOWN} for row, scores in found.items()}
