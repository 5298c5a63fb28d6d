"""The pretrained sound encoder's shapes, and its cells laid onto frames and patches."""

from __future__ import annotations

import math

import pytest
import torch

from hsm.config import SMALL, TINY
from hsm.features import (
    CELL_BANDS,
    CELL_SAMPLES,
    COLUMN_SAMPLES,
    PATCH_BANDS,
    RATE_HZ,
    SFX_BANDS,
    SFX_HOP,
    STFT_HOP,
    WINDOW_SAMPLES,
    hz_to_mel,
    sfx_mel,
)
from hsm.networks import sound_encoder
from hsm.networks.sound_encoder import SoundEncoder, cells_at_frames, cells_at_patches


def tone(frequency_hz: float, samples: int = 2 * RATE_HZ) -> torch.Tensor:
    return 0.07 * torch.sin(2 * math.pi * frequency_hz * torch.arange(samples) / RATE_HZ)[None]


def test_a_tone_stands_in_its_band_and_nothing_above_8_khz() -> None:
    for frequency_hz in (200.0, 1_000.0, 6_000.0):
        mel = sfx_mel(tone(frequency_hz))[0]
        assert mel.shape[1] == SFX_BANDS
        loudest = int(mel.mean(0).argmax())
        assert abs(loudest + 1 - hz_to_mel(frequency_hz) / hz_to_mel(22_050) * (SFX_BANDS + 1)) < 1
        assert mel[:, math.ceil(hz_to_mel(8_000) / hz_to_mel(22_050) * 97) :].abs().max() == 0


def test_silence_is_zero_and_louder_is_more() -> None:
    assert sfx_mel(torch.zeros(1, 8_000)).abs().max() == 0
    assert sfx_mel(2 * tone(500)).max() > sfx_mel(tone(500)).max()


@pytest.mark.parametrize("samples", [160, COLUMN_SAMPLES, COLUMN_SAMPLES + 640, 2 * COLUMN_SAMPLES, WINDOW_SAMPLES])
def test_cells_cover_the_sound(samples: int) -> None:
    encoder = SoundEncoder(TINY.sound_encoder)
    cells = encoder(torch.randn(2, samples) * 0.05)
    assert cells.shape == (2, max(1, samples // CELL_SAMPLES), CELL_BANDS, TINY.sound_encoder.width)
    assert (cells >= 0).all()
    assert not any(p.requires_grad for p in encoder.parameters()), "its knowledge is kept"


@pytest.mark.parametrize("frames", [16, 33, 64, 65])
def test_blocks_worked_off_in_stripes_are_the_whole_ones(frames: int, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    encoder = SoundEncoder(TINY.sound_encoder)
    wave = torch.randn(2, (frames - 1) * SFX_HOP) * 0.05
    whole = encoder(wave)
    monkeypatch.setattr(sound_encoder, "STRIPE_FRAMES", 16)
    assert torch.allclose(encoder(wave), whole, atol=1e-6)


def test_the_full_size_is_that_of_the_pretrained_network() -> None:
    with torch.device("meta"):
        encoder = SoundEncoder(SMALL.sound_encoder)
    convolutions = sum(p.numel() for n, p in encoder.named_parameters() if n.endswith("weight"))
    assert convolutions == 9 * (64 + 64**2 + 64 * 128 + 128**2 + 128 * 256 + 256**2 + 256 * 512 + 512**2)


def test_cells_reach_the_frames_at_their_own_times() -> None:
    ramp = torch.arange(20.0).reshape(1, 20, 1)
    frames = cells_at_frames(ramp, 100)[0, :, 0]
    assert frames.shape == (100,)
    inside = torch.arange(4, 100)  # before the first cell's middle, its value is held
    wanted = (inside * STFT_HOP - 3.5 * 372) / CELL_SAMPLES
    torch.testing.assert_close(frames[inside], wanted, atol=1e-4, rtol=0)
    assert frames[:2].abs().max() == 0
    assert torch.equal(cells_at_frames(ramp[:, :1], 5), torch.zeros(1, 5, 1)), "one cell is enough"


def test_cells_reach_the_patches_of_their_time_and_frequency() -> None:
    times = torch.arange(55.0).reshape(1, 55, 1, 1).expand(1, 55, CELL_BANDS, 1)
    bands = torch.arange(12.0).reshape(1, 1, CELL_BANDS, 1).expand(1, 55, CELL_BANDS, 1)
    patches = cells_at_patches(torch.cat([times, bands], -1), 64)
    assert patches.shape == (1, 64 * PATCH_BANDS, 2)
    grid = patches.unflatten(1, (64, PATCH_BANDS))[0]
    middle_s = (grid[30, 3, 0] * CELL_SAMPLES + 3.5 * 372) / RATE_HZ
    assert float(middle_s) == pytest.approx(30.5 * COLUMN_SAMPLES / RATE_HZ, abs=1e-3)
    for band in range(PATCH_BANDS):
        centre_mel = (float(grid[0, band, 1]) + 0.5) * 8 / 97 * hz_to_mel(22_050)
        assert centre_mel == pytest.approx((band + 0.5) / PATCH_BANDS * hz_to_mel(8_000), rel=1e-4)
