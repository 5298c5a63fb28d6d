"""Colours and type of all pictures, for a light and a dark page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

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
