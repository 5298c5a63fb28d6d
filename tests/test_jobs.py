"""What a command line stands for, and where results go."""

from __future__ import annotations

from pathlib import Path

import pytest

from hsm import HSMError
from hsm.jobs import find_jobs

OUT = Path("nowhere")


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def stems(given: Path | str, **choices: bool) -> list[str]:
    return [job.stem.as_posix() for job in find_jobs(str(given), "the dog", OUT, **choices)]


def test_a_file_is_itself_also_where_its_name_looks_like_a_pattern(tmp_path: Path) -> None:
    touch(tmp_path, "take [1].wav")
    assert stems(tmp_path / "take [1].wav") == ["take [1]"]


def test_a_folder_is_its_sounds_and_recursively_those_below(tmp_path: Path) -> None:
    touch(tmp_path, "b.wav", "a.M4A", "notes.txt", "more/b.wav", "more/deep/c.mp4")
    assert stems(tmp_path) == ["a", "b"]
    assert stems(tmp_path, recursive=True) == ["a", "b", "more/b", "more/deep/c"]


def test_a_pattern_is_what_it_fits_named_below_its_fixed_part(tmp_path: Path) -> None:
    touch(tmp_path, "one/a.wav", "two/a.wav", "two/b.flac")
    assert stems(tmp_path / "*" / "a.wav") == ["one/a", "two/a"]
    assert stems(tmp_path / "two" / "*.*") == ["a", "b"]
    assert stems(tmp_path / "**" / "*.flac") == ["two/b"]
    with pytest.raises(HSMError, match="fits no file"):
        stems(tmp_path / "*.ogg")


def test_files_of_one_stem_keep_their_endings(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav", "A.flac", "b.wav")
    assert stems(tmp_path) == ["A.flac", "a.wav", "b"]


def test_results_of_an_earlier_run_are_not_mixtures(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav", "a.target.wav", "out/a.residual.wav")
    jobs = find_jobs(str(tmp_path), "the dog", tmp_path, recursive=True)
    assert [job.file.name for job in jobs] == ["a.wav"]


def listed(folder: Path, *lines: str) -> str:
    (folder / "list.csv").write_text("\n".join(lines), encoding="utf-8-sig")
    return str(folder / "list.csv")


def test_a_list_has_an_instruction_a_row_and_faulty_rows_say_why(tmp_path: Path) -> None:
    path = listed(
        tmp_path,
        "file,instruction",
        'x/a.wav,"remove the dog, please"',
        ",remove the dog",
        "y/a.wav,",
        "y/a.wav,keep,the dog",
        "x/a.wav,extract rain",
        "x/a.wav,extract rain",
        "y/a.wav,extract rain",
    )
    jobs = find_jobs(path, None, OUT)
    assert jobs[0].file == tmp_path / "x" / "a.wav"
    faults = [job.fault for job in jobs]
    assert [bool(fault) for fault in faults] == [False, True, True, True, False, True, False]
    for fault, told in zip(
        (faults[1], faults[2], faults[3], faults[5]),
        ("line 3: no file", "line 4: no instruction", "line 5: more values", "line 7: the same as line 6"),
        strict=True,
    ):
        assert told in fault
    names = [job.stem.as_posix() for job in jobs if not job.fault]
    assert names[0].startswith("x/a.remove-the-dog-please-")
    assert names[1].startswith("x/a.extract-rain-")
    assert names[2] == "y/a"


@pytest.mark.parametrize(
    ("lines", "instruction", "told"),
    [
        (["file,wish", "a.wav,dog"], None, "got the columns"),
        (["file,instruction"], None, "no rows"),
        (["file,instruction", "a.wav,dog"], "the dog", "give none beside it"),
    ],
)
def test_a_list_that_cannot_be_used_is_refused(
    tmp_path: Path, lines: list[str], instruction: str | None, told: str
) -> None:
    with pytest.raises(HSMError, match=told):
        find_jobs(listed(tmp_path, *lines), instruction, OUT)


def test_a_file_without_an_instruction_is_refused() -> None:
    with pytest.raises(HSMError, match="instruction: got none"):
        find_jobs("a.wav", None, OUT)
