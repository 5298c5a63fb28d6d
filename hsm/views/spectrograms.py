"""Mixture, target and residual as log-mel spectrograms on one colour scale."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from hsm.audio import (
    MEL_BANDS,
    RATE_HZ,
    WINDOW_SAMPLES,
    hz_to_mel,
    log_mel,
    pad_to_multiple,
    to_model_rate,
    working_gain,
)
from hsm.records import Audio, Separation
from hsm.views.palette import LIGHT, TYPE_PT, Palette, new_figure, style_axes

RANGE_DB = 65.0  # what is fainter than this below the loudest point is drawn as nothing
LEVEL_STEPS = 255  # a level is a byte: a step is 0.25 dB
MOST_COLUMNS = 1_024  # more than a picture has pixels
TICKS_HZ = (250, 500, 1_000, 2_000, 4_000, 8_000)


def mel_db(audio: Audio, gain: float) -> np.ndarray:
    """The log-mel spectrogram that the models see, in dB, thinned to what a picture can show.

    Args:
        audio: any rate, channels and length.
        gain: brings the mixture to the working level; the same for its target and residual, so that
            their levels stay comparable.

    Returns:
        (columns, 128) in dB, at most about 1,024 columns that cover the clip from start to end.
    """
    wave = to_model_rate(audio) * gain  # (S,)
    frames = max(1, math.ceil(wave.shape[0] / 160))
    thin = max(1, math.ceil(frames / MOST_COLUMNS))
    powers = []
    # Window by window: ten minutes at once would need a gigabyte.
    for window in torch.split(wave, WINDOW_SAMPLES):
        log_power = log_mel(pad_to_multiple(window, 160)) * 4.0 - 5.0  # (T, M), natural logarithm
        powers.append(log_power.exp())
    power = torch.cat(powers)[:frames]  # (T, M)
    padding = -power.shape[0] % thin
    if padding:
        power = torch.cat([power, power[-1:].expand(padding, -1)])
    power = power.reshape(-1, thin, MEL_BANDS).mean(1)  # (columns, M)
    return (10.0 * power.clamp_min(1e-12).log10()).numpy()


def mixture_gain(mixture: Audio) -> float:
    """The gain that all three spectrograms share."""
    return float(working_gain(to_model_rate(mixture)))


def band_of(frequency_hz: float) -> float:
    """Where a frequency lies on an axis of 128 HTK mel bands, in bands."""
    return hz_to_mel(frequency_hz) / hz_to_mel(RATE_HZ / 2) * (MEL_BANDS + 1) - 1.0


def band_hz(band: float) -> float:
    """The frequency in the middle of a mel band: the inverse of `band_of`."""
    mel = (band + 1.0) / (MEL_BANDS + 1) * hz_to_mel(RATE_HZ / 2)
    return float(700.0 * (10.0 ** (mel / 2595.0) - 1.0))


def draw_mel(axes: Axes, level_db: np.ndarray, duration_s: float, loudest_db: float, colours: str) -> AxesImage:
    """Draw levels (columns, 128) below the loudest point, with time and frequency axes."""
    picture = axes.imshow(
        level_db.T - loudest_db,
        origin="lower",
        aspect="auto",
        extent=(0.0, duration_s, -0.5, MEL_BANDS - 0.5),
        vmin=-RANGE_DB,
        vmax=0.0,
        cmap=colours,
        interpolation="nearest",
    )
    axes.set_yticks(
        [min(band_of(hz), MEL_BANDS - 0.5) for hz in TICKS_HZ],
        [f"{hz // 1000}k" if hz >= 1000 else str(hz) for hz in TICKS_HZ],
    )
    axes.set_ylabel("Hz")
    axes.set_xlim(0.0, duration_s)
    return picture


def track_names(separation: Separation) -> tuple[str, str]:
    """What the target and the residual hold, in words."""
    sound = separation.instruction.description
    if separation.instruction.operation == "extract":
        return f"Target: {sound}", "Residual: everything else"
    return f"Target: without {sound}", f"Residual: {sound}, taken out"


def _shortened(text: str, most: int = 58) -> str:
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def spectrogram_figure(names: Sequence[str], levels: np.ndarray, duration_s: float, palette: Palette = LIGHT) -> Figure:
    """Draw tracks above each other, one time axis, one scale.

    Args:
        names: of the tracks, the mixture first.
        levels: (tracks, columns, 128) as `hsm.views.player.level_bytes` gives them.
        duration_s: of all tracks.
        palette: colours of the page.

    Returns:
        A figure with an axes for each track and one for the colour bar.
    """
    figure = new_figure(0.5 + 1.9 * len(names), palette)
    rows = figure.subplots(len(names), 1, sharex=True)
    picture = None
    for axes, name, level in zip(rows, names, levels, strict=True):
        level_db = RANGE_DB * (level / LEVEL_STEPS - 1.0)  # (columns, M)
        picture = draw_mel(axes, level_db, duration_s, 0.0, palette.sound_map)
        style_axes(axes, palette, _shortened(name))
    rows[-1].set_xlabel("time (s)")
    assert picture is not None
    bar = figure.colorbar(picture, ax=list(rows), fraction=0.035, pad=0.02, aspect=48)
    bar.set_label("dB below the mixture's loudest point", color=palette.ink, fontsize=TYPE_PT)
    bar.ax.tick_params(colors=palette.faint, labelcolor=palette.ink, labelsize=TYPE_PT - 1)
    bar.outline.set_edgecolor(palette.grid)
    return figure


class NamedSound(Protocol):
    """A sound with what it is called."""

    @property
    def name(self) -> str: ...

    @property
    def sound(self) -> Audio: ...


def spectrogram_alt(tracks: Sequence[NamedSound]) -> str:
    """Say the picture in words.

    Args:
        tracks: the mixture first.

    Returns:
        Two sentences with the share of the energy in each track.
    """
    mixture, *parts = tracks
    total = float(np.square(mixture.sound.samples).sum()) or 1.0
    shares = "; ".join(f"{part.name}, {float(np.square(part.sound.samples).sum()) / total:.0%}" for part in parts)
    return (
        f"{len(tracks)} log-mel spectrograms over {mixture.sound.duration_s:.1f} seconds and 0 to 8 kHz, one "
        f"colour scale. Shares of the mixture's energy: {shares}."
    )
