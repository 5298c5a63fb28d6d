"""Misspelt commands are put right, sounds are left as typed."""

from __future__ import annotations

import pytest

from hsm.config import SMALL
from hsm.instruction.sounds import sound_words
from hsm.instruction.spelling import COMMANDS, correct_commands
from hsm.text import load_text_encoder


@pytest.fixture(scope="module")
def words() -> frozenset[str]:
    """The vocabulary of the packaged text encoder."""
    return load_text_encoder(SMALL.text).words


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("remvoe the marimba", "remove the marimba"),
        ("Exract the marimba", "extract the marimba"),
        ("elimnate teh marimba", "eliminate the marimba"),
        ("cna yuo mute hte marimba adn the gong", "can you mute the marimba and the gong"),
        ("w/o the marimba", "without the marimba"),
        ("gimme dat marimba", "give me that marimba"),
        ("everyhting exept the marimba", "everything except the marimba"),
        ("dont keep the marimba pls", "don't keep the marimba please"),
        ("seperate the marimba", "separate the marimba"),
    ],
)
def test_a_slip_in_a_command_is_put_right(words: frozenset[str], typed: str, meant: str) -> None:
    assert correct_commands(typed, words.__contains__) == meant


@pytest.mark.parametrize(
    "typed",
    [
        "remove the dripping tap", "keep the yelp", "extract the speach", "the clank of a chain", "meow", "whirr",
        "extract the Gerät", "MUTE THE CROWD", "cutlery on a plate", "the cicadas", "remove the didgeridoo", "犬の声",
        "the organ bothers me",
    ],
)  # fmt: skip
def test_sounds_and_right_words_are_left_as_typed(words: frozenset[str], typed: str) -> None:
    assert correct_commands(typed, words.__contains__) == typed


def test_no_known_sound_and_no_command_is_ever_changed(words: frozenset[str]) -> None:
    for word in (*sorted(sound_words()), *COMMANDS):
        assert correct_commands(word, words.__contains__) == word
