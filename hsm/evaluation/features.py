"""What lies inside: does the predicted global feature near the target's, is attention where it sounds?"""

from __future__ import annotations

import numpy as np

from hsm.evaluation.mixing import Mixture
from hsm.evaluation.rows import Separator
from hsm.features import COLUMN_SAMPLES, PATCH_BANDS, RATE_HZ
from hsm.records import Audio, Separation

ACTIVE_DB = -25.0  # relative to the loudest column
INACTIVE_DB = -45.0
LEAST_SHARE = 0.2  # of the columns, active and inactive each
MOST_RATIO = 100.0  # keeps one map that is almost zero in the pauses from deciding the mean
MAPS = ("right", "wrong", "uniform")
PAUSES = {"": "all its pauses", "_over_sound": "pauses in which another source sounds"}
FEATURES = (
    "cosine_predicted",
    "cosine_mixture",
    "cosine_wrong",
    *(f"attention_{name}{pauses}" for pauses in PAUSES for name in MAPS),
)


def feature_scores(model: Separator, mixture: Mixture, right: Separation, wrong: Separation) -> dict[str, float]:
    """Cosines to the clean target's global feature, and attention ratios.

    Args:
        model: gives the global feature of the clean target.
        mixture: with its sources.
        right: the answer to the query for the target.
        wrong: the answer to the query for another source.

    Returns:
        Value by name of `FEATURES`; the attention ones only for a target with clear pauses, and
        those ending in `_over_sound` only where another source sounds in them.
    """
    wanted = model.global_feature(Audio(mixture.target, RATE_HZ))  # (D,)
    scores = {
        "cosine_predicted": cosine(right.global_target, wanted),
        "cosine_mixture": cosine(right.global_mixture, wanted),
        "cosine_wrong": cosine(wrong.global_target, wanted),
    }
    maps = {"right": right.attention, "wrong": wrong.attention, "uniform": np.ones_like(right.attention)}
    for pauses, heard in zip(PAUSES, (None, mixture.wave), strict=True):
        columns = on_and_off(mixture.target, heard)
        if columns is not None:
            for name in MAPS:
                scores[f"attention_{name}{pauses}"] = attention_ratio(maps[name], *columns)
    return scores


def cosine(first: np.ndarray, second: np.ndarray) -> float:
    """Cosine of two vectors (D,), in [-1, 1]; 0 when one of them is zero."""
    scale = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(np.dot(first, second)) / scale if scale > 0.0 else 0.0


def on_and_off(target: np.ndarray, mixture: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray] | None:
    """Where the clean target sounds and where it does not, in patch columns of 0.16 s.

    Args:
        target: (S,) at 16 kHz; a last column that is not full is left out.
        mixture: (S,); when given, only pauses in which something else sounds count as inactive: it is
            no merit to look away from silence.

    Returns:
        Active (within 25 dB of the loudest column) and inactive (more than 45 dB below it), each
        (columns,) bool; None unless each covers a fifth of the columns.
    """
    level_db = _column_levels_db(target)  # (columns,)
    active, inactive = level_db >= ACTIVE_DB, level_db < INACTIVE_DB
    if mixture is not None:
        inactive &= _column_levels_db(mixture) >= INACTIVE_DB
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
