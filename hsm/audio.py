"""Sound in, sound out, and the two pictures of it that the models see: log-mel and STFT."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

import numpy as np
import torch
import torchaudio.functional as taf
from torch import Tensor

from hsm.errors import HSMError
from hsm.reading import open_sound
from hsm.records import Audio
from hsm.resampling import resample
from hsm.writing import SoundWriter

# --- Constants. The models hear 16 kHz mono in windows of 10.24 s. ------------------------------
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
SFX_FFT, SFX_HOP = 743, 372  # the pretrained sound encoder's 2,048 and 1,024 samples at 44.1 kHz
SFX_BANDS, SFX_TOP_HZ = 96, 22_050.0  # those above 8 kHz stay empty here
SFX_LOG_SCALE = 9.4578
CELL_FRAMES, CELL_BANDS = 8, 12  # the sound encoder's output: 8 frames a cell, 12 cells in frequency
CELL_SAMPLES = CELL_FRAMES * SFX_HOP  # 2,976
WORKING_RMS = 0.05  # the level every window is brought to before a model sees it
SILENCE_PEAK = 1e-5  # -100 dBFS: below this nothing can be heard or separated
# -------------------------------------------------------------------------------------------------


def load_audio(path: str | Path, longest_s: float = math.inf) -> Audio:
    """Read a sound file at its own rate, with all its channels.

    Args:
        path: WAV, FLAC, OGG, MP3, M4A, MP4 or another format that `hsm.reading` knows.
        longest_s: seconds from which on a file is refused, whatever its header says.

    Returns:
        The sound as float32.

    Raises:
        HSMError: no such file, not a sound file, too long a one, or unusable samples (see `Audio`).
    """
    recording = open_sound(path)
    blocks: list[np.ndarray] = []  # (channels, n) each
    length = 0
    for block in recording.blocks():
        blocks.append(block)
        length += block.shape[1]
        if length > longest_s * recording.rate_hz:
            raise HSMError(
                f"{recording.path.name}: this is too long; at most {longest_s / 60:g} minutes are taken. Cut it first."
            )
    if not blocks:
        raise HSMError(f"{recording.path.name}: the file holds no samples; export or record it again.")
    try:
        return Audio(np.concatenate(blocks, axis=1), recording.rate_hz)  # (channels, S)
    except HSMError as error:
        raise HSMError(f"{recording.path.name}: {error}") from error


def save_audio(audio: Audio, path: str | Path) -> Path:
    """Write a sound file; a .wav is 32-bit float, so nothing is clipped and levels stay true.

    Args:
        audio: what to write.
        path: the ending decides the format (.wav or .flac).

    Returns:
        The path.

    Raises:
        HSMError: an ending or a form that cannot be written; see `SoundWriter`.
    """
    path = Path(path)
    depth = "PCM_24" if path.suffix.lower() == ".flac" else "FLOAT"
    with SoundWriter(path, audio.rate_hz, audio.channels, depth, audio.length_samples) as writer:
        writer.write(audio.samples)
    return path


def to_model_rate(audio: Audio) -> Tensor:
    """Mean of the channels at 16 kHz: (S',) float32, S' = ceil(S * 16,000 / rate)."""
    mono = torch.from_numpy(audio.samples).mean(0)  # (S,)
    return torch.cat(list(resample([mono], audio.rate_hz, RATE_HZ)))  # (S',)


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


@cache
def _sfx_filters() -> Tensor:
    bins_hz = torch.arange(2_048 // 2 + 1) * (44_100 / 2_048)
    edges_hz = 700 * (10 ** (torch.linspace(0, hz_to_mel(SFX_TOP_HZ), SFX_BANDS + 2) / 2_595) - 1)
    width_hz = edges_hz.diff()
    rising = (bins_hz[:, None] - edges_hz[:-2]) / width_hz[:-1]
    falling = (edges_hz[2:] - bins_hz[:, None]) / width_hz[1:]
    filters = torch.minimum(rising, falling).clamp_min(0)
    filters = filters / filters.sum(0)
    return filters[: SFX_FFT // 2 + 1].contiguous()  # (bins up to 8 kHz, bands)


def sfx_mel(wave: Tensor) -> Tensor:
    """The mel spectrogram that the pretrained sound encoder was trained on, from 16 kHz.

    Args:
        wave: (B, S) at 16 kHz, at the working level.

    Returns:
        (B, frames, 96): log10(1 + 10,000 power) over its largest value in training.
    """
    spec = stft(wave, SFX_FFT, SFX_HOP)  # (B, frames, bins)
    power = spec.abs().square() * (2_048 / SFX_FFT) ** 2
    return torch.log10(1 + 1e4 * (power @ _sfx_filters().to(wave.device))) / SFX_LOG_SCALE


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


def is_silent(audio: Audio) -> bool:
    """Whether no sample exceeds -100 dBFS."""
    return bool(np.abs(audio.samples).max() < SILENCE_PEAK)
