"""Things people made: siren, engine, church bells, clock."""

from __future__ import annotations

import numpy as np
from scipy import signal

from synthesis.common import (
    RATE_HZ,
    Wave,
    add_at,
    band_pass,
    curve,
    drift,
    high_pass,
    low_pass,
    noise,
    resonate,
    samples,
    times,
    unit,
)


def siren(rng: np.random.Generator, duration_s: float, passing_s: float) -> Wave:
    """A wailing electronic siren on a car that passes at `passing_s`: horn, Doppler, distance."""
    seconds = times(duration_s)
    speed, nearest_m, sound = 13.0, 14.0, 343.0
    along = speed * (seconds - passing_s)
    distance = np.hypot(along, nearest_m)
    doppler = sound / (sound + speed * along / distance)
    sweep = 0.5 - 0.5 * np.cos(2 * np.pi * (seconds / 2.9 + rng.random()))
    pitch = (620 + 830 * sweep**0.8) * doppler * (1 + 0.002 * drift(rng, len(seconds), 20))
    phase = np.cumsum(pitch) / RATE_HZ
    tone = sum(np.sin(2 * np.pi * k * phase) / k**0.9 for k in range(1, 9))
    horn = resonate(tone, 1_250.0, 900) + 0.8 * resonate(tone, 2_700.0, 1_200) + 0.1 * tone
    return unit(np.tanh(1.5 * unit(horn)) * nearest_m / distance)


def engine(rng: np.random.Generator, duration_s: float, revs: list[tuple[float, float]]) -> Wave:
    """A four-cylinder diesel: uneven firing through an exhaust, valve clatter, and air.

    Args:
        rng: draws the unevenness.
        duration_s: length.
        revs: line of revolutions a minute as (position from 0 to 1, rpm).

    Returns:
        The sound.
    """
    length = samples(duration_s)
    rpm = curve(revs, duration_s) * (1 + 0.015 * drift(rng, length, 2.5))
    firing = np.cumsum(rpm / 60 * 2) / RATE_HZ  # two firings a revolution
    number = np.floor(firing).astype(int)
    starts = np.flatnonzero(np.diff(number, prepend=-1))
    cylinder = np.array([1.0, 0.82, 1.1, 0.9])
    hits = np.zeros(length)
    clatter = np.zeros(length)
    for k, start in enumerate(starts):
        jitter = int(rng.normal(0, 0.0012 * RATE_HZ))
        at = int(np.clip(start + jitter, 0, length - 1))
        hits[at] = cylinder[k % 4] * rng.uniform(0.8, 1.2)
        size = samples(0.009)
        tick = rng.standard_normal(size) * np.exp(-np.arange(size) / samples(0.0018))
        add_at(clatter, tick, at / RATE_HZ, rng.uniform(0.5, 1.2) * cylinder[k % 4])
    size = samples(0.06)
    puff = low_pass(rng.standard_normal(size), 900, 1) * np.exp(-np.arange(size) / samples(0.012))
    exhaust = signal.fftconvolve(hits, puff)[:length]
    body = np.sum(
        [
            g * resonate(exhaust, f, w)
            for f, w, g in ((62.0, 25, 1.6), (118.0, 40, 1.2), (240.0, 90, 0.9), (520.0, 200, 0.6))
        ],
        axis=0,
    )
    knock = np.sum(
        [g * resonate(clatter, f, w) for f, w, g in ((900.0, 300, 0.9), (1_900.0, 500, 0.8), (3_400.0, 900, 0.6))],
        axis=0,
    )
    air = band_pass(noise(rng, length, -3), 150, 5_000, 1)
    load = 0.7 + 0.6 * (rpm / rpm.max()) ** 2
    out = (body / body.std() + 0.4 * knock / knock.std() + 0.22 * air / air.std()) * load
    return out + 2.0 * high_pass(out, 800, 1)  # heard from the street, the clatter carries


def bell(rng: np.random.Generator, note_hz: float, length_s: float) -> Wave:
    """One stroke of a church bell: hum, prime, tierce, quint, nominal and above, each a beating pair."""
    ratios = (0.5, 1.0, 1.19, 1.5, 2.0, 2.52, 2.67, 3.01, 4.03, 5.14, 6.31, 7.55, 8.9, 10.2, 11.6, 13.1)
    levels = (0.35, 0.6, 0.7, 0.3, 1.0, 0.35, 0.45, 0.8, 0.7, 0.55, 0.42, 0.34, 0.26, 0.2, 0.15, 0.1)
    decays_s = (7.0, 4.5, 4.0, 2.2, 3.2, 1.9, 1.9, 2.2, 1.7, 1.3, 1.0, 0.8, 0.6, 0.5, 0.4, 0.3)
    seconds = times(length_s)
    out = np.zeros_like(seconds)
    for ratio, level, decay_s in zip(ratios, levels, decays_s, strict=True):
        for side in (-1, 1):
            hz = note_hz * ratio * (1 + side * rng.uniform(0.0003, 0.0016))
            partial = np.sin(2 * np.pi * hz * seconds + rng.uniform(0, 2 * np.pi)) * np.exp(-seconds / decay_s)
            out += level * rng.uniform(0.35, 0.65) * partial
    clapper = band_pass(rng.standard_normal(samples(0.03)), 1_200, 9_000, 1) * np.exp(-times(0.03) / 0.004)
    add_at(out, clapper, 0.0, 1.2)
    out[: samples(0.002)] *= np.linspace(0, 1, samples(0.002))
    return out


def church_bells(rng: np.random.Generator, duration_s: float, strokes: list[tuple[float, float]]) -> Wave:
    """Strokes (start in s, strike note in Hz)."""
    track = np.zeros(samples(duration_s))
    for start_s, note_hz in strokes:
        add_at(track, bell(rng, note_hz, 7.0), start_s, rng.uniform(0.8, 1.0))
    return track


def clock(rng: np.random.Generator, duration_s: float, beat_s: float = 0.5) -> Wave:
    """A mantel clock: the escapement's impulse and drop ring small brass parts; tick and tock differ."""
    length = samples(duration_s)
    hits = [np.zeros(length), np.zeros(length)]
    impacts = (  # seconds after the pallet lets go, strength: unlock, drop, bounces of the wheel
        ((0.0, 0.4), (0.007, 1.0), (0.010, 0.7), (0.016, 0.5), (0.024, 0.35), (0.043, 0.12)),
        ((0.0, 0.5), (0.009, 0.9), (0.014, 0.8), (0.019, 0.4), (0.031, 0.25), (0.052, 0.1)),
    )
    at, side = 0.2, 0
    while at < duration_s - 0.1:
        for late, gain in impacts[side]:
            click = rng.standard_normal(samples(0.012)) * np.exp(-times(0.012) / 0.003)
            add_at(hits[side], click, at + late + rng.normal(0, 2e-4), gain * rng.uniform(0.85, 1.15))
        at += beat_s * (1.012 if side else 0.988) + rng.normal(0, 0.0008)
        side = 1 - side
    modes = (
        (
            (720.0, 250, 0.35),
            (1_350.0, 300, 0.6),
            (2_700.0, 500, 0.8),
            (4_600.0, 700, 1.0),
            (6_600.0, 900, 1.0),
        ),
        (
            (640.0, 250, 0.45),
            (1_150.0, 300, 0.8),
            (2_300.0, 500, 0.9),
            (4_000.0, 700, 0.8),
            (6_100.0, 900, 0.7),
        ),
    )
    out = np.zeros(length)
    for hit, case in zip(hits, modes, strict=True):
        out += sum(g * resonate(hit, f, w) for f, w, g in case)
    return unit(out) + 0.003 * noise(rng, length, -4)
