"""Several sounds named in one description.

The rule, simple enough to predict: a description is cut at commas, "and", "or", "plus", "&" and
"as well as" when every piece can stand as a name of its own. It is not cut

- inside a fixed pair ("rock and roll", "drum and bass", "pots and pans");
- where the second piece is a bare verb that borrows the subject of the first ("people laughing and
  talking" is one source doing two things; "hammering and drilling" are two sounds);
- at "while", "as", "with", "followed by": a scene told in one caption stays one description.
"""

from __future__ import annotations

import re

from hsm.instruction.text import ARTICLES

FIXED_PAIRS = (
    "rock and roll", "rock & roll", "drum and bass", "drum & bass", "rhythm and blues", "r&b", "r & b", "pots and pans",
    "country and western", "bow and arrow", "back and forth", "up and down", "in and out", "on and off",
    "over and over", "again and again", "more and more", "call and response", "salt and pepper", "hide and seek",
    "hustle and bustle", "bits and pieces", "knife and fork", "louder and louder", "faster and faster",
    "horse and carriage", "horse and cart", "horse and buggy", "black and white", "loud and clear",
)  # fmt: skip
_JOIN = re.compile(
    r"\s*(?:,\s*(?:and|or|plus|nor)\s+|,\s*|;\s*|\s+(?:and also|and|or|nor|plus|as well as|&|\+)\s+)", re.IGNORECASE
)
_ARTICLE = re.compile(rf"^(?:(?:{ARTICLES}|also)\s+)+", re.IGNORECASE)
_VERBAL = re.compile(
    r"^\w+(?:ing|in')(?:\s+(?:\w+ly|around|along|by|away|off|together|in|on|at|to)\b.*)?$", re.IGNORECASE
)
_ADJECTIVE = re.compile(
    r"^(?:\w+(?:y|ly|er)|loud|soft|quiet|high|low|deep|fast|slow|big|small|old|young|distant|sharp)$", re.IGNORECASE
)


def split_targets(description: str) -> tuple[str, ...]:
    """The single sounds of a description, in order; the description alone when it names one."""
    guarded = description
    for number, pair in enumerate(FIXED_PAIRS):
        guarded = re.sub(re.escape(pair), lambda m, n=number: m[0].replace(" ", "\x00"), guarded, flags=re.IGNORECASE)  # type: ignore[misc]
    pieces = [_ARTICLE.sub("", piece.replace("\x00", " ")).strip() for piece in _JOIN.split(guarded)]
    pieces = [piece for piece in pieces if piece]
    if len(pieces) < 2 or any(_borrows(pieces[0], piece) for piece in pieces[1:]):
        return (description,)
    if any(_ADJECTIVE.match(piece) and " " not in piece for piece in pieces[:-1]) and " " in pieces[-1]:
        return (description,)  # "loud and deep voice"
    return tuple(dict.fromkeys(pieces))


def _borrows(first: str, later: str) -> bool:
    """True when `later` is a verb phrase without a subject and `first` has one."""
    return _VERBAL.match(later) is not None and " " in first and re.search(r"ing\b", first) is not None
