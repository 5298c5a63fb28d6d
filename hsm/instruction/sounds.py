"""A wide list of sounds (`data/sounds.txt`) and the ways people caption them."""

from __future__ import annotations

import random
import re
from functools import lru_cache
from typing import NamedTuple

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


class Sounds(NamedTuple):
    """The file's parts; `sources` maps a thing to what it does, in the -ing form.

    `people` stand with their articles, `deeds` start with a verb in its plain form.
    """

    sources: dict[str, list[str]]
    names: list[str]
    look_alikes: list[str]
    adjectives: list[str]
    places: list[str]
    manners: list[str]
    owners: list[str]
    people: list[str]
    deeds: list[str]


@lru_cache(maxsize=1)
def load_sounds() -> Sounds:
    """Read the file once."""
    sections = read_sections("sounds.txt")

    def items(name: str) -> list[str]:
        return [item.strip() for item in " ".join(sections[name]).split(";")]

    sources = {line.partition(": ")[0]: line.partition(": ")[2].split(", ") for line in sections["sources"]}
    parts = ("names", "look-alikes", "adjectives", "places", "manners", "owners", "people", "deeds")
    return Sounds(sources, *map(items, parts))


@lru_cache(maxsize=1)
def sound_words() -> frozenset[str]:
    """Every single word of the file, in lower case."""
    sounds = load_sounds()
    phrases = [*sounds.sources, *(does for doing in sounds.sources.values() for does in doing)]
    phrases += [item for part in sounds[1:] for item in part]
    return frozenset(word for phrase in phrases for word in re.findall(r"[a-z']+", phrase.lower()))


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


def simple_sound(rng: random.Random) -> str:
    """One sound without an article, two to six words as a rule."""
    sounds = load_sounds()
    if rng.random() < 0.34:
        sound = rng.choice(sounds.names)
    else:
        source = rng.choice(list(sounds.sources))
        action = rng.choice(sounds.sources[source])
        acting = f"{source} {action}"
        sound = rng.choice((source, acting, acting, f"{source} {_third_person(action)}"))
        if rng.random() < 0.12:
            sound = f"{source} {rng.choice(_RELATIVES)} {action}"
    if rng.random() < 0.2:
        sound = f"{rng.choice(sounds.adjectives)} {sound}"
    if rng.random() < 0.07 and "ing" in sound:
        sound = f"{sound} {rng.choice(sounds.manners)}"
    if rng.random() < 0.16:
        sound = f"{sound} {rng.choice(sounds.places)}"
    return sound


def owner(rng: random.Random) -> str:
    """Whose sound it is: "my neighbour's"."""
    return rng.choice(load_sounds().owners)


def _gerund(deed: str) -> str:
    """ "hit a ball" -> "hitting a ball": near enough for generated text."""
    verb, _, rest = deed.partition(" ")
    if _SHORT_STEM.fullmatch(verb):
        verb += verb[-1]
    elif verb.endswith("e") and not verb.endswith("ee"):
        verb = verb[:-1]
    return f"{verb}ing {rest}".strip()


def source_and_deed(rng: random.Random) -> tuple[str, str]:
    """Who or what sounds, with its article, and what it does: "someone", "tapping a glass"."""
    sounds = load_sounds()
    if rng.random() < 0.6:
        return rng.choice(sounds.people), _gerund(rng.choice(sounds.deeds))
    source = rng.choice(list(sounds.sources))
    return f"{rng.choice(_DETERMINERS)} {source}", rng.choice(sounds.sources[source])


def _person(rng: random.Random) -> str:
    """Somebody doing something, with the verb in one of its forms."""
    sounds = load_sounds()
    who, deed = rng.choice(sounds.people), rng.choice(sounds.deeds)
    many = who.endswith(("s", "people", "men", "women", "children"))
    pick = rng.random()
    if pick < 0.35:
        done = _gerund(deed)
    elif pick < 0.6:
        done = f"{'are' if many else 'is'} {_gerund(deed)}"
    elif pick < 0.72:
        begins = rng.choice(("start", "begin")) + ("" if many else "s")
        done = rng.choice((f"{begins} to {deed}", f"{begins} {_gerund(deed)}"))
    else:
        done = deed if many else _third_person(_gerund(deed), deed)
    place = f" {rng.choice(sounds.places)}" if rng.random() < 0.25 else ""
    return f"{who} {done}{place}"


def scene(rng: random.Random) -> str:
    """A caption of a whole clip, with its articles, as a dataset or a user would write it."""
    pick = rng.random()
    if pick < 0.15:
        return rng.choice(load_sounds().look_alikes)
    first = _part(rng)
    if pick < 0.5:
        return first
    comma = rng.choice(("", "", ","))
    return f"{first}{comma} {rng.choice(_LINKS)} {_part(rng)}"


def _part(rng: random.Random) -> str:
    return _person(rng) if rng.random() < 0.4 else _with_article(simple_sound(rng), rng)


def _with_article(sound: str, rng: random.Random) -> str:
    return f"{rng.choice(('a', 'the', 'an', 'some'))} {sound}" if rng.random() < 0.5 else sound
