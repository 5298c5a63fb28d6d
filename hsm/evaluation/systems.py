"""What is measured: the only file of the evaluation that knows how a model is asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol

import numpy as np

from hsm.errors import HSMError
from hsm.evaluation.mixtures import Mixture, clip_wave, stranger
from hsm.evaluation.protocols import TOLD, Ask, Way
from hsm.features import RATE_HZ
from hsm.records import Audio, Instruction, SeparationOptions
from hsm.separator import HSM

CHOICES = {field.name for field in fields(SeparationOptions)}


@dataclass(frozen=True, eq=False)
class Output:
    """What came out of one ask.

    Args:
        wave: (S,).
        global_target: (D,) Ĝ.
        global_mixture: (D,) G of the mixture.
        attention: (P,) of the global token, temporal order.
        understood: False where the instruction was refused, and the mixture came back as it was.
    """

    wave: np.ndarray
    global_target: np.ndarray | None = None
    global_mixture: np.ndarray | None = None
    attention: np.ndarray | None = None
    understood: bool = True
    present: float | None = None  # whether the named sound is there at all


class System(Protocol):
    """What the benchmarks need of a system."""

    @property
    def weights(self) -> dict[str, str]:
        """Checksums by name."""

    def lacks(self, way: Way) -> str:
        """Why it cannot be asked in a way; empty where it can."""

    def outputs(self, mixture: Mixture, asks: Sequence[Ask]) -> Iterator[Output]:
        """One output an ask; what does not depend on the ask is computed once."""

    def global_feature(self, wave: np.ndarray) -> np.ndarray:
        """(D,) of a sound (S,)."""

    def nearest_class(self, global_feature: np.ndarray) -> str:
        """Class of the bank whose mean is nearest to a feature (D,)."""


class HSMSystem:
    """The model of this package."""

    def __init__(self, model: HSM) -> None:
        self.model = model
        self._features: dict[bytes, np.ndarray] = {}
        self._centres: tuple[list[str], np.ndarray] | None = None

    @property
    def weights(self) -> dict[str, str]:
        return {name: entry["sha256"] for name, entry in sorted(self.model.weights_info.items())}

    def lacks(self, way: Way) -> str:
        if way == "example" and "example" not in CHOICES:
            return "the model takes no example in the place of words"
        if way == "AudioSep" and "audiosep" not in self.model.weights_info:
            return "the weights of AudioSep's form are not there"
        return ""

    def outputs(self, mixture: Mixture, asks: Sequence[Ask]) -> Iterator[Output]:
        encoded = self.model.encode(mixture.audio)
        for ask in asks:
            if ask.operation is None:
                try:
                    instruction = self.model.parse(ask.text)
                except HSMError:
                    yield Output(mixture.wave, understood=False)
                    continue
            else:
                instruction = Instruction(ask.operation, ask.text, f"{ask.operation} {ask.text}")
            found = self.model.separate(encoded, instruction, self._options(ask), **self._told(ask, mixture))
            if found.target.samples.shape != (1, mixture.wave.size):
                raise HSMError(
                    f"model: the target has shape {found.target.samples.shape}; wanted the mixture's "
                    f"(1, {mixture.wave.size})."
                )
            inside = found.global_target, found.global_mixture, found.attention
            yield Output(found.target.samples[0], *inside, present=found.present)

    def _options(self, ask: Ask) -> SeparationOptions:
        options = SeparationOptions()
        if ask.way == "AudioSep":
            return replace(options, renderer="audiosep")
        if ask.way == "example":
            assert ask.clip is not None
            told: dict[str, Any] = {"example": Audio(clip_wave(ask.clip), RATE_HZ)}
            return replace(options, **told)
        return replace(options, hierarchy=ask.way != "text alone", suppress_competitor=ask.way != "no competitor")

    def _told(self, ask: Ask, mixture: Mixture) -> dict[str, Any]:
        if ask.way not in TOLD:
            return {}
        wave = mixture.sum_of(range(1, len(mixture.sources))) if ask.way == "other's S, G" else mixture.target
        if ask.way == "random S, G":
            assert ask.clip is not None
            wave = stranger(ask.clip, mixture)
        told: dict[str, Any] = {"global_target": self.global_feature(wave)}
        return told if ask.way == "true G" else {**told, "local_target": Audio(wave, RATE_HZ)}

    def global_feature(self, wave: np.ndarray) -> np.ndarray:
        key = wave.tobytes()
        if key not in self._features:
            if len(self._features) > 8:  # those of the mixture before are not asked for again
                self._features.clear()
            self._features[key] = self.model.global_feature(Audio(wave, RATE_HZ))
        return self._features[key]

    def nearest_class(self, global_feature: np.ndarray) -> str:
        if self._centres is None:
            bank = self.model.bank
            unit = bank.features / np.linalg.norm(bank.features, axis=1, keepdims=True)
            names = sorted(set(bank.classes))
            means = np.stack([unit[[c == name for c in bank.classes]].mean(0) for name in names])
            self._centres = names, means / np.linalg.norm(means, axis=1, keepdims=True)
        names, centres = self._centres
        return names[int((centres @ global_feature).argmax())]
