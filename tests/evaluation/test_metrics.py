"""Metrics against closed forms and against formulations of their own."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.signal import get_window

from hsm.errors import HSMError
from hsm.evaluation.metrics import border_jumps, kl, lsd, mel_distance, mel_psnr, sdr, sdri, si_sdr

Metric = Callable[[np.ndarray, np.ndarray], float]
WAVE_METRICS = pytest.mark.parametrize("metric", [sdr, si_sdr, mel_psnr, lsd])


def noise(seed: int, samples: int = 16_000) -> np.ndarray:
    return np.asarray(0.1 * np.random.default_rng(seed).standard_normal(samples))


def orthogonal_noise(reference: np.ndarray, seed: int) -> np.ndarray:
    """Noise of the reference's energy with no part along it."""
    other = noise(seed, reference.size)
    other -= (other @ reference) / (reference @ reference) * reference
    return np.asarray(other * np.linalg.norm(reference) / np.linalg.norm(other))


@pytest.mark.parametrize("level_db", [-20.0, 0.0, 7.5, 30.0])
def test_noise_at_a_known_level_gives_that_sdr_and_si_sdr(level_db: float) -> None:
    reference = noise(0)
    estimate = reference + orthogonal_noise(reference, 1) * 10 ** (-level_db / 20)
    assert sdr(reference, estimate) == pytest.approx(level_db, abs=1e-9)
    assert si_sdr(reference, estimate) == pytest.approx(level_db, abs=1e-9)


def test_si_sdr_is_blind_to_gain_and_sdr_is_not() -> None:
    reference = noise(0)
    estimate = reference + orthogonal_noise(reference, 1) * 0.1
    for gain in (0.01, 0.5, -3.0):
        assert si_sdr(reference, gain * estimate) == pytest.approx(20.0, abs=1e-9)
    assert sdr(reference, 0.5 * reference) == pytest.approx(-20 * np.log10(0.5))


def test_answering_with_the_mixture_improves_nothing() -> None:
    reference = noise(0)
    mixture = reference + noise(1)
    assert sdri(reference, mixture, mixture) == 0.0


def test_the_other_source_alone_loses_three_db_at_equal_levels() -> None:
    reference = noise(0)
    other = orthogonal_noise(reference, 1)
    assert sdri(reference, other, reference + other) == pytest.approx(-10 * np.log10(2.0), abs=1e-9)


def test_an_exact_estimate_reaches_the_end_of_each_scale() -> None:
    reference = noise(0)
    assert sdr(reference, reference) == si_sdr(reference, reference) == mel_psnr(reference, reference) == 100.0
    assert lsd(reference, reference) == pytest.approx(0.0, abs=1e-9)


def test_a_silent_estimate_has_documented_finite_scores() -> None:
    reference, silence = noise(0), np.zeros(16_000)
    assert sdr(reference, silence) == 0.0
    assert si_sdr(reference, silence) == -100.0
    assert 0.0 < mel_psnr(reference, silence) < 20.0
    assert lsd(reference, silence) > 10.0


@WAVE_METRICS
def test_a_silent_reference_is_refused(metric: Metric) -> None:
    with pytest.raises(HSMError, match="reference is silent"):
        metric(np.full(16_000, 9e-6), noise(0))


@WAVE_METRICS
@pytest.mark.parametrize(
    "estimate", [noise(1)[:-1], noise(1)[None], np.full(16_000, np.nan)], ids=["short", "2-D", "NaN"]
)
def test_an_estimate_that_does_not_fit_is_refused(metric: Metric, estimate: np.ndarray) -> None:
    with pytest.raises(HSMError, match="metric: got"):
        metric(noise(0), estimate)


@WAVE_METRICS
def test_waves_too_short_for_a_frame_are_refused(metric: Metric) -> None:
    with pytest.raises(HSMError, match="at least 512"):
        metric(noise(0, 511), noise(1, 511))


def test_ten_db_of_gain_shift_the_mel_picture_by_a_tenth() -> None:
    reference = noise(0)
    assert mel_psnr(reference, reference * 10**-0.5) == pytest.approx(20.0, abs=1e-4)


def frames_of(wave: np.ndarray, n_fft: int, mode: str) -> np.ndarray:
    """Magnitudes (T, F) by a loop over frames; hop 160, centred, periodic Hann."""
    padded = np.pad(wave, n_fft // 2, mode=mode)  # type: ignore[call-overload]
    window = get_window("hann", n_fft, fftbins=True)
    starts = range(0, padded.size - n_fft + 1, 160)
    return np.asarray(np.abs([np.fft.rfft(padded[start : start + n_fft] * window) for start in starts]))


def slaney_filters() -> np.ndarray:
    """(257, 64) triangles of unit area: linear below 1 kHz, then 27 steps for each factor of 6.4."""

    def to_hz(mel: np.ndarray) -> np.ndarray:
        return np.where(mel < 15, 200 / 3 * mel, 1_000 * 6.4 ** ((mel - 15) / 27))

    edges = to_hz(np.linspace(0, 15 + 27 * np.log(8) / np.log(6.4), 66))
    bins = np.arange(257) * 16_000 / 512
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    up, down = (bins[:, None] - low) / (middle - low), (high - bins[:, None]) / (high - middle)
    return np.asarray(np.maximum(0, np.minimum(up, down)) * 2 / (high - low))


@pytest.mark.parametrize("gain", [1.0, 0.003], ids=["usual level", "at the floor"])
def test_mel_psnr_equals_a_formulation_of_its_own(gain: float) -> None:
    reference, estimate = gain * noise(0), gain * (0.3 * noise(0) + noise(1) * np.linspace(0, 0.1, 16_000))

    def picture(wave: np.ndarray) -> np.ndarray:
        mel = frames_of(wave, 512, "reflect") @ slaney_filters()
        return np.asarray(np.clip((20 * np.log10(np.maximum(mel, 1e-5)) - 20 + 100) / 100, 0, 1))

    expected = -10 * np.log10(np.mean((picture(reference) - picture(estimate)) ** 2))
    assert mel_psnr(reference, estimate) == pytest.approx(expected, abs=1e-3)


def test_lsd_equals_a_formulation_of_its_own() -> None:
    reference, estimate = noise(0), noise(0) + 0.5 * noise(1)
    t = frames_of(reference / np.abs(reference).max(), 743, "constant")
    e = frames_of(estimate / np.abs(estimate).max(), 743, "constant")
    expected = np.sqrt((np.log10(t**2 / e**2) ** 2).mean(1)).mean()
    assert lsd(reference, estimate) == pytest.approx(expected, abs=1e-6)


def test_lsd_is_blind_to_gain() -> None:
    reference, estimate = noise(0), noise(1)
    assert lsd(reference, 0.01 * estimate) == pytest.approx(lsd(3 * reference, estimate), abs=1e-9)


def test_digital_silence_costs_lsd_twelve_a_frame_even_against_itself() -> None:
    reference = noise(0, 160_000)
    reference[80_000:] = 0.0
    assert lsd(reference, reference) == pytest.approx(6.0, abs=0.05)


def test_mel_distance_is_that_of_all_amplitudes_and_their_logs() -> None:
    reference = noise(0)
    assert mel_distance(reference, reference) == 0.0
    # Ten times as loud: each log10 of a square differs by 2 in both windows; the amplitudes themselves hardly count.
    assert mel_distance(1e-2 * reference, 1e-1 * reference) == pytest.approx(4.0, abs=0.1)
    assert mel_distance(reference, 10 * reference) > 5.0  # here they do
    assert mel_distance(reference, noise(1)) > mel_distance(reference, reference + 0.1 * noise(1)) > 0.0


def test_clicks_at_frame_borders_are_told_from_a_smooth_sound() -> None:
    smooth = np.sin(np.arange(3_200) / 50)
    clicking = smooth + 0.1 * (np.arange(3_200) % 320 == 0)
    assert 0.5 < border_jumps(smooth, 320) < 2.0
    assert border_jumps(clicking, 320) > 20.0
    assert border_jumps(np.zeros(3_200), 320) == 1.0


def test_kl_of_two_coins_is_the_closed_form_and_needs_no_normalised_input() -> None:
    p, q = np.array([0.5, 0.5]), np.array([0.9, 0.1])
    expected = 0.5 * np.log(0.5 / 0.9) + 0.5 * np.log(0.5 / 0.1)
    assert kl(p, q) == pytest.approx(expected, abs=1e-5)
    assert kl(p, 0.5 * q) == pytest.approx(expected, abs=1e-5)
    assert kl(p, p) == 0.0


def test_kl_stays_finite_and_positive_where_a_class_is_missing() -> None:
    p, q = np.array([1.0, 0.0, 0.0]), np.array([0.0, 0.0, 1.0])
    assert 13.0 < kl(p, q) < 14.0  # -log(1e-6)


@pytest.mark.parametrize("scores", [np.array([0.5, -0.1]), np.array([0.5, np.nan]), np.array([1.0])])
def test_kl_refuses_what_is_no_set_of_scores(scores: np.ndarray) -> None:
    with pytest.raises(HSMError, match="kl: got"):
        kl(np.array([0.5, 0.5]), scores)
