"""Where the predicted global feature looks: attention over time, and over time and frequency."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure

from hsm.audio import COLUMN_SAMPLES, MEL_BANDS, PATCH_BANDS, RATE_HZ
from hsm.records import Audio, Separation
from hsm.views.palette import LIGHT, Palette, new_figure, style_axes
from hsm.views.spectrograms import draw_mel, mel_db, mixture_gain

COLUMN_S = COLUMN_SAMPLES / RATE_HZ  # 0.16 s


def attention_grid(separation: Separation) -> np.ndarray:
    """The attention as a map of the clip.

    Args:
        separation: what a call computed.

    Returns:
        (columns, 8), a column each 0.16 s from start to end of the clip, bands from low to high.
        Columns beyond the end of a clip shorter than a window are left out.
    """
    return separation.attention.reshape(-1, PATCH_BANDS)[: heard_columns(separation.mixture)]


def heard_columns(mixture: Audio) -> int:
    """Columns of 0.16 s from start to end of a clip."""
    return max(1, math.ceil(mixture.duration_s / COLUMN_S - 1e-9))


def _veil(colour: str) -> LinearSegmentedColormap:
    """From nothing to a colour: what is not looked at stays visible underneath."""
    rgb = to_rgb(colour)
    return LinearSegmentedColormap.from_list("veil", [(*rgb, 0.0), (*rgb, 0.55), (*rgb, 0.9)])


def attention_figure(separation: Separation, palette: Palette = LIGHT, truth: Separation | None = None) -> Figure:
    """Draw the attention as a curve over time, and as a map laid over the mixture's spectrogram.

    Args:
        separation: what a call computed.
        palette: colours of the page.
        truth: the same, computed with the true target's global feature; drawn below. Paper: Fig. 6.

    Returns:
        A figure with the curve above the map, on one time axis.
    """
    grid = attention_grid(separation)  # (columns, 8)
    duration_s = separation.mixture.duration_s
    curve = grid.sum(1)  # (columns,)
    even = 1.0 / max(1, separation.attention.size // PATCH_BANDS)
    times_s = np.append(np.arange(len(curve)) * COLUMN_S, len(curve) * COLUMN_S)

    figure = new_figure(4.3 if truth is None else 6.4, palette)
    shown = [separation] if truth is None else [separation, truth]
    top, *maps = figure.subplots(1 + len(shown), 1, sharex=True, height_ratios=[1.0] + [1.5] * len(shown))
    top.stairs(100 * curve, times_s, fill=True, color=palette.accent, alpha=0.22)
    top.stairs(100 * curve, times_s, color=palette.accent, linewidth=1.6)
    top.axhline(100 * even, color=palette.faint, linewidth=1.0, linestyle=(0, (4, 3)))
    top.annotate(
        "even",
        (1.0, 100 * even),
        xycoords=("axes fraction", "data"),
        xytext=(-2, 2),
        textcoords="offset points",
        ha="right",
        va="bottom",
        fontsize=8.5,
        color=palette.faint,
    )
    highest = float(curve.max())
    if truth is not None:
        true_curve = attention_grid(truth).sum(1)
        top.stairs(100 * true_curve, times_s, color=palette.ink, linewidth=1.2, linestyle=(0, (2, 1)))
        highest = max(highest, float(true_curve.max()))
    top.set_ylim(0.0, max(100 * highest * 1.12, 200 * even))
    top.set_ylabel("% per 0.16 s")
    style_axes(top, palette, "Attention over time" if truth is None else "Attention: predicted, and dotted true")

    gain = mixture_gain(separation.mixture)
    level_db = mel_db(separation.mixture, gain)
    titles = ["Attention laid over the mixture"]
    if truth is not None:
        titles = ["From the predicted global feature", "From the true target's global feature"]
    for axes, one, title in zip(maps, shown, titles, strict=True):
        draw_mel(axes, level_db, duration_s, float(level_db.max()), palette.ground_map)
        patches = attention_grid(one)
        axes.imshow(
            patches.T,
            origin="lower",
            aspect="auto",
            extent=(0.0, len(patches) * COLUMN_S, -0.5, MEL_BANDS - 0.5),
            vmin=0.0,
            vmax=float(np.quantile(patches, 0.99)) or 1.0,
            cmap=_veil(palette.accent),
            interpolation="nearest",
        )
        axes.set_xlim(0.0, duration_s)
        style_axes(axes, palette, title)
    maps[-1].set_xlabel("time (s)")
    return figure


def attention_alt(separation: Separation) -> str:
    """Say the picture in words.

    Args:
        separation: what a call computed.

    Returns:
        A sentence with the moment and the band looked at most, and the share of the strongest fifth.
    """
    grid = attention_grid(separation)
    curve = grid.sum(1)
    peak_s = (int(curve.argmax()) + 0.5) * COLUMN_S
    strongest = np.sort(curve)[::-1][: max(1, len(curve) // 5)].sum() / max(float(curve.sum()), 1e-12)
    band = int(grid.sum(0).argmax()) + 1
    return (
        "Attention of the predicted global feature, as a curve over time above the mixture's spectrogram "
        f"and as a map laid over it. It is highest at {peak_s:.1f} seconds and in band {band} of "
        f"{PATCH_BANDS} from low to high; the strongest fifth of the time holds {strongest:.0%} of it."
    )
