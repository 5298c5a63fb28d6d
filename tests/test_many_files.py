"""A folder of files of all kinds, some broken, killed in the middle: each is done once and right, or told why not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from mixed_files import make_files
from tiny_weights import save_tiny

from hsm.audio import load_audio


def is_right(source: Path, line: dict[str, Any]) -> bool:
    """Whether target and residual have the input's form and add up to it."""
    mixture, target, residual = (load_audio(path) for path in (source, line["target"], line["residual"]))
    if {(one.rate_hz, one.samples.shape) for one in (target, residual)} != {(mixture.rate_hz, mixture.samples.shape)}:
        return False
    step = 2.0**-16 if line["subtype"] == "PCM_16" else 1e-6  # 8 bits and the like are kept in 16
    return bool(np.abs(target.samples + residual.samples - mixture.samples).max() <= step)


def test_files_of_every_kind_survive_a_kill_in_the_middle(tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    good, bad = make_files(folder, 26, 9)
    command = [sys.executable, "-m", "hsm", "separate", str(folder), "extract the dog barking", "-r", "-o", str(out)]
    command += ["--weights", str(save_tiny(tmp_path / "weights"))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        for _ in range(13):
            process.stdout.readline()
        process.kill()
    done = list(out.rglob("*.json"))
    second = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    lines = {Path(line["file"]): line for line in map(json.loads, second.stdout.splitlines())}
    assert set(lines) == {*good, *bad}
    assert [path.name for path in good if "error" in lines[path] or not is_right(path, lines[path])] == []
    assert [path.name for path in bad if path.name not in lines[path].get("error", "")] == []
    assert sum(bool(line.get("skipped")) for line in lines.values()) == len(done) >= 13 - len(bad)
    assert list(out.rglob(".*.part")) == []
    assert second.returncode == 1
