"""The bundled example mixtures: there, sound, exact sums of their stems, and made from free material."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hsm.audio import load_audio
from hsm.records import OPERATIONS

ASSETS = Path(__file__).resolve().parents[1] / "assets"
EXAMPLES: list[dict[str, Any]] = json.loads((ASSETS / "examples.json").read_text(encoding="utf-8"))
LARGEST_BYTES = 8_000_000
each_example = pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: Path(example["file"]).stem)


@each_example
def test_stems_sum_to_the_mixture_which_is_neither_clipped_nor_too_long(example: dict[str, Any]) -> None:
    mixture = load_audio(ASSETS / example["file"])
    stems = [load_audio(ASSETS / source["file"]) for source in example["sources"]]
    assert len(stems) >= 2
    assert all(stem.rate_hz == mixture.rate_hz for stem in stems)
    assert all(stem.samples.shape == mixture.samples.shape for stem in stems)
    assert np.abs(sum(stem.samples for stem in stems) - mixture.samples).max() < 1e-3
    assert 0.1 < np.abs(mixture.samples).max() < 0.99
    assert all(0.01 < np.abs(stem.samples).max() < 0.99 for stem in stems)
    assert 4.0 <= mixture.samples.shape[1] / mixture.rate_hz <= 10.24


@each_example
def test_the_instruction_names_the_described_source(example: dict[str, Any]) -> None:
    caption = example["sources"][example["described"]]["caption"]
    assert set(caption.split()) & set(example["instruction"].split())
    others = [s["caption"] for k, s in enumerate(example["sources"]) if k != example["described"]]
    assert not any(set(other.split()) & set(example["instruction"].split()) for other in others)


@each_example
def test_a_source_sounds_in_its_active_spans_and_hardly_outside(example: dict[str, Any]) -> None:
    for source in example["sources"]:
        stem = load_audio(ASSETS / source["file"])
        power = np.mean(stem.samples**2, axis=0)
        inside = np.zeros(len(power), dtype=bool)
        for start_s, end_s in source["active_s"]:
            assert 0 <= start_s < end_s <= len(power) / stem.rate_hz + 0.01
            inside[int(start_s * stem.rate_hz) : int(end_s * stem.rate_hz)] = True
        assert power[inside].sum() > 0.99 * power.sum()


def test_every_sound_belongs_to_an_example_and_all_stay_small() -> None:
    sounds = set((ASSETS / "examples").rglob("*.flac"))
    assert sum(path.stat().st_size for path in sounds) < LARGEST_BYTES
    listed = {ASSETS / file for e in EXAMPLES for file in (e["file"], *(s["file"] for s in e["sources"]))}
    assert sounds == listed
    assert {example["operation"] for example in EXAMPLES} == set(OPERATIONS)
