"""The plain grammar: the common ways to say it, and whether the sentence left any doubt."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hsm.instruction.complaints import blamed_sound, scene_of_people, sound_going_on
from hsm.instruction.contrasts import contrast
from hsm.instruction.text import nothing_to_separate
from hsm.instruction.words import (
    DETERMINERS,
    EXTRACT_VERBS,
    GREETING,
    PARTICLE_VERBS,
    RECORDING,
    REMOVE_VERBS,
    REQUEST,
    TRAILER,
    WHERE,
    any_of,
)
from hsm.records import Operation


@dataclass(frozen=True)
class Reading:
    """What the grammar made of a sentence.

    Args:
        operation: "extract" or "remove".
        description: the sound's words.
        certain: the whole sentence was one known form, so nothing cleverer has to be asked.
        caption: no command was found, the sentence was read as a description.
        whole: every word of the description is the sound's; none may be cut.
    """

    operation: Operation
    description: str
    certain: bool
    caption: bool = False
    whole: bool = False


def _re(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


_EXTRACT, _REMOVE = any_of(EXTRACT_VERBS), any_of(REMOVE_VERBS)
_VERB = rf"(?:(?P<remove>{_REMOVE})|(?P<extract>{_EXTRACT}))"
_NOT = r"(?:do\s*n[o']?t|don't|dont|do not|never|please don't|not to|not)"
_ALL = (
    r"(?:(?:absolutely\s+)?(?:everything|every thing|anything|all|every sound|every other sound)"
    r"(?:\s+(?:else|of it|the rest|(?:the\s+)?(?:other\s+)?sounds?|(?:the\s+)?noises?|(?:the\s+)?audio))?)"
)
_BUT = (
    r"(?:,?\s*(?:but|except(?:\s+for)?|excepting|apart from|other than|besides|aside from|save for|excluding|"
    r"without|bar)\b(?:\s+not)?)"
)

_LEADING = _re(rf"^(?:{GREETING}\b[\s,!.:;-]*|{REQUEST})+")
_TRAILING = _re(rf"\b(?:{TRAILER}|{WHERE})$")
_END_MARKS = ' ,.!?;:"-'
_LONGEST_END = 60  # characters searched for a polite ending, so that time stays linear in the text
_ARTICLE = _re(rf"^(?:(?:{DETERMINERS})\s+)+")
_SOUND_OF = _re(r"^(?:(?:sounds?|noises?|audio)\s+(?:of|made by|coming from|from)\s+)")
_ONLY = _re(r"^(?:only|just|solely|nothing but|nothing except(?: for)?|nothing other than)\s+")
_ONLY_AFTER = _re(r"[\s,](?:only|alone|and nothing else|by itself|on its own|and that's it)$")
_COMMAND = _re(
    rf"^(?:just|only|simply|now|also|then|please)?\s*(?:(?P<neg>{_NOT})\s+)?(?:just|only|simply)?\s*"
    rf"{_VERB}\b[\s:-]*(?P<rest>.*)$"
)
_EXCEPTION = _re(rf"^(?:nothing(?P<none>){_BUT}|{_ALL}{_BUT})\s+(?P<rest>.+)$")
_APART = _re(r"^(?:separate|split)\s+(?P<rest>.+?)(?<!ing)\s+(?:from|out of)\s+(?P<other>.+)$")
_REST = _re(r"^(?:(?:all )?the (?:rest|others|other (?:sounds|noises|stuff))|everything else|all else|others)$")
_NO_X = _re(r"^(?:no more|no|without(?: any)?|not|minus|sans)\s+(?P<rest>.+)$")
_PARTICLE = _re(rf"^(?:(?P<neg>{_NOT})\s+)?(?P<verb>{'|'.join(PARTICLE_VERBS)})\s+(?P<rest>.+?)\s+(?:out|away|off)$")
_CLAUSE = _re(
    rf"(?:[,;.!?]+\s*(?:and|but|then|so)?|\s+(?:and|but|then|so|while))\s*"
    rf"(?:(?:please|just|only|also|instead)\s+)*"
    rf"(?={_NOT}\b|{_REMOVE}\b|{_EXTRACT}\b|without\b|not\b|only\b|i\b|it\b|it's\b|that's\b|nothing else\b|no\b)"
)
_DOUBT = _re(
    rf"\b(?:{_REMOVE}|{_EXTRACT}|{_NOT}|it|them|i|me|you|we|everything|nothing|anything|without|except|but|only|just|"
    r"no|not|neither|nor|isn't|is|are|was|were|too|so|want|wanted|like|hate|stand|should|could|would|can|can't|cannot|rather|"
    r"instead|else|rest|annoying|please|if|because|unless|what|why|how|who|which|where|when|gone|away|out|off|save|every|from|have|rest|this)\b|[,:;?!\"]|^of\b|\b(?:in|on|up|down|back|through|forward|first|well)$"
)
_NOTHING = _re(
    r"^(?:it|them|something|anything|everything|nothing|sounds?|noises?|audio|stuff|things?|thing|that|this|all|out|"
    rf"away|one|you|me|help|test|testing|thanks?|yes|no|maybe|only|just|else|(?:{DETERMINERS}|{GREETING}|{TRAILER}|{RECORDING}|"
    rf"{_REMOVE}|{_EXTRACT}|how are you|good (?:morning|day|evening)|"
    r"who are you|what can you do|what is this|[\s,.!?'\"-])+)$"
)


def _cut_end(text: str) -> str:
    """Text without final marks, politeness and places in the file."""
    while True:
        text = text.rstrip(_END_MARKS)
        end = _TRAILING.search(text, max(0, len(text) - _LONGEST_END))
        if end is None:
            return text
        text = text[: end.start()]


def trim(description: str) -> str:
    """Cut politeness, places in the file, articles and quotation marks off a description."""
    before = None
    while before != description:
        before = description
        description = _cut_end(description).strip(" \t'\"“”.,;:!?-–—()[]{}<>*_#")
        description = _SOUND_OF.sub("", _ARTICLE.sub("", description))
    first = description.split(" ", 1)[0]
    if first[:1].isupper() and first[1:].islower():
        description = description[0].lower() + description[1:]
    return description.lower() if description.isupper() else description


def names_nothing(description: str) -> bool:
    """True when the words name no sound: empty, a pronoun, a greeting or a command alone."""
    return not any(c.isalpha() for c in description) or _NOTHING.match(description) is not None


def _flip(operation: Operation) -> Operation:
    return "remove" if operation == "extract" else "extract"


def _read(operation: Operation, rest: str, certain: bool = True, caption: bool = False) -> Reading:
    """Finish a reading: an exception or an "only" inside the object, a second clause, the trimmings."""
    rest = _cut_end(rest)
    exception = _EXCEPTION.match(rest)
    if exception:  # "remove everything but X" keeps X; "keep nothing but X" keeps X
        operation = operation if exception["none"] is not None else _flip(operation)
        rest = exception["rest"]
    rest = _ONLY.sub("", rest)
    pieces = [piece for piece in _CLAUSE.split(rest) if piece]
    if len(pieces) > 1 and not names_nothing(trim(pieces[0])):
        certain, rest = certain and len(pieces) == 2 and _is_opposite(operation, pieces[1]), pieces[0]
    if operation == "extract":
        rest = _ONLY_AFTER.sub("", rest).rstrip(_END_MARKS)
    description = trim(rest)
    certain = certain and not _DOUBT.search(description) and len(description.split()) <= 10
    return Reading(operation, description, certain, caption)


def _is_opposite(operation: Operation, clause: str) -> bool:
    """True for the other half of "keep X and remove Y": the opposite command, of a plain sound or of the rest."""
    command = _COMMAND.match(clause)
    if command is None or (command["remove"] is not None) != (operation == "extract") or command["neg"]:
        return False
    other = _cut_end(command["rest"])
    return _REST.match(other) is not None or not (names_nothing(trim(other)) or _DOUBT.search(other))


def read(text: str) -> Reading:
    """Read an instruction with the grammar alone.

    Args:
        text: from `hsm.instruction.text.clean_text`.

    Returns:
        The best reading; `certain` is False where the sentence says more than the grammar knows.

    Raises:
        HSMError: no sound is named.
    """
    body = _cut_end(_LEADING.sub("", text))
    reading = _read_told(body) or _read_body(body)
    if names_nothing(reading.description):
        raise nothing_to_separate(text)
    return reading


def read_command(text: str) -> Reading | None:
    """The reading where the whole sentence is one known command, None where there is any doubt."""
    body = _cut_end(_LEADING.sub("", text))
    told = _read_told(body)
    if told is not None:
        return told
    reading = _read_body(body)
    sure = reading.certain and not reading.caption and not names_nothing(reading.description)
    return reading if sure else None


def _read_told(body: str) -> Reading | None:
    """Two sounds of opposite fates, a plain complaint, or a scene of people; None where it is none of them."""
    fates = contrast(body)
    if fates is not None:
        first, second = trim(fates.first), trim(fates.second)
        if not (names_nothing(first) or _DOUBT.search(f"{first} {second}")):
            return Reading(fates.operation, first, certain=True, whole=True)
    going_on, blamed, scene = map(trim, (sound_going_on(body), blamed_sound(body), scene_of_people(body)))
    if going_on:
        return Reading("remove", going_on, certain=True, whole=True)
    if blamed and not names_nothing(blamed):
        return Reading("remove", blamed, certain=True)
    return Reading("extract", scene, certain=True, whole=True) if scene else None


def _read_body(body: str) -> Reading:
    particle = _PARTICLE.match(body)
    if particle:
        verb: Operation = "remove" if PARTICLE_VERBS[particle["verb"].lower()] == "remove" else "extract"
        return _read(_flip(verb) if particle["neg"] else verb, particle["rest"])
    apart = _APART.match(body)
    if apart and not _DOUBT.search(apart["other"]):
        return _read("extract", apart["rest"])
    command = _COMMAND.match(body)
    if command:
        verb = "remove" if command["remove"] else "extract"
        return _read(_flip(verb) if command["neg"] else verb, command["rest"])
    if _EXCEPTION.match(body):
        return _read("extract", body)
    negated = _NO_X.match(body)
    if negated:
        return _read("remove", negated["rest"])
    if _ONLY.match(body) or _ONLY_AFTER.search(body):
        return _read("extract", body)
    return _read("extract", body, caption=True)
