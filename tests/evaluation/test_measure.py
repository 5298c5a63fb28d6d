"""End to end: the figures tell a perfect system, a lazy one and one that is blind to the text apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from known_system import KnownSystem, do_nothing, oracle, text_blind

from hsm import HSM
from hsm.errors import HSMError
from hsm.evaluation.measure import level_db, measure
from hsm.evaluation.mixtures import is_audible, mix
from hsm.evaluation.protocols import PLANS, Ask, Trial, draw
from hsm.evaluation.report import values
from hsm.evaluation.systems import HSMSystem
from hsm.manifest import read_manifest


def some(manifest: Path, name: str = "esc50", limit: int = 2) -> list[Trial]:
    return draw(read_manifest(manifest), replace(PLANS[name], least_named=1), limit=limit, audible=is_audible)


def mean(records: list[dict], row: str, metric: str = "sdri") -> float:
    return float(values({"mixtures": records}, row, metric).mean())


def test_an_oracle_scores_far_above_every_mask(manifest: Path) -> None:
    records = measure(KnownSystem(oracle), some(manifest))
    for row in ("extract", "remove"):
        assert mean(records, row) > 90.0
        assert mean(records, row, "si_sdri") > 90.0
    assert mean(records, "wrong query") == pytest.approx(-3.0, abs=0.1)
    assert mean(records, "absent query", "level_db") == -100.0
    assert 5.0 < mean(records, "ideal ratio mask") < 60.0
    features = records[0]["features"]
    assert features["cosine_right"] == pytest.approx(1.0, abs=1e-4)
    assert features["cosine_right"] > features["cosine_mixture"] > features["cosine_wrong"]
    assert features["nearest_class_right"] == 1.0
    assert features["cosine_right_to_wrong"] < 0.5


def test_the_right_query_counts_for_the_system_and_the_wrong_one_against_it(manifest: Path) -> None:
    records = measure(KnownSystem(oracle), some(manifest), rows=("extract", "wrong query"))
    assert mean(records, "extract") - mean(records, "wrong query") > 90.0
    blind = measure(KnownSystem(text_blind), some(manifest), rows=("extract", "wrong query"))
    assert mean(blind, "wrong query") == mean(blind, "extract") > 90.0
    assert blind[0]["features"]["attention_correlation"] == 1.0
    assert blind[0]["features"]["cosine_right_to_wrong"] == 1.0


def test_doing_nothing_improves_nothing(manifest: Path) -> None:
    asked = ("extract", "remove", "wrong query", "absent query")
    records = measure(KnownSystem(do_nothing), some(manifest), rows=asked)
    for row in ("mixture", "extract", "remove", "wrong query"):
        assert mean(records, row) == mean(records, row, "si_sdri") == 0.0
    assert mean(records, "absent query", "level_db") == pytest.approx(0.0, abs=1e-6)
    assert mean(records, "self", "sdr") == 100.0


def test_half_the_volume_improves_sdr_and_not_si_sdr(manifest: Path) -> None:
    def half(mixture, ask):  # type: ignore[no-untyped-def]
        return 0.5 * mixture.wave

    records = measure(KnownSystem(half), some(manifest), rows=("extract",))
    assert mean(records, "extract") == pytest.approx(3.0, abs=0.1)
    assert mean(records, "extract", "si_sdri") == pytest.approx(0.0, abs=1e-3)


def test_a_sound_alone_is_scored_by_what_passes_and_what_comes_out(manifest: Path) -> None:
    trials = some(manifest, "solo", limit=2)
    records = measure(KnownSystem(oracle), trials)
    assert mean(records, "named, extracted", "level_db") == pytest.approx(0.0, abs=1e-6)
    assert mean(records, "named, removed", "level_db") == mean(records, "absent, extracted", "level_db") == -100.0
    assert mean(records, "absent, removed", "sdr") == 100.0
    assert not values({"mixtures": records}, "named, extracted", "sdri").size  # nothing can improve on the mixture


def test_a_refused_instruction_counts_as_doing_nothing(manifest: Path) -> None:
    trials = [replace(t, asks=(Ask("typed", "denoise", None, (0,)),)) for t in some(manifest, limit=1)]
    (record,) = measure(KnownSystem(oracle, refused=("denoise",)), trials)
    assert record["rows"]["typed"]["sdri"] == 0.0
    assert record["rows"]["typed"]["refused"] == 1.0


def test_a_mixture_is_handed_over_once_with_all_that_is_asked_of_it(manifest: Path) -> None:
    system, trials = KnownSystem(oracle), some(manifest, "solo")
    measure(system, trials)
    assert system.asked == [trial.asks for trial in trials]


def test_what_a_system_cannot_be_asked_is_left_out(manifest: Path) -> None:
    records = measure(KnownSystem(oracle, unable=("example", "AudioSep")), some(manifest, limit=1))
    assert "extract" in records[0]["rows"]
    assert "extract, by example" not in records[0]["rows"]
    assert "AudioSep's form" not in records[0]["rows"]


def test_a_judge_adds_kl_and_hears_a_shared_reference_once(manifest: Path) -> None:
    heard: list[np.ndarray] = []

    def judge(wave: np.ndarray) -> np.ndarray:
        heard.append(wave)
        return np.array([np.abs(wave).mean(), 0.1])

    records = measure(KnownSystem(oracle), some(manifest, limit=1), judge, rows=("extract", "remove", "wrong query"))
    assert records[0]["rows"]["self"]["kl"] == 0.0
    assert records[0]["rows"]["mixture"]["kl"] > 0.0
    assert len(heard) == 1 + 6  # of two sources what removing the one leaves is the other


def test_level_is_the_energy_relative_to_the_mixture() -> None:
    wave = np.ones(1_000, np.float32)
    assert level_db(0.1 * wave, wave) == pytest.approx(-20.0, abs=1e-5)
    assert level_db(0.0 * wave, wave) == -100.0


def test_the_truth_is_told_as_asked(manifest: Path, tiny_model: HSM, monkeypatch: pytest.MonkeyPatch) -> None:
    system, (trial,) = HSMSystem(tiny_model), some(manifest, limit=1)
    mixture, told = mix(trial), {}
    separate = tiny_model.separate

    def remember(encoded, instruction, options, **given):  # type: ignore[no-untyped-def]
        told[len(told)] = options, given
        return separate(encoded, instruction, options, **given)

    monkeypatch.setattr(tiny_model, "separate", remember)
    rows = ("extract", "text alone", "true G", "true S, G", "other source's S, G", "random S, G")
    asks = [ask for ask in trial.asks if ask.row in rows]
    outputs = list(system.outputs(mixture, asks))
    assert {output.wave.shape for output in outputs} == {mixture.wave.shape}
    np.testing.assert_allclose(outputs[0].global_mixture, system.global_feature(mixture.wave), atol=1e-5)
    (usual, nothing), (text_alone, _), (_, true_g), (_, true), (_, other), (_, random) = told.values()
    assert (usual.hierarchy, text_alone.hierarchy, nothing) == (True, False, {})
    np.testing.assert_allclose(true_g["global_target"], system.global_feature(mixture.target), atol=1e-5)
    assert "local_target" not in true_g
    for given, wave in ((true, mixture.target), (other, mixture.sum_of((1,)))):
        assert np.array_equal(given["local_target"].samples[0], wave)
        np.testing.assert_allclose(given["global_target"], system.global_feature(wave), atol=1e-5)
    for source in mixture.sources:
        assert abs(np.corrcoef(random["local_target"].samples[0], source)[0, 1]) < 0.1


def test_a_typed_instruction_goes_through_the_parser_and_its_refusal_is_kept(manifest: Path, tiny_model: HSM) -> None:
    mixture = mix(some(manifest, limit=1)[0])
    asks = [Ask("typed", text, None, (0,)) for text in ("remove the dog", "")]
    removed, refused = HSMSystem(tiny_model).outputs(mixture, asks)
    (named,) = HSMSystem(tiny_model).outputs(mixture, [Ask("named", "dog", "remove", (0,))])
    np.testing.assert_allclose(removed.wave, named.wave, atol=1e-6)
    assert not refused.understood
    assert np.array_equal(refused.wave, mixture.wave)


def test_the_nearest_class_is_that_of_the_nearest_mean(tiny_model: HSM) -> None:
    system, bank = HSMSystem(tiny_model), tiny_model.bank
    unit = bank.features / np.linalg.norm(bank.features, axis=1, keepdims=True)
    for name in set(bank.classes):
        mean_of_class = unit[[c == name for c in bank.classes]].mean(0)
        assert system.nearest_class(mean_of_class) == name


def test_an_output_of_another_length_is_refused(
    manifest: Path, tiny_model: HSM, monkeypatch: pytest.MonkeyPatch
) -> None:
    (trial,) = some(manifest, limit=1)
    mixture = mix(trial)
    shorter = replace(mixture, sources=mixture.sources[:, :-1600])
    encoded = tiny_model.encode(shorter.audio)
    monkeypatch.setattr(tiny_model, "encode", lambda audio: encoded)
    with pytest.raises(HSMError, match=r"wanted the mixture's \(1, 80000\)"):
        list(HSMSystem(tiny_model).outputs(mixture, trial.asks[:1]))
