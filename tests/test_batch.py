"""What a command line stands for, and where results go."""

from __future__ import annotations

from pathlib import Path

import pytest
from coded_files import coded

from hsm import HSMError
from hsm.audio.writing import part_name
from hsm.batch import find_jobs

OUT = Path("nowhere")
MORE_ENDINGS = ("oga", "m4b", "aifc", "mpg", "ts", "mp2", "ogv", "flv", "eac3", "spx", "wv", "ape", "tta", "dsf")


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def stems(given: Path | str, **choices: bool) -> list[str]:
    jobs, _ = find_jobs(str(given), "the dog", OUT, **choices)
    assert all(job.stem.endswith(".the-dog") for job in jobs)
    return [job.stem.removesuffix(".the-dog") for job in jobs]


def test_a_file_is_itself_also_where_its_name_looks_like_a_pattern(tmp_path: Path) -> None:
    touch(tmp_path, "take [1].wav")
    assert stems(tmp_path / "take [1].wav") == ["take [1]"]


def test_a_folder_is_its_sounds_and_recursively_those_below(tmp_path: Path) -> None:
    touch(tmp_path, "b.wav", "a.M4A", "notes.txt", "more/b.wav", "more/deep/c.oga")
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
    results = [f"a.the-dog.{part}" for part in ("target.wav", "residual.wav", "json")]
    touch(
        tmp_path,
        "a.wav",
        "my.target.wav",
        part_name(tmp_path / "b", "begun").name,
        *results,
        *(f"other/{name}" for name in results),
    )
    jobs, skipped = find_jobs(str(tmp_path), "the dog", tmp_path / "new", recursive=True)
    assert ([job.file.name for job in jobs], skipped) == (["a.wav", "my.target.wav"], [])


def test_a_folder_gives_what_is_sound_by_its_content_and_tells_what_is_not(tmp_path: Path) -> None:
    names = [f"{i}.{ending}" for i, ending in enumerate(MORE_ENDINGS)]
    touch(tmp_path, *names, "notes.txt", "._x.wav", "cover.jpg")
    coded(tmp_path / "a.mka", "flac").rename(tmp_path / "sound without an ending")
    jobs, skipped = find_jobs(str(tmp_path), "the dog", OUT)
    assert {job.file.name for job in jobs} == {*names, "sound without an ending"}
    assert {path.name for path in skipped} == {"notes.txt", "._x.wav", "cover.jpg"}


def test_an_instruction_is_a_part_of_the_name_and_no_two_share_one(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav")

    def name(instruction: str) -> str:
        return find_jobs(str(tmp_path / "a.wav"), instruction, OUT)[0][0].stem

    assert name("Remove the dog.") == name("remove the dog") == "a.remove-the-dog"
    others = [
        "remove the dog",
        "remove, the dog",
        "remove the dog!?",
        "remove the dog " * 20,
        "🐶",
        "🐱",
        "犬の声",
        "犬" * 90,
    ]
    names = {name(other) for other in others}
    assert len(names) == len(others) - 1, "a mark at the end asks for nothing else"
    assert all(len(f"{one}.residual.flac".encode()) <= 255 for one in names)


@pytest.mark.parametrize("stem", ["鳴" * 80, "a" * 240, "", "é" * 120, "\udce9" * 200])
def test_names_too_long_for_a_results_name_are_shortened_and_stay_different(tmp_path: Path, stem: str) -> None:
    names = set()
    for last in "xy":
        (job,), _ = find_jobs(str(tmp_path / f"{stem}{last}.wav"), "remove the dog", OUT)
        names.add(job.stem)
        (tmp_path / f"{job.stem}.residual.flac").touch()
    (dots,), _ = find_jobs(str(tmp_path / "..wav"), "remove the dog", OUT)
    (tmp_path / f"{dots.stem}.target.wav").touch()
    assert len(names) == 2


def test_a_folder_named_like_a_list_is_a_folder(tmp_path: Path) -> None:
    touch(tmp_path, "x.csv/a.wav")
    assert stems(tmp_path / "x.csv") == ["a"]


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
        "y/\0.wav,extract rain",
    )
    jobs, _ = find_jobs(path, None, OUT)
    assert jobs[0].file == tmp_path / "x" / "a.wav"
    faults = [job.fault for job in jobs]
    assert [bool(fault) for fault in faults] == [False, True, True, True, False, True, False, True]
    for fault, told in zip(
        (faults[1], faults[2], faults[3], faults[5], faults[7]),
        (
            "line 3: no file",
            "line 4: no instruction",
            "line 5: more values",
            "line 7: the same as line 6",
            "line 9: a NUL",
        ),
        strict=True,
    ):
        assert told in fault
    names = [job.stem for job in jobs if not job.fault]
    assert names[0].startswith("x/a.remove-the-dog-please-")
    assert names[1:] == ["x/a.extract-rain", "y/a.extract-rain"]


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
