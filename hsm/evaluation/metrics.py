"""One number from two waves: SDR, SI-SDR, mel-PSNR, LSD; and KL from two class distributions.

Waves are float arrays (S,) at 16 kHz: `reference` what should have come out, `estimate` what did, `mixture` what
went in. `HSMError` for a silent reference, different lengths, fewer than 512 samples, NaN or infinity. A silent
estimate is scored: SDR 0 dB, SI-SDR -100 dB, mel-PSNR and LSD by their formulas. Every value in dB stays in
[-100, 100], so that a perfect or an orthogonal estimate can be averaged.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
import torchaudio.functional as taf
from torch import Tensor

from hsm.errors import HSMError
from hsm.features import RATE_HZ, SILENCE_PEAK

LIMIT_DB = 100.0
TACOTRON_FFT = 512
TACOTRON_HOP = 160
TACOTRON_MELS = 64
LSD_FFT = 743  # 2,048 at 44.1 kHz, brought to 16 kHz
LSD_HOP = 160
LSD_EPSILON = 1e-12
KL_EPSILON = 1e-6
SHORTEST_SAMPLES = 512  # 32 ms, one frame of the mel-PSNR


def sdr(reference: np.ndarray, estimate: np.ndarray) -> float:
    """Signal-to-distortion ratio in dB, 10 log10(mean r^2 / mean (e - r)^2), as AudioSep and DCASE 2024 Task 9."""
    r, e = _checked(reference, estimate)
    return _ratio_db(float(np.mean(r**2)), float(np.mean((e - r) ** 2)))


def sdri(reference: np.ndarray, estimate: np.ndarray, mixture: np.ndarray) -> float:
    """SDR improvement over answering with the mixture: sdr(r, e) - sdr(r, m), dB; 0 for the mixture itself."""
    return sdr(reference, estimate) - sdr(reference, mixture)


def si_sdr(reference: np.ndarray, estimate: np.ndarray) -> float:
    """SDR after the best gain: the estimate's projection on the reference against the rest of it, dB."""
    r, e = _checked(reference, estimate)
    projection = (e @ r) / (r @ r) * r  # (S,)
    return _ratio_db(float(np.sum(projection**2)), float(np.sum((e - projection) ** 2)))


def mel_psnr(reference: np.ndarray, estimate: np.ndarray) -> float:
    """Peak signal-to-noise ratio of two log-mel pictures in [0, 1], dB; no loudness normalisation.

    Paper: Sec. IV, PSNR, as the AudioLDM evaluation computes it.
    """
    r, e = _checked(reference, estimate)
    return _ratio_db(1.0, float(np.mean((_mel_picture(r) - _mel_picture(e)) ** 2)))


def lsd(reference: np.ndarray, estimate: np.ndarray) -> float:
    """Log-spectral distance mean_t sqrt(mean_f log10(T^2 / E^2)^2) of peak-normalised waves, as ssr_eval has it.

    Where both are digital silence the formula's epsilons make log10 = -12, so that a clip with silence
    does not score 0 against itself: read it beside the rows "mixture" and "self".
    """
    r, e = (_spectrum(wave / (np.abs(wave).max() or 1.0)) for wave in _checked(reference, estimate))  # (T, F)
    distance = np.log10(r**2 / (e + LSD_EPSILON) ** 2 + LSD_EPSILON) ** 2  # (T, F)
    return float(np.mean(np.sqrt(distance.mean(1))))


def mel_distance(reference: np.ndarray, estimate: np.ndarray) -> float:
    """MEL-D: L1 of mel amplitudes plus L1 of their log10 of squares, over windows of 2,048 and 512; lower is better.

    Paper: Table VIII, taken to be the measure of descript-audio-codec's own evaluation: 150 and 80 mel
    bands, hops of a quarter, amplitudes below 1e-5 cut.
    """
    r, e = _checked(reference, estimate)
    total = 0.0
    for n_fft, bands in ((2_048, 150), (512, 80)):
        filters = taf.melscale_fbanks(n_fft // 2 + 1, 0.0, RATE_HZ / 2, bands, RATE_HZ, "slaney", "slaney").double()
        one, other = (_magnitudes(wave, n_fft, n_fft // 4, "constant") @ filters for wave in (r, e))  # (T, M)
        logs = [mel.clamp_min(1e-5).square().log10() for mel in (one, other)]
        total += float((logs[0] - logs[1]).abs().mean() + (one - other).abs().mean())
    return total


def border_jumps(wave: np.ndarray, hop: int) -> float:
    """Clicks at frame borders every `hop` samples of a wave (S,): mean second difference there over that elsewhere.

    1 where borders are like any other place, more where they click; 1 for silence.
    """
    bend = np.abs(np.diff(np.asarray(wave, np.float64), 2))  # bend[i] is around sample i + 1
    bend = bend[hop - 2 :]
    bend = bend[: len(bend) // hop * hop].reshape(-1, hop)  # the first two of a row touch a border
    at, elsewhere = float(bend[:, :2].mean()), float(bend[:, 2:].mean())
    return at / elsewhere if elsewhere > 0 else 1.0


def kl(target: np.ndarray, output: np.ndarray) -> float:
    """KL(target || output) in nats of a tagger's scores (classes,); `HSMError` for negative or different ones.

    Both are brought to sum 1 after 1e-6 is added to each class: independent (sigmoid) scores become a
    distribution, and no class is impossible, so the value is finite and never negative.
    """
    p, q = np.asarray(target, np.float64), np.asarray(output, np.float64)
    if p.ndim != 1 or p.shape != q.shape or not p.size:
        raise HSMError(f"kl: got shapes {p.shape} and {q.shape}; wanted two arrays (classes,) of one tagger.")
    if not (np.isfinite(p).all() and np.isfinite(q).all() and p.min() >= 0 and q.min() >= 0):
        raise HSMError("kl: got a negative score or one that is not finite; wanted probabilities, not logits.")
    p, q = (scores + KL_EPSILON for scores in (p, q))
    p, q = p / p.sum(), q / q.sum()
    return float(np.sum(p * np.log(p / q)))


def _checked(reference: np.ndarray, estimate: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    r, e = np.asarray(reference, np.float64), np.asarray(estimate, np.float64)
    if r.ndim != 1 or r.shape != e.shape or r.size < SHORTEST_SAMPLES:
        raise HSMError(
            f"metric: got a reference of shape {r.shape} and an estimate of shape {e.shape}; wanted two "
            f"arrays (samples,) of one length, at least {SHORTEST_SAMPLES}. Cut or pad them first."
        )
    if not (np.isfinite(r).all() and np.isfinite(e).all()):
        raise HSMError("metric: got NaN or infinity among the samples; wanted finite numbers.")
    if np.abs(r).max() < SILENCE_PEAK:
        raise HSMError(
            f"metric: the reference is silent (peak {np.abs(r).max():.1e}); wanted a sound above "
            f"{SILENCE_PEAK}. Leave such clips out of the list."
        )
    return r, e


def _ratio_db(signal: float, noise: float) -> float:
    if noise == 0.0:
        return LIMIT_DB if signal > 0.0 else -LIMIT_DB
    if signal == 0.0:
        return -LIMIT_DB
    return float(np.clip(10.0 * (np.log10(signal) - np.log10(noise)), -LIMIT_DB, LIMIT_DB))


def _magnitudes(wave: np.ndarray, n_fft: int, hop: int, pad_mode: str) -> Tensor:
    window = torch.hann_window(n_fft, dtype=torch.float64)
    spectrum = torch.stft(
        torch.from_numpy(wave), n_fft, hop, window=window, pad_mode=pad_mode, return_complex=True
    )  # (F, T)
    magnitudes: Tensor = spectrum.abs().T  # (T, F)
    return magnitudes


def _spectrum(wave: np.ndarray) -> np.ndarray:
    return _magnitudes(wave, LSD_FFT, LSD_HOP, "constant").numpy()


@cache
def _mel_filters() -> Tensor:
    filters: Tensor = taf.melscale_fbanks(
        TACOTRON_FFT // 2 + 1, 0.0, RATE_HZ / 2, TACOTRON_MELS, RATE_HZ, norm="slaney", mel_scale="slaney"
    )  # (F, M)
    return filters.double()


def _mel_picture(wave: np.ndarray) -> np.ndarray:
    mel = _magnitudes(wave, TACOTRON_FFT, TACOTRON_HOP, "reflect") @ _mel_filters()  # (T, M)
    level_db = 20.0 * np.log10(np.maximum(mel.numpy(), 1e-5)) - 20.0
    return np.asarray(np.clip((level_db + 100.0) / 100.0, 0.0, 1.0))
