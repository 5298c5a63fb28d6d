"""From a cold start to the first answer: imports, weights, a separation of one second."""

from __future__ import annotations

import itertools
import subprocess
import sys
import time
from typing import Any

from hsm.benchmarks.measuring import alone, load, swelling_noise
from hsm.readme import table

IMPORTS = "import time; t = time.perf_counter(); import hsm.separator; print(time.perf_counter() - t)"


def measure(model_name: str) -> dict[str, Any]:
    """Load a model (see `hsm.benchmarks.measuring.load`) and ask it once: load_s, first_s, next_s."""
    clip = swelling_noise(1.0, 44_100, 2)
    times = [time.perf_counter()]
    model = load(model_name)
    times.append(time.perf_counter())
    for _ in range(2):
        model.separate(clip, "extract the dog barking")
        times.append(time.perf_counter())
    return dict(
        zip(
            ("load_s", "first_s", "next_s"),
            (end - begin for begin, end in itertools.pairwise(times)),
            strict=True,
        )
    )


def run(model_name: str, threads: int) -> str:
    """Measure; the files are in the system's cache, since Python has read them once.

    Args:
        model_name: see `measure`.
        threads: of the CPU.

    Returns:
        A table.
    """
    command = [sys.executable, "-c", IMPORTS]
    for _ in range(2):
        imports = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    found = alone("start_up", "--alone", "--model", model_name, "--threads", str(threads))
    cells = [float(imports), found["load_s"], found["first_s"], found["next_s"]]
    head = ["imports s", "weights s", "first separation of 1 s", "the next one"]
    return table(head, [[f"{cell:.2f}" for cell in cells]])
