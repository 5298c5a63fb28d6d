"""`python -m hsm separate` on files, folders and broken input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hsm import HSM, Audio, bulk
from hsm import __main__ as command
from hsm.instruction.language_model import with_language_model


@pytest.fixture(autouse=True)
def _tiny_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HSM, "load", staticmethod(lambda *_, **__: HSM.tiny()))


def noise(path: Path, rate_hz: int = 16_000, channels: int = 1) -> Path:
    samples = np.random.default_rng(0).normal(0, 0.1, (channels, rate_hz)).astype(np.float32)
    return Audio(samples, rate_hz).save(path)


def test_a_folder_is_separated_file_by_file_and_a_broken_one_does_not_stop_the_rest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mixtures, out = tmp_path / "in", tmp_path / "out"
    noise(mixtures / "a.wav", 44_100, 2)
    (mixtures / "b.wav").write_text("not a sound")
    noise(mixtures / "c.flac", 8_000)
    assert command.main(["separate", str(mixtures), "extract the dog", "-o", str(out)]) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [Path(line["file"]).name for line in lines] == ["a.wav", "b.wav", "c.flac"]
    assert "not a sound file" in lines[1]["error"]
    target = Audio.load(out / "a.target.wav")
    assert (target.rate_hz, target.channels, target.length_samples) == (44_100, 2, 44_100)
    assert Audio.load(out / "c.residual.wav").rate_hz == 8_000


def test_an_instruction_that_names_no_sound_fails_once_and_with_status_two(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    noise(tmp_path / "a.wav")
    assert command.main(["separate", str(tmp_path), "please"]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: ")


def test_an_empty_folder_is_an_error_that_says_what_is_wanted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["separate", str(tmp_path), "the dog"]) == 2
    assert ".flac" in capsys.readouterr().err


def lines_of(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_second_run_skips_what_is_whole_and_does_again_what_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a", "b", "c"):
        noise(tmp_path / "in" / f"{name}.wav")
    run = ["separate", str(tmp_path / "in"), "extract the dog", "-o", str(tmp_path / "out")]
    assert command.main(run) == 0
    first = lines_of(capsys)
    (tmp_path / "out" / "b.residual.wav").unlink()  # as if the run had been killed between the two
    noise(tmp_path / "in" / "c.wav", 8_000)
    assert command.main(run) == 0
    second = lines_of(capsys)
    assert [bool(line.get("skipped")) for line in second] == [True, False, False]
    assert second[0] == {**first[0], "skipped": True}
    assert command.main([*run[:2], "remove the dog", *run[3:]]) == 0
    assert not any("skipped" in line for line in lines_of(capsys)), "another instruction is another request"


def test_an_interrupt_leaves_no_half_file_and_the_next_run_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        noise(tmp_path / "in" / f"{name}.wav")
    run = ["separate", str(tmp_path / "in"), "extract the dog", "-o", str(tmp_path / "out")]

    def stop_at_b(name: str):  # type: ignore[no-untyped-def]
        def tell(_: object) -> None:
            if name == "b.wav":
                raise KeyboardInterrupt

        return tell

    with monkeypatch.context() as patched:
        patched.setattr(bulk, "_teller", stop_at_b)
        assert command.main(run) == 130
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a.json", "a.residual.wav", "a.target.wav"}
    capsys.readouterr()
    assert command.main(run) == 0
    assert [bool(line.get("skipped")) for line in lines_of(capsys)] == [True, False]


def test_a_list_separates_each_row_and_a_bad_one_does_not_stop_the_rest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    noise(tmp_path / "x" / "a.wav")
    noise(tmp_path / "y" / "a.wav")
    (tmp_path / "list.csv").write_text(
        "file,instruction\nx/a.wav,extract the dog\nmissing.wav,the dog\n"
        "x/a.wav,\ny/a.wav,please\ny/a.wav,remove rain\n"
    )
    assert command.main(["separate", str(tmp_path / "list.csv"), "-o", str(tmp_path / "out")]) == 1
    lines = lines_of(capsys)
    assert ["error" in line for line in lines] == [False, True, True, True, False]
    assert (lines[0]["operation"], lines[4]["operation"]) == ("extract", "remove")
    assert lines[0]["target"] != lines[4]["target"]
    assert all(Path(str(lines[row]["target"])).is_file() for row in (0, 4))


def test_a_result_of_another_file_is_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder, status in (("x", 0), ("y", 1)):
        path = noise(tmp_path / folder / "a.wav")
        assert command.main(["separate", str(path), "the dog", "-o", str(tmp_path / "out")]) == status
    assert "choose another folder" in str(lines_of(capsys)[1]["error"])


def load_with_language_model(*given: str, **_: str) -> HSM:
    """The tiny model with the parser that the command line asked for."""
    _, _, name, url = given
    model = HSM.tiny()
    model.parser = with_language_model(model.parser, name, url)
    return model


def test_a_language_model_reads_the_instruction_and_its_failure_is_told_in_the_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, stub: Any
) -> None:
    monkeypatch.setattr(HSM, "load", staticmethod(load_with_language_model))
    mixture = noise(tmp_path / "a.wav")
    url = f"http://127.0.0.1:{stub.server_port}/v1"
    request = ["separate", str(mixture), "remove the dog", "-o", str(tmp_path / "out"), "--language-model", "stub"]
    stub.content = '{"operation": "extract", "description": "owl"}'
    assert command.main([*request, "--language-model-url", url]) == 0
    (read,) = lines_of(capsys)
    assert (read["operation"], read["description"]) == ("extract", "owl")
    assert "note" not in read
    assert command.main([*request, "--language-model-url", "http://127.0.0.1:9"]) == 0
    (failed,) = lines_of(capsys)
    assert (failed["operation"], failed["description"]) == ("remove", "dog")
    assert "stub was not used" in str(failed["note"])


def test_an_instruction_that_is_not_english_is_told_in_the_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        command.main(["separate", str(noise(tmp_path / "a.wav")), "entferne den Hund bitte", "-o", str(tmp_path)]) == 0
    )
    assert "German" in str(lines_of(capsys)[0]["note"])


def test_precision_and_compiler_reach_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, str]] = []

    def load(*_: str, **given: str) -> HSM:
        seen.append(given)
        return HSM.tiny()

    monkeypatch.setattr(HSM, "load", staticmethod(load))
    asked = [str(noise(tmp_path / "a.wav")), "extract the dog", "-o", str(tmp_path / "out")]
    assert command.main(["separate", *asked]) == 0
    assert command.main(["separate", *asked, "--precision", "bfloat16", "--compile"]) == 0
    assert seen == [{"precision": "", "compiler": ""}, {"precision": "bfloat16", "compiler": "inductor"}]
