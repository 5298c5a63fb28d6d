"""Weather, water and fire: sums of very many small events over a bed of noise."""

from __future__ import annotations

import numpy as np
from scipy import signal

from synthesis.common import (
    Wave,
    add_at,
    band_pass,
    curve,
    drift,
    high_pass,
    low_pass,
    noise,
    place,
    resonate,
    samples,
    sparse_hits,
    times,
    unit,
)


def bubble(rng: np.random.Generator, hz: float, rise: float = 0.3) -> Wave:
    """A bubble closing under water: a damped sine (Minnaert) whose pitch rises as it nears the surface."""
    damping = 0.13 * hz + 0.0072 * hz**1.5  # van den Doel's fit to measured bubbles, 1/s
    seconds = times(min(0.25, 7.0 / damping))
    phase = 2 * np.pi * hz * (seconds + rise * damping * seconds**2 / 2)
    return np.sin(phase + rng.uniform(0, 2 * np.pi)) * np.exp(-damping * seconds)


def rain(rng: np.random.Generator, duration_s: float) -> Wave:
    """Steady rain on leaves and paving, stereo: a far bed, near droplets, and drips into puddles."""
    length = samples(duration_s)
    swell = 1 + 0.12 * drift(rng, length, 0.4)
    ears = []
    for _ in range(2):
        bed = band_pass(noise(rng, length, -2.5), 350, 14_000, 1) * swell
        ears.append(0.55 * bed)
    out = np.stack(ears)  # (2, S)
    for _ in range(60):  # kinds of droplet: leaf, stone, gutter ... each falls many times
        centre = 900 * 2 ** rng.uniform(0, 3.6)
        size = samples(rng.uniform(0.002, 0.012))
        kernel = rng.standard_normal(size) * np.exp(-np.arange(size) / (size / 5))
        kernel = resonate(np.pad(kernel, (0, size * 2)), centre, centre * rng.uniform(0.2, 0.8))
        kernel /= np.sqrt(np.sum(kernel**2))
        near = rng.uniform(3, 14)
        hits = sparse_hits(rng, length, near, 0.9) * (2_500 / centre) ** 0.3
        out += place(signal.fftconvolve(hits, kernel)[:length], rng.uniform(-0.9, 0.9)) * 1.6
    for start in np.sort(rng.uniform(0, duration_s, int(9 * duration_s))):
        drop = bubble(rng, 900 * 2 ** rng.uniform(0, 2.2))
        add_at(out, place(drop, rng.uniform(-0.8, 0.8)), start, 0.7 * rng.lognormal(0, 0.6))
    return out


def wind(rng: np.random.Generator, duration_s: float) -> Wave:
    """Gusts around a building, stereo: turbulence and edge tones that rise with the speed."""
    length = samples(duration_s)
    speed = np.exp(0.28 * drift(rng, length, 0.4) + 0.08 * drift(rng, length, 1.5))
    ears = []
    for _ in range(2):
        body = band_pass(noise(rng, length, -4), 70, 900, 1) * speed**1.7
        howl = np.zeros(length)
        for base, level in ((290, 1.0), (430, 0.8), (610, 0.5)):
            centre = base * (0.5 + 0.5 * speed) * (1 + 0.02 * drift(rng, length, 3))
            howl += level * resonate(rng.standard_normal(length), centre, base * 0.3) * speed**2.5
        ears.append(body / body.std() + 3.0 * howl / howl.std())
    return np.stack(ears)


def stream(rng: np.random.Generator, duration_s: float) -> Wave:
    """A brook over stones, stereo: thousands of bubbles in a few spots, over soft rushing."""
    length = samples(duration_s)
    rush = [band_pass(noise(rng, length, -2.5), 400, 8_000, 1) for _ in range(2)]
    out = np.stack([ear * (1 + 0.15 * drift(rng, length, 1.0)) for ear in rush])
    for _ in range(8):  # spots where the water falls
        where, base = rng.uniform(-0.9, 0.9), 650 * 2 ** rng.uniform(0, 1.8)
        spot = np.zeros(length)
        for start in rng.uniform(0, duration_s, int(55 * duration_s)):
            pitch = float(np.clip(base * 2 ** (0.6 * rng.standard_normal()), 450, 7_000))
            add_at(spot, bubble(rng, pitch, 0.1), start, rng.lognormal(-0.3, 0.7) * (900 / pitch) ** 0.7)
        out += place(0.9 * spot * np.clip(1 + 0.35 * drift(rng, length, 1.2), 0.1, None), where)
    return out


def fire(rng: np.random.Generator, duration_s: float) -> Wave:
    """Wood fire: flutter of the flames, hissing sap, and crackles that come in clusters."""
    length = samples(duration_s)
    flutter = low_pass(noise(rng, length, -5), 160) * (1 + 0.3 * drift(rng, length, 8))
    hiss = band_pass(noise(rng, length, -2), 700, 11_000, 1) * np.clip(1 + 0.2 * drift(rng, length, 1), 0.1, None)
    out = 0.045 * flutter / flutter.std() + 0.006 * hiss / hiss.std()
    for start in rng.uniform(0, duration_s, int(11 * duration_s)):
        loud = 0.13 * rng.lognormal(-0.4, 1.1)
        for late in np.concatenate([[0.0], np.cumsum(rng.exponential(0.018, rng.poisson(1.5)))]):
            width_s = rng.uniform(0.0006, 0.004)
            size = samples(width_s * 6)
            snap = rng.standard_normal(size) * np.exp(-np.arange(size) / samples(width_s))
            centre = 900 * 2 ** rng.uniform(0, 2.8)
            snap = unit(resonate(snap, centre, centre * 0.8) + 0.15 * snap)
            add_at(out, snap, start + late, loud * rng.lognormal(0, 0.4))
    return np.tanh(1.2 * out)


def waves(rng: np.random.Generator, duration_s: float) -> Wave:
    """Surf on sand, stereo: each wave rises, breaks, rushes in and draws back hissing."""
    length = samples(duration_s)
    out = np.stack([0.10 * low_pass(noise(rng, length, -3), 900, 1) for _ in range(2)])
    start_s = -1.2
    while start_s < duration_s:
        size_s = rng.uniform(4.2, 5.4)
        height = rng.uniform(0.7, 1.1)
        spread = rng.uniform(-0.5, 0.5)
        roar = curve([(0, 0), (0.22, 0.35), (0.34, 1.0), (0.5, 0.55), (0.75, 0.2), (1, 0)], size_s)
        wash = curve([(0, 0), (0.32, 0.15), (0.48, 1.0), (0.7, 0.6), (1, 0)], size_s)
        for ear, lean in ((0, 1 - spread), (1, 1 + spread)):
            body = high_pass(low_pass(noise(rng, samples(size_s), -3.5), 1_500, 1), 90) * roar
            foam = band_pass(noise(rng, samples(size_s), -3.5), 400, 9_000, 1) * wash
            piece = height * lean * (0.6 * body + 0.55 * foam)
            skip = max(0, -samples(start_s))
            add_at(out[ear], piece[skip:], max(0.0, start_s))
        start_s += rng.uniform(3.0, 4.0)
    return out
