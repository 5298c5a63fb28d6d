"""Applies a 16 kHz mask to every channel at the input's own rate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from scipy.fft import next_fast_len
from torch import Tensor

from hsm.features import RATE_HZ, STFT_BINS, STFT_FFT, STFT_HOP, interpolate, istft, pad_to_multiple, stft
from hsm.records import Audio
from hsm.windows import Stream

BLOCK_S = 10.0  # memory stays constant: this much sound of one channel is in the frequency domain at a time
TOP_BINS = 32  # above 8 kHz the mask goes on with the mean of the highest 500 Hz


def filtered(
    pieces: Iterable[Tensor],
    masks: Iterable[Tensor],
    rate_hz: int,
    length_samples: int,
    device: torch.device | None = None,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Filter a stream of sound with a stream of mask frames, each pulled when it is needed.

    The transform is scaled with the rate, so that its bins keep a spacing of about 15.6 Hz and its
    frames one of about 32 ms; what rounding leaves is made up by interpolation.

    Args:
        pieces: (channels, n) float32 each, in order.
        masks: (t, 513) each, or (t, channels, 513), in [0, 1] on the 16 kHz STFT of 1,024 and 512 samples, in order;
            together they reach over the whole sound. Complex ones turn the phase too.
        rate_hz: rate of the sound.
        length_samples: its length.
        device: where to filter; the CPU where not given.

    Yields:
        Block by block the mixture and its filtered sound, (channels, n) both.
    """
    scale = rate_hz / RATE_HZ
    n_fft = 2 * next_fast_len(max(8, round(STFT_FFT * scale / 2)))  # without large prime factors
    hop = n_fft // 2
    bins = torch.arange(n_fft // 2 + 1, device=device) * (rate_hz / n_fft) / (RATE_HZ / STFT_FFT)
    bins = torch.where(bins > STFT_BINS - 1, torch.full_like(bins, STFT_BINS), bins)

    sound, mask = Stream(pieces, 1), Stream(masks, 0)
    block = max(1, round(BLOCK_S * rate_hz / hop)) * hop
    margin = 2 * n_fft
    for begin in range(0, length_samples, block):
        # |margin|------ block ------|margin|: the margins give the block's edges their neighbours
        end = min(length_samples, begin + block)
        left, right = max(0, begin - margin), min(length_samples, end + margin)
        # Whole hops: behind the last frame's centre the inverse would divide by a vanishing window.
        around = pad_to_multiple(sound.read(left, right), hop)  # (channels, whole hops)
        mixture = around[:, begin - left : end - left]
        frames = torch.arange(left, left + around.shape[1] + 1, hop, dtype=torch.float64)
        frames = frames / rate_hz * RATE_HZ / STFT_HOP  # in double: hours in, float32 counts too coarsely
        first = int(frames[0])
        rows = mask.read(first, int(frames[-1]) + 2).to(device)  # (t, F)
        extended = torch.cat([rows, rows[..., -TOP_BINS:].mean(-1, keepdim=True)], -1)  # (t, F + 1)
        extended = interpolate(extended, (frames - first).float().to(device), 0)
        gains = interpolate(extended, bins, rows.ndim - 1)  # (frames, bins), or (frames, channels, bins)
        by_channel = gains.expand(len(around), *gains.shape) if gains.ndim == 2 else gains.unbind(1)
        kept = [
            istft(stft(channel, n_fft, hop) * gain, len(channel), n_fft, hop)[begin - left : end - left]
            for channel, gain in zip(around.to(device), by_channel, strict=True)
        ]
        yield mixture, torch.stack(kept).cpu()


def apply_mask(audio: Audio, mask: Tensor) -> Audio:
    """A sound filtered with a mask (T, 513), in [0, 1] or complex; see `filtered`."""
    wave = torch.from_numpy(audio.samples)  # (channels, S)
    blocks = [kept for _, kept in filtered([wave], [mask], audio.rate_hz, audio.length_samples)]
    return Audio(torch.cat(blocks, 1).numpy(), audio.rate_hz)
