"""The benchmarks measure; what the figures are is the machine's affair."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hsm import benchmarks


@pytest.mark.parametrize(
    ("name", "case"), [("long_audio", {"seconds": 1}), ("audiosep", {"system": "HSM", "seconds": 0.3})]
)
def test_a_case_is_measured_here_and_told_as_json(name: str, case: dict, capsys: pytest.CaptureFixture[str]) -> None:
    assert benchmarks.main([name, "--case", json.dumps(case), "--model", "tiny", "--threads", "1"]) == 0
    assert float(json.loads(capsys.readouterr().out)["real-time factor"]) > 0


def test_every_case_becomes_a_row_of_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(benchmarks, "alone", lambda name, case, model, threads: {"sound s": str(case["seconds"])})
    path = tmp_path / "long_audio.json"
    assert benchmarks.main(["long_audio", "--json", str(path), "--threads", "1"]) == 0
    report = json.loads(path.read_text(encoding="utf-8"))
    assert report["table"] == {"head": ["sound s"], "rows": [["1"], ["10"], ["60"], ["300"], ["3600"]]}
    assert "| 3600 |" in capsys.readouterr().out
