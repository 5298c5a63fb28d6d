"""What the user asked for, read from free text. Paper: Sec. III-F.

`text.py` makes typed text safe; `wishes.py` knows words of the trade and what cannot be done; `spelling.py` puts
misspelt command words right; `neural.py` is the trained parser, which reads every English sentence; `language.py`
notices other languages and reads their commonest words; `targets.py` finds several sounds in one description;
`known.py` finds wordings that the separator knows; `language_model.py` with `chat_models.py` asks a large language
model where one is configured; `generator.py` with `phrases.py` and `sounds.py` writes the sentences of training.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from hsm.errors import HSMError
from hsm.instruction.language import language_note, other_language, read_words
from hsm.instruction.neural import Reading
from hsm.instruction.spelling import correct_commands
from hsm.instruction.targets import split_targets
from hsm.instruction.text import EXAMPLES, clean_text, names_nothing, nothing_to_separate, trim
from hsm.instruction.wishes import asks_to_add, left_out, meant, plain_english
from hsm.records import Instruction, SeparationOptions

__all__ = ["OfflineParser", "Parser", "parse_instruction", "understand"]

UNSURE = 0.4  # confidence where something that was asked for is left out


class Parser(Protocol):
    """Anything that understands instructions."""

    def parse(self, text: str) -> Instruction:
        """Understand one; raises `HSMError` where no sound is named."""
        ...


class TrainedParser(Protocol):
    """A network with a vocabulary."""

    def is_word(self, word: str) -> bool:
        """Whether a lower-case word is known as a whole."""
        ...

    def read(self, text: str) -> Reading:
        """Mark the sound's words and decide the operation."""
        ...


def parse_instruction(text: str, neural: TrainedParser | None = None) -> Instruction:
    """Understand an instruction.

    Args:
        text: as typed, such as "remove the dog barking"; a bare caption is an extraction.
        neural: the trained parser, `hsm.instruction.neural.NeuralParser`; without it, and for other languages than
            English, the commonest words of the language alone are read.

    Returns:
        The operation, the description of the sound, and a note about what was left out.

    Raises:
        HSMError: empty, longer than 1,000 characters, naming no sound, or asking to add one.
    """
    cleaned = clean_text(text)
    language = other_language(cleaned)
    note = language_note(language)
    if language or neural is None:
        reading = read_words(cleaned, language or "English")
    else:
        reading = neural.read(correct_commands(plain_english(cleaned), neural.is_word))
    description = trim(reading.description)
    if asks_to_add(reading.rest, reading.operation, description):
        raise HSMError(
            f"instruction: {text[:60]!r} asks to add a sound; only what is in the recording can be extracted or "
            f"removed, for example {EXAMPLES}."
        )
    if names_nothing(description):
        raise nothing_to_separate(text, note or left_out(reading.rest, "extract", "a sound"))
    operation, description, alias = meant(reading.operation, description)
    limits = left_out(reading.rest, operation, description)
    return Instruction(
        operation=operation,
        description=description,
        text=text,
        parser="words" if language or neural is None else "neural",
        confidence=min(reading.confidence, UNSURE) if limits else reading.confidence,
        descriptions=split_targets(description),
        note=" ".join(filter(None, (note, alias, limits))),
    )


@dataclass(frozen=True)
class OfflineParser:
    """`parse_instruction` as a parser."""

    neural: TrainedParser | None = None

    def parse(self, text: str) -> Instruction:
        """Understand one; raises `HSMError` where no sound is named."""
        return parse_instruction(text, self.neural)


def understand(wish: str | Instruction, options: SeparationOptions, parser: Parser) -> Instruction:
    """A wish after the caller's corrections: what will run. Text is not read where both parts are given."""
    operation, description = options.operation, options.description
    if isinstance(wish, str):
        wish = Instruction(operation, description, wish) if operation and description else parser.parse(wish)
    if not operation and not description:
        return wish
    return replace(
        wish,
        operation=operation or wish.operation,
        description=description or wish.description,
        descriptions=() if description else wish.descriptions,
        note="",  # it spoke of what the parser had understood
    )
