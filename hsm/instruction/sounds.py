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


class Sounds(NamedTuple):
    """The file's parts; `sources` maps a thing to what it does, in the -ing form."""

    sources: dict[str, list[str]]
    names: list[str]
    look_alikes: list[str]
    adjectives: list[str]
    places: list[str]
    manners: list[str]
    owners: list[str]


@lru_cache(maxsize=1)
def load_sounds() -> Sounds:
    """Read the file once."""
    sections = read_sections("sounds.txt")

    def items(name: str) -> list[str]:
        return [item.strip() for item in " ".join(sections[name]).split(";")]

    sources = {line.partition(": ")[0]: line.partition(": ")[2].split(", ") for line in sections["sources"]}
    return Sounds(sources, *(items(n) for n in ("names", "look-alikes", "adjectives", "places", "manners", "owners")))


@lru_cache(maxsize=1)
def sound_words() -> frozenset[str]:
    """Every single word of the file, in lower case."""
    sounds = load_sounds()
    phrases = [*sounds.sources, *(does for doing in sounds.sources.values() for does in doing)]
    phrases += [item for part in sounds[1:] for item in part]
    return frozenset(word for phrase in phrases for word in re.findall(r"[a-z']+", phrase.lower()))


def _third_person(gerund: str) -> str:
    """ "barking" -> "barks": near enough for generated text."""
    first, _, rest = gerund.partition(" ")
    stem = first[:-3]
    if len(stem) > 2 and stem[-1] == stem[-2] and stem[-1] not in "slz":
        stem = stem[:-1]
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


def scene(rng: random.Random) -> str:
    """A caption of a whole clip, with its articles, as a dataset or a user would write it."""
    pick = rng.random()
    if pick < 0.22:
        return rng.choice(load_sounds().look_alikes)
    first = _with_article(simple_sound(rng), rng)
    if pick < 0.5:
        return first
    second = _with_article(simple_sound(rng), rng)
    comma = rng.choice(("", "", ","))
    return f"{first}{comma} {rng.choice(_LINKS)} {second}"


def _with_article(sound: str, rng: random.Random) -> str:
    return f"{rng.choice(('a', 'the', 'an', 'some'))} {sound}" if rng.random() < 0.5 else sound
