"""Manifests: what is read, what is refused, and which clips may meet."""

from __future__ import annotations

from pathlib import Path

import pytest

from hsm.errors import HSMError
from hsm.manifest import COLUMNS, Clip, conflict, read_manifest

LINE = "dog/a.wav,train,a dog barks,animal; dog,esc50,somebody/sounds,rec 1,CC0,5.0"


def write(folder: Path, *lines: str, header: str = ",".join(COLUMNS)) -> Path:
    path = folder / "manifest.csv"
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


def clip(*classes: str) -> Clip:
    return Clip(Path("/clips/a.wav"), "train", "a sound", classes, "group", "source", "", "CC0", 1.0)


def test_a_line_becomes_a_clip_with_an_absolute_path(tmp_path: Path) -> None:
    (found,) = read_manifest(write(tmp_path, LINE))
    assert found.path == tmp_path.resolve() / "dog/a.wav"
    assert found.classes == ("animal", "dog")
    assert (found.split, found.caption, found.group, found.duration_s) == (
        "train",
        "a dog barks",
        "esc50",
        5.0,
    )


def test_a_missing_file_names_itself_and_the_columns(tmp_path: Path) -> None:
    with pytest.raises(HSMError, match=r"no file .*absent.csv.*path, split, caption"):
        read_manifest(tmp_path / "absent.csv")


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    header = ",".join(name for name in COLUMNS if name != "recording")
    with pytest.raises(HSMError, match="lacks recording"):
        read_manifest(write(tmp_path, LINE, header=header))


@pytest.mark.parametrize("length", ["long", "0", "-1", "nan", "inf"])
def test_a_length_that_is_none_is_refused_with_its_line(tmp_path: Path, length: str) -> None:
    with pytest.raises(HSMError, match=r"line 2.*duration_s"):
        read_manifest(write(tmp_path, LINE.replace("5.0", length)))


def test_a_short_line_is_refused_with_its_number(tmp_path: Path) -> None:
    with pytest.raises(HSMError, match="line 3: got no value for classes"):
        read_manifest(write(tmp_path, LINE, "dog/b.wav,train,a dog"))


def test_an_empty_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HSMError, match="lists no clip"):
        read_manifest(write(tmp_path))


def test_clips_conflict_when_the_classes_of_one_are_all_among_the_others() -> None:
    clarinet, piano, music = clip("music", "clarinet"), clip("music", "piano"), clip("music")
    assert not conflict(clarinet, piano)
    assert conflict(clarinet, music)
    assert conflict(music, clarinet)
    assert conflict(clarinet, clarinet)
    assert conflict(clip(), piano), "a clip of which nothing is known may hold anything"
