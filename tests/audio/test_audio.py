"""Sound in, sound out, and its two pictures, against independent formulations."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import torchaudio

from hsm import Audio, HSMError
from hsm.audio import is_silent
from hsm.features import (
    COLUMN_SAMPLES,
    FRAMES_PER_COLUMN,
    MEL_BANDS,
    MEL_FFT,
    MEL_HOP,
    PATCHES,
    RATE_HZ,
    STFT_FFT,
    STFT_HOP,
    WINDOW_SAMPLES,
    WORKING_RMS,
    istft,
    log_mel,
    mel_amplitude,
    pad_to_multiple,
    stft,
    working_gain,
)

MakeSound = Callable[..., Audio]


def test_the_constants_are_those_of_the_paper() -> None:
    assert (WINDOW_SAMPLES, PATCHES, MEL_BANDS) == (163_840, 512, 128)
    assert COLUMN_SAMPLES == FRAMES_PER_COLUMN * STFT_HOP == 16 * MEL_HOP


@pytest.mark.parametrize("ending", [".wav", ".flac"])
def test_a_saved_sound_loads_as_it_was(tmp_path: Path, make_sound: MakeSound, ending: str) -> None:
    audio = make_sound(0.3, 44_100, channels=2)
    path = audio.save(tmp_path / "new folder" / f"sound{ending}")
    found = Audio.load(path)
    assert (found.rate_hz, found.samples.shape) == (44_100, audio.samples.shape)
    assert np.abs(found.samples - audio.samples).max() <= (0 if ending == ".wav" else 2**-23)


def test_a_wav_keeps_what_exceeds_full_scale(tmp_path: Path) -> None:
    audio = Audio(np.array([3.0, -2.5, 1e-6], dtype=np.float32), 8_000)
    assert np.array_equal(Audio.load(audio.save(tmp_path / "loud.wav")).samples, audio.samples)


@pytest.mark.parametrize(("rate_hz", "channels"), [(8_000, 1), (192_000, 1), (16_000, 8), (22_050, 2)])
def test_any_rate_and_number_of_channels_is_read(tmp_path: Path, rate_hz: int, channels: int) -> None:
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, (rate_hz // 10, channels))
    soundfile.write(tmp_path / "a.wav", samples, rate_hz, subtype="PCM_16")
    found = Audio.load(tmp_path / "a.wav")
    assert (found.rate_hz, found.channels, found.duration_s) == (rate_hz, channels, pytest.approx(0.1))
    assert np.abs(found.samples - samples.T).max() < 2**-15


def broken(folder: Path, kind: str) -> Path:
    path = folder / f"{kind}.wav"
    if kind == "text":
        path.write_text("this is a letter, not a sound\n" * 50)
    elif kind == "empty":
        path.touch()
    elif kind == "header only":
        soundfile.write(path, np.zeros((0, 1)), 16_000)
    elif kind == "cut":
        soundfile.write(path, np.zeros(100), 16_000)
        path.write_bytes(path.read_bytes()[:20])
    elif kind == "nan":
        soundfile.write(path, np.array([0.0, np.nan, 0.1]), 16_000, subtype="FLOAT")
    elif kind == "low rate":
        soundfile.write(path, np.zeros(100), 2_000)
    elif kind == "headerless":
        path = path.with_suffix(".raw")
        path.write_bytes(bytes(1_000))
    return path


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("missing", "there is no such file"),
        ("text", "not a sound file that can be read"),
        ("empty", r"empty \(0 bytes\)"),
        ("header only", "holds no samples"),
        ("cut", "not a sound file|holds no samples"),
        ("nan", "1 of 3 samples are not finite"),
        ("low rate", "got a rate of 2000 Hz"),
        ("headerless", "not a sound file that can be read"),
    ],
)
def test_a_broken_file_is_an_error_that_names_it_and_says_why(tmp_path: Path, kind: str, told: str) -> None:
    path = broken(tmp_path, kind)
    with pytest.raises(HSMError, match=told) as caught:
        Audio.load(path)
    assert str(caught.value).startswith(f"{path.name}: ")
    assert str(tmp_path) not in str(caught.value), "a visitor need not see where files lie"


def test_a_folder_is_no_sound_file(tmp_path: Path) -> None:
    with pytest.raises(HSMError, match="no such file"):
        Audio.load(tmp_path)


def test_an_ending_that_cannot_be_written_is_refused_with_those_that_can(tmp_path: Path) -> None:
    with pytest.raises(HSMError, match=r"got ending '.mp3'; wanted one of .wav, .flac"):
        Audio(np.zeros(10), 16_000).save(tmp_path / "a.mp3")


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 44_100, 192_000])
def test_the_models_hear_the_mean_of_the_channels_at_16_khz(rate_hz: int) -> None:
    times = np.arange(rate_hz) / rate_hz
    tone = np.sin(2 * np.pi * 1_000 * times)
    wave = Audio(np.stack([tone, 0.5 * tone]), rate_hz).mono_16k.numpy()
    assert wave.shape == (RATE_HZ,)
    wanted = 0.75 * np.sin(2 * np.pi * 1_000 * np.arange(RATE_HZ) / RATE_HZ)
    assert np.abs(wave - wanted)[500:-500].max() < 0.01


def test_resampling_keeps_out_what_16_khz_cannot_hold() -> None:
    tone = np.sin(2 * np.pi * 12_000 * np.arange(48_000) / 48_000)
    assert Audio(tone, 48_000).mono_16k[200:-200].abs().max() < 0.01


def test_the_working_gain_brings_sound_to_its_level_and_leaves_silence() -> None:
    waves = torch.stack([torch.randn(4_000) * 1e-3, torch.randn(4_000) * 2, torch.zeros(4_000)])
    level = (waves * working_gain(waves)).square().mean(-1).sqrt()
    assert torch.allclose(level, torch.tensor([WORKING_RMS, WORKING_RMS, 0.0]), rtol=1e-4)


def test_the_log_mel_of_a_window_has_1024_frames_of_128_bands() -> None:
    mel = log_mel(torch.randn(2, WINDOW_SAMPLES) * WORKING_RMS)
    assert mel.shape == (2, 1_024, 128)
    assert abs(float(mel.mean())) < 1.5
    assert torch.isfinite(log_mel(torch.zeros(1, WINDOW_SAMPLES))).all()


def test_the_log_mel_agrees_with_torchaudio() -> None:
    wave = torch.randn(16_000, generator=torch.Generator().manual_seed(0)) * WORKING_RMS
    transform = torchaudio.transforms.MelSpectrogram(
        RATE_HZ, MEL_FFT, win_length=400, hop_length=160, n_mels=128, center=False, power=2.0
    )
    margin = (MEL_FFT - MEL_HOP) // 2
    power = transform(torch.nn.functional.pad(wave, (margin, margin))).t()  # (T, M)
    assert torch.allclose(log_mel(wave), (torch.log(power + 1e-5) + 5) / 4, atol=1e-4)


def test_a_tone_lies_in_its_mel_band_and_frame() -> None:
    wave = torch.zeros(16_000)
    wave[8_000:8_800] = torch.sin(2 * torch.pi * 1_000 * torch.arange(800) / RATE_HZ)
    frame, band = divmod(int(log_mel(wave).argmax()), MEL_BANDS)
    assert 50 <= frame < 55
    mels = np.linspace(0, 2_595 * np.log10(1 + 8_000 / 700), MEL_BANDS + 2)[1:-1]
    assert abs(700 * (10 ** (mels[band] / 2_595) - 1) - 1_000) < 40


def test_the_amplitude_of_a_log_mel_is_the_root_of_its_power() -> None:
    wave = torch.randn(1_600) * WORKING_RMS
    ten_times = mel_amplitude(log_mel(10 * wave)) / mel_amplitude(log_mel(wave))
    assert torch.allclose(ten_times, torch.tensor(10.0), rtol=0.02)
    assert mel_amplitude(log_mel(torch.zeros(1_600))).max() < 1e-4


@pytest.mark.parametrize(("n_fft", "hop"), [(STFT_FFT, STFT_HOP), (2_822, 1_411), (512, 128)])
def test_the_inverse_stft_gives_the_wave_back(n_fft: int, hop: int) -> None:
    wave = torch.randn(2, 3, 8 * hop)
    spectrum = stft(wave, n_fft, hop)
    assert spectrum.shape == (2, 3, 9, n_fft // 2 + 1)
    assert torch.allclose(istft(spectrum, 8 * hop, n_fft, hop), wave, atol=1e-5)


def test_the_stft_agrees_with_a_plain_fourier_sum() -> None:
    wave = torch.randn(4_096)
    frame = wave[2 * STFT_HOP - 512 : 2 * STFT_HOP + 512].numpy()  # centred at two hops
    wanted = np.fft.rfft(frame * (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(1_024) / 1_024)))
    assert np.allclose(stft(wave)[2].numpy(), wanted, atol=1e-3)


@pytest.mark.parametrize(("length", "wanted"), [(0, 10), (1, 10), (10, 10), (11, 20)])
def test_padding_goes_up_to_the_next_multiple(length: int, wanted: int) -> None:
    padded = pad_to_multiple(torch.ones(2, length), 10)
    assert padded.shape == (2, wanted)
    assert padded.sum() == 2 * length


def test_silence_is_what_nobody_can_hear() -> None:
    assert is_silent(Audio(np.full(100, 9e-6), 16_000))
    assert not is_silent(Audio(np.array([0, 0, -2e-5]), 16_000))
