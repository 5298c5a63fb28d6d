"""Other languages than English: noticed by their script, letters and commonest words, and read by these words alone."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from functools import cache

from hsm.instruction.neural import Reading
from hsm.instruction.phrases import read_sections
from hsm.instruction.sounds import sound_words
from hsm.records import Operation

_SCRIPTS = {
    "CYRILLIC": "Russian or another Cyrillic language", "CJK": "Chinese or Japanese", "HIRAGANA": "Japanese",
    "KATAKANA": "Japanese", "HANGUL": "Korean", "GREEK": "Greek", "ARABIC": "Arabic", "HEBREW": "Hebrew",
    "DEVANAGARI": "Hindi", "THAI": "Thai", "BENGALI": "Bengali", "TAMIL": "Tamil", "GEORGIAN": "Georgian",
    "ARMENIAN": "Armenian",
}  # fmt: skip
_UNSPACED = ("Chinese or Japanese", "Japanese", "Korean")  # what is known of them is cut out of longer words
# Of another language and of English alike: they tell little.
_SHARED_WORDS = """a an as auto baby bad bar bare bass but die do drums e ei el en fan guitar her i in is it les list
man remover me men no not o of on or per pies radio ring sans se sin slut so solo son stem ta tape te tire to tot un
vest wil wind you"""
_SHARED = frozenset(_SHARED_WORDS.split())
_WORD = re.compile(r"[^\W_]+(?:['-][^\W_]+)*'?|[,;.:!?]")


@cache
def vocabulary(language: str) -> dict[str, dict[str, str]]:
    """The words of one language: by kind, each with its English where it is a sound."""
    kinds: dict[str, dict[str, str]] = defaultdict(dict)
    for line in read_sections("languages.txt")[language]:
        kind, _, words = line.partition(": ")
        kinds[kind] |= {word.partition("=")[0]: word.partition("=")[2] for word in words.split()}
    return kinds


@cache
def _languages() -> tuple[str, ...]:
    return tuple(name for name in read_sections("languages.txt") if name != "English" and name not in _SCRIPTS.values())


def other_language(text: str) -> str:
    """Name of the language the text seems to be in, empty for English or where nothing tells."""
    scripts = Counter(unicodedata.name(c, "?").split(" ")[0].split("-")[0] for c in text if c.isalpha())
    if not scripts:
        return ""
    script, count = scripts.most_common(1)[0]
    if script != "LATIN" and 2 * count > scripts.total():
        kana = scripts["HIRAGANA"] + scripts["KATAKANA"]
        return "Japanese" if kana else _SCRIPTS.get(script, "a language other than English")
    words = [word for word in _WORD.findall(text.lower()) if word[0].isalpha()]
    language, points = max(((name, _points(words, name)) for name in _languages()), key=lambda pair: pair[1])
    known = set().union(*vocabulary(language).values()) - _SHARED
    english = sum(word in sound_words() or word in _SHARED for word in words if word not in known)
    return language if points >= 2 and points > english else ""


def _points(words: list[str], language: str) -> float:
    """How much speaks for a language: its commands and sounds two each, its other words and its letters one."""
    kinds = vocabulary(language)
    strong = {**kinds["remove"], **kinds["keep"], **kinds["but"], **kinds["sounds"]}
    weak = {**kinds["tell"], **kinds["all"], **kinds["not"]}
    points = [(2 if word in strong else word in weak) / (2 if word in _SHARED else 1) for word in words]
    return sum(points) + bool(set("".join(kinds["letters"])) & set("".join(words)))


def language_note(language: str) -> str:
    """One line for the user where the text is not English, else empty."""
    if not language:
        return ""
    return (
        f"This looks like {language}. The offline parser understands English only, and a few words of other languages; "
        "check what was understood, or write it in English."
    )


def read_words(text: str, language: str) -> Reading:
    """Read a sentence by a language's commonest words: the first command, and the words that follow it.

    Without a command that is known, or in a language of which nothing is, no sound is found.
    """
    if language not in read_sections("languages.txt"):
        return Reading("extract", "", text, 0.0, 1.0)
    kinds = vocabulary(language)
    if language in _UNSPACED:
        known = sorted((word for kind in kinds.values() for word in kind), key=len, reverse=True)
        text = re.sub("|".join(map(re.escape, known)), r" \g<0> ", text)
    words = _WORD.findall(text)
    lower = [word.lower() for word in words]
    has_but, has_not = (any(word in kinds[kind] for word in lower) for kind in ("but", "not"))
    verbs = [i for i, word in enumerate(lower) if word in kinds["remove"] or (word in kinds["keep"] and not has_but)]
    removes = bool(verbs) and lower[verbs[0]] in kinds["remove"]
    operation: Operation = "remove" if removes != (has_but != has_not) else "extract"
    begin = max(verbs[:1] + [i for i, word in enumerate(lower) if word in kinds["but"]], default=-1) + 1
    runs = _runs(lower, kinds)
    first, last = next((run for run in runs if run[0] >= begin), runs[-1] if runs else (0, 0))
    rest = " ".join([*words[:first], "_", *words[last:]])
    return Reading(operation, " ".join(words[first:last]), rest, 0.6 if verbs or has_but else 0.3, 0.0)


def _runs(words: list[str], kinds: dict[str, dict[str, str]]) -> list[tuple[int, int]]:
    """Stretches of words that neither command nor stand between sentences, without small words at their ends."""
    stops = {*kinds["remove"], *kinds["keep"], *kinds["but"], *kinds["all"], *kinds["not"], *",;.:!?"}
    runs, start = [], 0
    for end in [i for i, word in enumerate(words) if word in stops] + [len(words)]:
        first, last = start, end
        while first < last and words[first] in kinds["tell"]:
            first += 1
        while first < last and words[last - 1] in kinds["tell"]:
            last -= 1
        if first < last:
            runs.append((first, last))
        start = end + 1
    return runs
