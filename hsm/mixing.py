"""A mixture whose parts are known, for listening tests and for measuring."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torchaudio.functional as taf

from hsm.audio import is_silent
from hsm.errors import HSMError
from hsm.records import Audio

WIDEST_SNR_DB = 60.0
HEADROOM = 0.98  # a mixture that would exceed full scale is brought down to this


@dataclass(frozen=True, eq=False)
class KnownMixture:
    """A mixture and the two sounds as they are in it; they add up to it.

    Args:
        mixture: the sum.
        first: at its level in the sum.
        second: the same; rate, channels and length of the first.
    """

    mixture: Audio
    first: Audio
    second: Audio


def _with_channels(samples: np.ndarray, channels: int) -> np.ndarray:
    """(channels', S) as (channels, S): one channel is copied, others are averaged first."""
    if samples.shape[0] == channels:
        return samples
    return np.repeat(samples.mean(0, keepdims=True), channels, axis=0)  # (channels, S)


def mix(a: Audio, b: Audio, snr_db: float) -> KnownMixture:
    """Lay a second sound under a first one.

    The level of `b` is set so that the power of `a`, over its whole length, is `snr_db` above that of `b`.

    Args:
        a: sets rate, channels and length of the result.
        b: resampled to the rate of `a`; repeated when shorter, cut when longer.
        snr_db: level of `a` over `b` in dB, -60 to 60; 0 is equally loud.

    Returns:
        The mixture and its parts; brought down together where it would exceed full scale, so the SNR holds.

    Raises:
        HSMError: an SNR out of range, or a clip with no sound in it.
    """
    if not -WIDEST_SNR_DB <= snr_db <= WIDEST_SNR_DB:
        raise HSMError(f"SNR: got {snr_db} dB; wanted {-WIDEST_SNR_DB:.0f} to {WIDEST_SNR_DB:.0f} dB.")
    for name, clip in (("first", a), ("second", b)):
        if is_silent(clip):
            raise HSMError(f"the {name} sound is silent, so its level cannot be set; choose another.")
    other = b.samples
    if b.rate_hz != a.rate_hz:
        other = taf.resample(torch.from_numpy(other), b.rate_hz, a.rate_hz).numpy()
    other = _with_channels(other, a.channels)
    repeats = -(-a.length_samples // other.shape[1])
    other = np.tile(other, (1, repeats))[:, : a.length_samples]  # (channels, S)
    power_a = float(np.square(a.samples, dtype=np.float64).mean())
    power_b = float(np.square(other, dtype=np.float64).mean())
    if power_b == 0.0:
        raise HSMError(
            f"the second sound is silent in its first {a.duration_s:.1f} s, the length of the first; trim it."
        )
    gain = (power_a / power_b / 10 ** (snr_db / 10)) ** 0.5
    first, second = a.samples, np.float32(gain) * other
    peak = float(np.abs(first + second).max())
    if peak > 1.0:
        first, second = first * np.float32(HEADROOM / peak), second * np.float32(HEADROOM / peak)
    return KnownMixture(*(Audio(samples, a.rate_hz) for samples in (first + second, first, second)))
