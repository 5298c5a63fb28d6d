"""Words of the trade ("denoise", "karaoke", "drumless"), and what is asked for but cannot be done."""

from __future__ import annotations

import re
from functools import cache

from hsm.instruction.phrases import read_sections
from hsm.instruction.sounds import items
from hsm.instruction.spelling import COMMANDS
from hsm.instruction.text import names_nothing
from hsm.records import Operation

# "de-noise" is "remove the noise from"; the stems of what can be taken away so.
_UNDONE = {
    "nois": "noise", "hum": "hum", "hiss": "hiss", "click": "clicks", "clic": "clicks", "crackl": "crackle",
    "pop": "pops", "buzz": "buzz", "ess": "sibilance", "reverb": "reverb", "verb": "reverb", "echo": "echo",
    "rumbl": "rumble", "wind": "wind noise", "plosiv": "plosives", "breath": "breaths", "bleed": "bleed",
    "clip": "clipping", "rustl": "rustle", "squeak": "squeaks",
    "static": "static", "scratch": "scratches",
    "ring": "ringing",
}  # fmt: skip
_UNDO = re.compile(
    rf"\bde[- ]?(?P<stem>{'|'.join(sorted(_UNDONE, key=len, reverse=True))})(?P<end>e|s|es|m?ed|p?ed|d|m?er|p?er|r|"
    r"m?ing|p?ing|ering|eration|ise|ize)?\b",
    re.I,
)
_LESS = re.compile(
    r"\b(?P<part>\w+?)(?:s?-?less|(?P<free>[- ]free))\b(?P<kind> (?:mix|version|track|copy|recording))?", re.I
)
_SIGNED = re.compile(r"(?:(?:^|[\s,;])[-+] ?\w(?:[^-+]|(?<=\w)-(?=\w))*){2,}$")  # "+flute -bells"
_SIGN = re.compile(r"(?:^|(?<=[\s,;]))([-+]) ?(?=\w)")
_AGAIN = re.compile(
    r"^(?!.*(?:n't|\bnot|\bnever|\bstop|\bout))(.*\b(remove|delete|mute|drop|kill|cut|keep|extract|isolate|save) "
    r"[^,.;]+(?:,? and|,)) \2(?= (?:the|that|this|these|those|my|a|an|all)\b)",
    re.I,
)  # "mute the harp and mute the oboe"
_ABOVE = re.compile(r"(?<=\w) >+ (?=\w)")
_MINUS_ONE = re.compile(r"\bminus[- ]one\b|\boff[- ]vocals?\b", re.I)

_VERSION = re.compile(r"\s*\b(?:versions?|tracks?|mix(?:es)?|edits?|mode|stems?|files?|of|this|the|song)\b\s*", re.I)
_WITHOUT_VOCALS = frozenset(["karaoke", "instrumental", "instrumentals", "accompaniment", "backing"])
_REMOVAL = re.compile(
    r"(?P<noise>.+) (?:removal|remover|reduction|suppression|cancell?ing|cancell?ation|filter(?:ing)?|gate)", re.I
)
_VOCALS_ALONE = frozenset(["acapella", "acappella", "cappella", "capella"])


def plain_english(text: str) -> str:
    """ "denoise" -> "remove the noise from", "drumless mix" -> "mix without drums", "-harp +oboe" -> "remove ..."."""

    def undo(match: re.Match[str]) -> str:
        noise, end = _UNDONE[match["stem"].lower()], (match["end"] or "").lower()
        if end.endswith(("ing", "er", "ion")) or end == "r":
            return f"{noise} removal"
        return f"without {noise}" if end.endswith("d") else f"remove the {noise} from"

    def less(match: re.Match[str]) -> str:
        part = match["part"].lower()
        known = _UNDONE.values() if match["free"] else _parts()
        named = next((name for name in (f"{part}s", part) if name in known), "")
        return f"{match['kind'] or ''} without {named}".lstrip() if named else match[0]

    if _SIGNED.match(text):
        text = _SIGN.sub(lambda sign: "keep " if sign[1] == "+" else "remove ", text)
    elif text.partition(" ")[0].lower() not in COMMANDS:  # "remove > bells" is a label
        text = _ABOVE.sub(", not ", text)
    text = _AGAIN.sub(r"\1", text)
    return _MINUS_ONE.sub("karaoke", _LESS.sub(less, _UNDO.sub(undo, text)))


@cache
def _parts() -> frozenset[str]:
    return frozenset((*items("parts"), "noise", "hum", "reverb"))


def meant(operation: Operation, description: str) -> tuple[Operation, str, str]:
    """What a trade's word means, with a note: (extract, "karaoke version") -> (remove, "vocals")."""
    removal = _REMOVAL.fullmatch(description)
    if removal and removal["noise"].lower() in (*items("noises"), *_parts()):
        return "remove", removal["noise"], ""
    kind = _VERSION.sub(" ", description).strip().lower()
    if kind in _WITHOUT_VOCALS:
        return ("remove" if operation == "extract" else "extract"), "vocals", f'"{description}" is all but the vocals.'
    if kind in _VOCALS_ALONE:
        return operation, "vocals", f'"{description}" is the vocals alone.'
    return operation, description, ""


_TO_NOTHING = re.compile(r"\b(?:to (?:nothing|zero|silence|nil|a whisper)|all the way|off|mute|completely|too)\b", re.I)
_REVERB = re.compile(r"\b(?:reverb\w*|echo(?:es)?)\b", re.I)
_ADD = re.compile(
    r"\b(?:add|insert|overlay|layer|generate|create|compose|synthesi[sz]e|invent|imagine|fake|include|write|record|"
    r"come up with|(?:put|mix|throw|blend) (?:\w+ ){0,3}in(?:to)?|make (?:me |us )?(?:a|an|some)|on top)\b",
    re.I,
)  # fmt: skip

_ADDED = re.compile(r"\b(?:add|insert|overlay|put in|mix in) (?:(?:a|an|the|some|more|in|any|of) )*_(?! back)", re.I)


@cache
def _limits() -> dict[str, re.Pattern[str]]:
    return {told: re.compile("|".join(forms), re.I) for told, forms in read_sections("limits.txt").items()}


def left_out(rest: str, operation: Operation, description: str) -> str:
    """One sentence for each thing that was asked for and is not done; empty where there is none.

    Args:
        rest: the instruction with "_" in the place of the sound.
        operation: what is done instead.
        description: of the sound.
    """
    done = "extracted" if operation == "extract" else "removed"
    hits = [told for told, form in _limits().items() if form.search(rest)]
    if _TO_NOTHING.search(rest):
        hits = [told for told in hits if not told.startswith("The volume")]
    notes = [told.format(sound=description, done=done) for told in hits]
    if operation == "remove" and _REVERB.search(description):
        notes.append(f"Most {description} sticks to the sounds and stays: reverb is hardly separable.")
    return " ".join(notes)


def asks_to_add(rest: str, operation: Operation, description: str) -> bool:
    """Whether a sentence wants a sound that is not there: it names none, or the one it names is to be added."""
    if names_nothing(description):
        return _ADD.search(rest) is not None
    return operation == "extract" and _ADDED.search(rest) is not None
