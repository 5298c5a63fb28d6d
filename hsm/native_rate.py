"""Applies a 16 kHz mask to every channel at the input's own rate."""

from __future__ import annotations

import numpy as np
import torch
from scipy.fft import next_fast_len
from torch import Tensor

from hsm.audio import RATE_HZ, STFT_BINS, STFT_FFT, STFT_HOP, istft, pad_to_multiple, stft
from hsm.records import Audio

BLOCK_S = 20.0  # memory stays constant: this much sound is in the frequency domain at a time
TOP_BINS = 32  # above 8 kHz the mask goes on with the mean of the highest 500 Hz


def _at(mask: Tensor, frames: Tensor, bins: Tensor) -> Tensor:
    """Bilinear reading of (T, F + 1) at real frame and bin numbers: (t,), (f,) to (t, f)."""

    def split(place: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
        place = place.clamp(0, count - 1)
        low = place.floor().long().clamp(max=max(0, count - 2))
        return low, (low + 1).clamp(max=count - 1), place - low

    t0, t1, dt = split(frames, mask.shape[0])
    f0, f1, df = split(bins, mask.shape[1])
    rows = mask[t0] * (1 - dt)[:, None] + mask[t1] * dt[:, None]  # (t, F + 1)
    return rows[:, f0] * (1 - df) + rows[:, f1] * df


def apply_mask(audio: Audio, mask: Tensor) -> Audio:
    """Filter a sound with a mask.

    The transform is scaled with the rate, so that its bins keep a spacing of about 15.6 Hz and its
    frames one of about 32 ms; what rounding leaves is made up by interpolation.

    Args:
        audio: any rate and number of channels.
        mask: (T, 513) in [0, 1] on the 16 kHz STFT of 1,024 and 512 samples.

    Returns:
        The filtered sound with the input's rate, channels and length.
    """
    scale = audio.rate_hz / RATE_HZ
    n_fft = 2 * next_fast_len(max(8, round(STFT_FFT * scale / 2)))  # without large prime factors
    hop = n_fft // 2
    top = mask[:, -TOP_BINS:].mean(1, keepdim=True)  # (T, 1)
    extended = torch.cat([mask, top], 1)  # (T, 514)
    bins = torch.arange(n_fft // 2 + 1) * (audio.rate_hz / n_fft) / (RATE_HZ / STFT_FFT)
    bins = torch.where(bins > STFT_BINS - 1, torch.full_like(bins, STFT_BINS), bins)

    wave = torch.from_numpy(audio.samples)  # (channels, S)
    length = wave.shape[1]
    block = max(1, round(BLOCK_S * audio.rate_hz / hop)) * hop
    margin = 2 * n_fft
    out = np.empty_like(audio.samples)
    for begin in range(0, length, block):
        # |margin|------ block ------|margin|: the margins give the block's edges their neighbours
        end = min(length, begin + block)
        left, right = max(0, begin - margin), min(length, end + margin)
        # Whole hops: behind the last frame's centre the inverse would divide by a vanishing window.
        padded = pad_to_multiple(wave[:, left:right], hop)
        piece = stft(padded, n_fft, hop)  # (channels, t, f)
        frames = (left + torch.arange(piece.shape[1]) * hop) / audio.rate_hz * RATE_HZ / STFT_HOP
        filtered = istft(piece * _at(extended, frames, bins), padded.shape[1], n_fft, hop)
        out[:, begin:end] = filtered[:, begin - left : end - left].numpy()
    return Audio(out, audio.rate_hz)
