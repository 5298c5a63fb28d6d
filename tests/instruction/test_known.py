"""Descriptions that the separator does not know are heard as something that it knows, and the user is told."""

from __future__ import annotations

import pytest

from hsm.config import SMALL
from hsm.instruction.known import known_as
from hsm.text import load_text_encoder

ESC_50 = """dog; rooster; pig; cow; frog; cat; hen; insects; flying insects; sheep; crow; rain; sea waves; crackling
fire; crickets; chirping birds; water drops; wind; pouring water; toilet flush; thunderstorm; crying baby; sneezing;
clapping; breathing; coughing; footsteps; laughing; brushing teeth; snoring; drinking; sipping; door knock; door
wood knock; mouse click; keyboard typing; door creaks; wood creaks; door wood creaks; can opening; washing machine;
vacuum cleaner; clock alarm; clock tick; glass breaking; helicopter; chainsaw; siren; car horn; engine; train;
church bells; airplane; fireworks; hand saw"""
COMMON = """music; man speaking; woman singing; people talking; traffic; applause; guitar; drums; piano; bass; bird;
baby; barking; typing; waves; keys; chicken clucking; kick drum; kettle boiling; crinkling; phone ringing; gunshot;
owl hooting"""


@pytest.fixture(scope="module")
def words() -> frozenset[str]:
    """The vocabulary of the packaged text encoder."""
    return load_text_encoder(SMALL.text).words


@pytest.mark.parametrize(
    ("description", "nearest"),
    [
        ("hiss", "white noise"),
        ("voice", "speech"),
        ("a vuvuzela", "horn"),
        ("a zip being opened", "unzipping a bag"),
        ("my old hoover", "vacuum cleaner"),
        ("theremin", "synth"),
        ("two vuvuzelas", "horn"),
        ("tape hiss", "white noise"),
        ("voices", "speech"),
    ],
)
def test_a_rare_word_falls_back_on_its_kind_and_the_user_is_told(
    words: frozenset[str], description: str, nearest: str
) -> None:
    wordings, note = known_as(description, words.__contains__)
    assert wordings[0] == nearest
    assert f'"{nearest}"' in note


def test_a_longer_description_keeps_its_other_words() -> None:
    assert "a horn in a stadium" in known_as("a vuvuzela in a stadium")[0]


@pytest.mark.parametrize(
    "description",
    ["Dog barking", "hissing cat", "speech", "white noise", "rain on a roof", "accordionist"]
    + [" ".join(name.split()) for name in f"{ESC_50}; {COMMON}".split(";")],
)
def test_what_is_known_stays_as_typed_without_a_note(words: frozenset[str], description: str) -> None:
    assert known_as(description, words.__contains__) == ((description,), "")


@pytest.mark.parametrize(("typed", "meant"), [("speach", "speech"), ("helicoptr", "helicopter"), ("Hund", "dog")])
def test_a_slip_and_a_foreign_word_are_read_as_what_was_meant(words: frozenset[str], typed: str, meant: str) -> None:
    wordings, note = known_as(typed, words.__contains__)
    assert wordings == (meant,)
    assert f'read as "{meant}"' in note


@pytest.mark.parametrize("description", ["glorp", "a loud glorp", "the glorp"])
def test_a_word_that_is_none_is_called_unknown(words: frozenset[str], description: str) -> None:
    wordings, note = known_as(description, words.__contains__)
    assert wordings == (description,)
    assert '"glorp" is a word that the model never met' in note
