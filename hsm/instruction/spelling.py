"""Slips of the keyboard and short forms in command words: "isolaet the singer", "gimme dat bass".

The sound's own words are left as typed. A word is only taken for a slip when it is no English word that
the text encoder's vocabulary has whole, names no sound of `sounds.py`, and lies one keystroke (two, from
seven letters on) from a word that commands.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from rapidfuzz.distance import OSA

from hsm.instruction.sounds import sound_words

_COMMANDS = """extract separate isolate keep retain preserve single pick pull bring solo give show play let hear
listen find focus capture grab fetch output select retrieve hold hang leave want need like would remove drop delete
eliminate erase mute silence suppress cut get rid take filter strip out away off kill discard exclude subtract lose
turn block cancel reduce attenuate ditch scrap wipe hide edit omit throw tune dampen shut minus everything anything
nothing everyone except without please only just don't can't cannot stand annoying with from could should apart other
than besides can and the you sound sounds noise everything's never rest background gone enough alone instead really"""
SHORT_FORMS = {
    "w/o": "without", "w/out": "without", "dont": "don't", "cant": "can't", "wont": "won't", "isnt": "isn't",
    "doesnt": "doesn't", "shouldnt": "shouldn't", "wouldnt": "wouldn't", "didnt": "didn't", "pls": "please",
    "plz": "please", "plox": "please", "thx": "thanks", "ty": "thanks", "im": "i'm", "ive": "i've", "fo": "of",
    "ot": "to", "gimme": "give me", "lemme": "let me", "wanna": "want to", "u": "you", "ur": "your", "dat": "that",
    "dem": "those", "dis": "this", "da": "the", "rm": "remove", "rmv": "remove", "del": "delete",
}  # fmt: skip
# Longest first, so that a tie goes to the one that keeps most letters.
COMMANDS = tuple(sorted({word for word in _COMMANDS.split() if len(word) > 2}, key=lambda word: (-len(word), word)))
_WORD = re.compile(r"[A-Za-z][A-Za-z/']*")
_SHORTEST, _LONG = 3, 7  # letters; of the shortest words' slips a swap alone ("cna") is told from another word


def correct_commands(text: str, is_word: Callable[[str], bool]) -> str:
    """Put right what was meant as a command.

    Args:
        text: from `hsm.instruction.text.clean_text`.
        is_word: whether a lower-case word is known, so that it was meant as it stands.

    Returns:
        The text with misspelt command words replaced, in lower case.
    """

    def correct(match: re.Match[str]) -> str:
        typed = match[0].lower()
        if typed in SHORT_FORMS:
            return SHORT_FORMS[typed]
        if len(typed) < _SHORTEST or typed in sound_words() or is_word(typed) or is_word(typed.removesuffix("s")):
            return match[0]
        limit = 2 if len(typed) >= _LONG else 1
        letters = sorted(typed)
        fits = [word for word in COMMANDS if max(len(typed), len(word)) > _SHORTEST or sorted(word) == letters]
        near = [(OSA.distance(typed, word, score_cutoff=limit), word) for word in fits]
        best = min(near, key=lambda item: item[0])
        return best[1] if best[0] <= limit else match[0]

    return _WORD.sub(correct, text)
