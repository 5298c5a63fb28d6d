"""Typed text made safe to parse, and the trimmings of a description."""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from itertools import chain

from hsm.errors import HSMError
from hsm.instruction.phrases import read_sections

LONGEST_CHARACTERS = 1_000
EXAMPLES = '"extract the dog barking", "remove the music", "keep only the speech"'

_QUOTES = str.maketrans({"‘": "'", "’": "'", "ʼ": "'", "`": "'", "´": "'", "“": '"', "”": '"', "„": '"', "…": "..."})
_DRUM_MACHINE = re.compile(r"\b[678]0[678]s?\b|\b909s?\b")  # digits that name a sound
_MARKS = " \t'\"“”.,;:!?-–—()[]{}<>*_#+=|/"
ARTICLES = "the|a|an|this|that|these|those|all|any|every|each|my|our|your|his|her|their|some|both|other|either"
_LEAD = re.compile(
    rf"^(?:(?:{ARTICLES})\s+|(?:sounds?|noises?|audio)\s+(?:of|made by|coming from|from)\s+)+",
    re.IGNORECASE,
)
_EMPTY_WORDS = """it its them something anything everything nothing sound sounds audio stuff thing things one
you me us help test testing thanks please yes no not only just else out away and or of from in at to for rest recording
recordings file files clip track mix mixture video song tape signal input sample wav mp3 podcast hello hi"""
_EMPTY = frozenset(_EMPTY_WORDS.split() + ARTICLES.split("|"))


@cache
def _emoji() -> dict[str, str]:
    """The word of each emoji that has one."""
    lines = chain.from_iterable(read_sections("emoji.txt").values())
    return {sign: f" {word} " for line in lines for signs, _, word in [line.partition(" ")] for sign in signs}


def _safe(c: str) -> str:
    kind = unicodedata.category(c)
    if kind in ("Cc", "Cs", "Zl", "Zp", "Zs"):
        return " "
    if kind == "So":
        return _emoji().get(c, " ")
    return "" if kind in ("Cf", "Cn", "Co") or c == "\ufe0f" or 0x1F3FB <= ord(c) <= 0x1F3FF else c


def clean_text(text: str) -> str:
    """Normalise what a user typed.

    Args:
        text: anything.

    Returns:
        One line in Unicode normal form C: control and format characters gone, curly quotes made
        straight, emoji as words, runs of white space made one space.

    Raises:
        HSMError: nothing typed, more than 1,000 characters, or no letter at all.
    """
    if len(text) > LONGEST_CHARACTERS:
        raise HSMError(
            f"instruction: got {len(text):,} characters; at most {LONGEST_CHARACTERS:,} are read. "
            f"Write one short sentence, for example {EXAMPLES}."
        )
    cleaned = unicodedata.normalize("NFC", text).translate(_QUOTES)
    cleaned = " ".join("".join(_safe(c) for c in cleaned).split())
    if not cleaned and not text.strip():
        raise HSMError(f"instruction: got nothing; say which sound you want, for example {EXAMPLES}.")
    if not any(c.isalpha() for c in cleaned) and not _DRUM_MACHINE.search(cleaned):
        raise nothing_to_separate(text)
    return cleaned


def nothing_to_separate(text: str, note: str = "") -> HSMError:
    """The error for text that names no sound, in the user's own words."""
    shown = text if len(text) <= 60 else text[:57] + "..."
    told = f"instruction: found no sound to separate in {shown!r}; name one, for example {EXAMPLES}."
    return HSMError(f"{told} {note}".strip())


def trim(description: str) -> str:
    """Cut articles, "the sound of" and marks off a description, and the capital that begins a sentence."""
    before = None
    while before != description:
        before, description = description, _LEAD.sub("", description.strip(_MARKS))
    first = description.split(" ", 1)[0]
    if first[:1].isupper() and first[1:].islower():
        description = description[0].lower() + description[1:]
    return description.lower() if description.isupper() else description


def names_nothing(description: str) -> bool:
    """True when the words name no sound: none, or pronouns and the like alone."""
    words = re.findall(r"\w+", description.lower())
    return _EMPTY.issuperset(words) or (
        not any(c.isalpha() for c in description) and not _DRUM_MACHINE.search(description)
    )
