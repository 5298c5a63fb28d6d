"""The pictures of a separation: spectrograms, attention and the map of global features, each also in words."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

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
    working_gain,
)
from hsm.records import Audio, Separation
from hsm.weights import FeatureBank

WIDTH_IN = 6.0  # half of a desktop page; on a phone the type is still 9 pixels high
DOTS_PER_INCH = 150
TYPE_PT = 10.5


@dataclass(frozen=True)
class Palette:
    """Colours of one page theme.

    Args:
        surface: behind everything.
        ink: text.
        faint: axes, ticks and points that only give the background.
        grid: hairlines.
        accent: the line that matters.
        sound_map: matplotlib colour map for levels in dB.
        ground_map: the same, drained of colour, for a picture that something is laid over.
        classes: colours of the most frequent classes, most frequent first.
    """

    surface: str
    ink: str
    faint: str
    grid: str
    accent: str
    sound_map: str
    ground_map: str
    classes: tuple[str, ...]


LIGHT = Palette(
    surface="#ffffff",
    ink="#1c2430",
    faint="#5b6675",
    grid="#d9dfe7",
    accent="#c2410c",
    sound_map="magma",
    ground_map="gray_r",
    classes=(
        "#0072b2",
        "#d55e00",
        "#009e73",
        "#aa3fa0",
        "#b8860b",
        "#1b9fd8",
        "#c1272d",
        "#5e4fa2",
        "#6b8e23",
        "#e3699f",
        "#7a4a20",
        "#17807e",
    ),
)
DARK = Palette(
    surface="#1e293b",
    ink="#e8edf3",
    faint="#a3b2c4",
    grid="#3d4b61",
    accent="#ff9f45",
    sound_map="magma",
    ground_map="gray",
    classes=(
        "#4db2f0",
        "#ff8a3d",
        "#2fd0a0",
        "#d98adf",
        "#f0c84b",
        "#8fdcff",
        "#ff6f6f",
        "#a99cf5",
        "#b4d455",
        "#ff9fc8",
        "#d0a070",
        "#4ecdc4",
    ),
)


def new_figure(height_in: float, palette: Palette) -> Figure:
    """An empty figure, made without pyplot so that threads do not share it."""
    return Figure(figsize=(WIDTH_IN, height_in), facecolor=palette.surface, layout="constrained")


def style_axes(axes: Axes, palette: Palette, title: str = "") -> None:
    """Give axes the palette's colours, thin spines and a left-aligned title."""
    axes.set_facecolor(palette.surface)
    axes.tick_params(colors=palette.faint, labelcolor=palette.ink, labelsize=TYPE_PT - 1, length=3)
    axes.xaxis.label.set(color=palette.ink, fontsize=TYPE_PT)
    axes.yaxis.label.set(color=palette.ink, fontsize=TYPE_PT)
    for spine in axes.spines.values():
        spine.set(color=palette.grid, linewidth=0.8)
    if title:
        axes.set_title(title, loc="left", color=palette.ink, fontsize=TYPE_PT, fontweight="bold")


def save_figure(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG.

    Args:
        figure: the picture.
        path: a file name ending in .png.

    Returns:
        The path.
    """
    figure.savefig(path, dpi=DOTS_PER_INCH, facecolor=figure.get_facecolor())
    return path


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


def mixture_gain(mixture: Audio) -> float:
    """The gain that all three spectrograms share."""
    return float(working_gain(mixture.mono_16k))


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
        levels: (tracks, columns, 128) as `hsm.page.player.level_bytes` gives them.
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


NEIGHBOURS = 6
SHARPNESS = 20.0  # a neighbour that is 0.05 less similar weighs 1 / e
PERPLEXITY = 30.0
FEWEST_FOR_TSNE = 8


def _unit(features: np.ndarray) -> np.ndarray:
    lengths: np.ndarray = np.linalg.norm(features, axis=-1, keepdims=True)
    return np.asarray(features / np.maximum(lengths, 1e-12))


@dataclass(frozen=True, eq=False)
class BankMap:
    """A bank with a place on the map for each clip.

    Args:
        features: (N, D), rows of length one.
        positions: (N, 2).
        classes: N class names.
        names: N clip names.
    """

    features: np.ndarray
    positions: np.ndarray
    classes: tuple[str, ...]
    names: tuple[str, ...]

    @staticmethod
    def fit(bank: FeatureBank) -> BankMap:
        """Compute the map; a second or so for 1,000 clips, and the same every time.

        Args:
            bank: the clips.

        Returns:
            The map; fewer than 8 clips are laid out by their first two coordinates.
        """
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
        """Where a new feature lies: the mean of its nearest clips, weighted by similarity.

        Args:
            feature: (D,).

        Returns:
            (2,).
        """
        nearest, weights = self._nearest(feature)
        return np.asarray(weights @ self.positions[nearest])  # (2,)

    def nearest_class(self, feature: np.ndarray) -> str:
        """The class that most of the nearest clips have.

        Args:
            feature: (D,).

        Returns:
            Its name, as one would say it.
        """
        nearest, _ = self._nearest(feature)
        return _spoken(Counter(self.classes[i] for i in nearest).most_common(1)[0][0])

    def _nearest(self, feature: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        similarity = self.features @ _unit(np.asarray(feature, dtype=np.float32))  # (N,)
        nearest = np.argsort(-similarity)[:NEIGHBOURS]
        weights = np.exp(SHARPNESS * (similarity[nearest] - similarity[nearest].max()))
        return nearest, weights / weights.sum()


def _spoken(name: str) -> str:
    return name.split(";")[0].replace("_", " ").strip()


SIGNS = {"mixture": "o", "predicted target": "*", "description (text)": "D", "true target": "s"}
SIZES = {"o": 110, "*": 300, "D": 60, "s": 420}  # the square goes around the star


def marks(separation: Separation, true_target: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """The features of a separation that are marked on the map, by the names of their marks.

    Args:
        separation: what a call computed.
        true_target: (D,) global feature of the true target, where it is known.

    Returns:
        (D,) each.
    """
    found = {
        "mixture": separation.global_mixture,
        "predicted target": separation.global_target,
        "description (text)": separation.text_embedding,
    }
    return found if true_target is None else found | {"true target": true_target}


def bank_figure(bank_map: BankMap, marked: Mapping[str, np.ndarray], palette: Palette = LIGHT) -> Figure:
    """Draw the map in class colours with the mixture, the predicted target and the description on it.

    Args:
        bank_map: the map of the model's bank.
        marked: as `marks` gives them.
        palette: colours of the page; its number of class colours says how many classes are coloured.

    Returns:
        A figure with one axes and a legend below it.
    """
    figure = new_figure(6.6, palette)
    axes = figure.subplots()
    spoken = np.array([_spoken(name) for name in bank_map.classes])
    frequent = [name for name, _ in Counter(spoken.tolist()).most_common(len(palette.classes))]
    others = ~np.isin(spoken, frequent)
    if others.any():
        x, y = bank_map.positions[others].T
        axes.scatter(x, y, s=9, c=palette.faint, alpha=0.4, lw=0, label="other classes")
    for name, colour in zip(frequent, palette.classes, strict=False):
        x, y = bank_map.positions[spoken == name].T
        axes.scatter(x, y, s=17, c=colour, alpha=0.9, lw=0, label=name)

    places = {name: bank_map.place(feature) for name, feature in marked.items()}
    mixture, target = places["mixture"], places["predicted target"]
    axes.annotate(
        "",
        (target[0], target[1]),
        (mixture[0], mixture[1]),
        arrowprops={
            "arrowstyle": "-|>",
            "color": palette.ink,
            "lw": 1.4,
            "shrinkA": 7,
            "shrinkB": 9,
            "connectionstyle": "arc3,rad=0.15",
        },
    )
    for name, (x, y) in places.items():
        mark = SIGNS[name]
        fill = {"*": palette.accent, "s": "none"}.get(mark, palette.surface)
        axes.scatter([x], [y], s=SIZES[mark], marker=mark, c=fill, edgecolors=palette.ink, lw=1.6, label=name, zorder=4)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_xlabel("t-SNE, first dimension")
    axes.set_ylabel("t-SNE, second dimension")
    style_axes(axes, palette, "Global features")
    handles, labels = axes.get_legend_handles_labels()
    order = [*range(len(labels) - len(places), len(labels)), *range(len(labels) - len(places))]
    legend = figure.legend(
        [handles[i] for i in order],
        [labels[i] for i in order],
        loc="outside lower center",
        ncols=3,
        fontsize=9,
        frameon=False,
        labelcolor=palette.ink,
        handletextpad=0.3,
        columnspacing=1.2,
    )
    for handle in legend.legend_handles:
        if handle is not None and hasattr(handle, "set_sizes"):
            handle.set_sizes([45])
    return figure


def bank_points(bank_map: BankMap, figure: Figure) -> list[list[Any]]:
    """Where on the drawn picture each clip lies, so that a pointer over it can be told the clip's name.

    Args:
        bank_map: the map that was drawn.
        figure: as `bank_figure` made it, and already saved: its layout is decided then.

    Returns:
        For each clip its share of the width from the left, of the height from the top, and its name.
    """
    pixels = figure.axes[0].transData.transform(bank_map.positions)  # (N, 2)
    shares = pixels / (figure.bbox.width, figure.bbox.height)
    return [
        [round(float(x), 4), round(float(1 - y), 4), f"{name} ({_spoken(class_)})"]
        for (x, y), name, class_ in zip(shares, bank_map.names, bank_map.classes, strict=True)
    ]


def bank_alt(bank_map: BankMap, marked: Mapping[str, np.ndarray]) -> str:
    """Say the picture in words.

    Args:
        bank_map: the map of the model's bank.
        marked: as `marks` gives them.

    Returns:
        One sentence with the class each mark is nearest to.
    """
    near = "; ".join(f"{name} near {bank_map.nearest_class(feature)}" for name, feature in marked.items())
    clips = len(bank_map.classes)
    return f"t-SNE map of {clips:,} training clips in class colours; marked are: {near}."
