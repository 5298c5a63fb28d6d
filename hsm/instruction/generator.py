"""Instructions written by rules, with the operation and the description's characters marked."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, pairwise

from hsm.instruction.phrases import load_phrases
from hsm.instruction.sounds import owner, scene, simple_sound, source_and_deed

LABELS = ("extract", "remove", "nothing")
_OPTIONAL_CHANCE = 0.4
_GROUP = re.compile(r"\(([^()]*\|[^()]*)\)")
_NAME = re.compile(r"\{(\w+)(\??)\}")
_SLOT = re.compile(r"<([XYxySD])>")
_LEAD = re.compile(r"(?:a|an|the|some|that|this|my) ", re.IGNORECASE)
_KINDS = {
    "plain": 5, "negation": 3, "without": 1, "exception": 3, "complaint": 5, "question": 4, "label": 2, "both": 5,
    "contrast": 5, "solo": 0.6, "going": 1,
}  # fmt: skip
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


def _sound(rng: random.Random, captions: list[str], short: bool) -> str:
    """A description without a leading article."""
    pick = rng.random()
    if captions and pick < (0.08 if short else 0.3):
        return rng.choice(captions).rstrip(". ")
    if pick < 0.82 or short:
        return simple_sound(rng)
    return re.sub(r"^(?:a|an|the|some) ", "", scene(rng))


def _phrase(
    rng: random.Random, captions: list[str], article: bool, short: bool, neither: bool = False
) -> tuple[str, str]:
    """A sound as it stands in a sentence, with its marks; sometimes several joined by "and"; "nor" after "neither"."""
    count = rng.choice((1, 1, 1, 1, 1, 1, 2, 2, 3)) if rng.random() < 0.6 else 1
    count = rng.choice((2, 2, 3)) if neither else count
    text, marks = "", ""
    for index in range(count):
        if index:
            joint = ", " if count > 2 and index < count - 1 else " nor " if neither else rng.choice(_JOINTS)
            text, marks = text + joint, marks + "1" * len(joint)
        lead = rng.choice(_ARTICLES) if article else ""
        if article and rng.random() < 0.06:
            lead = rng.choice(_SOUND_OF)
        if article and index == 0 and count > 1 and not neither and rng.random() < 0.1:
            lead = rng.choice(("both the ", "both ", "either "))
        sound = _sound(rng, captions, short or count > 1)
        if rng.random() < 0.05 and not sound.startswith(("a ", "an ", "the ")):
            lead, sound = "", f"{owner(rng)} {sound}"
        text, marks = text + lead + sound, marks + ("1" if index else "0") * len(lead) + "1" * len(sound)
    return text, marks


def _fill(template: str, rng: random.Random, captions: list[str]) -> tuple[str, str]:
    """Put sounds into the slots. One <X> is one sound all through, marked where it is named last.

    <S> is the source of a sound and <D> what it does; both are marked.
    """
    text, marks, end = "", "", 0
    slots = list(_SLOT.finditer(template))
    wanted = [slot.start() for slot in slots if slot[1] in "Xx"]
    asked: tuple[str, str] | None = None
    who, deed = source_and_deed(rng)
    for slot in slots:
        text, marks = text + template[end : slot.start()], marks + "0" * (slot.start() - end)
        article, end = slot[1] in "XY", slot.end()
        if slot[1] in "SD":
            phrase = who if slot[1] == "S" else deed
            lead = _LEAD.match(phrase)
            skipped = len(lead[0]) if lead else 0
            text, marks = text + phrase, marks + "0" * skipped + "1" * (len(phrase) - skipped)
            continue
        if slot[1] in "Yy":
            phrase, flags = _phrase(rng, captions, article, short=True)
        else:
            neither = text.lower().endswith("neither ")
            asked = asked or _phrase(rng, captions, article, short=len(wanted) > 1, neither=neither)
            phrase, flags = asked
        text, marks = text + phrase, marks + (flags if [slot.start()] == wanted[-1:] else "0" * len(flags))
    return text + template[end:], marks + "0" * (len(template) - end)


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


@lru_cache(maxsize=1)
def _frames() -> tuple[list[tuple[int, str]], list[float]]:
    frames: list[tuple[int, str]] = []
    weights: list[float] = []
    for label, kinds in ((0, load_phrases().extract), (1, load_phrases().remove)):
        for kind, templates in kinds.items():
            for template in templates:
                frames.append((label, template))
                weights.append(_KINDS[kind] / len(templates))
    return frames, list(accumulate(weights))


def generate(rng: random.Random, captions: list[str] | None = None) -> Example:
    """Draw one instruction.

    Args:
        rng: the only source of chance.
        captions: further sound captions to mix in.
    """
    captions = captions or []
    pick = rng.random()
    if pick < 0.06:
        label, text = 2, _expand(rng.choice(load_phrases().nothing), rng)
        text, _ = _fill(text, rng, captions)
        marks = "0" * len(text)
    elif pick < 0.18:  # a bare caption
        label, text = 0, rng.choice(captions).rstrip(". ") if captions and rng.random() < 0.5 else scene(rng)
        lead = _LEAD.match(text)
        skipped = len(lead[0]) if lead else 0
        marks = "0" * skipped + "1" * (len(text) - skipped)
    else:
        frames, cumulative = _frames()
        label, template = rng.choices(frames, cum_weights=cumulative)[0]
        text, marks = _fill(_expand(template, rng), rng, captions)
    return _dress(text, marks, label, rng)


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
