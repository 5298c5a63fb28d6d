"""Lists of pairs are the same everywhere, and every pair is a fair question."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest

from hsm.errors import HSMError
from hsm.evaluation.mixtures import is_audible, mix
from hsm.evaluation.protocols import PLANS, Ask, Kind, Trial, draw, read_list
from hsm.manifest import Clip, conflict, read_manifest


def clip(name: str, *classes: str, recording: str = "") -> Clip:
    return Clip(Path("/c") / name, "valid", f"a {name}", classes, "esc50", "s", recording, "CC0", 5.0)


def everything(clip: Clip) -> bool:
    return True


def ask_of(trial: Trial, row: str) -> Ask:
    (ask,) = (ask for ask in trial.asks if ask.row == row)
    return ask


@pytest.fixture
def pairs(manifest: Path) -> list[Trial]:
    return draw(read_manifest(manifest), PLANS["esc50"], limit=40, audible=is_audible)


def test_the_same_seed_draws_the_same_list_whatever_the_order_of_the_manifest(
    manifest: Path, pairs: list[Trial]
) -> None:
    backwards = read_manifest(manifest)[::-1]
    assert draw(backwards, PLANS["esc50"], limit=40, audible=is_audible) == pairs
    assert draw(backwards, PLANS["esc50"], limit=40, audible=is_audible, seed=1) != pairs


def test_the_draw_is_pinned_so_that_every_machine_makes_this_list() -> None:
    clips = [clip(name, name) for name in "abcdef"]
    drawn = draw(clips, PLANS["esc50"], limit=4, audible=everything)
    assert [(*pair.words, ask_of(pair, "absent query").text) for pair in drawn] == [
        ("f", "c", "e"),
        ("d", "f", "b"),
        ("b", "f", "e"),
        ("a", "f", "e"),
    ]


def test_a_shorter_list_is_the_beginning_of_a_longer_one(manifest: Path, pairs: list[Trial]) -> None:
    assert draw(read_manifest(manifest), PLANS["esc50"], limit=7, audible=is_audible) == pairs[:7]


@pytest.mark.parametrize("name", ["esc50", "general", "three"])
def test_every_mixture_is_a_fair_question(manifest: Path, name: str) -> None:
    plan = replace(PLANS[name], least_named=1)
    for pair in draw(read_manifest(manifest), plan, limit=60, audible=is_audible):
        low, high = plan.snr_db
        heard = {label for source in pair.sources for label in source.classes}
        assert len(pair.sources) == len(pair.words) == len(pair.places) == len(pair.snr_db) + 1
        assert all(source.split == "valid" and is_audible(source) for source in pair.sources)
        assert not any(conflict(*two) for two in combinations(pair.sources, 2))
        assert ask_of(pair, "absent query").text not in heard
        assert all(low <= snr_db <= high for snr_db in pair.snr_db)
        for source, word in zip(pair.sources, pair.words, strict=True):
            assert [other for other in pair.sources if word in other.classes] == [source]


def test_what_is_asked_and_what_should_come_out_agree(pairs: list[Trial]) -> None:
    for pair in pairs:
        target, other = pair.words
        asked = {ask.row: (ask.operation, ask.text, ask.reference) for ask in pair.asks}
        assert asked["extract"] == ("extract", target, (0,))
        assert asked["remove"] == ("remove", other, (0,))
        assert asked["wrong query"] == ("extract", other, (0,))
        assert asked["absent query"][2] == ()
        example = ask_of(pair, "extract, by example").clip
        assert example is not None
        assert example not in pair.sources
        assert example.classes == pair.sources[0].classes


def test_of_three_sources_removing_one_leaves_the_other_two(manifest: Path) -> None:
    plan = replace(PLANS["three"], least_named=1)
    (trial,) = draw(read_manifest(manifest), plan, limit=1, audible=is_audible)
    assert ask_of(trial, "remove").text == trial.words[1]
    assert ask_of(trial, "remove").reference == (0, 2)


def test_the_truth_is_told_in_the_first_mixtures_alone(manifest: Path) -> None:
    plan = replace(PLANS["esc50"], inside=2)
    trials = draw(read_manifest(manifest), plan, limit=4, audible=is_audible)
    assert [trial.inside for trial in trials] == [True, True, False, False]
    assert ["true S, G" in [ask.row for ask in trial.asks] for trial in trials] == [True, True, False, False]


def many(*rows: tuple[str, str, str], each: int = 4) -> list[Clip]:
    """Clips by group, class and caption, several of each from publishers of their own."""
    return [
        Clip(
            Path(f"/c/{label} {i}"), "valid", f"{caption} {i}", tuple(label.split(";")), group, f"s{i}", "", "CC0", 5.0
        )
        for group, label, caption in rows
        for i in range(each)
    ]


EVERY_KIND = many(
    ("speech", "speech", "a person speaking"),
    ("music", "music;electronic", "electronic music"),
    ("music", "music;song;singing;folk", "folk song"),
    ("human", "singing", "a cappella"),
    ("esc50", "wind", "wind blowing"),
    ("urbansound8k", "dog", "dog barking"),
    ("animal", "owl", "an owl"),
)


@pytest.mark.parametrize("name", ["solo", "music", "songs", "denoise", "wordings"])
def test_lists_of_what_people_ask_for_have_at_least_forty_mixtures_a_kind(name: str) -> None:
    trials = draw(EVERY_KIND, PLANS[name], audible=everything)
    kinds = {kind.name for kind in PLANS[name].kinds}
    for kind in kinds:
        assert sum(trial.kind == kind for trial in trials) >= 40


def test_speech_and_music_are_asked_for_both_ways() -> None:
    (trial,) = draw(EVERY_KIND, PLANS["music"], limit=1, audible=everything)
    assert "singing" not in trial.sources[1].classes
    asked = {ask.row: (ask.operation, ask.text, ask.reference) for ask in trial.asks}
    assert asked["extract speech"] == ("extract", "speech", (0,))
    assert asked["remove speech"] == ("remove", "speech", (1,))
    assert asked["extract music"] == ("extract", "music", (1,))
    assert asked["remove music"] == ("remove", "music", (0,))


def test_karaoke_leaves_the_accompaniment_and_is_asked_as_users_type_it() -> None:
    (trial,) = draw(EVERY_KIND, PLANS["songs"], limit=1, audible=everything)
    assert trial.sources[0].classes == ("singing",)
    assert ask_of(trial, '"karaoke"').operation is None
    assert ask_of(trial, '"karaoke"').reference == (1,)
    assert ask_of(trial, '"keep only the vocals"').reference == (0,)


def test_alone_what_is_named_should_stay_and_what_is_absent_should_not_come_out() -> None:
    for trial in draw(EVERY_KIND, PLANS["solo"], limit=30, audible=everything):
        asked = {ask.row: (ask.operation, ask.reference) for ask in trial.asks}
        assert asked["named, extracted"] == ("extract", (0,))
        assert asked["named, removed"] == ("remove", ())
        assert asked["absent, extracted"] == ("extract", ())
        assert asked["absent, removed"] == ("remove", (0,))
        assert ask_of(trial, "absent, extracted").text not in trial.sources[0].classes
        assert ("speech, background noise removed" in asked) == ("speech" in trial.sources[0].classes)


def test_wordings_of_one_thing_are_asked_of_the_same_mixture() -> None:
    for trial in draw(EVERY_KIND, PLANS["wordings"], limit=9, audible=everything):
        assert len(trial.asks) >= 2
        assert {(ask.operation, ask.reference) for ask in trial.asks} == {("extract", (0,))}
    hiss = next(t for t in draw(EVERY_KIND, PLANS["wordings"], audible=everything) if t.kind == "hiss")
    assert {"hiss", "white noise"} <= {ask.text for ask in hiss.asks}
    assert mix(replace(hiss, sources=(hiss.sources[0],), snr_db=(), places=(0.0,))).wave.any()


def test_targets_come_from_all_publishers_in_turn() -> None:
    clips = [
        replace(c, path=Path(f"/c/s{i}"), caption=f"voice {i}", source="large")
        for i, c in enumerate(EVERY_KIND[:4] * 20)
    ]
    drawn = draw([*clips, *EVERY_KIND], PLANS["music"], limit=5, audible=everything)
    assert {trial.sources[0].source for trial in drawn} == {"large", "s0", "s1", "s2", "s3"}


def test_a_class_that_few_clips_bear_is_no_name_to_ask_by() -> None:
    clips = [*EVERY_KIND, *many(("foley", "slam1d", "slam1d"), each=2)]
    trials = draw(clips, PLANS["three"], audible=everything)
    assert all("slam1d" not in trial.words for trial in trials)


def test_audioseps_list_is_cut_to_the_clips_of_the_split(tmp_path: Path) -> None:
    names = ("4-1-A-0", "4-2-A-1", "1-3-A-0")
    clips = [
        replace(clip(f"karol_{name}.opus", name), split="train" if name.startswith("1") else "valid") for name in names
    ]
    path = tmp_path / "list.csv"
    rows = ["idx,caption,src_wav,noise_wav", "0,dog,4-1-A-0.wav,4-2-A-1.wav", "1,cat,1-3-A-0.wav,4-1-A-0.wav"]
    path.write_text("\n".join(rows))
    (trial,) = read_list(path, clips)
    assert [c.path.stem for c in trial.sources] == ["karol_4-1-A-0", "karol_4-2-A-1"]
    assert trial.snr_db == (0.0,)
    assert ask_of(trial, "extract").text == "dog"
    with pytest.raises(HSMError, match="none of its pairs"):
        read_list(path, clips, split="test")
    with pytest.raises(HSMError, match="there is no file"):
        read_list(tmp_path / "gone.csv", clips)


def test_esc50_pairs_are_esc50_clips_at_equal_level(pairs: list[Trial]) -> None:
    assert all(source.group == "esc50" for pair in pairs for source in pair.sources)
    assert {pair.snr_db for pair in pairs} == {(0.0,)}


def test_every_clip_is_a_target_once_before_any_is_one_again(pairs: list[Trial]) -> None:
    first = [pair.sources[0].path for pair in pairs[:12]]
    assert len(set(first)) == 12


def test_a_narrow_class_is_asked_for_rather_than_a_general_one(manifest: Path) -> None:
    drawn = draw(read_manifest(manifest), replace(PLANS["general"], least_named=1), limit=20, audible=is_audible)
    instruments = [pair for pair in drawn if pair.kind == "instruments"]
    assert instruments
    assert {query for pair in instruments for query in pair.words} == {"clarinet", "piano", "cello"}


def test_captions_can_be_asked_instead(manifest: Path) -> None:
    (pair,) = draw(read_manifest(manifest), PLANS["esc50"], limit=1, words="caption", audible=is_audible)
    assert pair.words == tuple(source.caption for source in pair.sources)
    assert ask_of(pair, "absent query").text.startswith("sound of ")


def test_clips_of_one_recording_never_meet() -> None:
    clips = [clip("a", "a", recording="1"), clip("b", "b", recording="1"), clip("c", "c"), clip("d", "d")]
    for pair in draw(clips, PLANS["esc50"], limit=100, audible=everything):
        assert {source.caption for source in pair.sources} != {"a a", "a b"}


def test_three_sources_never_cover_the_classes_of_one_of_them() -> None:
    clips = [clip("both", "a", "b"), clip("first", "a", "c"), clip("second", "b", "d"), clip("e", "e")]
    clips.append(clip("f", "f"))
    plan = replace(PLANS["three"], kinds=(Kind("any", everything, everything),), least_named=1)
    drawn = draw([*clips, clip("g", "g")], plan, limit=100, audible=everything)
    covered = {"a both", "a first", "a second"}
    assert all({source.caption for source in pair.sources} != covered for pair in drawn)


def test_a_kind_without_clips_is_left_out(manifest: Path) -> None:
    drawn = draw(read_manifest(manifest), replace(PLANS["general"], least_named=1), limit=10, audible=is_audible)
    assert {pair.kind for pair in drawn} == {kind.name for kind in PLANS["general"].kinds} - {"urban"}


def test_a_manifest_of_one_class_is_refused() -> None:
    with pytest.raises(HSMError, match="no 2 of 2 clips fit"):
        draw([clip("a", "x"), clip("b", "x")], PLANS["esc50"], audible=everything)


def test_a_manifest_without_a_third_class_has_no_absent_sound() -> None:
    with pytest.raises(HSMError, match="wanted a further class"):
        draw([clip("a", "x"), clip("b", "y")], PLANS["esc50"], audible=everything)


def test_a_split_without_clips_is_refused(manifest: Path) -> None:
    with pytest.raises(HSMError, match="split 'test'"):
        draw(read_manifest(manifest), PLANS["esc50"], split="test", audible=is_audible)


def test_a_limit_of_nothing_is_refused(manifest: Path) -> None:
    with pytest.raises(HSMError, match="limit: got 0"):
        draw(read_manifest(manifest), PLANS["esc50"], limit=0, audible=is_audible)


def test_clips_that_are_too_short_take_no_part() -> None:
    clips = [clip("a", "x"), clip("b", "y"), clip("c", "z"), replace(clip("d", "w"), duration_s=0.5)]
    drawn = draw(clips, PLANS["esc50"], limit=30, audible=everything)
    assert all("w" not in pair.words for pair in drawn)
