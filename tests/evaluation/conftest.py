"""A manifest of synthetic clips, and models whose answers are known."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from hsm.evaluation.mixing import Mixture, mix
from hsm.evaluation.pairs import Pair
from hsm.features import COLUMN_SAMPLES, PATCH_BANDS, PATCHES, RATE_HZ
from hsm.manifest import COLUMNS
from hsm.records import Audio, Instruction, Separation, SeparationOptions

TONES_HZ = {"dog": 500, "rain": 1_100, "siren": 2_300, "crow": 3_700, "hand saw": 5_300, "engine": 6_700}
Answer = Callable[[Mixture, Pair, Instruction], np.ndarray]


def tone(frequency_hz: float, duration_s: float, on_s: float, seed: int) -> np.ndarray:
    """(S,) a tone with a little noise for `on_s` seconds, then digital silence."""
    times = np.arange(int(duration_s * RATE_HZ)) / RATE_HZ
    noise = np.random.default_rng(seed).standard_normal(times.size)
    wave = 0.4 * np.sin(2 * np.pi * frequency_hz * times + seed) + 0.004 * noise
    return np.asarray(np.where(times < on_s, wave, 0.0), np.float32)


@pytest.fixture(scope="session")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two valid clips of each of six classes, a training clip, a silent one, music, voices and a wolf."""
    folder = tmp_path_factory.mktemp("clips")
    rows: list[list[str]] = []

    def add(name: str, wave: np.ndarray, split: str, classes: str, group: str) -> None:
        soundfile.write(folder / f"{name}.wav", wave, RATE_HZ, subtype="FLOAT")
        row = [f"{name}.wav", split, f"sound of {name}", classes, group, "synthetic", "", "CC0"]
        rows.append([*row, str(wave.size / RATE_HZ)])

    for index, (label, frequency_hz) in enumerate(TONES_HZ.items()):
        for take, on_s in enumerate((2.0, 5.0)):
            add(f"{label} {take}", tone(frequency_hz, 5.0, on_s, 2 * index + take), "valid", label, "esc50")
    add("unheard", np.zeros(5 * RATE_HZ, np.float32), "valid", "owl", "esc50")
    add("training", tone(4_500, 5.0, 5.0, 90), "train", "hen", "esc50")
    for index, label in enumerate(("clarinet", "piano", "cello", "")):
        classes = f"music;{label}" if label else "music"
        add(f"music {label}", tone(700 + 400 * index, 3.0, 3.0, 50 + index), "valid", classes, "music/solo")
    add("wolf", tone(6_100, 4.0, 4.0, 60), "valid", "wolf", "animal")
    for index in range(2):
        add(f"voice {index}", tone(300 + 90 * index, 12.0, 12.0, 70 + index), "valid", "speech", "speech")
    path = folder / "manifest.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([list(COLUMNS), *rows])
    return path


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
class KnownModel:
    """Recognises a mixture of a list and answers as told."""

    pairs: list[Pair]
    answer: Answer
    listened: int = 0
    networks: tuple[str, ...] = ("known", "audiosep")
    asked: list[tuple[SeparationOptions, np.ndarray | None, Audio | None]] = field(default_factory=list)

    @property
    def weights_info(self) -> dict[str, Any]:
        return {name: {"file": "none", "sha256": "0" * 64} for name in self.networks}

    def encode(self, audio: Audio, /) -> tuple[Mixture, Pair]:
        self.listened += 1
        for pair in self.pairs:
            mixture = mix(pair)
            if np.array_equal(mixture.wave, audio.samples[0]):
                return mixture, pair
        raise AssertionError("the mixture is none of the list")

    def separate(
        self,
        audio: Any,
        instruction: Instruction,
        options: SeparationOptions,
        /,
        *,
        global_target: np.ndarray | None = None,
        local_target: Audio | None = None,
    ) -> Separation:
        self.asked.append((options, global_target, local_target))
        mixture, pair = audio
        target = self.answer(mixture, pair, instruction).astype(np.float32)
        attention = column_levels(target)
        return Separation(
            mixture=mixture.audio,
            target=Audio(target, RATE_HZ),
            residual=Audio(mixture.wave - target, RATE_HZ),
            instruction=instruction,
            options=options,
            attention=attention,
            attention_layers=attention[None, None],
            global_mixture=band_levels(mixture.wave),
            global_target=band_levels(target),
            text_embedding=np.zeros(16, np.float32),
            mask=np.zeros((1, 513), np.float32),
        )

    def global_feature(self, audio: Audio, /) -> np.ndarray:
        return band_levels(audio.samples[0])


def oracle(mixture: Mixture, pair: Pair, instruction: Instruction) -> np.ndarray:
    """Exactly what was asked for; silence when it is not there."""
    asked = np.array([query == instruction.description for query in pair.queries])
    kept = asked if instruction.operation == "extract" else ~asked
    return np.asarray(mixture.sources[kept].sum(0))


def do_nothing(mixture: Mixture, pair: Pair, instruction: Instruction) -> np.ndarray:
    """The mixture, whatever is asked."""
    return mixture.wave


def text_blind(mixture: Mixture, pair: Pair, instruction: Instruction) -> np.ndarray:
    """The target, whatever is asked."""
    return mixture.target


MODELS: dict[str, Answer] = {"oracle": oracle, "do nothing": do_nothing, "text blind": text_blind}


@pytest.fixture
def make_model() -> Callable[[list[Pair], str], KnownModel]:
    """A model by name ("oracle", "do nothing", "text blind") for a list of pairs."""
    return lambda pairs, name: KnownModel(pairs, MODELS[name])
