"""Real-time factor and peak memory for files of growing length, 44.1 kHz stereo from disk to disk."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hsm.benchmarks.measuring import alone, load, peak_bytes, temporary_folder
from hsm.readme import table
from hsm.writing import SoundWriter

LENGTHS_S = (1.0, 10.0, 60.0, 300.0)
HOUR_S = 3_600.0
RATE_HZ, CHANNELS = 44_100, 2


def _write_noise(path: Path, length_samples: int) -> None:
    """Noise that comes and goes, written second by second."""
    generator = np.random.default_rng(0)
    with SoundWriter(path, RATE_HZ, CHANNELS, "PCM_16", length_samples) as writer:
        for begin in range(0, length_samples, RATE_HZ):
            count = min(RATE_HZ, length_samples - begin)
            swell = 1.2 + np.sin(5 * np.arange(begin, begin + count) / RATE_HZ)
            writer.write((0.1 * swell * generator.standard_normal((CHANNELS, count))).astype(np.float32))


def measure(seconds: float, model_name: str) -> dict[str, Any]:
    """Separate one file.

    Args:
        seconds: length of the file.
        model_name: see `hsm.benchmarks.measuring.load`.

    Returns:
        seconds, work_s, cpu_s (of all threads together), rtf, peak_mb.
    """
    model = load(model_name)
    with temporary_folder() as folder:
        paths = [Path(folder) / f"{name}.wav" for name in ("mixture", "target", "residual")]
        _write_noise(paths[0], round(seconds * RATE_HZ))
        begin, cpu = time.perf_counter(), time.process_time()
        model.separate_file(paths[0], "extract the dog barking", paths[1], paths[2])
        work_s, cpu_s = time.perf_counter() - begin, time.process_time() - cpu
    peak_mb = peak_bytes() / 1e6
    return {"seconds": seconds, "work_s": work_s, "cpu_s": cpu_s, "rtf": work_s / seconds, "peak_mb": peak_mb}


def run(lengths_s: Sequence[float], model_name: str, threads: int) -> str:
    """Measure every length in a process of its own.

    Args:
        lengths_s: seconds of sound.
        model_name: see `measure`.
        threads: of the CPU.

    Returns:
        A table.
    """
    rows = []
    for seconds in lengths_s:
        asked = ("--seconds", str(seconds), "--model", model_name, "--threads", str(threads))
        found = alone("long_audio", "--alone", *asked)
        rows.append(
            [
                f"{seconds:g}",
                f"{found['work_s']:.1f}",
                f"{found['rtf']:.3f}",
                f"{found['cpu_s']:.1f}",
                f"{found['peak_mb']:.0f}",
            ]
        )
    return table(["sound s", "work s", "real-time factor", "CPU s", "peak memory MB"], rows)
