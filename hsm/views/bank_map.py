"""The bank of global features as a t-SNE map that stays put, and where a separation lies on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from hsm.bank import FeatureBank
from hsm.records import Separation
from hsm.views.palette import LIGHT, Palette, new_figure, style_axes

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
