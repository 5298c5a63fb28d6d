"""What may be typed, several sounds, other languages, what is left out, and the parser that ships."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest

from hsm import HSM, SeparationOptions
from hsm.config import SMALL
from hsm.errors import HSMError
from hsm.evaluation.instructions import BLIND, HAND_WRITTEN, TYPED, UNSEEN, load_cases, score, template_cases
from hsm.instruction import OfflineParser, parse_instruction
from hsm.instruction.language import language_note, other_language, read_words
from hsm.instruction.neural import NeuralParser
from hsm.instruction.targets import split_targets
from hsm.instruction.wishes import asks_to_add, meant, plain_english
from hsm.networks.instruction_net import InstructionNet
from hsm.records import Operation
from hsm.text import load_text_encoder
from hsm.weights import BUNDLED, MANIFEST, WeightFolder

shipped = pytest.mark.skipif(not (BUNDLED / MANIFEST).exists(), reason="there are no weights to test")


@pytest.fixture(scope="module")
def parser() -> OfflineParser:
    """The parser that ships."""
    encoder = load_text_encoder(SMALL.text)
    net = InstructionNet(encoder.width)
    WeightFolder.open(BUNDLED).load_into("instruction", net)
    return OfflineParser(NeuralParser(net, encoder))


@shipped
@pytest.mark.parametrize(
    ("cases", "least"),
    [
        (load_cases(HAND_WRITTEN), 0.98),
        (template_cases(), 0.99),
        (load_cases(UNSEEN), 0.95),
        (load_cases(BLIND), 0.93),
        (load_cases(TYPED), 0.97),
    ],
    ids=["hand", "templates", "unseen", "blind", "typed"],
)
def test_the_lists_are_understood(parser: OfflineParser, cases: list, least: float) -> None:  # type: ignore[type-arg]
    rows, _ = score(cases, parser.parse)
    assert sum(good for good, _ in rows.values()) >= least * len(cases), rows


@shipped
@pytest.mark.parametrize(
    ("text", "operation", "description"),
    [
        ("Remove the noise!", "remove", "noise"),
        ("denoise my podcast", "remove", "noise"),
        ("de-hum", "remove", "hum"),
        ("declick this", "remove", "clicks"),
        ("karaoke please", "remove", "vocals"),
        ("remove the karaoke track", "extract", "vocals"),
        ("an acapella", "extract", "vocals"),
        ("drumless", "remove", "drums"),
        ("trumpet only, no choir", "extract", "trumpet"),
        ("please stop removing the trumpet", "extract", "trumpet"),
        ("separate out and delete the trumpet", "remove", "trumpet"),
        ("remove trumpet keep choir and organ", "remove", "trumpet"),
        ("my voice", "extract", "voice"),
        ("the 808", "extract", "808"),
        ("🐶", "extract", "dog"),
        ("remove 🐶", "remove", "dog"),
        ("a wrapper is removed", "extract", "wrapper is removed"),
        ("strong wind is blowing", "extract", "strong wind is blowing"),
        ("the kettle is switched on in the next room", "extract", "kettle is switched on in the next room"),
        ("hum suppression on this tape", "remove", "hum"),
        ("a hiss-free copy", "remove", "hiss"),
        ("gate the hum", "remove", "hum"),
        ("the rumble bothers me", "remove", "rumble"),
        ("not the oboe, the tuba", "extract", "tuba"),
        ("no oboe, no tuba", "remove", "oboe, tuba"),
        ("mute the oboe and mute the tuba", "remove", "oboe and the tuba"),
        ("oboe > tuba", "extract", "oboe"),
        ("-oboe +tuba", "remove", "oboe"),
        ("tuba in, oboe out", "extract", "tuba"),
        ("the oboe without the tuba", "extract", "oboe"),
        ("oboe only folks no tuba", "extract", "oboe"),
        ("just oboe thanks no tuba and no harp", "extract", "oboe"),
        ("the tuba can leave, the oboe stays", "remove", "tuba"),
        ("find and delete the tuba", "remove", "tuba"),
        ("ditch the tuba, I only want the oboe", "remove", "tuba"),
        ("we don't want the tuba, it is annoying", "remove", "tuba"),
    ],
)
def test_what_people_type_is_understood(parser: OfflineParser, text: str, operation: str, description: str) -> None:
    found = parser.parse(text)
    assert (found.operation, found.description, found.text) == (operation, description, text)


@shipped
@pytest.mark.parametrize(
    ("text", "operation", "told"),
    [
        ("make the flute louder", "extract", "volume"),
        ("softer drums please", "remove", "volume"),
        ("reduce the choir by 6 dB", "remove", "volume"),
        ("keep the tuba from 1:00 to 2:00", "extract", "Times"),
        ("the goat at the end only", "extract", "Times"),
        ("slow down the choir", "extract", "Speed"),
        ("remove the dog from 0:10 to 0:20", "remove", "Times"),
        ("isolate the second man", "extract", "Which one"),
        ("extract the flute from the left channel", "extract", "channel"),
        ("each singer into a separate file", "extract", "file"),
        ("every goat into a file", "extract", "file"),
        ("translate the speech into french", "extract", "translated"),
        ("replace the dog with a cat", "remove", "added"),
        ("take off the reverb", "remove", "reverb"),
    ],
)
def test_what_cannot_be_done_is_told_and_makes_unsure(
    parser: OfflineParser, text: str, operation: str, told: str
) -> None:
    found = parser.parse(text)
    assert found.operation == operation
    assert told in found.note
    assert found.note.count(".") == 1, "one sentence"
    assert found.confidence <= 0.4


@shipped
@pytest.mark.parametrize("text", ["turn the music off", "the music is too loud", "the choir stays"])
def test_a_plain_wish_has_no_note(parser: OfflineParser, text: str) -> None:
    assert parser.parse(text).note == ""


@shipped
@pytest.mark.parametrize(
    "text", ["add a flute", "Insert some rain", "generate a siren", "I want you to add a flute at the start"]
)
def test_a_sound_that_is_to_be_added_is_refused_in_one_sentence(parser: OfflineParser, text: str) -> None:
    with pytest.raises(HSMError, match="asks to add a sound") as error:
        parser.parse(text)
    assert repr(text) in str(error.value)


@pytest.mark.parametrize(
    ("rest", "operation", "adds"),
    [
        ("add some _ here", "extract", True),
        ("add the _ back", "extract", False),
        ("mute _ and add it", "remove", False),
    ],
)
def test_a_named_sound_is_to_be_added_only_where_it_is_what_is_added(
    rest: str, operation: Operation, adds: bool
) -> None:
    assert asks_to_add(rest, operation, "flute") is adds


@pytest.mark.parametrize(
    ("described", "operation", "description"),
    [("hum removal", "remove", "hum"), ("vocal remover", "remove", "vocal"), ("garden gate", "extract", "garden gate")],
)
def test_the_removal_of_a_noise_is_a_removal(described: str, operation: str, description: str) -> None:
    assert meant("extract", described) == (operation, description, "")


@shipped
def test_a_refusal_quotes_what_was_typed(parser: OfflineParser) -> None:
    with pytest.raises(HSMError, match="'dont remvoe it pls'"):
        parser.parse("dont remvoe it pls")


@pytest.mark.parametrize(
    "text",
    ["hello", "please", "hello, please", "remove it", "extract", "keep only", "?!", "", " \n\t ", "12345", "🙂🙂"],
)
def test_text_that_names_no_sound_is_an_error_that_shows_what_to_write(text: str) -> None:
    with pytest.raises(HSMError, match="extract the dog barking"):
        parse_instruction(text)


def test_more_than_a_thousand_characters_are_refused_with_the_limit_named() -> None:
    with pytest.raises(HSMError, match="1,000"):
        parse_instruction("dog " * 25_000)


@shipped
@pytest.mark.parametrize(
    "piece", ["a", "don't ", "keep everything but ", ", ", "in the left ", "5 s ", "de", '" ', "é "]
)
def test_no_repetition_makes_parsing_slow(parser: OfflineParser, piece: str) -> None:
    start = time.process_time()
    with suppress(HSMError):
        parser.parse((piece * 1000)[:990] + " dog")
    assert time.process_time() - start < 2


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("denoise this", "remove the noise from this"),
        ("de-hummed", "without hum"),
        ("a click-free copy", "a copy without clicks"),
        ("cymbal-less version", "version without cymbals"),
        ("a hands-free gluten free kit", "a hands-free gluten free kit"),
        ("-hi-hat +tuba", "remove hi-hat keep tuba"),
        ("+ tuba, - harp", "keep tuba, remove harp"),
        ("keep the tuba, keep the harp", "keep the tuba, the harp"),
        ("don't mute the tuba, mute the harp", "don't mute the tuba, mute the harp"),
        ("flute >> bagpipe", "flute, not bagpipe"),
        ("remove > bagpipe", "remove > bagpipe"),
        ("it needs de-essing", "it needs sibilance removal"),
        ("a drumless mix", "a mix without drums"),
        ("minus one", "karaoke"),
        ("a breathless runner near a wireless dehumidifier", "a breathless runner near a wireless dehumidifier"),
    ],
)
def test_words_of_the_trade_become_plain_english(text: str, plain: str) -> None:
    assert plain_english(text) == plain


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
    ("text", "language", "operation", "description"),
    [
        ("quita el sonido del perro", "Spanish", "remove", "perro"),
        ("no quites la voz", "Spanish", "extract", "voz"),
        ("enlève les oiseaux", "French", "remove", "oiseaux"),
        ("garde tout sauf la voix", "French", "remove", "voix"),
        ("entferne alles außer dem Hund bitte", "German", "extract", "hund"),
        ("nur Klavier, ohne Gesang", "German", "extract", "klavier"),
        ("ohne Bass", "German", "remove", "bass"),
        ("verwijder de hond", "Dutch", "remove", "hond"),
        ("geen muziek", "Dutch", "remove", "muziek"),
        ("rimuovi il cane", "Italian", "remove", "cane"),
        ("bez perkusji", "Polish", "remove", "perkusji"),
        ("bez hudby", "Czech", "remove", "hudby"),
        ("убери собаку", "Russian or another Cyrillic language", "remove", "собаку"),
        ("去掉狗叫声", "Chinese or Japanese", "remove", "狗叫声"),
        ("ボーカルだけ", "Japanese", "extract", "ボーカル"),
    ],
)
def test_another_language_is_noticed_and_its_commands_are_read(
    text: str, language: str, operation: str, description: str
) -> None:
    assert other_language(text) == language
    found = parse_instruction(text)
    assert (found.operation, found.description) == (operation, description)
    assert language in found.note


@pytest.mark.parametrize(
    "text", ["remove the dog", "a man saying hola", "die", "café crowd", "music in the den", "sans drums", "solo bass"]
)
def test_english_is_not_taken_for_another_language(text: str) -> None:
    assert other_language(text) == ""
    assert language_note(other_language(text)) == ""


@pytest.mark.parametrize("text", ["αφαίρεσε τον σκύλο", "entferne das bitte"])
def test_the_note_on_the_language_survives_a_refusal(text: str) -> None:
    with pytest.raises(HSMError, match=f"looks like {other_language(text)}"):
        parse_instruction(text)


@pytest.mark.parametrize(
    ("text", "operation", "description"),
    [
        ("remove the dog", "remove", "dog"),
        ("keep only the speech", "extract", "speech"),
        ("mute everything but the speech", "extract", "speech"),
        ("everything but the speech", "remove", "speech"),
        ("don't remove the dog", "extract", "dog"),
        ("dog barking", "extract", "dog barking"),
    ],
)
def test_without_a_trained_parser_the_commonest_words_are_read(text: str, operation: str, description: str) -> None:
    reading = read_words(text, "English")
    assert (reading.operation, reading.description) == (operation, description)


def test_what_is_shown_before_a_run_has_the_corrections_of_the_run() -> None:
    model = HSM.tiny()
    corrected = SeparationOptions(operation="extract", description="a siren")
    for read in (model.parse, model.preview):
        assert read("remove the dog").operation == "remove"
        assert read("remove the dog", SeparationOptions(operation="extract")).operation == "extract"
        found = read("?!", corrected)
        assert (found.operation, found.descriptions) == ("extract", ("a siren",))
