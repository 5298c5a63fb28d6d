"""A wide list of sounds (`data/sounds.txt`) and the ways people caption them."""

from __future__ import annotations

import random
import re
from functools import cache

from hsm.instruction.phrases import read_sections

_LINKS = (
    "while", "as", "followed by", "with", "over", "and then", "before", "during", "and", "and", "and", "then", "after",
)  # fmt: skip
_RELATIVES = (
    "that is", "who is", "which is", "that keeps", "that starts", "that won't stop",
    "that doesn't stop", "who never stops",
)  # fmt: skip
_DETERMINERS = ("the", "the", "a", "that", "this", "my")
_SHORT_STEM = re.compile(r"[^aeiou]*[aeiou][bgmnprt]")  # doubles its last letter: "tap", "run"


@cache
def items(section: str) -> tuple[str, ...]:
    """The entries of a section; `people` stand with their articles, `deeds` start with a plain verb."""
    return tuple(item.strip() for item in " ".join(read_sections("sounds.txt")[section]).split(";"))


@cache
def sources() -> dict[str, list[str]]:
    """What sounds, and what it does in the -ing form."""
    lines = (line.partition(": ") for line in read_sections("sounds.txt")["sources"])
    return {thing: does.split(", ") for thing, _, does in lines}


@cache
def sound_words() -> frozenset[str]:
    """Every single word of the file, in lower case."""
    sections = read_sections("sounds.txt")
    text = " ".join(line for lines in sections.values() for line in lines)
    return frozenset(re.findall(r"[a-z']+", text.lower()))


def _third_person(gerund: str, deed: str = "") -> str:
    """ "barking" -> "barks": near enough for generated text; exact where the deed's plain form is given."""
    first, _, rest = gerund.partition(" ")
    stem = deed.partition(" ")[0] if deed else first[:-3]
    if not deed and len(stem) > 2 and stem[-1] == stem[-2] and stem[-1] not in "slz":
        stem = stem[:-1]
    if len(stem) > 2 and stem.endswith("y") and stem[-2] not in "aeiou":
        stem = stem[:-1] + "ie"
    stem += "es" if stem.endswith(("sh", "ch", "s", "z")) else "s"
    return f"{stem} {rest}".strip()


def _gerund(deed: str) -> str:
    """ "hit a ball" -> "hitting a ball": near enough for generated text."""
    verb, _, rest = deed.partition(" ")
    if _SHORT_STEM.fullmatch(verb):
        verb += verb[-1]
    elif verb.endswith("e") and not verb.endswith("ee"):
        verb = verb[:-1]
    return f"{verb}ing {rest}".strip()


def simple_sound(rng: random.Random) -> str:
    """One sound without an article, two to six words as a rule."""
    pick = rng.random()
    if pick < 0.05:
        sound = rng.choice(items("noises"))
    elif pick < 0.36:
        sound = rng.choice(items("names"))
    else:
        source = rng.choice(list(sources()))
        action = rng.choice(sources()[source])
        acting = f"{source} {action}"
        sound = rng.choice((source, acting, acting, f"{source} {_third_person(action)}"))
        if rng.random() < 0.12:
            sound = f"{source} {rng.choice(_RELATIVES)} {action}"
        if rng.random() < 0.08:
            sound = f"{source} {rng.choice(('noise', 'noises', 'sound', 'sounds'))}"
    if rng.random() < 0.2:
        sound = f"{rng.choice(items('adjectives'))} {sound}"
    if rng.random() < 0.07 and "ing" in sound:
        sound = f"{sound} {rng.choice(items('manners'))}"
    if rng.random() < 0.2:
        sound = f"{sound} {rng.choice(items('places'))}"
    return sound


def source_and_deed(rng: random.Random) -> tuple[str, str]:
    """Who or what sounds, with its article, and what it does: "someone", "tapping a glass"."""
    if rng.random() < 0.6:
        return rng.choice(items("people")), _gerund(rng.choice(items("deeds")))
    source = rng.choice(list(sources()))
    return f"{rng.choice(_DETERMINERS)} {source}", rng.choice(sources()[source])


def _person(rng: random.Random) -> str:
    """Somebody doing something, with the verb in one of its forms."""
    who, deed = rng.choice(items("people")), rng.choice(items("deeds"))
    many = who.endswith(("s", "people", "men", "women", "children"))
    pick = rng.random()
    if pick < 0.2 and not many:
        done = rng.choice(items("sayings"))
    elif pick < 0.45:
        done = _gerund(deed)
    elif pick < 0.64:
        done = f"{'are' if many else 'is'} {_gerund(deed)}"
    elif pick < 0.75:
        begins = rng.choice(("start", "begin")) + ("" if many else "s")
        done = rng.choice((f"{begins} to {deed}", f"{begins} {_gerund(deed)}"))
    else:
        done = deed if many else _third_person(_gerund(deed), deed)
    place = f" {rng.choice(items('places'))}" if rng.random() < 0.25 else ""
    return f"{who} {done}{place}"


def _undone(rng: random.Random) -> str:
    """A thing to which something happens that sounds like a command: "a lid is removed"."""
    if rng.random() < 0.35:
        source = rng.choice(list(sources()))
        return f"{rng.choice(('the', 'a', 'an old', ''))} {source} {rng.choice(items('endings'))}".strip()
    return f"{rng.choice(items('things'))} {rng.choice((*items('undone'), *items('endings')))}"


def scene(rng: random.Random) -> str:
    """A caption of a whole clip, with its articles, as a dataset or a user would write it."""
    pick = rng.random()
    if pick < 0.1:
        return rng.choice(items("look-alikes"))
    first = _part(rng)
    if pick < 0.48:
        return first
    comma = rng.choice(("", "", ","))
    if pick < 0.58:
        return f"{first}{comma} {rng.choice(items('tails'))}"
    return f"{first}{comma} {rng.choice(_LINKS)} {_part(rng)}"


def _part(rng: random.Random) -> str:
    pick = rng.random()
    if pick < 0.22:
        return _undone(rng)
    if pick < 0.55:
        return _person(rng)
    sound = simple_sound(rng)
    return f"{rng.choice(('a', 'the', 'an', 'some'))} {sound}" if rng.random() < 0.5 else sound
