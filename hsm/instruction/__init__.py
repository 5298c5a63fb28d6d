"""What the user asked for, read from free text. Paper: Sec. III-F.

`text.py` makes typed text safe; `spelling.py` puts misspelt command words right; `grammar.py` (over
`words.py`, `complaints.py`, `contrasts.py`) knows the common forms; `neural.py` is the trained parser for all others;
`language_model.py` with `chat_models.py` asks a large language model where one is configured;
`targets.py` finds several sounds in one description; `language.py` notices text that is not English;
`generator.py` with `phrases.py` and `sounds.py` writes the sentences that training uses.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from hsm.errors import HSMError
from hsm.instruction.grammar import Reading, read, read_command
from hsm.instruction.language import language_note
from hsm.instruction.sounds import sound_words
from hsm.instruction.spelling import correct_commands
from hsm.instruction.targets import split_targets
from hsm.instruction.text import clean_text
from hsm.records import Instruction

__all__ = ["OfflineParser", "Parser", "parse_instruction"]

SURE = 0.9  # confidence from which the trained parser may correct the grammar's description


class Parser(Protocol):
    """Anything that understands instructions."""

    def parse(self, text: str) -> Instruction:
        """Understand one; raises `HSMError` where no sound is named."""
        ...


class TrainedParser(Parser, Protocol):
    """A parser with a vocabulary."""

    def is_word(self, word: str) -> bool:
        """Whether a lower-case word is known as a whole."""
        ...


def parse_instruction(text: str, neural: TrainedParser | None = None) -> Instruction:
    """Understand an instruction.

    Where the whole sentence is one of the grammar's commands, the grammar decides the operation, and
    the trained parser may only cut words that it is sure are none of the sound's ("keep onlly birds"). It
    is not asked where nothing could be cut: a single word, or words of the list of known sounds alone.
    The trained parser, where one is given, decides all other sentences.

    Args:
        text: as typed, such as "remove the dog barking"; a bare caption is an extraction.
        neural: the trained parser, `hsm.instruction.neural.NeuralParser`.

    Returns:
        The operation and the description of the sound.

    Raises:
        HSMError: empty, longer than 1,000 characters, or naming no sound.
    """
    cleaned = clean_text(text)
    note = language_note(cleaned)
    if neural is not None:
        cleaned = correct_commands(cleaned, neural.is_word)
    command = read_command(cleaned)
    if neural is None:
        return _from_reading(command or read(cleaned), text, note)
    if command is None:
        return replace(neural.parse(cleaned), text=text, note=note)
    known = _from_reading(command, text, note)
    if command.whole or _nothing_to_cut(command.description):
        return known
    try:
        trained = replace(neural.parse(cleaned), text=text, note=note)
    except HSMError:
        return known
    cuts = set(trained.description.lower().split()) <= set(known.description.lower().split())
    agrees = trained.operation == known.operation and trained.confidence >= SURE
    return trained if cuts and agrees else known


def _nothing_to_cut(description: str) -> bool:
    words = description.lower().split()
    return (len(words) == 1 and words[0].isalpha()) or sound_words().issuperset(words)


def _from_reading(reading: Reading, text: str, note: str) -> Instruction:
    return Instruction(
        operation=reading.operation,
        description=reading.description,
        text=text,
        parser="grammar",
        confidence=0.95 if reading.certain else 0.6,
        descriptions=split_targets(reading.description),
        note=note,
    )


@dataclass(frozen=True)
class OfflineParser:
    """`parse_instruction` as a parser: the grammar, then the trained parser where there is one."""

    neural: TrainedParser | None = None

    def parse(self, text: str) -> Instruction:
        """Understand one; raises `HSMError` where no sound is named."""
        return parse_instruction(text, self.neural)
