"""`python -m hsm separate` on files, folders and broken input."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hsm import HSM, Audio
from hsm import __main__ as command


@pytest.fixture(autouse=True)
def _tiny_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HSM, "load", staticmethod(lambda *_: HSM.tiny()))


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
    assert capsys.readouterr().err.startswith("error: ")


def test_an_empty_folder_is_an_error_that_says_what_is_wanted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["separate", str(tmp_path), "the dog"]) == 2
    assert ".flac" in capsys.readouterr().err
