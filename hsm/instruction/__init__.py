"""What the user asked for, read from free text. Paper: Sec. III-F.

`text.py` makes typed text safe; `grammar.py` knows the common forms; `neural.py` is the trained
parser for all others; `language_model.py` asks a large language model where one is configured;
`targets.py` finds several sounds in one description; `language.py` notices text that is not English;
`generator.py` with `phrases.py` and `sounds.py` writes the sentences that training uses.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from hsm.instruction.grammar import read, read_command
from hsm.instruction.language import language_note
from hsm.instruction.targets import split_targets
from hsm.instruction.text import clean_text
from hsm.records import Instruction

__all__ = ["OfflineParser", "Parser", "parse_instruction"]


class Parser(Protocol):
    """Anything that understands instructions."""

    def parse(self, text: str) -> Instruction:
        """Understand one; raises `HSMError` where no sound is named."""
        ...


def parse_instruction(text: str, neural: Parser | None = None) -> Instruction:
    """Understand an instruction.

    The grammar decides where the whole sentence is one of its commands; the trained parser, where
    one is given, decides the rest.

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
    if neural is not None and read_command(cleaned) is None:
        return replace(neural.parse(text), note=note)
    reading = read(cleaned)
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

    neural: Parser | None = None

    def parse(self, text: str) -> Instruction:
        """Understand one; raises `HSMError` where no sound is named."""
        return parse_instruction(text, self.neural)
