"""Many files of all kinds, some broken; the command is killed in the middle and started again."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from hsm.audio import load_audio
from hsm.benchmarks.measuring import temporary_folder
from hsm.benchmarks.mixed_files import make_files
from hsm.readme import table

COUNT, BROKEN = 300, 20
ROUNDING = 1e-6  # float32 sums of samples below full scale


def _command(folder: Path, out: Path, weights: Path | None) -> list[str]:
    chosen = ["--weights", str(weights)] if weights is not None else []
    return [
        *(sys.executable, "-m", "hsm", "separate", str(folder), "extract the dog barking"),
        *("-r", "-o", str(out), *chosen),
    ]


def _killed(command: list[str], after: int) -> None:
    """Run until so many lines have come, then kill it without a warning."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        for _ in range(after):
            process.stdout.readline()
        process.kill()


def _is_right(source: Path, line: dict[str, Any]) -> bool:
    """Whether target and residual have the input's form and add up to it."""
    if "error" in line:
        return False
    mixture, target, residual = (load_audio(path) for path in (source, line["target"], line["residual"]))
    if {(one.rate_hz, one.samples.shape) for one in (target, residual)} != {(mixture.rate_hz, mixture.samples.shape)}:
        return False
    steps = 2.0**-16 if line["subtype"] == "PCM_16" else ROUNDING  # 8 bits and the like are kept in 16
    return bool(np.abs(target.samples + residual.samples - mixture.samples).max() <= steps)


def measure(count: int, broken: int, weights: Path | None) -> dict[str, Any]:
    """Make files, separate them with a kill in the middle, and check what is there.

    Args:
        count: files in all.
        broken: how many of them cannot be separated.
        weights: a weight folder; the bundled one where not given.

    Returns:
        files, right (outputs that are as they should be), errors (broken files with an error of their
        own), skipped (done before the kill), again (done before the kill and done again), missing
        (files without a line), left (unfinished files that remained), status and seconds.
    """
    with temporary_folder() as root:
        folder, out = Path(root) / "in", Path(root) / "out"
        folder.mkdir()
        good, bad = make_files(folder, count, broken)
        command = _command(folder, out, weights)
        begin = time.perf_counter()
        _killed(command, count // 2)
        done = {path.relative_to(out).with_suffix("") for path in out.rglob("*.json")}
        second = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
        seconds = time.perf_counter() - begin
        lines = {Path(line["file"]): line for line in map(json.loads, second.stdout.splitlines())}
        skipped = {path for path, line in lines.items() if line.get("skipped")}
        return {
            "files": count,
            "right": sum(path in lines and _is_right(path, lines[path]) for path in good),
            "errors": sum(path in lines and path.name in lines[path].get("error", "") for path in bad),
            "skipped": len(skipped),
            "again": len(done) - len(skipped),
            "missing": len({*good, *bad} - set(lines)),
            "left": sum(1 for _ in out.rglob(".*.part")),
            "status": second.returncode,
            "seconds": seconds,
        }


def run(count: int, broken: int, weights: Path | None) -> str:
    """Measure; see there.

    Args:
        count: files in all.
        broken: how many of them cannot be separated.
        weights: a weight folder; the bundled one where not given.

    Returns:
        A table.
    """
    found = measure(count, broken, weights)
    head = ["files", "of them broken", "right outputs", "clear errors", "done before the kill", "done twice", "missing"]
    keys = ("right", "errors", "skipped", "again", "missing")
    cells = [str(count), str(broken), *(str(found[key]) for key in keys), f"{found['seconds']:.0f}"]
    return table([*head, "seconds"], [cells])
