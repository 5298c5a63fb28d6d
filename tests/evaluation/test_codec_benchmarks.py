"""The paper's own decoder is measured beside what it is given."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import numpy as np
import pytest

from hsm import HSM
from hsm.errors import HSMError
from hsm.evaluation.codec import measure_codec, measure_renderers, scores, speech_measures
from hsm.evaluation.mixtures import is_audible
from hsm.evaluation.protocols import PLANS, draw
from hsm.manifest import read_manifest


@pytest.fixture
def speech_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """STOI and PESQ that say how alike two sounds are."""

    def alike(one: np.ndarray, other: np.ndarray) -> float:
        return float(np.corrcoef(one, other)[0, 1])

    stoi, pesq = types.ModuleType("pystoi"), types.ModuleType("pesq")
    stoi.stoi = lambda reference, estimate, rate_hz: alike(reference, estimate)  # type: ignore[attr-defined]
    pesq.pesq = lambda rate_hz, reference, estimate, *_, **__: alike(reference, estimate)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pystoi", stoi)
    monkeypatch.setitem(sys.modules, "pesq", pesq)


def test_a_worse_codec_scores_worse_in_every_measure(speech_packages: None) -> None:
    rng = np.random.default_rng(0)
    reference = 0.1 * rng.standard_normal(16_000)
    near, far = (reference + share * 0.1 * rng.standard_normal(16_000) for share in (0.1, 1.0))
    better, worse, best = (scores("speech", reference, made) for made in (near, far, reference))
    assert best["mel_d"] == 0.0 < better["mel_d"] < worse["mel_d"]
    assert best["lsd"] < better["lsd"] < worse["lsd"]
    for name in ("mel_psnr", "si_sdr", "stoi", "pesq"):
        assert best[name] > better[name] > worse[name]
    assert "stoi" not in scores("music", reference, near)


def test_clips_of_each_kind_go_there_and_back(manifest: Path, tiny_model: HSM, speech_packages: None) -> None:
    records, used = measure_codec(tiny_model, read_manifest(manifest), "valid", 1, seed=0)
    assert {record["kind"] for record in records} == {"speech", "music", "effects"}
    for record in records:
        assert record["rows"]["self"]["mel_d"] == 0.0 < record["rows"]["ours"]["mel_d"]
        assert record["rows"]["self"]["mel_psnr"] == 100.0 > record["rows"]["ours"]["mel_psnr"]
    assert 0.0 < used["ours"] <= 1.0


def test_the_renderers_are_held_against_the_same_target(manifest: Path, tiny_model: HSM) -> None:
    trials = draw(read_manifest(manifest), PLANS["esc50"], limit=1, audible=is_audible)
    (record,) = measure_renderers(tiny_model, trials, lambda wave: np.array([np.abs(wave).mean(), 0.1]))
    rows = record["rows"]
    assert rows["mixture"]["si_sdr"] == pytest.approx(0.0, abs=0.1)
    assert len(rows) == 5
    assert all(np.isfinite(list(values.values())).all() and "kl" in values for values in rows.values())
    assert len({values["mel_psnr"] for values in rows.values()}) == 5


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pystoi", None)
    with pytest.raises(HSMError, match=r"pystoi is not installed"):
        speech_measures()
