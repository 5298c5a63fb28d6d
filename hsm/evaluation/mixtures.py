"""From clips to waves: one length, the wanted levels, no clipping."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
import torch

from hsm.audio import load_audio
from hsm.errors import HSMError
from hsm.evaluation.protocols import MADE, Trial
from hsm.features import MEL_HOP, RATE_HZ, istft, stft
from hsm.manifest import Clip
from hsm.records import Audio

SHORTEST_S = 5.0
LONGEST_S = 10.0
AUDIBLE_DBFS = -50.0  # root mean square over the whole clip


@dataclass(frozen=True, eq=False)
class Mixture:
    """A mixture whose parts are known.

    Args:
        sources: (N, S) float32 at 16 kHz, at the level they have in the mixture, the target first.
    """

    sources: np.ndarray

    @property
    def wave(self) -> np.ndarray:
        """(S,), the sum."""
        return np.asarray(self.sources.sum(0))

    @property
    def audio(self) -> Audio:
        """The sum as the model takes it."""
        return Audio(self.wave, RATE_HZ)

    @property
    def target(self) -> np.ndarray:
        """(S,), the first source."""
        return np.asarray(self.sources[0])

    def sum_of(self, indices: Sequence[int]) -> np.ndarray:
        """(S,), some of the sources together."""
        return np.asarray(self.sources[list(indices)].sum(0))


@lru_cache(maxsize=256)
def clip_wave(clip: Clip) -> np.ndarray:
    """A clip as (S,) float32, mono at 16 kHz. HSMError when the file cannot be read."""
    wave = _noise(clip) if clip.group == MADE else load_audio(clip.path).mono_16k.numpy()
    wave.flags.writeable = False  # shared by every caller
    return wave


@cache
def is_audible(clip: Clip) -> bool:
    """Whether the root mean square over the whole clip, silence included, is above -50 dBFS."""
    return bool(20 * np.log10(_rms(clip_wave(clip)) + 1e-12) > AUDIBLE_DBFS)


def mix(trial: Trial) -> Mixture:
    """Bring the clips of a trial together.

    The length is that of the longest clip in whole 10 ms, at least 5 s, at most 10 s; a shorter clip
    starts where the trial's `places` say, a longer one is cut there. Levels are set by the root mean
    square over the whole length, the target keeps its own; all are turned down together when the sum
    would clip. Raises `HSMError` for a file that cannot be read, or a part cut from it that is silent.
    """
    waves = [clip_wave(clip) for clip in trial.sources]
    length = int(np.clip(max(map(len, waves)), SHORTEST_S * RATE_HZ, LONGEST_S * RATE_HZ))
    length -= length % MEL_HOP  # a decoder may add a sample
    sources = np.stack([_fit(wave, length, place) for wave, place in zip(waves, trial.places, strict=True)])
    levels = [_rms(source) for source in sources]
    if min(levels) == 0.0:
        silent = trial.sources[int(np.argmin(levels))].path.name
        raise HSMError(f"{silent}: the {length / RATE_HZ:g} s used of it are silent; take it off the list.")
    for index, snr_db in enumerate(trial.snr_db, start=1):
        sources[index] *= levels[0] / levels[index] * 10 ** (-snr_db / 20)
    sources /= max(1.0, float(np.abs(sources.sum(0)).max()))
    return Mixture(sources.astype(np.float32))


def stranger(clip: Clip, mixture: Mixture) -> np.ndarray:
    """(S,), a clip that is not in a mixture at the length and level of its target; silent where its start is."""
    wave = _fit(clip_wave(clip), mixture.sources.shape[1], 0.0)
    return (wave * _rms(mixture.target) / max(_rms(wave), 1e-9)).astype(np.float32)


def ideal_ratio_mask(mixture: Mixture, reference: np.ndarray) -> np.ndarray:
    """(S,): the mixture under the best magnitude-ratio mask, which needs the sources: a ceiling."""
    target, rest, whole = (
        stft(torch.from_numpy(np.ascontiguousarray(wave)))
        for wave in (reference, mixture.wave - reference, mixture.wave)
    )  # (T, F) each
    mask = target.abs() / (target.abs() + rest.abs()).clamp_min(1e-12)  # (T, F)
    return np.asarray(istft(mask * whole, reference.size).numpy())


def _noise(clip: Clip) -> np.ndarray:
    """Hiss (white noise, tilted at most 6 dB an octave up) or mains hum (50 or 60 Hz with overtones), by its number."""
    kind, number = clip.path.name.split()
    rng = np.random.default_rng(int(number))
    samples = round(clip.duration_s * RATE_HZ)
    if kind == "hum":
        times, base_hz = np.arange(samples) / RATE_HZ, (50.0, 60.0)[int(number) % 2]
        levels = rng.uniform(0.1, 1.0, 12) / np.arange(1, 13) ** rng.uniform(0.3, 1.2)
        wave = sum(
            a * np.sin(2 * np.pi * base_hz * k * times + rng.uniform(0, 6)) for k, a in enumerate(levels, start=1)
        )
        wave = wave + 0.02 * rng.standard_normal(samples)
    else:
        spectrum = np.fft.rfft(rng.standard_normal(samples))
        wave = np.fft.irfft(spectrum * np.linspace(0.01, 1.0, spectrum.size) ** rng.uniform(0.0, 1.0), samples)
    return np.asarray(0.2 * wave / np.abs(wave).max(), np.float32)


def _fit(wave: np.ndarray, length: int, place: float) -> np.ndarray:
    start = int(place * (abs(length - wave.size) + 1))
    if wave.size >= length:
        return wave[start : start + length].astype(np.float64)
    fitted = np.zeros(length)
    fitted[start : start + wave.size] = wave
    return fitted


def _rms(wave: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(wave, dtype=np.float64))))
