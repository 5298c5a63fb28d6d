"""End to end: the tables tell a perfect model, a lazy one and one that is blind to the text apart."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hsm.errors import HSMError
from hsm.evaluation.__main__ import main
from hsm.evaluation.benchmarks import run
from hsm.evaluation.lists import LISTS
from hsm.evaluation.mixing import Mixture, is_audible, mix
from hsm.evaluation.pairs import Pair, draw_pairs
from hsm.evaluation.rows import (
    ORACLES,
    REWORDED,
    RIVAL,
    ROWS,
    Answer,
    answers,
    ask,
    ideal_ratio_mask,
    level_db,
    score,
    unseen_wordings,
)
from hsm.evaluation.tables import markdown, summarise
from hsm.manifest import read_manifest
from hsm.records import Audio

MakeModel = Callable[[list[Pair], str], Any]


def draw(manifest: Path, name: str = "esc50", limit: int = 4) -> list[Pair]:
    return draw_pairs(read_manifest(manifest), LISTS[name], limit=limit, audible=is_audible)


@pytest.fixture
def summary_of(manifest: Path, make_model: MakeModel) -> Callable[[str], dict[str, Any]]:
    pairs = draw(manifest)
    return lambda name: summarise(run(make_model(pairs, name), pairs))


def mean(summary: dict[str, Any], row: str, metric: str = "sdri") -> float:
    return float(summary["rows"][row][metric]["mean"])


def test_an_oracle_scores_far_above_every_mask(summary_of: Callable[[str], dict[str, Any]]) -> None:
    summary = summary_of("oracle")
    assert list(summary["rows"]) == list(ROWS)
    assert mean(summary, "extract") > 90.0
    assert mean(summary, "remove") > 90.0
    assert mean(summary, "wrong query") == pytest.approx(-3.0, abs=0.1)
    assert mean(summary, "absent query", "level_db") == -100.0
    assert summary["right_minus_wrong_sdri_db"] > 90.0
    assert abs(summary["extract_minus_remove_sdri_db"]) < 1.0
    assert summary["features"]["cosine_predicted"]["mean"] == pytest.approx(1.0, abs=1e-6)
    assert summary["cosine_margin"]["mean"] > 0.05
    assert summary["cosine_improved_share"] == 1.0


def test_doing_nothing_scores_nothing(summary_of: Callable[[str], dict[str, Any]]) -> None:
    summary = summary_of("do nothing")
    for row in ("mixture", "extract", "remove", "wrong query"):
        assert summary["rows"][row]["sdri"] == {"mean": 0.0, "median": 0.0, "pairs": 4}
    assert mean(summary, "absent query", "level_db") == pytest.approx(0.0, abs=1e-9)
    assert summary["right_minus_wrong_sdri_db"] == 0.0
    assert summary["cosine_margin"]["mean"] == 0.0


def test_a_model_that_ignores_the_text_is_found_out(summary_of: Callable[[str], dict[str, Any]]) -> None:
    summary = summary_of("text blind")
    assert mean(summary, "extract") > 90.0
    assert mean(summary, "wrong query") > 90.0
    assert summary["right_minus_wrong_sdri_db"] == 0.0
    assert mean(summary, "absent query", "level_db") == pytest.approx(-3.0, abs=0.1)


def test_the_bounds_stand_in_every_table(summary_of: Callable[[str], dict[str, Any]]) -> None:
    summary = summary_of("do nothing")
    assert mean(summary, "mixture", "sdr") == pytest.approx(0.0, abs=0.1)
    assert mean(summary, "self", "sdr") == 100.0
    assert mean(summary, "self", "lsd") < mean(summary, "mixture", "lsd")
    assert 5.0 < mean(summary, "ideal ratio mask") < 60.0


def test_attention_is_judged_on_clips_with_pauses_beside_a_uniform_map(manifest: Path, make_model: MakeModel) -> None:
    pairs = draw(manifest, limit=12)
    summary = summarise(run(make_model(pairs, "oracle"), pairs, features_only=True))
    assert summary["rows"] == {}
    assert summary["features"]["attention_right"]["pairs"] == 6  # one of the two takes of each class
    assert summary["features"]["attention_right"]["mean"] == 100.0
    assert summary["features"]["attention_wrong_over_sound"]["mean"] < 2.0
    assert 0 < summary["features"]["attention_right_over_sound"]["pairs"] < 6
    assert summary["features"]["attention_uniform"]["mean"] == 1.0


def test_the_mixture_is_listened_to_once_for_all_queries(manifest: Path, make_model: MakeModel) -> None:
    pairs = draw(manifest)
    model = make_model(pairs, "oracle")
    run(model, pairs)
    assert model.listened == 4


def test_the_rival_hears_the_words_and_the_oracles_are_told_the_truth_step_by_step(
    manifest: Path, make_model: MakeModel
) -> None:
    (pair,) = pairs = draw(manifest, limit=1)
    model, mixture = make_model(pairs, "oracle"), mix(pair)
    rows = ("extract", RIVAL, *ORACLES)
    assert list(ask(model, mixture, pair, rows)) == list(rows)
    usual, rival, oracle_g, oracle_s = model.asked
    assert [options.renderer for options, _, _ in model.asked] == ["mask", "audiosep", "mask", "mask"]
    assert usual[1:] == rival[1:] == (None, None)
    wanted = model.global_feature(Audio(mixture.target, 16_000))
    for given in (oracle_g[1], oracle_s[1]):
        assert np.array_equal(given, wanted)
    assert oracle_g[2] is None
    assert np.array_equal(oracle_s[2].samples[0], mixture.target)


def test_without_the_rivals_weights_its_row_is_left_out(manifest: Path, make_model: MakeModel) -> None:
    pairs = draw(manifest, limit=1)
    model = replace(make_model(pairs, "oracle"), networks=("known",))
    assert list(summarise(run(model, pairs))["rows"]) == [row for row in ROWS if row != RIVAL]


def test_of_three_sources_removing_one_is_held_against_the_other_two(manifest: Path, make_model: MakeModel) -> None:
    pairs = draw(manifest, "three", limit=3)
    summary = summarise(run(make_model(pairs, "oracle"), pairs))
    assert mean(summary, "extract") > 90.0
    assert mean(summary, "remove") > 90.0
    assert summary["extract_minus_remove_sdri_db"] is None


def test_a_judge_adds_kl_and_hears_the_shared_reference_once(manifest: Path, make_model: MakeModel) -> None:
    heard: list[np.ndarray] = []

    def judge(wave: np.ndarray) -> np.ndarray:
        heard.append(wave)
        return np.array([np.abs(wave).mean(), 0.1])

    pairs = draw(manifest, limit=1)
    summary = summarise(run(make_model(pairs, "oracle"), pairs, judge))
    assert mean(summary, "self", "kl") == 0.0
    assert mean(summary, "mixture", "kl") > 0.0
    assert len(heard) == 1 + len(summary["rows"]) - 1  # the reference, then each row but the absent query


def test_the_ideal_ratio_mask_of_sounds_that_do_not_overlap_is_nearly_exact() -> None:
    times = np.arange(32_000) / 16_000
    sources = np.stack([np.sin(2 * np.pi * hz * times) for hz in (500, 4_000)]).astype(np.float32)
    mixture = Mixture(sources)
    answer = Answer(ideal_ratio_mask(mixture), mixture.target)
    assert score(answer, mixture, None, None)["sdri"] > 25.0


def test_level_is_the_energy_relative_to_the_mixture() -> None:
    wave = np.ones(1_000, np.float32)
    assert level_db(0.1 * wave, wave) == pytest.approx(-20.0, abs=1e-5)
    assert level_db(0.0 * wave, wave) == -100.0


def test_an_answer_of_another_length_is_refused(manifest: Path, make_model: MakeModel) -> None:
    pairs = draw(manifest, limit=1)
    mixture = mix(pairs[0])
    (asked,) = ask(make_model(pairs, "oracle"), mixture, pairs[0], ("extract",)).values()
    short = replace(asked, target=Audio(mixture.wave[:-1], 16_000))
    with pytest.raises(HSMError, match=r"shape \(1, 79999\); wanted the mixture's \(1, 80000\)"):
        answers(mixture, {"extract": short})


def test_the_markdown_has_a_line_for_every_row_and_kind(manifest: Path, make_model: MakeModel) -> None:
    pairs = draw(manifest, "general", limit=4)
    text = markdown("general", summarise(run(make_model(pairs, "do nothing"), pairs)))
    rows = [row for row in ROWS if row != REWORDED]  # none of these labels has other words
    for start in (*rows, "instruments", "anything", "predicted from the right query"):
        assert f"\n| {start} |" in text
    assert "| mixture | 0.00 / 0.00 |" in text


@pytest.mark.parametrize("benchmark", ["esc50", "features"])
def test_the_command_writes_what_it_prints(
    manifest: Path, make_model: MakeModel, tmp_path: Path, capsys: pytest.CaptureFixture[str], benchmark: str
) -> None:
    pairs = draw(manifest)
    code = main(
        [benchmark, "--data", str(manifest), "--limit", "4", "--out", str(tmp_path / "out")],
        load=lambda weights, device: make_model(pairs, "oracle"),
    )
    printed = capsys.readouterr().out
    assert code == 0
    assert (tmp_path / f"out/{benchmark}.md").read_text(encoding="utf-8").strip() == printed.strip()
    report = json.loads((tmp_path / f"out/{benchmark}.json").read_text(encoding="utf-8"))
    assert report["pairs"] == 4
    assert report["seed"] == 0
    assert report["data"]["split"] == "valid"
    assert report["weights"]["known"]["sha256"] == "0" * 64
    assert str(manifest.parent) not in json.dumps(report)
    lines = (tmp_path / f"out/{benchmark}.csv").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 5
    assert pairs[0].sources[0].path.name in lines[1]


def test_the_command_says_what_is_wrong_and_ends_with_2(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def load(weights: Path | None, device: str) -> Any:
        raise AssertionError("the list is drawn before the model is loaded")

    assert main(["esc50", "--data", str(tmp_path / "none.csv")], load=load) == 2
    assert main(["esc50", "--data", str(manifest), "--teacher", str(tmp_path)], load=load) == 2
    assert main(["esc50", "--data", str(manifest), "--threads", "0"], load=load) == 2
    errors = capsys.readouterr().err
    assert "none.csv" in errors and "yamnet.tflite" in errors and "threads: got 0" in errors


def test_mixing_twice_gives_the_same_samples(manifest: Path) -> None:
    (pair,) = draw(manifest, limit=1)
    assert np.array_equal(mix(pair).wave, mix(pair).wave)


def test_another_wording_never_says_the_label_and_is_asked_where_there_is_one(
    manifest: Path, make_model: MakeModel
) -> None:
    wordings = unseen_wordings()
    assert len(wordings) == len(set(wordings.values())) == 50
    for label, wording in wordings.items():
        assert label not in wording
    pairs = [replace(pair, queries=("dog", pair.queries[1])) for pair in draw(manifest, limit=1)]
    summary = summarise(run(make_model(pairs, "do nothing"), pairs))
    assert mean(summary, REWORDED) == mean(summary, "extract")
