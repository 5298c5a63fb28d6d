"""What every benchmark needs: a process of its own, its peak memory, a table."""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hsm.config import CONFIGS
from hsm.records import Audio
from hsm.separator import HSM

STATUS = Path("/proc/self/status")
MODELS = ("bundled", "small", "tiny")


def peak_bytes() -> int:
    """Largest memory this process has had at once.

    Linux counts a child's from its parent's where `getrusage` is asked, so its status file is read.
    """
    if STATUS.is_file():
        line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1_024
    unit = 1 if sys.platform == "darwin" else 1_024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def alone(*arguments: str) -> dict[str, Any]:
    """Run one measurement of `hsm.benchmarks` in a process of its own and read the JSON it prints."""
    command = [sys.executable, "-m", "hsm.benchmarks", *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def load(model: str) -> HSM:
    """The model of a name: "bundled", or a configuration's, with random weights."""
    return HSM.load() if model == "bundled" else HSM.untrained(CONFIGS[model])


def swelling_noise(seconds: float, rate_hz: int, channels: int = 1) -> Audio:
    """Noise that comes and goes."""
    times = np.arange(round(seconds * rate_hz)) / rate_hz
    noise = np.random.default_rng(0).standard_normal((channels, times.size))
    return Audio((0.1 * noise * (1.2 + np.sin(5 * times))).astype(np.float32), rate_hz)


def fastest_s(work: Callable[[], object], times: int) -> float:
    """Seconds of the fastest of several runs, a first one not counted."""
    work()
    found = []
    for _ in range(times):
        begin = time.perf_counter()
        work()
        found.append(time.perf_counter() - begin)
    return min(found)


def temporary_folder() -> tempfile.TemporaryDirectory[str]:
    """A folder for what a benchmark writes."""
    return tempfile.TemporaryDirectory(prefix="hsm-benchmark-")


def machine(threads: int) -> str:
    """The processor, in words."""
    names = [line.split(":")[1].strip() for line in _processor_lines() if line.startswith("model name")]
    name = names[0] if names else platform.processor() or platform.machine()
    return f"{name}, {threads} of {os.cpu_count()} cores, PyTorch {torch.__version__}"


def _processor_lines() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.is_file() else []
