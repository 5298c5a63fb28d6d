"""`python -m hsm separate` on files, folders and broken input."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import threading
import time
import types
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile
from coded_files import fill_track

from hsm import HSM, Audio, batch
from hsm import __main__ as command
from hsm.audio.writing import locked, part_name
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
    target = Audio.load(out / "a.extract-the-dog.target.wav")
    assert (target.rate_hz, target.channels, target.length_samples) == (44_100, 2, 44_100)
    assert Audio.load(out / "c.extract-the-dog.residual.wav").rate_hz == 8_000


def test_the_instruction_may_stand_behind_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = noise(tmp_path / "a.wav"), str(tmp_path / "out")
    assert command.main(["separate", str(path), "-o", out, "remove the dog"]) == 0
    assert lines_of(capsys)[0]["operation"] == "remove"
    with pytest.raises(SystemExit):
        command.main(["separate", str(path), "remove the dog", "-o", out, "please"])
    assert "unrecognized arguments: please" in capsys.readouterr().err


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
    (tmp_path / "out" / "b.extract-the-dog.residual.wav").unlink()  # as if the run had been killed between the two
    noise(tmp_path / "in" / "c.wav", 8_000)
    assert command.main(run) == 0
    second = lines_of(capsys)
    assert [bool(line.get("skipped")) for line in second] == [True, False, False]
    assert second[0] == {**first[0], "skipped": True}
    assert command.main([*run[:2], "remove the dog", *run[3:]]) == 0
    third = lines_of(capsys)
    assert not any("skipped" in line for line in third), "another instruction is another request"
    assert all(Path(str(line["target"])).is_file() for line in first + third), "and takes no other's place"


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
        patched.setattr(batch, "_teller", stop_at_b)
        assert command.main(run) == 130
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        f"a.extract-the-dog.{part}" for part in ("json", "residual.wav", "target.wav")
    }
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


def test_whatever_one_file_does_the_others_are_done_and_the_output_is_utf_8(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [b"..wav", b"caf\xe9.wav", "🐶.wav".encode(), b"fine.wav"]
    for name in names:
        noise(tmp_path / "in" / "a.wav").rename(tmp_path / "in" / os.fsdecode(name))
    separate_file = HSM.separate_file

    def fail_once(self: HSM, path: Path, *rest: Any) -> Any:
        if path.name == "🐶.wav":
            raise RuntimeError("a fault of ours: 🐱")
        return separate_file(self, path, *rest)

    monkeypatch.setattr(HSM, "separate_file", fail_once)
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    monkeypatch.setattr(sys, "stdout", terminal)
    assert command.main(["separate", str(tmp_path / "in"), "the dog", "-o", str(tmp_path / "out")]) == 1
    lines = [json.loads(line) for line in terminal.buffer.getvalue().decode("utf-8").splitlines()]  # type: ignore[attr-defined]
    errors = {os.fsencode(Path(line["file"]).name): line.get("error") for line in lines}
    assert errors == {
        **dict.fromkeys(names),
        "🐶.wav".encode(): "RuntimeError: a fault of ours: 🐱",
        b"..wav": None,
    }
    assert all(Path(line["target"]).is_file() for line in lines if "error" not in line)


def test_what_holds_no_sound_is_named_once_and_is_no_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    noise(tmp_path / "in" / "a.wav")
    (tmp_path / "in" / "._a.wav").write_bytes(b"\0\5\x16\7")
    (tmp_path / "in" / "notes.txt").write_text("takes 1 to 3")
    assert command.main(["separate", str(tmp_path / "in"), "the dog", "-o", str(tmp_path / "out")]) == 0
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 1
    assert said.err.splitlines()[0].startswith("computing on ")
    assert "hold no sound (2): ._a.wav, notes.txt" in said.err


def test_a_users_own_file_is_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, own = noise(tmp_path / "a.wav"), tmp_path / "out" / "a.the-dog.residual.wav"
    own.parent.mkdir()
    own.write_text("mine")
    assert command.main(["separate", str(path), "the dog", "-o", str(tmp_path / "out")]) == 1
    assert "no result of ours" in str(lines_of(capsys)[0]["error"])
    assert own.read_text() == "mine"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_work_and_leaves_no_unfinished_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    monkeypatch.setattr(batch, "_teller", lambda name: lambda progress: signal.raise_signal(number))
    with pytest.raises(SystemExit) as ended:
        command.main(["separate", str(noise(tmp_path / "a.wav")), "the dog", "-o", str(tmp_path / "out")])
    assert ended.value.code == 128 + number
    assert not list((tmp_path / "out").iterdir())


def test_what_a_killed_run_left_is_cleared_away_by_the_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, target = noise(tmp_path / "a.wav"), tmp_path / "out" / "a.the-dog.target.wav"
    target.parent.mkdir()
    part_name(target).write_text("half a file")
    target.write_text("whole, but its residual was not written yet")
    part_name(target.with_name("a.the-dog.json"), "begun").touch()
    assert command.main(["separate", str(path), "the dog", "-o", str(tmp_path / "out")]) == 0
    assert {one.suffix for one in target.parent.iterdir()} == {".wav", ".json"}
    assert Audio.load(target).length_samples == 16_000


def test_of_two_processes_on_one_result_the_second_is_told_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = noise(tmp_path / "a.wav"), tmp_path / "out"
    child = os.fork()
    record = out / "a.the-dog.json"
    if child == 0:  # another process, which holds the lock until it is killed
        with locked(record):
            (out / "held").touch()
            time.sleep(60)
        os._exit(0)
    try:
        while not (out / "held").exists():
            time.sleep(0.01)
        request = ["separate", str(path), "the dog", "-o", str(out)]
        assert command.main(request) == 1
        assert "another process is writing this now" in str(lines_of(capsys)[0]["error"])
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert command.main(request) == 0
    assert "skipped" not in lines_of(capsys)[0]


@pytest.mark.parametrize("by", ["-", "a named pipe"])
def test_sound_comes_from_a_pipe_and_goes_into_one(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes], by: str
) -> None:
    content = noise(tmp_path / "a.wav", 44_100, 2).read_bytes()
    if by == "-":
        out_end, in_end = os.pipe()
        kept = os.dup(0)
        os.dup2(out_end, 0)
        os.close(out_end)
        given = "-"
    else:
        given = str(tmp_path / "pipe")
        os.mkfifo(given)

    def feed() -> None:
        with open(in_end if by == "-" else given, "wb") as pipe:
            pipe.write(content)

    feeder = threading.Thread(target=feed)
    feeder.start()
    try:
        assert command.main(["separate", given, "the dog", "-o", "-"]) == 0
    finally:
        feeder.join()
        if by == "-":
            os.dup2(kept, 0)
            os.close(kept)
    said = capsysbinary.readouterr()
    found, rate_hz = soundfile.read(io.BytesIO(said.out), always_2d=True)
    assert (rate_hz, found.shape) == (44_100, (44_100, 2))
    assert json.loads(said.err.splitlines()[-1])["description"] == "dog"


def test_an_end_of_the_reader_is_an_end_without_a_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    moved: list[int] = []
    monkeypatch.setattr(sys, "stdout", Closed())
    monkeypatch.setattr(os, "dup2", lambda _, to: moved.append(to))
    assert command.main(["separate", str(noise(tmp_path / "a.wav")), "the dog", "-o", str(tmp_path / "out")]) == 141
    assert moved == [1]


def test_another_sound_track_can_be_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.mka"
    with av.open(str(path), "w") as container:
        tracks = [container.add_stream("flac", rate=16_000, layout=layout) for layout in ("mono", "stereo")]
        for track, layout in zip(tracks, ("mono", "stereo"), strict=True):
            samples = np.random.default_rng(0).normal(0, 0.1, (1 + (layout == "stereo"), 16_000))
            fill_track(container, track, samples, 16_000, layout)
    run = ["separate", str(path), "the dog", "-o", str(tmp_path / "out")]
    assert command.main(run) == command.main([*run, "--track", "2"]) == 0
    first, second = lines_of(capsys)
    assert (first["warning"], "warning" in second) == ("sound track 1 of 2 was taken", False)
    assert Audio.load(str(second["target"])).channels == 2


def test_the_other_commands_are_reached_by_one_name(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, (module, _) in command.MODULES.items():
        seen: list[list[str]] = []
        stand_in = types.SimpleNamespace(main=lambda given, seen=seen: seen.append(given))
        monkeypatch.setitem(sys.modules, module, stand_in)  # type: ignore[arg-type]
        assert command.main([name, "a", "--b"]) == 0
        assert seen == [["a", "--b"]]
