"""From clips to waves: one length, the wanted levels, no clipping."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np

from hsm.audio import load_audio, to_model_rate
from hsm.errors import HSMError
from hsm.evaluation.pairs import Pair
from hsm.features import MEL_HOP, RATE_HZ
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

    def without(self, index: int) -> np.ndarray:
        """(S,), the sum of all sources but one; of two sources the other one, sample for sample."""
        return np.asarray(np.delete(self.sources, index, axis=0).sum(0))


@lru_cache(maxsize=256)
def clip_wave(clip: Clip) -> np.ndarray:
    """A clip as (S,) float32, mono at 16 kHz. HSMError when the file cannot be read."""
    wave = to_model_rate(load_audio(clip.path)).numpy()
    wave.flags.writeable = False  # shared by every caller
    return wave


@cache
def is_audible(clip: Clip) -> bool:
    """Whether the root mean square over the whole clip, silence included, is above -50 dBFS."""
    return bool(20 * np.log10(_rms(clip_wave(clip)) + 1e-12) > AUDIBLE_DBFS)


def mix(pair: Pair) -> Mixture:
    """Bring the clips of a pair together.

    The length is that of the longest clip in whole 10 ms, at least 5 s, at most 10 s; a shorter clip
    starts where the pair's `places` say, a longer one is cut there. Levels are set by the root mean
    square over the whole length, the target keeps its own; all are turned down together when the sum
    would clip.

    Args:
        pair: from `hsm.evaluation.pairs.draw_pairs`.

    Returns:
        The sources at their level in the mixture.

    Raises:
        HSMError: a file that cannot be read, or a part cut from it that is silent.
    """
    waves = [clip_wave(clip) for clip in pair.sources]
    length = int(np.clip(max(map(len, waves)), SHORTEST_S * RATE_HZ, LONGEST_S * RATE_HZ))
    length -= length % MEL_HOP  # a decoder may add a sample
    sources = np.stack([_fit(wave, length, place) for wave, place in zip(waves, pair.places, strict=True)])
    levels = [_rms(source) for source in sources]
    if min(levels) == 0.0:
        silent = pair.sources[int(np.argmin(levels))].path.name
        raise HSMError(f"{silent}: the {length / RATE_HZ:g} s used of it are silent; take it off the list.")
    for index, snr_db in enumerate(pair.snr_db, start=1):
        sources[index] *= levels[0] / levels[index] * 10 ** (-snr_db / 20)
    sources /= max(1.0, float(np.abs(sources.sum(0)).max()))
    return Mixture(sources.astype(np.float32))


def _fit(wave: np.ndarray, length: int, place: float) -> np.ndarray:
    start = int(place * (abs(length - wave.size) + 1))
    if wave.size >= length:
        return wave[start : start + length].astype(np.float64)
    fitted = np.zeros(length)
    fitted[start : start + wave.size] = wave
    return fitted


def _rms(wave: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(wave, dtype=np.float64))))
