"""`python -m hsm separate --ray` on a Ray of two cores."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tiny_weights import save_tiny

from hsm import Audio
from hsm import __main__ as command


@pytest.fixture(scope="module")
def _two_cores() -> Iterator[None]:
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install -e '.[cluster]'")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


def noise(path: Path, seed: int) -> Path:
    samples = np.random.default_rng(seed).normal(0, 0.1, (1, 16_000)).astype(np.float32)
    return Audio(samples, 16_000).save(path)


@pytest.mark.usefixtures("_two_cores")
def test_a_cluster_does_what_one_machine_does_and_each_finds_done_what_the_other_did(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed, name in enumerate("acd"):
        noise(tmp_path / "in" / f"{name}.wav", seed)
    (tmp_path / "in" / "b.wav").write_text("not a sound")
    weights = str(save_tiny(tmp_path / "weights"))
    monkeypatch.chdir(tmp_path)

    def lines_of(out: str, *more: str) -> dict[str, dict[str, object]]:
        asked = ["separate", "in", "extract the dog", "--weights", weights, "-o", out, "--precision", "float32"]
        assert command.main([*asked, *more]) == 1
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert len(lines) == 4
        return {Path(line["file"]).stem: line for line in lines}

    there, here = lines_of("there", "--ray", "auto"), lines_of("here")
    assert "not a sound file" in str(there["b"]["error"])
    for name in "acd":
        one, other = (Audio.load(str(lines[name]["target"])) for lines in (there, here))
        assert np.array_equal(one.samples, other.samples)
        assert there[name]["description"] == here[name]["description"]
    assert [bool(lines_of("there")[name].get("skipped")) for name in "abcd"] == [True, False, True, True]
    again = lines_of("here", "--ray", "auto", "--workers", "1")
    assert [bool(again[name].get("skipped")) for name in "abcd"] == [True, False, True, True]
    assert here["a"]["duration_s"] == again["a"]["duration_s"]


def test_without_ray_the_error_says_how_to_install_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert command.main(["separate", str(noise(tmp_path / "a.wav", 0)), "the dog", "--ray", "auto"]) == 2
    assert "pip install -e '.[cluster]'" in capsys.readouterr().err
