"""What travels: sounds that can be used, instructions that say something."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from hsm import Audio, HSMError, Instruction


def test_samples_become_float32_channels_by_samples() -> None:
    audio = Audio(np.zeros(16_000), 8_000)  # type: ignore[arg-type]
    assert audio.samples.dtype == np.float32
    assert audio.samples.shape == (1, 16_000)
    assert (audio.channels, audio.length_samples, audio.duration_s) == (1, 16_000, 2.0)
    assert Audio(np.zeros((8, 100)), 192_000).channels == 8


@pytest.mark.parametrize("shape", [(0,), (2, 0), (0, 5)])
def test_no_samples_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(HSMError, match="no samples at all"):
        Audio(np.zeros(shape), 16_000)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers_are_counted(bad: float) -> None:
    with pytest.raises(HSMError, match=r"2 of 6 samples are not finite"):
        Audio(np.array([[0, bad, 0], [0, 0, bad]]), 16_000)


def test_an_array_the_wrong_way_round_is_told_to_turn() -> None:
    with pytest.raises(HSMError, match=r"16000 channels.*pass its transpose"):
        Audio(np.zeros((16_000, 2)), 16_000)
    with pytest.raises(HSMError, match=r"shape \(1, 2, 3\)"):
        Audio(np.zeros((1, 2, 3)), 16_000)


@pytest.mark.parametrize("rate_hz", [0, -16_000, 3_999, 768_001])
def test_rates_out_of_range_are_refused_with_the_range(rate_hz: int) -> None:
    with pytest.raises(HSMError, match=rf"{rate_hz} Hz; wanted 4000 to 768000"):
        Audio(np.zeros(10), rate_hz)


def test_records_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Audio(np.zeros(10), 16_000).rate_hz = 8_000  # type: ignore[misc]


def test_an_instruction_must_name_a_sound_and_a_known_operation() -> None:
    with pytest.raises(HSMError, match="name a sound"):
        Instruction("extract", "  ")
    with pytest.raises(HSMError, match="got 'destroy'; wanted one of extract, remove"):
        Instruction("destroy", "dog")  # type: ignore[arg-type]
    assert Instruction("extract", "dog").descriptions == ("dog",)
    assert Instruction("extract", "dog and cat", descriptions=("dog", "cat")).descriptions == ("dog", "cat")


def test_the_callers_fault_is_a_value_error() -> None:
    assert issubclass(HSMError, ValueError)
