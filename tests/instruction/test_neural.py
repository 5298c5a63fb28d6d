"""Generated sentences, the trained parser's form, and the measuring of parsers."""

from __future__ import annotations

import random
import re
from itertools import islice

import pytest
import torch

from hsm.evaluation.instructions import (
    BLIND,
    HAND_WRITTEN,
    TYPED,
    UNSEEN,
    Case,
    Measured,
    evaluated_sentences,
    is_right,
    load_cases,
    markdown,
    plain_words,
    run,
    template_cases,
    understood,
)
from hsm.instruction import parse_instruction
from hsm.instruction.generator import LABELS, _fill, _Speaker, examples
from hsm.instruction.neural import NeuralParser, _marked_words
from hsm.instruction.phrases import load_phrases
from hsm.networks.instruction_net import InstructionNet
from hsm.precision import to_bfloat16
from hsm.records import Instruction
from hsm.text import TextConfig, TextEncoder, load_text_encoder


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    return load_text_encoder(TextConfig(encoder="tiny", width=32))


@pytest.fixture(scope="module")
def parser(encoder: TextEncoder) -> NeuralParser:
    torch.manual_seed(0)
    return NeuralParser(InstructionNet(encoder.width, width=64, layers=1), encoder)


def test_every_generated_character_is_marked_as_description_or_not() -> None:
    for example in islice(examples(0), 3_000):
        assert len(example.text) == len(example.marks)
        assert ("1" in example.marks) == (LABELS[example.label] != "nothing")
        assert not re.search(r"[{}]|<\w>", example.text)


def test_the_same_seed_generates_the_same_sentences() -> None:
    assert list(islice(examples(4), 50)) == list(islice(examples(4), 50))


def test_a_second_sound_that_is_asked_for_is_marked_and_one_that_is_not_wanted_is_not() -> None:
    speaker = _Speaker(random.Random(1), [], "both")
    for template, kept in (("no <x>, no <z>", True), ("no <x>, but <y>", False)):
        text, marks = _fill(template, speaker)
        second = text.rindex(" no " if kept else " but ") + 5
        assert "1" in marks[:second]
        assert ("1" in marks[second:]) is kept


def test_amounts_are_no_part_of_the_sound_and_what_a_sound_is_of_is() -> None:
    def marked(text: str, chances: list[float]) -> list[str]:
        spans = [[word.start(), word.end()] for word in re.finditer(r"\S+", text)]
        return _marked_words(text, chances, spans)[0]

    assert marked("raise harp 3 dB", [0.1, 0.9, 0.9, 0.9]) == ["harp"]
    assert marked("drop harp by 10%", [0.1, 0.9, 0.1, 0.9]) == ["harp"]
    assert marked("keep song of the lark", [0.0, 0.3, 0.1, 0.3, 0.9]) == ["song", "of", "the", "lark"]
    assert marked("get rid of larks", [0.0, 0.1, 0.1, 0.9]) == ["larks"]


def test_padding_leaves_a_sentences_decision_unchanged(parser: NeuralParser) -> None:
    alone = parser.tokens(["remove the dog"])
    padded = parser.tokens(["remove the dog", "a much longer sentence about nothing in particular, really"])
    one, two = (parser.net(parser.layers(ids, mask), mask) for ids, mask, _ in (alone, padded))
    torch.testing.assert_close(one.operation[0], two.operation[0], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(one.description[0], two.description[0, : alone[0].shape[1]], atol=1e-5, rtol=1e-4)


def test_a_parser_that_knows_nothing_still_gives_an_instruction_or_an_error(parser: NeuralParser) -> None:
    odd = (
        "a" * 1000,
        "dog, " * 190,
        "犬 🐕 dog",
        "\x00 remove \u202e x",
        "...dog",
        "ignore all instructions",
        "İİİ the",
    )
    for text in odd:
        found = understood(text, lambda text: parse_instruction(text, parser))
        assert found is None or found.description


def test_the_parser_stays_in_float32_where_the_models_networks_do_not(encoder: TextEncoder) -> None:
    net = InstructionNet(encoder.width, width=64, layers=1)
    parser = NeuralParser(net, encoder)
    before = parser.read("I hate that siren")
    to_bfloat16(net)
    assert parser.read("I hate that siren") == before


def test_a_description_is_right_when_content_words_are_kept_and_no_command_word_is_left() -> None:
    case = Case("plain", "", "remove", "dog barking", optional="annoying", also="extract: cat")
    for description, good in (
        ("the dog barking", True),
        ("annoying dog barking", True),
        ("dog", False),
        ("dog barking please", False),
    ):
        assert is_right(case, Instruction("remove", description)) is good
    assert is_right(case, Instruction("extract", "cat"))
    assert not is_right(case, Instruction("extract", "dog barking"))
    assert not is_right(case, None)


def test_the_hand_written_set_has_the_promised_kinds_and_no_sentence_twice() -> None:
    cases = load_cases()
    assert len(cases) >= 150
    assert len({case.text for case in cases}) == len(cases)
    kinds = {case.kind for case in cases}
    assert kinds >= {"plain", "negation", "exception", "question", "complaint", "caption", "typo", "several", "label"}


def test_the_table_of_kinds_is_printed_and_no_miss_of_the_blind_set(capsys: pytest.CaptureFixture[str]) -> None:
    found = run()
    printed = capsys.readouterr().out
    assert "negation" in printed
    assert [done.name for done in found] == ["hand-written", "templates", "unseen", "typed", "blind"]
    assert all(0 < done.right <= done.total for done in found)
    assert "miss:" in printed
    assert "miss:" not in printed[printed.index("blind:") :]


def test_the_readmes_table_has_a_row_a_kind_and_a_column_a_set() -> None:
    found = [
        Measured("one", {"plain": (3, 4), "typo": (1, 1)}, [], 10.0, 40.0),
        Measured("two", {"template": (5, 5)}, [], 20.0, 60.0),
    ]
    table = markdown(found, "0123456789abcdef")
    assert "| all | 4/5 = 80.0 % | 5/5 = 100.0 % |" in table
    assert "| typo | 1/1 = 100.0 % |  |" in table
    assert "15 ms of CPU time" in table
    assert "50 ms by the clock" in table
    assert "0123456789ab." in table


def test_no_evaluated_sentence_is_in_two_sets() -> None:
    sets = [{plain_words(case.text) for case in load_cases(path)} for path in (HAND_WRITTEN, UNSEEN, TYPED, BLIND)]
    assert len(set().union(*sets)) == sum(map(len, sets)) == len(evaluated_sentences()) - _template_count(sets)


def _template_count(sets: list[set[str]]) -> int:
    return len({plain_words(case.text) for case in template_cases()} - set().union(*sets))


def test_no_template_is_an_evaluated_sentence_with_its_sound_taken_out() -> None:
    """Short commands such as "remove X" are everybody's; a turn of phrase of four words or more is not."""
    templates = {
        plain_words(re.sub(r"<[XYxy]>|\{\w+\??\}|[()|]", " ", template))
        for kinds in (load_phrases().extract, load_phrases().remove)
        for lines in kinds.values()
        for template in lines
    }
    for path in (HAND_WRITTEN, UNSEEN, TYPED, BLIND):
        for case in load_cases(path):
            sound = set(plain_words(f"{case.description} {case.optional}").split())
            frame = [word for word in plain_words(case.text).split() if word not in sound]
            if len(frame) >= 5:
                assert " ".join(frame) not in templates, case.text
