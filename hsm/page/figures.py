"""The pictures of a separation: spectrograms, attention and the map of global features, each also in words."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from hsm.features import (
    COLUMN_SAMPLES,
    MEL_BANDS,
    PATCH_BANDS,
    RATE_HZ,
    WINDOW_SAMPLES,
    hz_to_mel,
    log_mel,
    pad_to_multiple,
)
from hsm.records import Audio, Separation
from hsm.weights import FeatureBank

WIDTH_IN = 6.0
DOTS_PER_INCH = 150
TYPE_PT = 10.5
RANGE_DB = 65.0  # what is fainter than this below the loudest point is drawn as nothing
LEVEL_STEPS = 255  # a level is a byte: a step is 0.25 dB
MOST_COLUMNS = 1_024  # more than a picture has pixels
TICKS_HZ = (250, 500, 1_000, 2_000, 4_000, 8_000)
COLUMN_S = COLUMN_SAMPLES / RATE_HZ  # 0.16 s
NEIGHBOURS = 6
SHARPNESS = 20.0  # a neighbour that is 0.05 less similar weighs 1 / e
PERPLEXITY = 30.0
FEWEST_FOR_TSNE = 8
INK, FAINT, GRID, ACCENT = "#1c2430", "#5b6675", "#d9dfe7", "#c2410c"
SOUND_MAP = "magma"
# Of the most frequent classes; `style.css` has those of a dark page.
CLASS_COLOURS = (
    "#0072b2", "#d55e00", "#009e73", "#aa3fa0", "#b8860b", "#1b9fd8",
    "#c1272d", "#5e4fa2", "#6b8e23", "#e3699f", "#7a4a20", "#17807e",
)  # fmt: skip


# --- Levels and attention, as the player and the pictures show them ---


def mel_db(audio: Audio, gain: float) -> np.ndarray:
    """Log-mel levels (columns, 128) in dB of a sound brought to the mixture's working level, at most 1,024 columns."""
    wave = audio.mono_16k * gain  # (S,)
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


def band_of(frequency_hz: float) -> float:
    """Where a frequency lies on an axis of 128 HTK mel bands, in bands."""
    return hz_to_mel(frequency_hz) / hz_to_mel(RATE_HZ / 2) * (MEL_BANDS + 1) - 1.0


def band_hz(band: float) -> float:
    """The frequency in the middle of a mel band: the inverse of `band_of`."""
    mel = (band + 1.0) / (MEL_BANDS + 1) * hz_to_mel(RATE_HZ / 2)
    return float(700.0 * (10.0 ** (mel / 2595.0) - 1.0))


def track_names(separation: Separation) -> tuple[str, str]:
    """What the target and the residual hold, in words."""
    sound = separation.instruction.description
    if separation.instruction.operation == "extract":
        return f"Target: {sound}", "Residual: everything else"
    return f"Target: without {sound}", f"Residual: {sound}, taken out"


def heard_columns(mixture: Audio) -> int:
    """Columns of 0.16 s from start to end of a clip."""
    return max(1, math.ceil(mixture.duration_s / COLUMN_S - 1e-9))


def attention_grid(separation: Separation) -> np.ndarray:
    """The attention (columns, 8), a column each 0.16 s as far as the clip goes, bands from low to high."""
    return separation.attention.reshape(-1, PATCH_BANDS)[: heard_columns(separation.mixture)]


def attention_alt(separation: Separation) -> str:
    """Say the attention in words: where it is highest, and how gathered."""
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


# --- The map of global features ---


def _unit(features: np.ndarray) -> np.ndarray:
    lengths: np.ndarray = np.linalg.norm(features, axis=-1, keepdims=True)
    return np.asarray(features / np.maximum(lengths, 1e-12))


@dataclass(frozen=True, eq=False)
class BankMap:
    """The clips of a bank with a place on the map for each."""

    features: np.ndarray  # (N, D), rows of length one
    positions: np.ndarray  # (N, 2)
    classes: tuple[str, ...]
    names: tuple[str, ...]

    @staticmethod
    def fit(bank: FeatureBank) -> BankMap:
        """Compute the map; the same every time. Fewer than 8 clips are laid out by their first two coordinates."""
        from sklearn.manifold import TSNE  # half a second to import, and only this needs it

        features = _unit(np.asarray(bank.features, dtype=np.float32))
        if len(features) < FEWEST_FOR_TSNE:
            positions = features[:, :2]
        else:
            positions = TSNE(
                perplexity=min(PERPLEXITY, (len(features) - 1) / 3),
                init="pca",
                metric="cosine",
                max_iter=750,
                random_state=0,
            ).fit_transform(features)
        return BankMap(features, positions, tuple(bank.classes), tuple(bank.names))

    def place(self, feature: np.ndarray) -> np.ndarray:
        """Where a feature (D,) lies (2,): the mean of its nearest clips, weighted by similarity."""
        nearest, weights = self._nearest(feature)
        return np.asarray(weights @ self.positions[nearest])  # (2,)

    def nearest_class(self, feature: np.ndarray) -> str:
        """The class that most of the nearest clips have, as one would say it."""
        nearest, _ = self._nearest(feature)
        return _spoken(Counter(self.classes[i] for i in nearest).most_common(1)[0][0])

    def _nearest(self, feature: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        similarity = self.features @ _unit(np.asarray(feature, dtype=np.float32))  # (N,)
        nearest = np.argsort(-similarity)[:NEIGHBOURS]
        weights = np.exp(SHARPNESS * (similarity[nearest] - similarity[nearest].max()))
        return nearest, weights / weights.sum()


def _spoken(name: str) -> str:
    return name.split(";")[0].replace("_", " ").strip()


def marks(separation: Separation, true_target: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """The features (D,) of a separation that are marked on the map, and the true target's where it is known."""
    found = {
        "mixture": separation.global_mixture,
        "predicted target": separation.global_target,
        "description (text)": separation.text_embedding,
    }
    return found if true_target is None else found | {"true target": true_target}


def bank_alt(bank_map: BankMap, marked: Mapping[str, np.ndarray]) -> str:
    """Say the map in words: the class that each mark is nearest to."""
    near = "; ".join(f"{name} near {bank_map.nearest_class(feature)}" for name, feature in marked.items())
    clips = len(bank_map.classes)
    return f"t-SNE map of {clips:,} training clips in class colours; marked are: {near}."


def map_record(bank_map: BankMap, marked: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The map as plain data: the page draws it in the colours of its theme. Both axes go from 0 to 1, y downwards."""
    spoken = [_spoken(name) for name in bank_map.classes]
    frequent = [name for name, _ in Counter(spoken).most_common(len(CLASS_COLOURS))]
    places = {name: bank_map.place(feature) for name, feature in marked.items()}
    every = np.concatenate([bank_map.positions, *(place[None] for place in places.values())])
    low, span = every.min(0), np.maximum(np.ptp(every, axis=0), 1e-9)

    def at(position: np.ndarray) -> list[float]:
        x, y = (position - low) / span
        return [round(float(x), 4), round(float(1 - y), 4)]

    clips = [
        [*at(position), frequent.index(name) if name in frequent else -1, f"{clip} ({name})"]
        for position, name, clip in zip(bank_map.positions, spoken, bank_map.names, strict=True)
    ]
    centres = {name: np.median(bank_map.positions[np.array(spoken) == name], axis=0) for name in frequent}
    return {
        "clips": clips,
        "classes": [[name, *at(centre)] for name, centre in centres.items()],
        "marks": [[name, *at(place)] for name, place in places.items()],
        "alt": bank_alt(bank_map, marked),
    }


# --- Pictures for the bundle ---


def new_figure(height_in: float) -> Figure:
    """An empty figure, made without pyplot so that threads do not share it."""
    return Figure(figsize=(WIDTH_IN, height_in), facecolor="white", layout="constrained")


def style_axes(axes: Axes, title: str) -> None:
    """Thin spines and a left-aligned title."""
    axes.tick_params(colors=FAINT, labelcolor=INK, labelsize=TYPE_PT - 1, length=3)
    for spine in axes.spines.values():
        spine.set(color=GRID, linewidth=0.8)
    axes.set_title(title if len(title) < 60 else title[:58] + "…", loc="left", fontsize=TYPE_PT, fontweight="bold")


def save_figure(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG."""
    figure.savefig(path, dpi=DOTS_PER_INCH)
    return path


def draw_levels(axes: Axes, level: np.ndarray, duration_s: float, colours: str) -> AxesImage:
    """Draw levels (columns, 128), bytes as `hsm.page.player.level_bytes` gives them, on axes of time and frequency."""
    picture = axes.imshow(
        RANGE_DB * (level.T / LEVEL_STEPS - 1.0),
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


def spectrogram_figure(names: Sequence[str], levels: np.ndarray, duration_s: float) -> Figure:
    """Draw tracks (tracks, columns, 128), the mixture first, above each other: one time axis, one scale."""
    figure = new_figure(0.5 + 1.9 * len(names))
    rows = figure.subplots(len(names), 1, sharex=True)
    for axes, name, level in zip(rows, names, levels, strict=True):
        picture = draw_levels(axes, level, duration_s, SOUND_MAP)
        style_axes(axes, name)
    rows[-1].set_xlabel("time (s)")
    bar = figure.colorbar(picture, ax=list(rows), fraction=0.035, pad=0.02, aspect=48)
    bar.set_label("dB below the mixture's loudest point")
    return figure


def attention_figure(grids: Mapping[str, np.ndarray], level: np.ndarray, duration_s: float, even: float) -> Figure:
    """Draw attention maps (columns, 8) over the mixture, and above them as curves over time. Paper: Fig. 6.

    `level` is the mixture's (columns, 128) in bytes, `even` a column's share where attention is spread evenly.
    """
    figure = new_figure(2.2 + 2.1 * len(grids))
    top, *maps = figure.subplots(1 + len(grids), 1, sharex=True, height_ratios=[1.0] + [1.5] * len(grids))
    rgb = to_rgb(ACCENT)
    veil = LinearSegmentedColormap.from_list("veil", [(*rgb, 0.0), (*rgb, 0.55), (*rgb, 0.9)])
    for (name, grid), axes, line in zip(grids.items(), maps, ("-", ":") * len(grids), strict=False):
        end_s = len(grid) * COLUMN_S
        top.stairs(100 * grid.sum(1), np.linspace(0.0, end_s, len(grid) + 1), color=ACCENT, linestyle=line, label=name)
        draw_levels(axes, level, duration_s, "gray_r")
        axes.imshow(
            grid.T,
            origin="lower",
            aspect="auto",
            extent=(0.0, end_s, -0.5, MEL_BANDS - 0.5),
            vmin=0.0,
            vmax=float(np.quantile(grid, 0.99)) or 1.0,
            cmap=veil,
            interpolation="nearest",
        )
        axes.set_xlim(0.0, duration_s)
        style_axes(axes, f"Attention: {name}")
    top.axhline(100 * even, color=FAINT, linewidth=1.0, linestyle=(0, (4, 3)))
    top.set_ylabel("% per 0.16 s")
    style_axes(top, "Attention over time; dashed: spread evenly")
    maps[-1].set_xlabel("time (s)")
    return figure


def map_figure(record: Mapping[str, Any]) -> Figure:
    """Draw what `map_record` gives."""
    figure = new_figure(6.6)
    axes = figure.subplots()
    for number, colour in enumerate((*CLASS_COLOURS, FAINT)):
        own = [clip for clip in record["clips"] if clip[2] == (number if number < len(CLASS_COLOURS) else -1)]
        if own:
            name = record["classes"][number][0] if number < len(CLASS_COLOURS) else "other classes"
            x, y = zip(*(clip[:2] for clip in own), strict=True)
            axes.scatter(x, y, s=17, c=colour, alpha=0.8 if number < len(CLASS_COLOURS) else 0.3, lw=0, label=name)
    for (name, x, y), sign in zip(record["marks"], ("o", "*", "D", "s"), strict=False):
        axes.scatter([x], [y], s=150, marker=sign, c="white", edgecolors=INK, lw=1.6, label=name, zorder=4)
    axes.set(xticks=[], yticks=[], xlabel="t-SNE, first dimension", ylabel="t-SNE, second dimension")
    axes.invert_yaxis()
    style_axes(axes, "Global features")
    figure.legend(loc="outside lower center", ncols=3, fontsize=9, frameon=False)
    return figure
