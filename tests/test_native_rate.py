"""Masks of 16 kHz on sounds of any rate: exact where the answer is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from hsm import Audio, native_rate
from hsm.features import RATE_HZ, STFT_BINS, STFT_HOP
from hsm.native_rate import apply_mask

MakeSound = Callable[..., Audio]
RATES_HZ = (8_000, 11_025, 16_000, 44_100, 48_000, 192_000)


def mask_of(audio: Audio, value: float = 1.0) -> torch.Tensor:
    return torch.full((int(audio.duration_s * RATE_HZ / STFT_HOP) + 2, STFT_BINS), value)


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("value", [1.0, 0.3, 0.0])
def test_a_constant_mask_scales_the_sound(make_sound: MakeSound, rate_hz: int, channels: int, value: float) -> None:
    audio = make_sound(0.537, rate_hz, channels)
    found = apply_mask(audio, mask_of(audio, value))
    assert (found.rate_hz, found.samples.shape) == (rate_hz, audio.samples.shape)
    assert np.allclose(found.samples, value * audio.samples, atol=1e-6)


@pytest.mark.parametrize("length", [1, 7, 511, 512, 513, 1_024, 5_631, 16_001])
def test_the_length_is_kept_to_the_sample(make_sound: MakeSound, length: int) -> None:
    audio = make_sound(length / RATE_HZ)
    assert audio.length_samples == length
    assert np.allclose(apply_mask(audio, mask_of(audio)).samples, audio.samples, atol=1e-6)


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 44_100])
@pytest.mark.parametrize("tail", [0.01, 0.5, 0.9, 0.998])
def test_a_rough_mask_does_not_blow_up_at_the_end(make_sound: MakeSound, rate_hz: int, tail: float) -> None:
    audio = make_sound((20 + tail) * STFT_HOP / RATE_HZ, rate_hz)
    mask = torch.rand(mask_of(audio).shape, generator=torch.Generator().manual_seed(0))
    found = apply_mask(audio, mask).samples
    assert np.abs(found[:, -rate_hz // 20 :]).max() < 1.5 * np.abs(audio.samples).max()


@pytest.mark.parametrize("rate_hz", [16_000, 44_100])
def test_blocks_join_without_seams(make_sound: MakeSound, monkeypatch: pytest.MonkeyPatch, rate_hz: int) -> None:
    audio = make_sound(4.1, rate_hz, channels=2)
    mask = torch.rand(mask_of(audio).shape, generator=torch.Generator().manual_seed(0))
    whole = apply_mask(audio, mask).samples
    monkeypatch.setattr(native_rate, "BLOCK_S", 0.5)
    assert np.allclose(apply_mask(audio, mask).samples, whole, atol=1e-6)


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 44_100, 48_000])
def test_a_mask_that_closes_a_band_silences_its_tone_and_no_other(rate_hz: int) -> None:
    times = np.arange(rate_hz) / rate_hz
    low, high = (0.3 * np.sin(2 * np.pi * f * times) for f in (500, 3_000))
    audio = Audio(low + high, rate_hz)
    mask = mask_of(audio)
    mask[:, 96:] = 0  # from 1,500 Hz on
    found = apply_mask(audio, mask).samples[0]
    assert np.abs(found - low)[rate_hz // 10 : -rate_hz // 10].max() < 3e-3


@pytest.mark.parametrize("rate_hz", [16_000, 44_100])
def test_a_mask_that_closes_at_a_time_closes_at_that_time(make_sound: MakeSound, rate_hz: int) -> None:
    audio = make_sound(2.0, rate_hz)
    mask = mask_of(audio)
    mask[32:] = 0  # frame 32 is centred at 1.024 s
    found = apply_mask(audio, mask).samples[0]
    assert np.allclose(found[: int(0.9 * rate_hz)], audio.samples[0, : int(0.9 * rate_hz)], atol=1e-5)
    assert np.abs(found[int(1.1 * rate_hz) :]).max() < 1e-5


def test_above_8_khz_the_mask_goes_on_with_its_top() -> None:
    times = np.arange(44_100) / 44_100
    tone = Audio(0.3 * np.sin(2 * np.pi * 15_000 * times), 44_100)
    mask = mask_of(tone, 1.0)
    mask[:, -32:] = 0.25
    found = apply_mask(tone, mask).samples[0]
    assert np.allclose(found[5_000:-5_000], 0.25 * tone.samples[0, 5_000:-5_000], atol=1e-3)
