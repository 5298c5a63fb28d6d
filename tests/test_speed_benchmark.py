"""The benchmark prints figures; what they are is the machine's affair."""

from __future__ import annotations

import json

import pytest

from hsm.benchmarks.__main__ import main


def test_one_length_is_measured_and_told_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["long_audio", "--alone", "--seconds", "1", "--model", "tiny"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found) == {"seconds", "work_s", "rtf", "peak_mb"}
    assert found["rtf"] > 0
    assert found["peak_mb"] > 0
