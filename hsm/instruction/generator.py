"""Instructions written by rules, with the operation and the description's characters marked."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import accumulate, pairwise

from hsm.instruction.phrases import load_phrases
from hsm.instruction.sounds import items, scene, simple_sound, source_and_deed

LABELS = ("extract", "remove", "nothing")
_OPTIONAL_CHANCE = 0.4
_GROUP = re.compile(r"\(([^()]*\|[^()]*)\)")
_NAME = re.compile(r"\{(\w+)(\??)\}")
_SLOT = re.compile(r"<([XYZxyzSD])>")
_LEAD = re.compile(r"(?:a|an|the|some|that|this|my) ", re.IGNORECASE)
_KINDS = {
    "plain": 5, "negation": 3, "without": 1, "exception": 3, "complaint": 4.5, "question": 4, "label": 2, "both": 5,
    "contrast": 4.5, "solo": 0.6, "going": 1, "noise": 4.5, "music": 2.5, "karaoke": 1.5, "limit": 7, "which": 2.5,
    "turned": 3.5, "terse": 5, "slang": 1.5,
}  # fmt: skip
_POOLS = {"noise": "noises", "music": "parts", "karaoke": "karaoke", "which": "countable"}  # what <X> is drawn from
_ARTICLES = (
    "the ", "the ", "the ", "a ", "an ", "that ", "this ", "some ", "any ", "all the ", "these ", "those ", "", "", "",
)  # fmt: skip
_SOUND_OF = (
    "the sound of ", "the noise of ", "sounds of ", "the sound of the ", "the sound of a ", "the sounds made by the ",
)  # fmt: skip
_JOINTS = (" and ", " and ", ", ", " or ", " plus ", " as well as ", " & ")
_KEYS = {a: b for row in ("qwertyuiop", "asdfghjkl", "zxcvbnm") for a, b in pairwise(row)}


@dataclass(frozen=True)
class Example:
    """One generated instruction.

    Args:
        text: as a user would type it.
        label: index into `LABELS`.
        marks: one flag a character, "1" inside the description.
    """

    text: str
    label: int
    marks: str

    def description(self) -> str:
        """The marked characters."""
        shown = (c if mark == "1" else " " for c, mark in zip(self.text, self.marks, strict=True))
        return " ".join("".join(shown).split())


def _expand(template: str, rng: random.Random) -> str:
    def name(match: re.Match[str]) -> str:
        if match[2] and rng.random() > _OPTIONAL_CHANCE:
            return ""
        return rng.choice(rules[match[1]])

    rules = load_phrases().rules
    for _ in range(12):
        before = template
        template = _GROUP.sub(lambda match: rng.choice(match[1].split("|")), template)
        template = _NAME.sub(name, template)
        if template == before:
            return template
    raise AssertionError(f"a rule expands for ever: {template}")


@dataclass(frozen=True)
class _Speaker:
    """Puts sounds into templates: with what chance, of which captions, from which section of the sounds."""

    rng: random.Random
    captions: list[str]
    kind: str = ""

    def sound(self, short: bool) -> str:
        """A description without a leading article."""
        pick = self.rng.random()
        if self.captions and pick < (0.08 if short else 0.3):
            return self.rng.choice(self.captions).rstrip(". ")
        if pick < 0.82 or short:
            return simple_sound(self.rng)
        return re.sub(r"^(?:a|an|the|some) ", "", scene(self.rng))

    def phrase(self, article: bool, short: bool, neither: bool = False, pool: str = "") -> tuple[str, str]:
        """A sound as it stands in a sentence, with its marks; sometimes several joined; "nor" after "neither"."""
        rng = self.rng
        count = rng.choice((1, 1, 1, 1, 1, 1, 2, 2, 3)) if rng.random() < 0.6 else 1
        count = rng.choice((2, 2, 3)) if neither else 1 if pool in ("karaoke", "countable") else count
        text, marks = "", ""
        for index in range(count):
            if index:
                joint = ", " if count > 2 and index < count - 1 else " nor " if neither else rng.choice(_JOINTS)
                text, marks = text + joint, marks + "1" * len(joint)
            lead = rng.choice(_ARTICLES) if article else ""
            if article and not pool and rng.random() < 0.06:
                lead = rng.choice(_SOUND_OF)
            if article and index == 0 and count > 1 and not neither and rng.random() < 0.1:
                lead = rng.choice(("both the ", "both ", "either "))
            sound = rng.choice(items(pool)) if pool else self.sound(short or count > 1)
            if not pool and rng.random() < 0.05 and not sound.startswith(("a ", "an ", "the ")):
                lead, sound = "", f"{rng.choice(items('owners'))} {sound}"
            text, marks = text + lead + sound, marks + ("1" if index else "0") * len(lead) + "1" * len(sound)
        return text, marks


def _fill(template: str, speaker: _Speaker) -> tuple[str, str]:
    """Put sounds into the slots. One <X> is one sound all through, marked where it is named last; <Z> is marked too.

    <S> is the source of a sound and <D> what it does; both are marked.
    """
    text, marks, end = "", "", 0
    slots = list(_SLOT.finditer(template))
    wanted = [slot.start() for slot in slots if slot[1] in "Xx"]
    pool, asked = _POOLS.get(speaker.kind, ""), None
    who, deed = source_and_deed(speaker.rng)
    for slot in slots:
        text, marks = text + template[end : slot.start()], marks + "0" * (slot.start() - end)
        article, end = slot[1] in "XYZ", slot.end()
        if slot[1] in "SD":
            phrase = who if slot[1] == "S" else deed
            text, marks = text + phrase, marks + _unled(phrase)
            continue
        if slot[1] in "YyZz":
            phrase, flags = speaker.phrase(article, short=True, pool=pool if speaker.kind == "music" else "")
            text, marks = text + phrase, marks + (flags if slot[1] in "Zz" else "0" * len(flags))
            continue
        short = len(wanted) > 1 or speaker.kind in ("terse", "slang")
        asked = asked or speaker.phrase(article, short, text.lower().endswith("neither "), pool)
        phrase, flags = asked
        text, marks = text + phrase, marks + (flags if [slot.start()] == wanted[-1:] else "0" * len(flags))
    return text + template[end:], marks + "0" * (len(template) - end)


def _unled(phrase: str) -> str:
    """Marks for all of a phrase but its article."""
    lead = _LEAD.match(phrase)
    skipped = len(lead[0]) if lead else 0
    return "0" * skipped + "1" * (len(phrase) - skipped)


def _misspell(text: str, marks: str, rng: random.Random) -> tuple[str, str]:
    """One to three slips of the keyboard, half of the time in the command's words only; marks move along."""
    command_only = "1" in marks and "0" * 6 in marks and rng.random() < 0.5
    for _ in range(rng.choice((1, 1, 2, 3))):
        places = [i for i in range(1, len(text) - 2) if not (command_only and marks[i] == "1")]
        if not places:
            break
        at, slip = rng.choice(places), rng.random()
        if slip < 0.3:
            text, marks = _swap(text, at), _swap(marks, at)
        elif slip < 0.6:
            text, marks = text[:at] + text[at + 1 :], marks[:at] + marks[at + 1 :]
        elif slip < 0.8:
            text, marks = text[:at] + text[at] + text[at:], marks[:at] + marks[at] + marks[at:]
        else:
            text = text[:at] + _KEYS.get(text[at], text[at]) + text[at + 1 :]
    return text, marks


def _swap(text: str, at: int) -> str:
    return text[:at] + text[at + 1] + text[at] + text[at + 2 :]


@cache
def _frames() -> tuple[list[tuple[int, str, str]], list[float]]:
    frames: list[tuple[int, str, str]] = []
    weights: list[float] = []
    for label, kinds in ((0, load_phrases().extract), (1, load_phrases().remove)):
        for kind, templates in kinds.items():
            frames += [(label, kind, template) for template in templates]
            weights += [_KINDS[kind] / len(templates)] * len(templates)
    return frames, list(accumulate(weights))


def generate(rng: random.Random, captions: list[str] | None = None) -> Example:
    """Draw one instruction.

    Args:
        rng: the only source of chance.
        captions: further sound captions to mix in.
    """
    captions = captions or []
    pick = rng.random()
    if pick < 0.1:
        kinds = load_phrases().nothing
        label, text = 2, _expand(rng.choice(kinds["add" if pick < 0.045 else "all"]), rng)
        text, _ = _fill(text, _Speaker(rng, captions))
        marks = "0" * len(text)
    elif pick < 0.25:  # a bare caption
        label, text = 0, rng.choice(captions).rstrip(". ") if captions and rng.random() < 0.4 else scene(rng)
        marks = _unled(text)
    else:
        frames, cumulative = _frames()
        label, kind, template = rng.choices(frames, cum_weights=cumulative)[0]
        text, marks = _fill(_expand(template, rng), _Speaker(rng, captions, kind))
    cut = len(text) - len(text.lstrip())  # a rule that begins with a space may come first
    return _dress(text[cut:], marks[cut:], label, rng)


def _dress(text: str, marks: str, label: int, rng: random.Random) -> Example:
    """Capitals, final marks and typing slips."""
    if rng.random() < 0.2:
        text, marks = _misspell(text, marks, rng)
    look = rng.random()
    if look < 0.4:
        text = text[:1].upper() + text[1:]
    elif look < 0.43:
        text = text.upper()
    elif look < 0.5:
        text = text.lower()
    elif look < 0.56:
        kept = [(c, m) for c, m in zip(text, marks, strict=True) if c != "'"]
        text, marks = "".join(c for c, _ in kept), "".join(m for _, m in kept)
    end = rng.choice(("", "", "", ".", ".", "!", "?", "...", "!!"))
    return Example(text + end, label, marks + "0" * len(end))


def examples(seed: int, captions: list[str] | None = None) -> Iterator[Example]:
    """An endless, reproducible stream of instructions."""
    rng = random.Random(seed)
    while True:
        yield generate(rng, captions)
