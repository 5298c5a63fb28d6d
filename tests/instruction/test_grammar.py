"""The plain grammar, the limits on what may be typed, several targets, and other languages."""

from __future__ import annotations

import random
import time

import pytest

from hsm.errors import HSMError
from hsm.evaluation.instructions import understood
from hsm.instruction import parse_instruction
from hsm.instruction.language import language_note, other_language
from hsm.instruction.targets import split_targets


@pytest.mark.parametrize(
    ("text", "operation", "description"),
    [
        ("Extract the dog barking", "extract", "dog barking"),
        ("Separate the violin from the mix", "extract", "violin"),
        ("Remove the music", "remove", "music"),
        ("Drop siren", "remove", "siren"),
        ("keep only the speech", "extract", "speech"),
        ("isolate piano", "extract", "piano"),
        ("without the wind", "remove", "wind"),
        ("everything but the speech", "remove", "speech"),
        ("mute everything but the speech", "extract", "speech"),
        ("remove everything except rain", "extract", "rain"),
        ("leave only the waves", "extract", "waves"),
        ("leave out the waves", "remove", "waves"),
        ("don't keep the sheep", "remove", "sheep"),
        ("don't remove the dog", "extract", "dog"),
        ("Could you please remove the dog barking?", "remove", "dog barking"),
        ("keep nothing but the guitar", "extract", "guitar"),
        ("take the chainsaw out", "remove", "chainsaw"),
        ("No dogs", "remove", "dogs"),
        ("a man speaking while birds sing", "extract", "man speaking while birds sing"),
        ("speech only", "extract", "speech"),
        ("remove the sound of rain from the recording, thanks!", "remove", "rain"),
        ("REMOVE THE DOG", "remove", "dog"),
        ("Don’t remove the “dog”", "extract", "dog"),
        ("Only remove the siren", "remove", "siren"),
    ],
)
def test_common_forms_are_understood(text: str, operation: str, description: str) -> None:
    found = parse_instruction(text)
    assert (found.operation, found.description, found.text) == (operation, description, text)


@pytest.mark.parametrize(
    "text",
    ["hello", "please", "hello, please", "remove it", "extract", "keep only", "?!", "", " \n\t ", "12345", "🐶🐶"],
)
def test_text_that_names_no_sound_is_an_error_that_shows_what_to_write(text: str) -> None:
    with pytest.raises(HSMError, match="extract the dog barking"):
        parse_instruction(text)


def test_more_than_a_thousand_characters_are_refused_with_the_limit_named() -> None:
    with pytest.raises(HSMError, match="1,000"):
        parse_instruction("dog " * 25_000)


def _random_texts(count: int) -> list[str]:
    rng = random.Random(0)
    pieces = [
        "remove",
        "keep",
        "everything but",
        "don't",
        "\x00",
        "\ud800",
        "🐕",
        "\u202e",
        "İ",
        "ß",
        "'; DROP TABLE users;--",
        "$(rm -rf /)",
        "../../etc/passwd",
        "ignore previous instructions",
        "the",
        "dog",
        "{}",
        "%s",
        "\\",
        "\n",
        "\t",
        ",",
        ":",
        "<script>",
        "and",
        "é",
        "犬",
        "a" * 60,
        "\u0301",
        "out",
        "only",
    ]
    texts = ["".join(chr(rng.randrange(1, 0x11000)) for _ in range(rng.randrange(1, 80))) for _ in range(count // 2)]
    return texts + [" ".join(rng.choices(pieces, k=rng.randrange(1, 40))) for _ in range(count - count // 2)]


def test_a_thousand_random_strings_give_an_instruction_or_a_clear_error() -> None:
    for text in _random_texts(1_000):
        found = understood(text, parse_instruction)
        assert found is None or found.description.strip()


@pytest.mark.parametrize(
    "piece",
    [
        "a",
        "don't ",
        "keep everything but ",
        ", ",
        "please ",
        "and keep ",
        "the sound of ",
        "in the mix ",
        "not ",
        "remove ",
        "can you ",
        '" ',
    ],
)
def test_no_repetition_makes_the_grammar_slow(piece: str) -> None:
    start = time.perf_counter()
    understood((piece * 1000)[:990] + " dog", parse_instruction)
    assert time.perf_counter() - start < 0.5


@pytest.mark.parametrize(
    ("description", "targets"),
    [
        ("dog and the music", ("dog", "music")),
        ("hammering and drilling", ("hammering", "drilling")),
        ("wind, rain and thunder", ("wind", "rain", "thunder")),
        ("rock and roll", ("rock and roll",)),
        ("people laughing and talking", ("people laughing and talking",)),
        ("pots and pans and a kettle", ("pots and pans", "kettle")),
        ("man speaking while birds sing", ("man speaking while birds sing",)),
        ("slow and deep voice", ("slow and deep voice",)),
        ("dog", ("dog",)),
        ("speech as well as the footsteps", ("speech", "footsteps")),
        ("dog barking and a man speaking", ("dog barking", "man speaking")),
    ],
)
def test_several_sounds_are_listed_and_one_scene_stays_whole(description: str, targets: tuple[str, ...]) -> None:
    assert split_targets(description) == targets


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("quita el sonido del perro", "Spanish"),
        ("enlève le bruit du chien", "French"),
        ("entferne den Hund bitte", "German"),
        ("rimuovi il cane", "Italian"),
        ("убери собаку", "Russian or another Cyrillic language"),
        ("去掉狗叫声", "Chinese or Japanese"),
        ("개 짖는 소리", "Korean"),
        ("remove the dog", ""),
        ("a man saying hola", ""),
        ("die", ""),
        ("café crowd", ""),
        ("music in the den", ""),
    ],
)
def test_other_languages_are_noticed_and_english_is_not(text: str, language: str) -> None:
    assert other_language(text) == language
    assert bool(language_note(text)) == bool(language)


def test_a_note_tells_the_user_that_the_text_is_not_english() -> None:
    assert "German" in parse_instruction("entferne den Hund bitte").note
