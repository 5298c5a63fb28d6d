"""Is this English? A plain look at the script and at a few very common words."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from functools import lru_cache

from hsm.instruction.phrases import read_sections

_SCRIPTS = {
    "CYRILLIC": "Russian or another Cyrillic language", "CJK": "Chinese or Japanese", "HIRAGANA": "Japanese",
    "KATAKANA": "Japanese", "HANGUL": "Korean", "GREEK": "Greek", "ARABIC": "Arabic", "HEBREW": "Hebrew",
    "DEVANAGARI": "Hindi", "THAI": "Thai", "BENGALI": "Bengali", "TAMIL": "Tamil", "GEORGIAN": "Georgian",
    "ARMENIAN": "Armenian",
}  # fmt: skip
_ENGLISH = """a an the of in on and or to is that this i it no not please remove extract keep only without dog
music voice sound from"""
_SHARED = frozenset(_ENGLISH.split())
_SHORT_WORDS = 4  # in a text this short, one telling word with an accent in the text is enough


@lru_cache(maxsize=1)
def _telling_words() -> dict[str, frozenset[str]]:
    sections = read_sections("languages.txt")
    return {language: frozenset(" ".join(lines).split()) - _SHARED for language, lines in sections.items()}


def other_language(text: str) -> str:
    """Name of the language the text seems to be in, empty for English or where nothing tells."""
    scripts = Counter(unicodedata.name(c, "?").split(" ")[0].split("-")[0] for c in text if c.isalpha())
    if not scripts:
        return ""
    script, count = scripts.most_common(1)[0]
    if script != "LATIN" and 2 * count > scripts.total():
        return _SCRIPTS.get(script, "a language other than English")
    words = re.findall(r"[^\W\d_]+(?:'[^\W\d_]+)?", text.lower())
    english = sum(word in _SHARED for word in words)
    found = {name: sum(word in known for word in words) for name, known in _telling_words().items()}
    language, hits = max(found.items(), key=lambda pair: pair[1])
    enough = hits >= 2 or (hits == 1 and len(words) <= _SHORT_WORDS and not text.isascii())
    return language if enough and hits > english else ""


def language_note(text: str) -> str:
    """One line for the user where the text is not English, else empty."""
    language = other_language(text)
    if not language:
        return ""
    return (
        f"This looks like {language}. The offline parser understands English only; check what was understood, "
        "or write it in English."
    )
