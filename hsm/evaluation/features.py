"""What lies inside: does the predicted global feature near the target's, is attention where it sounds?"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hsm.evaluation.mixtures import Mixture
from hsm.evaluation.protocols import Trial
from hsm.evaluation.systems import Output, System
from hsm.features import COLUMN_SAMPLES, PATCH_BANDS

ACTIVE_DB = -25.0  # relative to the loudest column
INACTIVE_DB = -45.0
LEAST_SHARE = 0.2  # of the columns, active and inactive each
MOST_RATIO = 100.0  # keeps one map that is almost zero in the pauses from deciding the mean
RIGHT, WRONG = "extract", "wrong query"


def feature_scores(system: System, trial: Trial, mixture: Mixture, outputs: Mapping[str, Output]) -> dict[str, float]:
    """Cosines of global features, and how attention follows the query.

    Args:
        system: gives the global features of known sounds.
        trial: with the target's classes.
        mixture: with its sources.
        outputs: by row; nothing is scored without the right and the wrong query.

    Returns:
        Value by name. `attention_*` ratios only for a target with pauses in which another source sounds.
    """
    right, wrong = outputs.get(RIGHT), outputs.get(WRONG)
    if (
        right is None
        or wrong is None
        or right.global_target is None
        or wrong.global_target is None
        or right.global_mixture is None
    ):
        return {}
    truth = system.global_feature(mixture.target)  # (D,)
    classes = trial.sources[0].classes
    scores = {
        "cosine_right": cosine(right.global_target, truth),
        "cosine_wrong": cosine(wrong.global_target, truth),
        "cosine_mixture": cosine(right.global_mixture, truth),
        "cosine_right_to_wrong": cosine(right.global_target, wrong.global_target),
        "nearest_class_right": float(system.nearest_class(right.global_target) in classes),
        "nearest_class_truth": float(system.nearest_class(truth) in classes),
    }
    if right.attention is None or wrong.attention is None:
        return scores
    patches = -(-mixture.wave.size // COLUMN_SAMPLES) * PATCH_BANDS
    maps = {"right": right.attention[:patches], "wrong": wrong.attention[:patches]}
    scores["attention_correlation"] = correlation(maps["right"], maps["wrong"])
    if (columns := on_and_off(mixture.target, mixture.wave)) is not None:
        scores |= {f"attention_{name}": attention_ratio(one, *columns) for name, one in maps.items()}
    return scores


def cosine(first: np.ndarray, second: np.ndarray) -> float:
    """Cosine of two vectors (D,), in [-1, 1]; 0 when one of them is zero."""
    scale = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(np.dot(first, second)) / scale if scale > 0.0 else 0.0


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Pearson's, of two maps (P,), in [-1, 1]; 0 when one of them is constant."""
    return cosine(first - first.mean(), second - second.mean())


def on_and_off(target: np.ndarray, mixture: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Where the clean target sounds and where only others do, in patch columns of 0.16 s.

    Args:
        target: (S,) at 16 kHz; a last column that is not full is left out.
        mixture: (S,); only pauses in which something sounds count: it is no merit to look away from silence.

    Returns:
        Active (within 25 dB of the loudest column) and inactive (more than 45 dB below it), each
        (columns,) bool; None unless each covers a fifth of the columns.
    """
    level_db = _column_levels_db(target)  # (columns,)
    active = level_db >= ACTIVE_DB
    inactive = (level_db < INACTIVE_DB) & (_column_levels_db(mixture) >= INACTIVE_DB)
    if not level_db.size or min(active.mean(), inactive.mean()) < LEAST_SHARE:
        return None
    return active, inactive


def attention_ratio(attention: np.ndarray, active: np.ndarray, inactive: np.ndarray) -> float:
    """Mean attention inside active columns over the mean inside inactive ones; 1 for a uniform map.

    Args:
        attention: (P,), temporal order: patch = column * 8 + band; columns beyond the clip are ignored.
        active: (columns,) bool.
        inactive: (columns,) bool.

    Returns:
        0 to 100, where it is cut off.
    """
    of_column = attention.reshape(-1, PATCH_BANDS).sum(1, dtype=np.float64)[: active.size]  # (columns,)
    inside, outside = float(of_column[active].mean()), float(of_column[inactive].mean())
    return inside / max(outside, inside / MOST_RATIO, 1e-30)


def _column_levels_db(wave: np.ndarray) -> np.ndarray:
    columns = wave.size // COLUMN_SAMPLES
    frames = wave[: columns * COLUMN_SAMPLES].reshape(columns, COLUMN_SAMPLES).astype(np.float64)
    energy = np.square(frames).sum(1)  # (columns,)
    loudest = max(float(energy.max(initial=0.0)), 1e-30)
    return np.asarray(10.0 * np.log10(np.maximum(energy / loudest, 1e-12)))  # (columns,)
