"""Lists of pairs are the same everywhere, and every pair is a fair question."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest

from hsm.errors import HSMError
from hsm.evaluation.lists import LISTS, Kind, PairList
from hsm.evaluation.mixing import is_audible
from hsm.evaluation.pairs import Pair, draw_pairs
from hsm.manifest import Clip, conflict, read_manifest


def clip(name: str, *classes: str, recording: str = "") -> Clip:
    return Clip(Path("/c") / name, "valid", f"a {name}", classes, "esc50", "s", recording, "CC0", 5.0)


def everything(clip: Clip) -> bool:
    return True


@pytest.fixture
def pairs(manifest: Path) -> list[Pair]:
    return draw_pairs(read_manifest(manifest), LISTS["esc50"], limit=40, audible=is_audible)


def test_the_same_seed_draws_the_same_list_whatever_the_order_of_the_manifest(
    manifest: Path, pairs: list[Pair]
) -> None:
    backwards = read_manifest(manifest)[::-1]
    assert draw_pairs(backwards, LISTS["esc50"], limit=40, audible=is_audible) == pairs
    assert draw_pairs(backwards, LISTS["esc50"], limit=40, audible=is_audible, seed=1) != pairs


def test_the_draw_is_pinned_so_that_every_machine_makes_this_list() -> None:
    clips = [clip(name, name) for name in "abcdef"]
    drawn = draw_pairs(clips, LISTS["esc50"], limit=4, audible=everything)
    assert [(*pair.queries, pair.absent) for pair in drawn] == [
        ("f", "c", "e"),
        ("d", "f", "b"),
        ("b", "f", "e"),
        ("a", "f", "e"),
    ]


def test_a_shorter_list_is_the_beginning_of_a_longer_one(manifest: Path, pairs: list[Pair]) -> None:
    assert draw_pairs(read_manifest(manifest), LISTS["esc50"], limit=7, audible=is_audible) == pairs[:7]


def test_the_full_list_has_500_pairs(manifest: Path) -> None:
    assert len(draw_pairs(read_manifest(manifest), LISTS["esc50"], audible=is_audible)) == 500


@pytest.mark.parametrize("name", LISTS)
def test_every_pair_is_a_fair_question(manifest: Path, name: str) -> None:
    for pair in draw_pairs(read_manifest(manifest), LISTS[name], limit=60, audible=is_audible):
        low, high = LISTS[name].snr_db
        heard = {label for source in pair.sources for label in source.classes}
        assert len(pair.sources) == len(pair.queries) == len(pair.places) == len(pair.snr_db) + 1
        assert all(source.split == "valid" and is_audible(source) for source in pair.sources)
        assert not any(conflict(*two) for two in combinations(pair.sources, 2))
        assert pair.absent not in heard
        assert all(low <= snr_db <= high for snr_db in pair.snr_db)
        for source, query in zip(pair.sources, pair.queries, strict=True):
            assert [other for other in pair.sources if query in other.classes] == [source]


def test_esc50_pairs_are_esc50_clips_at_equal_level(pairs: list[Pair]) -> None:
    assert all(source.group == "esc50" for pair in pairs for source in pair.sources)
    assert {pair.snr_db for pair in pairs} == {(0.0,)}


def test_every_clip_is_a_target_once_before_any_is_one_again(pairs: list[Pair]) -> None:
    first = [pair.sources[0].path for pair in pairs[:12]]
    assert len(set(first)) == 12


def test_a_narrow_class_is_asked_for_rather_than_a_general_one(manifest: Path) -> None:
    drawn = draw_pairs(read_manifest(manifest), LISTS["general"], limit=20, audible=is_audible)
    instruments = [pair for pair in drawn if pair.kind == "instruments"]
    assert instruments
    assert {query for pair in instruments for query in pair.queries} == {"clarinet", "piano", "cello"}


def test_captions_can_be_asked_instead(manifest: Path) -> None:
    (pair,) = draw_pairs(read_manifest(manifest), LISTS["esc50"], limit=1, queries="caption", audible=is_audible)
    assert pair.queries == tuple(source.caption for source in pair.sources)
    assert pair.absent.startswith("sound of ")


def test_clips_of_one_recording_never_meet() -> None:
    clips = [clip("a", "a", recording="1"), clip("b", "b", recording="1"), clip("c", "c"), clip("d", "d")]
    for pair in draw_pairs(clips, LISTS["esc50"], limit=100, audible=everything):
        assert {source.caption for source in pair.sources} != {"a a", "a b"}


def test_three_sources_never_cover_the_classes_of_one_of_them() -> None:
    clips = [clip("both", "a", "b"), clip("first", "a", "c"), clip("second", "b", "d"), clip("e", "e")]
    clips.append(clip("f", "f"))
    plan = PairList((Kind("any", everything, everything),), sources=3)
    drawn = draw_pairs([*clips, clip("g", "g")], plan, limit=100, audible=everything)
    covered = {"a both", "a first", "a second"}
    assert all({source.caption for source in pair.sources} != covered for pair in drawn)


def test_a_kind_without_clips_is_left_out(manifest: Path) -> None:
    drawn = draw_pairs(read_manifest(manifest), LISTS["general"], limit=10, audible=is_audible)
    assert {pair.kind for pair in drawn} == {kind.name for kind in LISTS["general"].kinds} - {"urban"}


def test_a_manifest_of_one_class_is_refused() -> None:
    with pytest.raises(HSMError, match="no two of 2 clips fit"):
        draw_pairs([clip("a", "x"), clip("b", "x")], LISTS["esc50"], audible=everything)


def test_a_manifest_without_a_third_class_has_no_absent_sound() -> None:
    with pytest.raises(HSMError, match="wanted a further class"):
        draw_pairs([clip("a", "x"), clip("b", "y")], LISTS["esc50"], audible=everything)


def test_a_split_without_clips_is_refused(manifest: Path) -> None:
    with pytest.raises(HSMError, match="split 'test'"):
        draw_pairs(read_manifest(manifest), LISTS["esc50"], split="test", audible=is_audible)


def test_a_limit_of_nothing_is_refused(manifest: Path) -> None:
    with pytest.raises(HSMError, match="limit: got 0"):
        draw_pairs(read_manifest(manifest), LISTS["esc50"], limit=0, audible=is_audible)


def test_clips_that_are_too_short_take_no_part() -> None:
    clips = [clip("a", "x"), clip("b", "y"), clip("c", "z"), replace(clip("d", "w"), duration_s=0.5)]
    drawn = draw_pairs(clips, LISTS["esc50"], limit=30, audible=everything)
    assert all("w" not in pair.queries for pair in drawn)
