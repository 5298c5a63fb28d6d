"""The plain grammar, the limits on what may be typed, several targets, and other languages."""

from __future__ import annotations

import time

import pytest

from hsm.errors import HSMError
from hsm.evaluation.instructions import understood
from hsm.instruction import parse_instruction
from hsm.instruction.grammar import read_command
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
        ("keep the cat and delete the engine", "extract", "cat"),
        ("delete the engine, keep the cat", "remove", "engine"),
        ("mute the goat and leave the rest", "remove", "goat"),
        ("separate the zither from the drums", "extract", "zither"),
        ("solo the zither", "extract", "zither"),
    ],
)
def test_common_forms_are_understood(text: str, operation: str, description: str) -> None:
    found = parse_instruction(text)
    assert (found.operation, found.description, found.text) == (operation, description, text)


@pytest.mark.parametrize(
    "text",
    ["I want neither the cat nor the goat", "keep the cat and remove it", "separate water running from a pipe"],
)
def test_the_grammar_is_not_certain_where_a_sentence_says_more(text: str) -> None:
    assert read_command(text) is None


@pytest.mark.parametrize(
    ("text", "sound"),
    [
        ("The goat annoys everyone", "goat"),
        ("that fan is really irritating!", "fan"),
        ("I like the flute but the fan was far too noisy", "fan"),
        ("The choir is lovely, but that tapping drives me nuts", "tapping"),
        ("The fan is too strong; we can't make out the poem", "fan"),
        ("my sister never stops whistling, make it stop", "sister whistling"),
        ("Our camera also caught the fan", "fan"),
        ("the fan spoils the whole recording. please get rid of it", "fan"),
    ],
)
def test_a_plain_complaint_asks_for_removal_of_what_it_blames(text: str, sound: str) -> None:
    reading = read_command(text)
    assert reading is not None
    assert (reading.operation, reading.description) == ("remove", sound)


@pytest.mark.parametrize(
    "text",
    ["a fan that is too loud", "it annoys me", "I don't think the fan is annoying", "the fan is not too loud",
     "the flute is too quiet", "this is driving me mad", "everything but the flute annoys me"],
)  # fmt: skip
def test_what_only_resembles_a_complaint_is_left_to_the_trained_parser(text: str) -> None:
    assert read_command(text) is None


def test_a_scene_of_people_keeps_the_people() -> None:
    reading = read_command("Somebody shaking a box in a hall")
    assert reading is not None
    assert (reading.operation, reading.description) == ("extract", "somebody shaking a box in a hall")
    for text in ("a man talking, please remove", "two men ruining my recording"):
        assert read_command(text) is None


def test_a_command_and_its_opposite_are_certain() -> None:
    for text in ("keep the cat and remove the engine", "solo the zither", "separate the zither from the drums"):
        assert read_command(text) is not None


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
