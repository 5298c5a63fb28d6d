"""Two sounds and their fates in one sentence: "the flute stays, the drums go", "less hiss, more piano".

The sound named first is the answer, with its own fate; the other one is left to the mixture.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from hsm.instruction.words import EXTRACT_VERBS, any_of
from hsm.records import Operation

_FIRST, _SECOND = r"(?P<first>(?!an? )[\w'& -]{2,80}?)", r"(?P<second>(?!an? )[\w'& -]{2,80}?)"
_MAY = r"(?:(?:can|may|should|must|shall|will|has to|have to|needs? to|is to|are to)\s+)?"
_STAYS = rf"{_MAY}(?:stays?|remains?|be kept)"
_GOES = rf"{_MAY}(?:go(?:es)?(?:\s+away)?|disappears?|be (?:cut|removed|muted|gone))"
_ONE, _OTHER = r"(?P<first>(?:the )?[\w'-]+)", r"(?P<second>(?:the )?[\w'-]+)"  # no room for a verb: "a man walks in"
_THEN = r"(?:\s*[,;.]\s*(?:(?:and|but|while)\s+)?|\s+(?:and|but|while)\s+)"
_FEWER, _LESS_OR_NO = r"(?:less|fewer)", r"(?:less|fewer|no)"
_UNTOUCHED = (
    r"(?:must|should|can|may)(?:\s*not|n't|nt)\s+be\s+(?:touched|changed|altered|removed|cut|deleted|muted|lost|harmed)"
)
_REST_GOES = rf"(?:everything else|all else|(?:all )?(?:of )?the (?:rest|others))\s+{_GOES}"
# A piece of music without one of its parts is what is left of the piece, not the piece.
_WHOLE = r"(?!(?:[\w']+\s+)*(?:music|song|tune|band|orchestra|beat)\s+without\b)"

_PATTERNS: tuple[tuple[Operation, str], ...] = (
    ("extract", rf"{_FIRST}\s+{_STAYS}{_THEN}{_SECOND}\s+{_GOES}"),
    ("remove", rf"{_FIRST}\s+{_GOES}{_THEN}{_SECOND}\s+{_STAYS}"),
    ("extract", rf"{_ONE}\s+(?:in|yes),\s*{_OTHER}\s+(?:out|no)"),
    ("extract", rf"more\s+{_FIRST}{_THEN}{_LESS_OR_NO}\s+{_SECOND}"),
    ("remove", rf"{_FEWER}\s+{_FIRST}{_THEN}more\s+{_SECOND}"),
    ("extract", rf"(?:just\s+|only\s+)?{any_of(EXTRACT_VERBS)}\s+{_WHOLE}{_FIRST}\s+without\s+{_SECOND}"),
    ("extract", rf"{_FIRST}\s+{_UNTOUCHED}(?:{_THEN}{_REST_GOES})?"),
)
_FORMS = tuple((operation, re.compile(f"^{pattern}$", re.IGNORECASE)) for operation, pattern in _PATTERNS)


class Contrast(NamedTuple):
    """What becomes of the sound named first; `second` is empty where it is all the rest."""

    operation: Operation
    first: str
    second: str


def contrast(body: str) -> Contrast | None:
    """Read a sentence that gives two sounds opposite fates, None for any other sentence.

    Args:
        body: a sentence without politeness and final marks.
    """
    for operation, form in _FORMS:
        found = form.match(body)
        if found:
            return Contrast(operation, found["first"], found.groupdict().get("second") or "")
    return None
