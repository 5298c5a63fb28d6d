"""Two sounds of opposite fates: the first one is meant, with its own fate."""

from __future__ import annotations

import pytest

from hsm.instruction import parse_instruction
from hsm.instruction.grammar import read_command


@pytest.mark.parametrize(
    ("text", "operation", "description"),
    [
        ("The flute stays, the drums go", "extract", "flute"),
        ("the singer can stay but the guitar has to go", "extract", "singer"),
        ("the trucks go and the blackbird stays", "remove", "trucks"),
        ("cello in, piano out", "extract", "cello"),
        ("voices yes, music no", "extract", "voices"),
        ("more piano, less hiss", "extract", "piano"),
        ("less drums and more vocals, please", "remove", "drums"),
        ("give me the melody without the clicks", "extract", "melody"),
        ("the choir should not be touched", "extract", "choir"),
        ("the drums mustn't be cut, all the rest can go", "extract", "drums"),
    ],
)
def test_the_first_sound_is_meant_with_its_own_fate(text: str, operation: str, description: str) -> None:
    found = parse_instruction(text)
    assert (found.operation, found.description, found.confidence) == (operation, description, 0.95)


@pytest.mark.parametrize(
    "text",
    [
        "give me the recording without the coughing",  # what is left of the recording, not the recording
        "play me the song without the vocals",
        "keep the singer in, take the drums out",
        "a man walks in and a dog goes out",
        "everything can stay but the hum has to go",
    ],
)
def test_other_sentences_are_no_contrast_of_two_sounds(text: str) -> None:
    reading = read_command(text)
    assert reading is None or not (reading.whole and reading.operation == "extract")
