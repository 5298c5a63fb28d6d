"""Wordings that the separator knows for descriptions that it does not: "vuvuzela" is heard as "horn".

Departure: the paper takes every caption as it stands, because it trains on 1.7 million of them. Ours met few words,
so a rare one falls back on its kind (`data/known.txt`), another language's on its English, a slip on the word meant.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache

from rapidfuzz.distance import OSA

from hsm.instruction.language import vocabulary
from hsm.instruction.phrases import read_sections
from hsm.instruction.sounds import sound_words

_WORD = re.compile(r"[^\W_]+(?:['-][^\W_]+)*")
_LONGEST_PHRASE, _LONG = 5, 7  # words looked up as one; letters from which two slips are forgiven
_ENDINGS = ("'s", "s", "es", "ing", "ed", "er", "ers", "ist", "y", "ly")


@cache
def _table() -> tuple[dict[str, tuple[str, ...]], frozenset[str]]:
    """Wordings by rare phrase, and every word of the wordings."""
    found: dict[str, tuple[str, ...]] = {}
    sections = read_sections("known.txt")
    for line in sections["known"]:
        wordings, _, rare = line.partition(": ")
        found |= {phrase.strip(): tuple(wordings.split(", ")) for phrase in rare.split(";")}
    met = [*sections["met"], *(wording for wordings in found.values() for wording in wordings)]
    known = {word for text in met for word in _WORD.findall(text)}
    return found, frozenset(known - {"a", "an", "the", "of", "person", "running", "calling", "passing", "bag", "small"})


@cache
def _english() -> dict[str, str]:
    """English of the commonest sounds in other languages; what is an English word too is left out."""
    languages = [name for name in read_sections("languages.txt") if name != "English"]
    words = {word: english for name in languages for word, english in vocabulary(name)["sounds"].items()}
    return {word: english for word, english in words.items() if word not in sound_words()}


def known_as(description: str, is_word: Callable[[str], bool] | None = None) -> tuple[tuple[str, ...], str]:
    """Other wordings of a description, and what the user should know about them.

    Args:
        description: of one sound, such as "a zip being opened".
        is_word: whether the text encoder's vocabulary has a lower-case word whole, which tells a word from a slip;
            without it no word is called unknown.

    Returns:
        The wordings whose text embeddings are to be averaged, best first (the description itself where it is known),
        and one sentence for the user, empty where nothing was changed.
    """
    words = _WORD.findall(description.lower())
    notes = []
    for i, word in enumerate(words):
        meant = _english().get(word) or (_slip(word) if is_word and not _is_known(word, is_word) else word)
        if meant != word:
            words[i] = meant or word
            notes.append(
                f'"{word}" is read as "{meant}".' if meant else f'"{word}" is a word that the model never met.'
            )
    table, known = _table()
    text = " ".join(words)
    for length in range(min(len(words), _LONGEST_PHRASE), 0, -1):
        for start in range(len(words) - length + 1):
            before, after = words[:start], words[start + length :]
            phrase = " ".join(words[start : start + length])
            listed = phrase if phrase in table or phrase in known else phrase.removesuffix("s")
            if listed in table and not known.intersection(before + after):
                nearest, *others = table[listed]
                notes.append(f'The model hardly knows "{phrase}" and listens for "{nearest}".')
                placed = " ".join([*before, nearest, *after])
                return tuple(dict.fromkeys((nearest, placed, *others))), " ".join(notes)
    return ((text,) if notes and text else (description,)), " ".join(notes)


def _is_known(word: str, is_word: Callable[[str], bool]) -> bool:
    table, known = _table()
    stems = [word.removesuffix(ending) for ending in _ENDINGS if word.endswith(ending)]
    forms = [word, *(form for stem in stems if len(stem) > 2 for form in (stem, stem + "e"))]
    return (
        not (word.isalpha() and word.isascii())
        or any(form in table or form in known or form in sound_words() or is_word(form) for form in forms)
        or any(is_word(word[:i]) and is_word(word[i:]) for i in range(3, len(word) - 2))
    )


def _slip(word: str) -> str:
    """The sound's word that a word is one keystroke from (two, if long), empty for none."""
    limit = 2 if len(word) >= _LONG else 1
    words = {*_table()[1], *(phrase for phrase in _table()[0] if " " not in phrase), *sound_words()}
    near = ((OSA.distance(word, other, score_cutoff=limit), other) for other in sorted(words) if len(other) > 3)
    distance, nearest = min(near)
    return nearest if distance <= limit else ""
