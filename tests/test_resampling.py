"""Any rate to 16 kHz, in pieces as in one go."""

from __future__ import annotations

import math

import pytest
import torch

from hsm.resampling import resample


def joined(wave: torch.Tensor, rate_hz: int, size: int, wanted_hz: int = 16_000) -> torch.Tensor:
    return torch.cat(list(resample(wave.split(size), rate_hz, wanted_hz)))


@pytest.mark.parametrize("rate_hz", [8_000, 44_100, 44_101, 191_999])
@pytest.mark.parametrize("size", [1_000, 65_536])
def test_pieces_change_nothing(rate_hz: int, size: int) -> None:
    wave = torch.randn(60_000, generator=torch.Generator().manual_seed(0))
    assert torch.equal(joined(wave, rate_hz, size), joined(wave, rate_hz, 60_000))


@pytest.mark.parametrize("rate_hz", [8_000, 22_050, 44_100, 44_101, 192_000])
@pytest.mark.parametrize("length", [1, 7, 5_001, 45_156, 45_157])
def test_the_length_is_the_inputs_rounded_up(rate_hz: int, length: int) -> None:
    assert len(joined(torch.ones(length), rate_hz, 9_999)) == -(-length * 16_000 // rate_hz)


@pytest.mark.parametrize("rate_hz", [8_000, 22_050, 44_100, 44_101, 48_000, 192_000])
@pytest.mark.parametrize("tone_hz", [100, 1_000, 3_500, 7_000])
def test_a_tone_stays_that_tone_at_its_level_and_place(rate_hz: int, tone_hz: int) -> None:
    if tone_hz > 0.45 * rate_hz:
        return
    tone = torch.sin(2 * math.pi * tone_hz * torch.arange(rate_hz, dtype=torch.float64) / rate_hz).float()
    wanted = torch.sin(2 * math.pi * tone_hz * torch.arange(16_000, dtype=torch.float64) / 16_000).float()
    assert (joined(tone, rate_hz, rate_hz) - wanted)[400:-400].abs().max() < 0.003  # -50 dB


def test_what_the_lower_rate_cannot_hold_is_gone() -> None:
    tone = torch.sin(2 * math.pi * 9_000 * torch.arange(48_000, dtype=torch.float64) / 48_000).float()
    assert joined(tone, 48_000, 48_000)[400:-400].abs().max() < 1e-4
