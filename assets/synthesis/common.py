"""Building blocks: noises, filters, resonances, rooms and positions."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import interpolate, signal

Wave = NDArray[np.float64]
RATE_HZ = 44_100
_SPEED_OF_SOUND = 343.0
_EAR_DISTANCE_M = 0.18


def samples(duration_s: float) -> int:
    """Number of samples in a duration."""
    return round(duration_s * RATE_HZ)


def times(duration_s: float) -> Wave:
    """Sample times in seconds."""
    return np.arange(samples(duration_s)) / RATE_HZ


def noise(rng: np.random.Generator, length: int, slope_db_per_octave: float = 0.0) -> Wave:
    """Gaussian noise of unit RMS: slope 0 is white, -3 pink, -6 brown (flat below 20 Hz)."""
    spectrum = np.fft.rfft(rng.standard_normal(length))
    hz = np.maximum(np.fft.rfftfreq(length, 1 / RATE_HZ), 20.0)
    shaped = np.fft.irfft(spectrum * (hz / 1_000.0) ** (slope_db_per_octave / 6.02), length)
    return shaped / np.sqrt(np.mean(shaped**2))


def drift(rng: np.random.Generator, length: int, hz: float) -> Wave:
    """A smooth random curve that wanders about `hz` times a second, zero mean and unit spread."""
    count = max(4, int(length / RATE_HZ * hz * 2) + 4)
    knots = rng.standard_normal(count)
    return interpolate.CubicSpline(np.linspace(0, length, count), knots)(np.arange(length))


def low_pass(wave: Wave, hz: float, order: int = 2) -> Wave:
    """Butterworth low-pass."""
    return signal.sosfilt(signal.butter(order, hz, "low", fs=RATE_HZ, output="sos"), wave)


def high_pass(wave: Wave, hz: float, order: int = 2) -> Wave:
    """Butterworth high-pass."""
    return signal.sosfilt(signal.butter(order, hz, "high", fs=RATE_HZ, output="sos"), wave)


def band_pass(wave: Wave, low_hz: float, high_hz: float, order: int = 2) -> Wave:
    """Butterworth band-pass."""
    return signal.sosfilt(signal.butter(order, (low_hz, high_hz), "band", fs=RATE_HZ, output="sos"), wave)


def resonate(wave: Wave, centre_hz: Wave | float, width_hz: float, block: int = 64) -> Wave:
    """A two-pole resonance, unit gain at its centre, whose centre may move (one value a sample)."""
    centre = np.broadcast_to(np.asarray(centre_hz, dtype=float), wave.shape)
    radius = np.exp(-np.pi * width_hz / RATE_HZ)
    out, state = np.empty_like(wave), np.zeros(2)
    step = block if np.ndim(centre_hz) else len(wave)
    for start in range(0, len(wave), step):
        angle = 2 * np.pi * centre[start] / RATE_HZ
        poles = [1.0, -2 * radius * np.cos(angle), radius**2]
        gain = (1 - radius) * np.sqrt(1 - 2 * radius * np.cos(2 * angle) + radius**2)
        out[start : start + step], state = signal.lfilter([gain, 0.0, 0.0], poles, wave[start : start + step], zi=state)
    return out


def add_at(track: Wave, event: Wave, start_s: float, gain: float = 1.0) -> None:
    """Add an event into a track, in place; what sticks out at the end is dropped."""
    first = samples(start_s)
    if 0 <= first < track.shape[-1]:
        room_left = track.shape[-1] - first
        track[..., first : first + event.shape[-1]] += gain * event[..., :room_left]


def ramp(wave: Wave, attack_s: float, release_s: float) -> Wave:
    """Half-cosine fade in and out."""
    out = wave.copy()
    rise, fall = samples(attack_s), samples(release_s)
    if rise:
        out[..., :rise] *= 0.5 - 0.5 * np.cos(np.linspace(0, np.pi, rise))
    if fall:
        out[..., -fall:] *= 0.5 + 0.5 * np.cos(np.linspace(0, np.pi, fall))
    return out


def curve(points: list[tuple[float, float]], duration_s: float) -> Wave:
    """A smooth line through (position from 0 to 1, value), one value a sample."""
    where, values = zip(*points, strict=True)
    line = interpolate.PchipInterpolator(np.array(where), np.array(values))
    return line(np.linspace(0, 1, samples(duration_s)))


def sparse_hits(rng: np.random.Generator, length: int, per_s: float, spread: float) -> Wave:
    """Poisson impulses with log-normal heights and random signs."""
    count = rng.poisson(per_s * length / RATE_HZ)
    hits = np.zeros(length)
    np.add.at(
        hits,
        rng.integers(0, length, count),
        rng.lognormal(0.0, spread, count) * rng.choice([-1.0, 1.0], count),
    )
    return hits


def place(mono: Wave, azimuth: float) -> Wave:
    """Pan by level and arrival time: azimuth -1 is left, 1 is right; (S,) to (2, S)."""
    angle = (azimuth + 1) * np.pi / 4
    delay = azimuth * _EAR_DISTANCE_M / _SPEED_OF_SOUND * RATE_HZ
    left, right = mono.copy(), mono.copy()
    lag = round(abs(delay))
    late = left if delay > 0 else right
    if lag:
        late[lag:] = mono[:-lag]
        late[:lag] = 0
    return np.stack([np.cos(angle) * left, np.sin(angle) * right]) * np.sqrt(2)  # (2, S)


def reverberate(
    wave: Wave,
    rng: np.random.Generator,
    decay_s: float,
    wet: float,
    *,
    damping: float = 0.5,
    predelay_s: float = 0.012,
    reflections: int = 8,
) -> Wave:
    """Add a room: early reflections, then noise that decays faster at high frequencies.

    Args:
        wave: (S,) or (2, S); the two ears get reverberation of their own.
        rng: draws the room.
        decay_s: time to fall by 60 dB at low frequencies.
        wet: level of the room relative to the direct sound.
        damping: 0 to 1, how much shorter the decay of the highest octave is.
        predelay_s: arrival of the first reflection.
        reflections: number of early reflections; few outdoors, where they are echoes of walls.

    Returns:
        Same shape; the tail after the end is cut.
    """
    shape = wave.shape
    ears = np.atleast_2d(wave)
    length = samples(decay_s * 1.2)
    seconds = np.arange(length) / RATE_HZ
    edges = (60, 250, 1_000, 3_000, 8_000, 18_000)
    out = []
    for ear in ears:
        tail = np.zeros(length)
        for band, (low, high) in enumerate(pairwise(edges)):
            decay = decay_s * (1 - damping * band / (len(edges) - 2))
            tail += band_pass(rng.standard_normal(length), low, high) * 10 ** (-3 * seconds / decay)
        tail *= np.minimum(1, seconds / (predelay_s + 0.02))
        tail /= np.sqrt(np.sum(tail**2))
        for _ in range(reflections):
            at = min(length - 1, samples(predelay_s * (1 + 4 * rng.random())))
            tail[at] += rng.choice([-1, 1]) * 0.35 * rng.random()
        out.append(ear + wet * signal.fftconvolve(ear, tail)[: ear.shape[-1]])
    return np.stack(out).reshape(shape)


def unit(wave: Wave) -> Wave:
    """Scale to unit peak."""
    return wave / np.max(np.abs(wave))
