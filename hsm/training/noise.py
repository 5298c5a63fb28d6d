"""Noises that recordings suffer from, synthesised, so that each is new."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hsm.features import RATE_HZ
from hsm.manifest import Clip

SLOPES = {"white noise": 0.0, "pink noise": -0.5, "brown noise": -1.0}  # amplitude goes with frequency to the power of
CLASSES = {
    **{name: ("noise", name) for name in SLOPES},
    "hiss": ("noise", "hiss"),
    "mains hum": ("noise", "mains hum"),
    "clicks": ("noise", "clicks"),
    "wind noise": ("wind",),
}
GROUP = "synthesised noise"
NOISES = [Clip(Path(name), "", name, classes, GROUP, "", "", "", 1.0) for name, classes in CLASSES.items()]


def _coloured(
    samples: int, slope: float, rng: np.random.Generator, low_hz: float = 20, high_hz: float = 8e3
) -> np.ndarray:
    """Gaussian noise between two frequencies: (S,)."""
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    hz = np.fft.rfftfreq(samples, 1 / RATE_HZ)
    gain = np.maximum(hz, 20.0) ** slope / (1 + (low_hz / np.maximum(hz, 1.0)) ** 4) / (1 + (hz / high_hz) ** 8)
    return np.fft.irfft(spectrum * gain, n=samples)


def synthesise(name: str, samples: int, rng: np.random.Generator) -> np.ndarray:
    """A noise of `CLASSES` at unit RMS: (S,) float32 at 16 kHz."""
    time_s = np.arange(samples) / RATE_HZ
    if name in SLOPES:
        wave = _coloured(samples, SLOPES[name] + rng.uniform(-0.1, 0.1), rng)
    elif name == "hiss":
        wave = _coloured(samples, rng.uniform(0, 0.5), rng, low_hz=rng.uniform(1_500, 4_000))
    elif name == "mains hum":
        orders = np.arange(1, int(rng.integers(4, 30)))
        amplitudes = orders ** -rng.uniform(0.5, 2.0) * rng.uniform(0.1, 1.0, len(orders))
        amplitudes[1::2] *= rng.uniform(0, 1.5)  # even orders come from rectifiers, or do not
        phases = rng.uniform(0, 2 * np.pi, len(orders))
        mains_hz = rng.choice([50.0, 60.0])
        wave = amplitudes @ np.sin(2 * np.pi * mains_hz * orders[:, None] * time_s + phases[:, None])
    elif name == "clicks":
        wave = np.zeros(samples)
        count = 1 + rng.poisson(rng.choice([3, 15, 60]) * samples / RATE_HZ)
        wave[rng.integers(0, samples, count)] = rng.standard_normal(count) * 10 ** rng.uniform(-1, 0, count)
        decay = np.exp(-time_s[:160] / rng.uniform(1e-4, 1e-3)) * np.cos(rng.uniform(0, 3) * np.arange(160)[:samples])
        wave = np.convolve(wave, decay)[:samples]
    else:  # wind: gusts of rumble
        gusts = _coloured(samples, -1.0, rng, low_hz=0.1, high_hz=rng.uniform(0.5, 2.0))
        loudness = np.exp(rng.uniform(0.5, 1.2) * (gusts - gusts.mean()) / (gusts.std() + 1e-9))
        wave = _coloured(samples, rng.uniform(-1.2, -0.6), rng, high_hz=rng.uniform(300, 1_200)) * loudness
    return (wave / (np.sqrt(np.mean(wave**2)) + 1e-9)).astype(np.float32)
