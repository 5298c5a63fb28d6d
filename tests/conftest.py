"""What all tests share: one thread, no network, a tiny model and sounds made on the spot."""

from __future__ import annotations

import os
from collections.abc import Callable

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # before transformers is imported: no test waits for a network

import numpy as np
import pytest
import torch

from hsm import HSM, Audio

torch.set_num_threads(1)  # networks this small only lose time with more

MakeSound = Callable[..., Audio]


@pytest.fixture(scope="session")
def tiny_model() -> HSM:
    """A random tiny model; nobody may change it."""
    return HSM.tiny()


@pytest.fixture(scope="session")
def make_sound() -> MakeSound:
    """Noise that comes and goes, different in every channel: (duration_s, rate_hz, channels, seed)."""

    def make(duration_s: float, rate_hz: int = 16_000, channels: int = 1, seed: int = 0) -> Audio:
        times = np.arange(round(duration_s * rate_hz)) / rate_hz
        noise = np.random.default_rng(seed).standard_normal((channels, times.size))
        return Audio((0.1 * noise * (1.2 + np.sin(5 * times))).astype(np.float32), rate_hz)

    return make
