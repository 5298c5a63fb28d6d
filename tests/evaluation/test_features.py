"""Attention ratios and cosines on maps whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from hsm.evaluation.features import attention_ratio, correlation, cosine, on_and_off
from hsm.features import COLUMN_SAMPLES, PATCH_BANDS, PATCHES

LEVELS_DB = {"on": 0.0, "soft": -24.0, "between": -35.0, "off": -46.0}


def wave_of(*columns: str) -> np.ndarray:
    return np.concatenate([np.full(COLUMN_SAMPLES, 10 ** (LEVELS_DB[name] / 20)) for name in columns])


def test_columns_are_active_within_25_db_and_inactive_below_45() -> None:
    columns = on_and_off(wave_of("on", "soft", "between", "off"), wave_of(*["on"] * 4))
    assert columns is not None
    active, inactive = columns
    assert active.tolist() == [True, True, False, False]
    assert inactive.tolist() == [False, False, False, True]


def test_a_column_that_is_not_full_is_left_out() -> None:
    wave = np.append(wave_of("on", "off"), np.ones(COLUMN_SAMPLES - 1))
    columns = on_and_off(wave, np.ones(wave.size))
    assert columns is not None
    assert columns[0].size == 2


@pytest.mark.parametrize(
    "wave",
    [wave_of("on", "on"), wave_of(*["on"] * 9, "off"), np.zeros(4 * COLUMN_SAMPLES), np.ones(100)],
    ids=["always on", "a tenth off", "silent", "shorter than a column"],
)
def test_a_target_without_clear_pauses_is_not_judged(wave: np.ndarray) -> None:
    assert on_and_off(wave, np.ones(wave.size)) is None


def test_pauses_in_which_nothing_else_sounds_are_left_out() -> None:
    target, mixture = wave_of("on", "off", "off", "on"), wave_of("on", "between", "off", "on")
    columns = on_and_off(target, mixture)
    assert columns is not None
    assert columns[1].tolist() == [False, True, False, False]
    assert on_and_off(target, target) is None


def test_a_uniform_map_has_ratio_one_and_one_that_looks_at_the_sound_more() -> None:
    columns = on_and_off(wave_of("on", "off", "on", "off"), wave_of(*["on"] * 4))
    assert columns is not None
    attention = np.ones((PATCHES // PATCH_BANDS, PATCH_BANDS))
    assert attention_ratio(attention.ravel(), *columns) == 1.0
    attention[[0, 2]] = 3.0
    attention[4:] = 100.0  # beyond the clip
    assert attention_ratio(attention.ravel(), *columns) == pytest.approx(3.0)
    attention[[0, 2]] = 0.0
    assert attention_ratio(attention.ravel(), *columns) == 0.0


def test_cosine_is_that_of_the_angle_and_0_for_a_zero_vector() -> None:
    assert cosine(np.array([1.0, 0.0]), np.array([2.0, 2.0])) == pytest.approx(0.5**0.5)
    assert cosine(np.array([1.0, 0.0]), np.zeros(2)) == 0.0


def test_maps_of_one_form_correlate_wherever_they_start_and_opposite_ones_do_not() -> None:
    one = np.array([0.0, 1.0, 2.0, 5.0])
    assert correlation(one, 3 * one + 7) == pytest.approx(1.0)
    assert correlation(one, -one) == pytest.approx(-1.0)
    assert correlation(one, np.ones(4)) == 0.0
