"""Any rate to 16 kHz, in pieces as in one go."""

from __future__ import annotations

import pytest
import torch
import torchaudio.functional as taf

from hsm.resampling import BLOCK, resample


def joined(wave: torch.Tensor, rate_hz: int, size: int) -> torch.Tensor:
    return torch.cat(list(resample(wave.split(size), rate_hz, 16_000)))


@pytest.mark.parametrize("rate_hz", [8_000, 22_050, 44_100, 48_000, 192_000])
@pytest.mark.parametrize("length", [1, 7, 5_001])
def test_it_agrees_with_torchaudio(rate_hz: int, length: int) -> None:
    wave = torch.randn(length, generator=torch.Generator().manual_seed(0))
    wanted = taf.resample(wave, rate_hz, 16_000)
    found = joined(wave, rate_hz, length)
    assert found.shape == wanted.shape
    assert torch.allclose(found, wanted, atol=2e-4)  # torchaudio counts time in single precision


@pytest.mark.parametrize("rate_hz", [8_000, 44_100, 44_101, 191_999])
@pytest.mark.parametrize("size", [1_000, 65_536])
def test_pieces_change_nothing(rate_hz: int, size: int) -> None:
    wave = torch.randn(60_000, generator=torch.Generator().manual_seed(0))
    assert torch.equal(joined(wave, rate_hz, size), joined(wave, rate_hz, 60_000))


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_the_length_is_the_inputs_rounded_up_also_at_the_edge_of_a_block(more: int) -> None:
    length = 2 * BLOCK * 441 // 160 + more
    assert len(joined(torch.ones(length), 44_100, 9_999)) == -(-length * 160 // 441)


def test_a_tone_at_a_rate_without_a_common_factor_stays_that_tone() -> None:
    times = torch.arange(44_101, dtype=torch.float64) / 44_101
    found = joined(torch.sin(2 * torch.pi * 1_000 * times).float(), 44_101, 44_101)
    wanted = torch.sin(2 * torch.pi * 1_000 * torch.arange(16_000, dtype=torch.float64) / 16_000).float()
    assert (found - wanted)[200:-200].abs().max() < 0.01
