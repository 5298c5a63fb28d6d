"""A manifest of synthetic clips, decoded once, and the context that stages are given."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from stage_context import fresh_context

from hsm.config import TINY
from hsm.manifest import COLUMNS
from hsm.text import load_text_encoder
from hsm.training.data import CaptionStore, ClipStore
from hsm.training.mixtures import texts_of
from hsm.training.stage import StageContext

# name, classes, split, group, frequency, seconds, rate, channels
CLIPS = (
    ("dog a", "animal;dog", "train", "esc50", 400, 3.0, 16_000, 1),
    ("dog b", "animal;dog", "train", "esc50", 430, 0.5, 16_000, 1),
    ("cat", "animal;cat", "train", "esc50", 900, 2.0, 44_100, 2),
    ("animal", "animal", "train", "mixed", 650, 2.0, 16_000, 1),
    ("rain a", "rain", "train", "esc50", 2_100, 4.0, 16_000, 1),
    ("rain b", "rain", "train", "mixed", 2_300, 2.0, 8_000, 1),
    ("siren", "siren", "train", "mixed", 1_400, 2.0, 16_000, 1),
    ("piano", "music;piano", "train", "music", 3_100, 2.0, 16_000, 1),
    ("violin", "music;violin", "train", "music", 3_700, 2.0, 16_000, 1),
    ("owl", "owl", "valid", "esc50", 5_000, 2.0, 16_000, 1),
)


def write_clips(folder: Path, clips: tuple[tuple[str, str, str, str, int, float, int, int], ...] = CLIPS) -> Path:
    """Tones with a little noise as WAV files and the manifest that lists them."""
    rows = []
    for name, classes, split, group, frequency_hz, duration_s, rate_hz, channels in clips:
        times = np.arange(round(duration_s * rate_hz)) / rate_hz
        noise = np.random.default_rng(frequency_hz).standard_normal(times.size)
        wave = 0.3 * np.sin(2 * np.pi * frequency_hz * times) * (1 + 0.5 * np.sin(9 * times)) + 0.01 * noise
        soundfile.write(folder / f"{name}.wav", np.stack([wave] * channels, 1), rate_hz, subtype="FLOAT")
        rows.append([f"{name}.wav", split, f"the {name} is heard", classes, group, "made", "", "CC0", duration_s])
    path = folder / "manifest.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([list(COLUMNS), *rows])
    return path


@pytest.fixture(scope="session")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The manifest of `CLIPS`."""
    return write_clips(tmp_path_factory.mktemp("clips"))


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of decoded clips and text features."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def store(manifest: Path, cache: Path) -> ClipStore:
    """The decoded clips."""
    return ClipStore(manifest, cache)


@pytest.fixture(scope="session")
def text_features(store: ClipStore, cache: Path) -> CaptionStore:
    """The text features of the clips' captions."""
    return CaptionStore(texts_of(store.clips), lambda: load_text_encoder(TINY.text), "tiny", cache)


@pytest.fixture
def make_context(store: ClipStore, text_features: CaptionStore) -> Callable[[], StageContext]:
    """Fresh networks, the same ones every time."""

    return lambda: fresh_context(store, text_features)
