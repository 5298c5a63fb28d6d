"""Windows over long sounds and what joins them."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from hsm.features import COLUMN_SAMPLES, FRAMES_PER_COLUMN, PATCH_COLUMNS
from hsm.windows import OVERLAP_COLUMNS, CrossFade, Stream, Window, window_places


@pytest.mark.parametrize("columns", [1, 5, 63, 64])
def test_a_sound_of_up_to_a_window_is_one_window_of_its_own_length(columns: int) -> None:
    assert list(window_places(columns)) == [Window(0, columns)]


@pytest.mark.parametrize("columns", [65, 66, 111, 112, 113, 160, 161, 1_000, 5_000])
def test_windows_cover_everything_overlap_and_end_with_the_sound(columns: int) -> None:
    found = list(window_places(columns))
    assert found[0].first == 0
    assert found[-1].first + found[-1].count == columns
    assert {window.count for window in found} == {PATCH_COLUMNS}
    for one, two in pairwise(found):
        assert one.first < two.first <= one.first + PATCH_COLUMNS - OVERLAP_COLUMNS


def test_a_window_knows_its_samples_and_frames() -> None:
    window = Window(48, 64)
    assert window.samples == slice(48 * COLUMN_SAMPLES, 112 * COLUMN_SAMPLES)
    assert window.first_frame == 48 * FRAMES_PER_COLUMN


def join(columns: int, value_of: dict[int, float] | None = None) -> torch.Tensor:
    """Masks of constant windows, as the pipeline joins them; one frame more than the columns have."""
    length = columns * FRAMES_PER_COLUMN + 1
    fade = CrossFade(length, 3)
    for number, window in enumerate(window_places(columns)):
        values = torch.full((window.count * FRAMES_PER_COLUMN + 1, 3), (value_of or {}).get(number, 0.7))
        edges = (window.first == 0, window.first + window.count == columns)
        fade.add(window.first_frame, values, OVERLAP_COLUMNS * FRAMES_PER_COLUMN, *edges)
    return fade.result()


@pytest.mark.parametrize("columns", [1, 10, 64, 65, 70, 112, 113, 300])
def test_a_constant_stays_that_constant_up_to_the_last_frame(columns: int) -> None:
    assert torch.allclose(join(columns), torch.tensor(0.7), atol=1e-6)


def test_values_fade_from_one_window_to_the_next_without_a_step() -> None:
    joined = join(112, {0: 0.0, 1: 1.0})[:, 0]  # windows start at column 0 and 48
    assert torch.equal(joined[: 48 * FRAMES_PER_COLUMN], torch.zeros(48 * FRAMES_PER_COLUMN))
    assert torch.allclose(joined[64 * FRAMES_PER_COLUMN + 1 :], torch.tensor(1.0))
    steps = joined.diff()
    assert steps.min() >= -1e-6
    assert steps.max() < 2 / (OVERLAP_COLUMNS * FRAMES_PER_COLUMN)


def test_a_single_window_comes_back_unchanged() -> None:
    values = torch.rand(40, 2)
    fade = CrossFade(40, 2)
    fade.add(0, values, 10, at_start=True, at_end=True)
    assert torch.equal(fade.result(), values)


@pytest.mark.parametrize("size", [1, 3, 7, 100])
def test_what_is_read_is_what_was_put_in_however_it_was_cut(size: int) -> None:
    whole = torch.arange(100)
    stream = Stream(whole.split(size), 0)
    for begin, end in ((0, 10), (5, 12), (40, 41), (41, 41), (80, 100), (90, 200), (150, 300)):
        assert torch.equal(stream.read(begin, end), whole[begin:end])


def test_what_was_forgotten_cannot_be_read_again() -> None:
    stream = Stream([torch.arange(10)], 0)
    stream.read(5, 6)
    with pytest.raises(AssertionError):
        stream.read(4, 6)


def test_pieces_are_pulled_only_when_a_read_reaches_them() -> None:
    pulled: list[int] = []

    def pieces():  # type: ignore[no-untyped-def]
        for number in range(10):
            pulled.append(number)
            yield torch.full((2, 10), number)

    stream = Stream(pieces(), 1)
    assert stream.read(0, 15).shape == (2, 15)
    assert pulled == [0, 1]
