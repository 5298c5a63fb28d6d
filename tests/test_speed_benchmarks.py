"""The benchmarks print figures; what the figures are is the machine's affair, but files must come out right."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_weights import save_tiny

from hsm.benchmarks import audiosep, many_files
from hsm.benchmarks.__main__ import main
from hsm.evaluation.baselines.audiosep import ResUNetConfig


def test_one_length_is_measured_and_told_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["long_audio", "--alone", "--seconds", "1", "--model", "tiny", "--threads", "1"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found) == {"seconds", "work_s", "cpu_s", "rtf", "peak_mb"}
    assert min(found.values()) > 0


@pytest.mark.parametrize("system", audiosep.SYSTEMS)
def test_both_systems_are_measured_alike(system: str, monkeypatch: pytest.MonkeyPatch) -> None:
    small = ResUNetConfig(n_fft=64, hop=16, widths=(2, 4), condition_width=4)
    monkeypatch.setattr(audiosep, "ResUNetConfig", lambda: small)
    found = audiosep.measure(system, 0.3, "tiny")
    assert set(found) == {"first_s", "second_s", "above_mb", "working_mb"}
    assert found["first_s"] > 0


def test_a_choice_is_measured_with_the_bundled_weights(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["--seconds", "0.5", "--windows", "2", "--precision", "float32", "--threads", "1"]
    assert main(["choices", "--alone", *asked]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found) == {"first_s", "rtf", "peak_mb"}
    assert min(found.values()) > 0


def test_a_windows_operations_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compute", "--alone", "--config", "tiny", "--threads", "1"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["flop"] > 1e6
    assert found["matmul"] > found["rate"] > 0


def test_a_table_goes_between_its_marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "README.md"
    page.write_text("before\n<!-- benchmark:many_files -->\nold\n<!-- /benchmark:many_files -->\nafter\n")
    monkeypatch.setattr(many_files, "run", lambda *_: "| new |")
    assert main(["many_files", "--readme", str(page), "--threads", "1"]) == 0
    assert "old" not in page.read_text()
    assert "| new |" in page.read_text()
    page.write_text("no marks")
    assert main(["many_files", "--readme", str(page), "--threads", "1"]) == 2


def test_files_of_every_kind_survive_a_kill_in_the_middle(tmp_path: Path) -> None:
    found = many_files.measure(27, 10, save_tiny(tmp_path / "weights"))
    assert found["right"] == 17
    assert found["errors"] == 10
    assert (found["again"], found["missing"], found["left"]) == (0, 0, 0)
    assert found["skipped"] >= 27 // 2 - 10
    assert found["status"] == 1
