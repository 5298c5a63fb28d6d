"""A stream is read by position and forgets what lies behind."""

from __future__ import annotations

import pytest
import torch

from hsm.stream import Stream


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
