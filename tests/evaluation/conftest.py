"""A manifest of synthetic clips."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile
from known_system import TONES_HZ

from hsm.features import RATE_HZ
from hsm.manifest import COLUMNS


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
