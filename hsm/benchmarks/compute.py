"""What a second of sound costs in multiplications, and how close to the machine's matrix product rate it runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from hsm.benchmarks.measuring import alone, fastest_s, swelling_noise
from hsm.config import CONFIGS
from hsm.features import WINDOW_S
from hsm.readme import table
from hsm.separator import HSM
from hsm.text import TextConfig

SIDE = 2_048
RUNS = 3
ASKED = "extract the dog barking"


def matmul_rate() -> float:
    """Floating-point operations a second in a large product of two fp32 matrices."""
    a, b = torch.randn(SIDE, SIDE), torch.randn(SIDE, SIDE)
    return 2 * SIDE**3 / fastest_s(lambda: a @ b, RUNS)


def measure(config_name: str) -> dict[str, Any]:
    """Count and time one window of a configuration, random weights and a small text encoder in place of its own.

    Args:
        config_name: "paper", "small" or "tiny".

    Returns:
        parameters; flop and work_s a second of sound; rate, operations a second; matmul, the machine's.
    """
    config = CONFIGS[config_name]
    model = HSM.untrained(replace(config, text=TextConfig("tiny", config.text.width)))
    clip = swelling_noise(WINDOW_S, 16_000)
    with FlopCounterMode(display=False) as counter:
        model.separate(clip, ASKED)
    work_s = fastest_s(lambda: model.separate(clip, ASKED), RUNS)
    return {
        "parameters": sum(p.numel() for module in model.model.modules.values() for p in module.parameters()),
        "flop": counter.get_total_flops() / WINDOW_S,
        "work_s": work_s / WINDOW_S,
        "rate": counter.get_total_flops() / work_s,
        "matmul": matmul_rate(),
    }


def run(config_names: Sequence[str], threads: int) -> str:
    """Measure configurations, each in a process of its own.

    Args:
        config_names: see `measure`.
        threads: of the CPU.

    Returns:
        A table.
    """
    rows = []
    for name in config_names:
        found = alone("compute", "--alone", "--config", name, "--threads", str(threads))
        rows.append(
            [
                name,
                f"{found['parameters'] / 1e6:.0f}",
                f"{found['flop'] / 1e9:.1f}",
                f"{found['work_s']:.3f}",
                f"{found['rate'] / 1e9:.0f}",
                f"{found['matmul'] / 1e9:.0f}",
                f"{100 * found['rate'] / found['matmul']:.0f} %",
            ]
        )
    head = ["configuration", "parameters M", "GFLOP a second of sound", "s a second of sound"]
    return table([*head, "GFLOP/s", "matrix product GFLOP/s", "share"], rows)
