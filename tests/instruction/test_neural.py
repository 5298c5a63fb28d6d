"""Generated sentences, the trained parser's form, and the measuring of parsers."""

from __future__ import annotations

from itertools import islice

import pytest
import torch

from hsm.config import TextConfig
from hsm.evaluation.instructions import Case, is_right, load_cases, run, score, template_cases, understood
from hsm.instruction import parse_instruction
from hsm.instruction.generator import LABELS, examples
from hsm.instruction.neural import NeuralParser
from hsm.models.instruction_net import InstructionNet
from hsm.records import Instruction
from hsm.text import TextEncoder, load_text_encoder


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
        assert not set("{}<>") & set(example.text.replace("->", "").replace("=>", ""))


def test_the_same_seed_generates_the_same_sentences() -> None:
    assert list(islice(examples(4), 50)) == list(islice(examples(4), 50))


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


def test_the_grammar_decides_where_it_is_certain_and_the_trained_parser_elsewhere() -> None:
    class Knows:
        def is_word(self, word: str) -> bool:
            return True

    class Always(Knows):
        def parse(self, text: str) -> Instruction:
            return Instruction("remove", "asked", text, "neural")

    class Unsure(Knows):
        def parse(self, text: str) -> Instruction:
            return Instruction("extract", "doubted", text, "neural", 0.5)

    class Sure(Knows):
        def parse(self, text: str) -> Instruction:
            return Instruction("extract", "birds", text, "neural", 0.99)

    assert parse_instruction("extract the dog", Always()).parser == "grammar"
    assert parse_instruction("extract the dog", Unsure()).parser == "grammar"
    assert parse_instruction("keep onlly birds", Sure()).description == "birds"
    assert parse_instruction("that dog drives me up the wall", Always()).description == "asked"


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


def test_nearly_all_plain_templates_are_understood_by_the_grammar_alone() -> None:
    rows, misses = score(template_cases(), parse_instruction)
    assert sum(good for good, _ in rows.values()) >= 0.99 * len(template_cases()), misses[:5]


def test_the_table_of_kinds_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    share = run(show_misses=False)
    assert 0 < share <= 1
    assert "negation" in capsys.readouterr().out
