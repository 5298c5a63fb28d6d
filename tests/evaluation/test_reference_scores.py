"""A separation whose parts are known is held against them."""

from __future__ import annotations

import numpy as np
import pytest

from hsm.errors import HSMError
from hsm.evaluation.reference_scores import is_sum, known_scores, true_target
from hsm.records import Audio

RATE_HZ = 44_100


def some_parts() -> list[Audio]:
    times = np.arange(RATE_HZ) / RATE_HZ
    tones = [0.2 * np.sin(2 * np.pi * hz * times) for hz in (300, 1_000, 3_000)]
    return [Audio(np.stack([tone, tone]), RATE_HZ) for tone in tones]


def summed(parts: list[Audio]) -> Audio:
    return Audio(np.sum([part.samples for part in parts], axis=0), RATE_HZ)


def test_the_target_is_the_named_part_or_all_others() -> None:
    parts = some_parts()
    np.testing.assert_allclose(true_target(parts, 1, "extract").samples, parts[1].samples)
    np.testing.assert_allclose(true_target(parts, 1, "remove").samples, parts[0].samples + parts[2].samples)


def test_parts_are_the_truth_only_if_they_add_up() -> None:
    parts = some_parts()
    assert is_sum(summed(parts), parts)
    assert not is_sum(summed(parts), parts[:2])
    assert not is_sum(Audio(summed(parts).samples[:, :-1], RATE_HZ), parts)


def test_the_truth_scores_best_and_the_mixture_zero() -> None:
    parts = some_parts()
    half = Audio(summed(parts).samples / 2, RATE_HZ)
    scores = known_scores(summed(parts), parts[1], {"half": half})
    assert list(scores) == ["mixture, nothing done", "half", "ideal ratio mask", "the truth itself"]
    assert scores["mixture, nothing done"]["sdri"] == 0.0
    assert scores["half"]["si_sdr"] == pytest.approx(scores["mixture, nothing done"]["si_sdr"])
    assert scores["ideal ratio mask"]["sdri"] > 15.0
    assert scores["the truth itself"]["si_sdr"] == 100.0


def test_a_silent_target_has_no_score() -> None:
    parts = some_parts()
    with pytest.raises(HSMError, match="silent"):
        known_scores(summed(parts), Audio(np.zeros((2, RATE_HZ)), RATE_HZ), {})
