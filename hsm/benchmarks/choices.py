"""What precision, windows at once and compilation cost and bring, each in a process of its own; on a GPU too."""

from __future__ import annotations

import time
from typing import Any

import torch

from hsm.benchmarks.measuring import alone, fastest_s, peak_bytes, swelling_noise
from hsm.readme import table
from hsm.separator import HSM

SECONDS = 120.0
RUNS = 3
ASKED = "extract the dog barking"
# (precision, windows at once, compiled)
CHOICES = {
    "cpu": (
        ("float32", 1, ""),
        ("float32", 2, ""),
        ("float32", 4, ""),
        ("bfloat16", 2, ""),
        ("float32", 2, "inductor"),
    ),
    "cuda": (("float32", 1, ""), ("bfloat16", 1, ""), ("bfloat16", 16, ""), ("bfloat16", 16, "inductor")),
}


def measure(seconds: float, device: str, precision: str, windows: int, compiler: str) -> dict[str, Any]:
    """Separate a clip in memory with the bundled weights.

    Args:
        seconds: its length, 44.1 kHz stereo.
        device: "cpu" or "cuda".
        precision: of the networks.
        windows: heard and asked at once.
        compiler: see `HSM.load`.

    Returns:
        first_s, the first separation with all that is prepared in it; rtf of the fastest one; peak_mb of this
        process, on a GPU of its memory there.
    """
    model = HSM.load(device=device, precision=precision, compiler=compiler)
    model.windows_at_once = windows
    clip = swelling_noise(seconds, 44_100, 2)
    begin = time.perf_counter()
    model.separate(clip, ASKED)
    first_s = time.perf_counter() - begin
    rtf = fastest_s(lambda: model.separate(clip, ASKED), RUNS) / seconds
    peak = torch.cuda.max_memory_allocated() if device == "cuda" else peak_bytes()
    return {"first_s": first_s, "rtf": rtf, "peak_mb": peak / 1e6}


def run(seconds: float, device: str, threads: int) -> str:
    """Measure the choices of a device.

    Args:
        seconds: length of the clip.
        device: "cpu" or "cuda".
        threads: of the CPU.

    Returns:
        A table; the result is on the CPU before a time is taken, so a GPU's work is all in it.
    """
    rows = []
    for precision, windows, compiler in CHOICES[device]:
        asked = ("--seconds", str(seconds), "--device", device, "--threads", str(threads))
        chosen = ("--precision", precision, "--windows", str(windows), "--compiler", compiler)
        found = alone("choices", "--alone", *asked, *chosen)
        rows.append(
            [
                precision,
                str(windows),
                "yes" if compiler else "no",
                f"{found['first_s']:.1f}",
                f"{found['rtf']:.4f}",
                f"{1 / found['rtf']:.0f}",
                f"{found['peak_mb']:.0f}",
            ]
        )
    head = [
        "precision",
        "windows at once",
        "compiled",
        f"first {seconds:g} s of sound s",
        "real-time factor after that",
    ]
    return table([*head, "times real time", "peak memory MB"], rows)
