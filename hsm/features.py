"""What the networks see of a sound: STFT, log-mel, and the grid of patches.

The models hear 16 kHz mono in windows of 10.24 s. Axes are named in `hsm.networks`.
"""

from __future__ import annotations

import math
from functools import cache

import torch
import torchaudio.functional as taf
from torch import Tensor

RATE_HZ = 16_000
MEL_HOP = 160  # 10 ms
MEL_WINDOW = 400  # 25 ms
MEL_FFT = 1_024  # zero-padded, so that the lowest of the 128 bands is not empty
MEL_BANDS = 128
MEL_FLOOR, MEL_LOG_CENTRE, MEL_LOG_SCALE = 1e-5, -5.0, 4.0  # log power of training clips at the working level
WINDOW_FRAMES = 1_024  # mel frames in a window
WINDOW_SAMPLES = WINDOW_FRAMES * MEL_HOP  # 163,840
WINDOW_S = WINDOW_SAMPLES / RATE_HZ  # 10.24 s
PATCH = 16  # a patch is 16 frames by 16 bands
PATCH_COLUMNS = WINDOW_FRAMES // PATCH  # 64, each 0.16 s
PATCH_BANDS = MEL_BANDS // PATCH  # 8
PATCHES = PATCH_COLUMNS * PATCH_BANDS  # 512
COLUMN_SAMPLES = PATCH * MEL_HOP  # 2,560
STFT_FFT = 1_024  # mask renderer: 64 ms
STFT_HOP = 512  # 32 ms, 31.25 frames a second
STFT_BINS = STFT_FFT // 2 + 1  # 513
FRAMES_PER_COLUMN = COLUMN_SAMPLES // STFT_HOP  # 5
CODEC_FFT, CODEC_HOP = 640, 320  # the codec: 40 ms and 20 ms, 50 frames a second
CODEC_DELAY = 3  # frames between a frame of tokens and the sound that it completes: 60 ms
CODEC_FRAMES_PER_COLUMN = COLUMN_SAMPLES // CODEC_HOP  # 8
WORKING_RMS = 0.05  # the level every window is brought to before a model sees it
SILENCE_PEAK = 1e-5  # -100 dBFS: below this nothing can be heard or separated


def working_gain(wave: Tensor) -> Tensor:
    """Gain that brings a wave (..., S) to the working level: (..., 1). Silence keeps gain 1."""
    rms = wave.square().mean(-1, keepdim=True).sqrt()
    return torch.where(rms > SILENCE_PEAK / 10, WORKING_RMS / rms.clamp_min(1e-12), torch.ones_like(rms))


@cache
def _mel_filters() -> Tensor:
    return taf.melscale_fbanks(MEL_FFT // 2 + 1, 0.0, RATE_HZ / 2, MEL_BANDS, RATE_HZ)  # (bins, M)


def log_mel(wave: Tensor) -> Tensor:
    """Log-mel spectrogram, scaled to about zero mean and unit spread. Paper: Sec. III-B1.

    Args:
        wave: (..., S) at 16 kHz, S a multiple of 160, at the working level.

    Returns:
        (..., S / 160, 128).
    """
    assert wave.shape[-1] % MEL_HOP == 0
    margin = MEL_FFT - MEL_HOP
    padded = torch.nn.functional.pad(wave, (margin // 2, margin // 2))
    window = torch.nn.functional.pad(
        torch.hann_window(MEL_WINDOW, device=wave.device), [(MEL_FFT - MEL_WINDOW) // 2] * 2
    )
    frames = padded.unfold(-1, MEL_FFT, MEL_HOP) * window  # (..., T, fft)
    power = torch.fft.rfft(frames).abs().square()  # (..., T, bins)
    mel = power @ _mel_filters().to(wave.device)  # (..., T, M)
    return (torch.log(mel + MEL_FLOOR) - MEL_LOG_CENTRE) / MEL_LOG_SCALE


def hz_to_mel(frequency_hz: float) -> float:
    """HTK's mel scale."""
    return 2_595 * math.log10(1 + frequency_hz / 700)


def mel_amplitude(mel: Tensor) -> Tensor:
    """Amplitude of `log_mel`'s values, same shape, 0 and up."""
    return (torch.exp(mel * MEL_LOG_SCALE + MEL_LOG_CENTRE) - MEL_FLOOR).clamp_min(0).sqrt()


def stft(wave: Tensor, n_fft: int = STFT_FFT, hop: int = STFT_HOP) -> Tensor:
    """Complex spectrogram (..., T, F) of a wave (..., S), Hann window, frames centred at multiples of hop."""
    lead = wave.shape[:-1]
    spec = torch.stft(
        wave.reshape(-1, wave.shape[-1]),
        n_fft,
        hop,
        window=torch.hann_window(n_fft, device=wave.device),
        pad_mode="constant",
        return_complex=True,
    )  # (N, F, T)
    return spec.transpose(1, 2).reshape(*lead, spec.shape[2], spec.shape[1])


def istft(spec: Tensor, length: int, n_fft: int = STFT_FFT, hop: int = STFT_HOP) -> Tensor:
    """Inverse of `stft`: (..., T, F) to (..., length)."""
    window = torch.hann_window(n_fft, device=spec.device)
    if n_fft == 2 * hop and length <= hop * (spec.shape[-2] - 1):
        return _join_halves(torch.fft.irfft(spec, n_fft) * window, window)[..., :length]
    lead = spec.shape[:-2]
    wave = torch.istft(spec.reshape(-1, *spec.shape[-2:]).transpose(1, 2), n_fft, hop, window=window, length=length)
    return wave.reshape(*lead, length)


def _join_halves(frames: Tensor, window: Tensor) -> Tensor:
    """Overlap-add of frames (..., T, 2 hop) that overlap by half: (..., (T - 1) hop).

    |== 0 ==:== 0 ==|            two frames under every sample, so one addition does what torch's general
            |== 1 ==:== 1 ==|    inverse takes several times as long for
    """
    hop = len(window) // 2
    weight = window[:hop].square() + window[hop:].square()  # (hop,)
    return ((frames[..., :-1, hop:] + frames[..., 1:, :hop]) / weight).flatten(-2)


def pad_to_multiple(wave: Tensor, multiple: int) -> Tensor:
    """Zeros at the end of (..., S) until S is a multiple (at least one)."""
    length = wave.shape[-1]
    wanted = max(1, -(-length // multiple)) * multiple
    return torch.nn.functional.pad(wave, (0, wanted - length))


def interpolate(x: Tensor, place: Tensor, dim: int) -> Tensor:
    """Values of x between its entries along one dimension, linearly; the ends are held.

    Args:
        x: any shape.
        place: (n,) real positions, counted in entries.
        dim: the dimension that is read.

    Returns:
        x's shape with n entries along that dimension.
    """
    last = x.shape[dim] - 1
    place = place.clamp(0, last)
    below = place.floor().long().clamp_max(max(0, last - 1))
    share = (place - below).to(x.dtype).reshape([-1 if d == dim else 1 for d in range(x.ndim)])
    lower, upper = x.index_select(dim, below), x.index_select(dim, (below + 1).clamp_max(last))
    return lower + (upper - lower) * share
