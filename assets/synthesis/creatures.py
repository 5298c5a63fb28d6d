"""Voices of animals and a baby: pulses of a larynx through moving resonances; birds and crickets as tones."""

from __future__ import annotations

import numpy as np

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
    ramp,
    resonate,
    samples,
    times,
    unit,
)

Points = list[tuple[float, float]]


def larynx(rng: np.random.Generator, pitch_hz: Wave, open_part: float, rough: float, breath: float) -> Wave:
    """Air pulses of vocal folds: derivative of Rosenberg's pulse, uneven by `rough`, with breath noise.

    Args:
        rng: draws the unevenness.
        pitch_hz: one value a sample.
        open_part: fraction of a period the folds are open; short is pressed and bright.
        rough: 0 is a clear tone, 1 a hoarse one (jitter and alternate weak pulses).
        breath: level of noise, which is strongest while the folds are open.

    Returns:
        The source, as long as `pitch_hz`.
    """
    length = len(pitch_hz)
    wobble = 1 + rough * 0.05 * drift(rng, length, 90) + 0.006 * drift(rng, length, 25)
    phase = np.cumsum(pitch_hz * wobble) / RATE_HZ
    cycle, inside = np.floor(phase).astype(int), phase % 1
    opening = inside / open_part
    pulse = np.where(opening < 0.75, 0.5 - 0.5 * np.cos(np.pi * opening / 0.75), np.cos(np.pi * (opening - 0.75) / 0.5))
    pulse *= opening < 1
    heights = 1 + rough * (0.35 * (-1.0) ** np.arange(cycle[-1] + 2) + 0.35 * rng.standard_normal(cycle[-1] + 2))
    flow = pulse * heights[cycle]
    voiced = np.diff(flow, prepend=0.0)
    air = high_pass(rng.standard_normal(length), 500, 1) * (0.35 + flow)
    return voiced / voiced.std() + breath * air / air.std()


def throat(source: Wave, tracks: list[tuple[Wave, float, float]]) -> Wave:
    """Parallel resonances: (centre in Hz, one value a sample; width in Hz; gain), signs alternate."""
    out = np.zeros_like(source)
    for number, (centre, width_hz, gain) in enumerate(tracks):
        out += (-1) ** number * gain * resonate(source, centre, width_hz)
    return out


def bark(rng: np.random.Generator, size: float = 1.0, length_s: float = 0.2) -> Wave:
    """One bark of a dog; size above 1 is a bigger dog. The mouth opens, then shuts."""
    pitch = curve([(0, 400), (0.25, 520), (0.55, 510), (1, 330)], length_s) / size * rng.uniform(0.94, 1.06)
    level = curve([(0, 0), (0.15, 0.35), (0.32, 1.0), (0.5, 0.75), (0.75, 0.25), (1, 0)], length_s)
    source = larynx(rng, pitch, 0.6, rng.uniform(0.7, 0.9), 0.55)
    first = curve([(0, 500), (0.35, 820), (0.6, 760), (1, 480)], length_s) / size
    second = curve([(0, 1_000), (0.35, 1_500), (0.6, 1_400), (1, 950)], length_s) / size
    third = np.full_like(second, 2_350 / size)
    fourth = np.full_like(second, 5_500 / size)
    voice = throat(source, [(first, 200, 1.0), (second, 280, 0.7), (third, 420, 0.3), (fourth, 1_500, 0.05)])
    voice = low_pass(voice, 2_700 / size, 3) + 0.12 * voice
    return unit(np.tanh(1.2 * unit(voice * level)))


def dog(rng: np.random.Generator, duration_s: float, bouts_s: list[float], size: float = 1.0) -> Wave:
    """Bouts of two to four barks at the given times."""
    track = np.zeros(samples(duration_s))
    for bout in bouts_s:
        at = bout
        for _ in range(int(rng.integers(2, 4))):
            add_at(track, bark(rng, size, rng.uniform(0.17, 0.25)), at, rng.uniform(0.75, 1.0))
            at += rng.uniform(0.36, 0.5)
    return track


def cry(rng: np.random.Generator, length_s: float) -> Wave:
    """One cry of a newborn: pitch rises, wavers and falls; the voice breaks when pressed."""
    peak = rng.uniform(430, 500)
    pitch = curve([(0, 0.72 * peak), (0.12, peak), (0.5, 1.04 * peak), (0.8, 0.93 * peak), (1, 0.68 * peak)], length_s)
    seconds = times(length_s)
    pitch *= 1 + 0.02 * np.sin(2 * np.pi * rng.uniform(5, 7) * seconds[: len(pitch)])
    pitch *= 1 + 0.015 * drift(rng, len(pitch), 8)
    level = curve([(0, 0), (0.08, 0.7), (0.35, 1.0), (0.75, 0.8), (0.93, 0.35), (1, 0)], length_s)
    pressed = np.clip(drift(rng, len(pitch), 2.5), 0, 1)
    clear = larynx(rng, pitch, 0.55, 0.06, 0.12)
    hoarse = larynx(rng, pitch, 0.5, 0.5, 0.4)
    source = clear * (1 - 0.6 * pressed) + hoarse * 0.6 * pressed
    vowel = drift(rng, len(pitch), 2)
    tracks = [
        (1_150 + 90 * vowel, 180.0, 1.0),
        (2_050 + 180 * vowel, 260.0, 0.7),
        (3_500 + 150 * vowel, 350.0, 0.6),
        (4_900 + 0 * vowel, 600.0, 0.3),
    ]
    return unit(throat(source, tracks) * level)


def baby(rng: np.random.Generator, duration_s: float, bouts: list[tuple[float, int]]) -> Wave:
    """Crying in bouts (start in s, number of cries), with a gasp before each cry after the first."""
    track = np.zeros(samples(duration_s))
    for start, count in bouts:
        at = start
        for number in range(count):
            if number:
                gasp = band_pass(rng.standard_normal(samples(0.2)), 900, 5_000, 1)
                add_at(track, ramp(unit(gasp), 0.08, 0.08), at - 0.24, 0.06)
            length_s = rng.uniform(0.65, 1.0)
            add_at(track, cry(rng, length_s), at, rng.uniform(0.8, 1.0))
            at += length_s + rng.uniform(0.3, 0.4)
    return track


def chirps(rng: np.random.Generator, syllables: list[tuple[float, Points, float]]) -> Wave:
    """A phrase of a songbird: syllables (length in s, pitch line in Hz, gap after it in s)."""
    total_s = sum(length + gap for length, _, gap in syllables) + 0.05
    track, at = np.zeros(samples(total_s)), 0.0
    for length_s, line, gap_s in syllables:
        length_s *= rng.uniform(0.93, 1.07)
        pitch = curve(line, length_s) * rng.uniform(0.98, 1.02) * (1 + 0.004 * drift(rng, samples(length_s), 40))
        phase = 2 * np.pi * np.cumsum(pitch) / RATE_HZ
        level = curve([(0, 0), (0.2, 0.9), (0.6, 1), (1, 0)], length_s) * (1 + 0.12 * drift(rng, len(pitch), 60))
        tone = np.sin(phase) + 0.10 * np.sin(2 * phase) + 0.03 * np.sin(3 * phase)
        add_at(track, tone * level, at, rng.uniform(0.7, 1.0))
        at += length_s + gap_s * rng.uniform(0.85, 1.15)
    return track


SONGS: dict[str, list[tuple[float, Points, float]]] = {
    "warbler": [
        (0.11, [(0, 4_200), (0.4, 5_600), (1, 4_600)], 0.06),
        (0.07, [(0, 6_400), (1, 3_900)], 0.04),
        (0.07, [(0, 6_400), (1, 3_900)], 0.04),
        (0.07, [(0, 6_300), (1, 3_800)], 0.09),
        (0.20, [(0, 3_300), (0.3, 3_900), (0.6, 3_200), (1, 4_500)], 0.05),
        (0.06, [(0, 5_000), (1, 7_000)], 0.03),
        (0.06, [(0, 5_000), (1, 7_000)], 0.03),
        (0.14, [(0, 5_800), (0.5, 4_100), (1, 4_300)], 0.0),
    ],
    "tit": [(0.10, [(0, 5_900), (1, 5_500)], 0.05), (0.13, [(0, 4_300), (1, 4_100)], 0.09)] * 4,
    "sparrow": [(0.06, [(0, 3_200), (0.4, 5_200), (1, 3_000)], 0.16)] * 5,
    "trill": [(0.035, [(0, 7_200), (1, 4_800)], 0.018)] * 16,
}


def birds(rng: np.random.Generator, duration_s: float, phrases: list[tuple[str, float, float]]) -> Wave:
    """Songs by name (see `SONGS`), start in s and level."""
    track = np.zeros(samples(duration_s))
    for name, start_s, level in phrases:
        add_at(track, chirps(rng, SONGS[name]), start_s, level)
    return track


def crickets(rng: np.random.Generator, duration_s: float) -> Wave:
    """A meadow at night: two near crickets, each wing stroke a short tone, over a chorus of many far ones."""
    length = samples(duration_s)
    track = np.zeros(length)
    for level in (1.0, 0.6, *rng.uniform(0.05, 0.2, 30)):
        carrier, period = rng.uniform(4_300, 4_900), rng.uniform(0.30, 0.55)
        strokes = 3 if level > 0.5 else int(rng.integers(3, 7))
        at = rng.uniform(0, period)
        while at < duration_s:
            for stroke in range(strokes):
                seconds = times(0.018)
                tone = np.sin(2 * np.pi * carrier * seconds * (1 - 0.8 * seconds) + rng.uniform(0, 6.28))
                tone *= np.sin(np.pi * seconds / 0.018) ** 1.5
                add_at(track, tone, at + 0.030 * stroke, level * (0.7 + 0.1 * stroke))
            at += period * rng.uniform(0.94, 1.08)
    return track + 0.012 * band_pass(noise(rng, length, -2), 250, 9_000, 1)
