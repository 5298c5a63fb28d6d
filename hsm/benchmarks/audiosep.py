"""A clip of 10 s against AudioSep's network, each in a process of its own, one after the other.

Ours is the whole of a separation: reading the instruction, resampling, networks, filtering. Theirs is
transform, network and inverse transform alone, with random weights: what it costs and not what it can do.
"""

from __future__ import annotations

from typing import Any

import torch

from hsm.benchmarks.measuring import alone, fastest_s, load, peak_bytes, swelling_noise
from hsm.evaluation.baselines.audiosep import ResUNet, ResUNetConfig
from hsm.features import istft, stft
from hsm.readme import table

SYSTEMS = ("hsm", "audiosep")
RATE_HZ = 32_000
RUNS = 5


def measure(system: str, seconds: float, model_name: str) -> dict[str, Any]:
    """Measure one system.

    Args:
        system: one of `SYSTEMS`.
        seconds: length of the clip, 32 kHz mono.
        model_name: see `hsm.benchmarks.measuring.load`.

    Returns:
        first_s and second_s, seconds for a first and for a second instruction on the clip; above_mb and
        working_mb, peak memory above the libraries', and above libraries and weights.
    """
    clip = swelling_noise(seconds, RATE_HZ)
    before = peak_bytes()
    if system == "audiosep":
        config = ResUNetConfig()
        network = ResUNet(config).eval().requires_grad_(False)
        weights = sum(p.nbytes for p in network.parameters())
        wave, description = torch.from_numpy(clip.samples), torch.randn(1, config.condition_width)

        def first() -> torch.Tensor:
            with torch.inference_mode():
                target = network(stft(wave, config.n_fft, config.hop), description)
                return istft(target, wave.shape[1], config.n_fft, config.hop)

        first_s = second_s = fastest_s(first, 2)
    else:
        model = load(model_name)
        networks = [*model.model.modules.values(), model.model.text.module]
        weights = sum(p.nbytes for module in networks for p in module.parameters())
        first_s = fastest_s(lambda: model.separate(clip, "extract the dog barking"), RUNS)
        listened = model.encode(clip)
        second_s = fastest_s(lambda: model.separate(listened, "remove the rain"), RUNS)
    above_mb = (peak_bytes() - before) / 1e6
    return {
        "first_s": first_s,
        "second_s": second_s,
        "above_mb": above_mb,
        "working_mb": above_mb - weights / 1e6,
    }


def run(seconds: float, model_name: str, threads: int) -> str:
    """Measure both; see `measure`.

    Args:
        seconds: length of the clip.
        model_name: see `measure`.
        threads: of the CPU.

    Returns:
        A table and how the two compare.
    """
    found = {}
    for system in SYSTEMS:
        asked = ("--system", system, "--seconds", str(seconds), "--model", model_name, "--threads", str(threads))
        found[system] = alone("audiosep", "--alone", *asked)
    ours, theirs = found["hsm"], found["audiosep"]

    def row(name: str, one: dict[str, Any]) -> list[str]:
        return [
            name,
            f"{one['first_s']:.2f}",
            f"{one['second_s']:.2f}",
            f"{one['first_s'] / seconds:.3f}",
            f"{one['above_mb']:.0f}",
            f"{one['working_mb']:.0f}",
        ]

    head = [f"{seconds:g} s, 32 kHz mono", "first instruction s", "second s", "real-time factor"]
    head += ["peak MB above the libraries'", "and above the weights'"]
    rows = [row("HSM, whole separation", ours), row("AudioSep's network", theirs)]
    compared = (
        f"{theirs['first_s'] / ours['first_s']:.1f} times faster, a second instruction "
        f"{theirs['second_s'] / ours['second_s']:.1f} times; {ours['above_mb'] / theirs['above_mb']:.3f} of the memory."
    )
    return f"{table(head, rows)}\n\n{compared}"
