"""Real-time factor and peak memory for files of growing length."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from hsm.config import CONFIGS
from hsm.pipeline import HSM
from hsm.streaming import separate_file
from hsm.writing import SoundWriter

LENGTHS_S = (1.0, 10.0, 60.0, 300.0)
HOUR_S = 3_600.0
RATE_HZ, CHANNELS = 44_100, 2
# Linux counts the resident set in KiB, macOS in bytes.
RSS_UNIT = 1 if sys.platform == "darwin" else 1_024


def _noise(path: Path, length_samples: int) -> None:
    """Noise that comes and goes, written second by second."""
    generator = np.random.default_rng(0)
    with SoundWriter(path, RATE_HZ, CHANNELS, "PCM_16", length_samples) as writer:
        for begin in range(0, length_samples, RATE_HZ):
            count = min(RATE_HZ, length_samples - begin)
            swell = 1.2 + np.sin(5 * np.arange(begin, begin + count) / RATE_HZ)
            writer.write((0.1 * swell * generator.standard_normal((CHANNELS, count))).astype(np.float32))


def measure(seconds: float, model_name: str, threads: int) -> None:
    """Separate one file and print one JSON line: seconds, work_s, rtf, peak_mb.

    Args:
        seconds: length of the file.
        model_name: "bundled", or "small" or "tiny" for random weights of that size.
        threads: of the CPU.
    """
    torch.set_num_threads(threads)
    model = HSM.load() if model_name == "bundled" else HSM.untrained(CONFIGS[model_name]())
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{name}.wav" for name in ("mixture", "target", "residual")]
        _noise(paths[0], round(seconds * RATE_HZ))
        begin = time.perf_counter()
        separate_file(model, paths[0], "extract the dog barking", paths[1], paths[2])
        work_s = time.perf_counter() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RSS_UNIT
    print(json.dumps({"seconds": seconds, "work_s": work_s, "rtf": work_s / seconds, "peak_mb": peak / 1e6}))


def run(lengths_s: Sequence[float], model_name: str, threads: int) -> None:
    """Measure every length in a process of its own and print a table.

    Args:
        lengths_s: seconds of sound.
        model_name: see `measure`.
        threads: of the CPU.
    """
    print(f"44.1 kHz stereo, model {model_name}, {threads} thread(s)\n")
    print("| sound s | work s | real-time factor | peak RSS MB |\n| --- | --- | --- | --- |")
    for seconds in lengths_s:
        command = [sys.executable, "-m", "hsm.benchmarks", "long_audio", "--alone"]
        command += ["--seconds", str(seconds), "--model", model_name, "--threads", str(threads)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        found = json.loads(done.stdout.splitlines()[-1])
        print(f"| {seconds:g} | {found['work_s']:.1f} | {found['rtf']:.3f} | {found['peak_mb']:.0f} |", flush=True)
