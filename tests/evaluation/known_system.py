"""A system that knows the truth, and what it can be told to answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from hsm.evaluation.mixtures import Mixture
from hsm.evaluation.protocols import Ask, Way
from hsm.evaluation.systems import Output
from hsm.features import COLUMN_SAMPLES, PATCH_BANDS, PATCHES

TONES_HZ = {"dog": 500, "rain": 1_100, "siren": 2_300, "crow": 3_700, "hand saw": 5_300, "engine": 6_700}
Answer = Callable[[Mixture, Ask], np.ndarray]


def band_levels(wave: np.ndarray) -> np.ndarray:
    """(16,) a global feature that says which sixteenth of the spectrum sounds."""
    return np.asarray([band.sum() for band in np.array_split(np.abs(np.fft.rfft(wave)), 16)], np.float32)


def column_levels(wave: np.ndarray) -> np.ndarray:
    """(512,) an attention that lies where a wave sounds."""
    padded = np.zeros(PATCHES // PATCH_BANDS * COLUMN_SAMPLES)
    padded[: wave.size] = wave
    energy = np.square(padded).reshape(-1, COLUMN_SAMPLES).sum(1) + 1e-6
    return np.repeat(energy / energy.sum() / PATCH_BANDS, PATCH_BANDS)


@dataclass
class KnownSystem:
    """Answers as told, knowing the truth; keeps what it was asked."""

    answer: Answer
    refused: tuple[str, ...] = ()
    unable: tuple[Way, ...] = ()
    asked: list[tuple[Ask, ...]] = field(default_factory=list)

    @property
    def weights(self) -> dict[str, str]:
        return {"known": "0" * 64}

    def lacks(self, way: Way) -> str:
        return "it cannot" if way in self.unable else ""

    def outputs(self, mixture: Mixture, asks: Sequence[Ask]) -> Iterator[Output]:
        self.asked.append(tuple(asks))
        for ask in asks:
            if ask.text in self.refused:
                yield Output(mixture.wave, understood=False)
                continue
            wave = self.answer(mixture, ask).astype(np.float32)
            yield Output(wave, band_levels(wave), band_levels(mixture.wave), column_levels(wave))

    def global_feature(self, wave: np.ndarray) -> np.ndarray:
        return band_levels(wave)

    def nearest_class(self, global_feature: np.ndarray) -> str:
        """The class of the loudest tone."""
        return min(TONES_HZ, key=lambda name: abs(TONES_HZ[name] / 500 - 0.5 - int(global_feature.argmax())))


def oracle(mixture: Mixture, ask: Ask) -> np.ndarray:
    """Exactly what was asked for; silence when it is not there."""
    if ask.row == "wrong query":
        return mixture.sum_of((1,))
    return mixture.sum_of(ask.reference) if ask.reference else np.zeros(mixture.wave.size)


def do_nothing(mixture: Mixture, ask: Ask) -> np.ndarray:
    """The mixture, whatever is asked."""
    return mixture.wave


def text_blind(mixture: Mixture, ask: Ask) -> np.ndarray:
    """The target, whatever is asked."""
    return mixture.target
