"""The words that command, as opposed to the words that describe a sound."""

from __future__ import annotations

import re

EXTRACT_VERBS = (
    "extract", "separate out", "separate", "isolate", "keep", "retain", "preserve", "single out", "pick out",
    "pull out", "bring out", "bring up", "solo", "get me", "give me", "show me", "play me", "let me hear", "get",
    "let me listen to", "let me have", "hear", "listen to", "find", "focus on", "capture", "grab", "fetch",
    "output", "select", "retrieve", "hold on to", "hang on to", "leave in", "leave me with", "leave",
    "i want", "i need", "i only want", "i just want", "i'd like", "i would like", "we want", "we need",
)  # fmt: skip
REMOVE_VERBS = (
    "remove", "drop", "delete", "eliminate", "erase", "mute", "silence", "suppress", "cut out", "cut", "get rid of",
    "take out", "take away", "take off", "filter out", "filter away", "filter", "strip out", "strip away", "strip",
    "leave out", "kill", "discard", "exclude", "subtract", "lose", "turn off", "block out", "block", "cancel out",
    "cancel", "reduce", "attenuate", "ditch", "scrap", "wipe out", "hide", "edit out", "omit", "throw out",
    "throw away", "tune out", "dampen", "do away with", "shut off", "minus",
)  # fmt: skip
PARTICLE_VERBS = {
    "take": "remove", "cut": "remove", "filter": "remove", "leave": "remove", "get": "remove", "strip": "remove",
    "throw": "remove", "edit": "remove", "tune": "remove", "block": "remove", "wipe": "remove", "turn": "remove",
    "cancel": "remove", "shut": "remove", "pull": "extract", "pick": "extract", "single": "extract",
    "separate": "extract", "bring": "extract",
}  # fmt: skip

DETERMINERS = r"the|a|an|this|that|these|those|all|any|every|each|my|our|your|his|her|their|some|both|other"
RECORDING = (
    r"recordings?|audio(?: file| clip| track)?|mix|mixture|clip|track|files?|sound ?file|video|song|tape|signal|input|"
    r"soundtrack|footage|sample|wav|mp3|podcast|scene"
)


def any_of(phrases: tuple[str, ...] | list[str]) -> str:
    """A regular expression for any of the phrases, longest first."""
    ordered = sorted(phrases, key=len, reverse=True)
    return "(?:" + "|".join(re.escape(p).replace(r"\ ", r"\s+") for p in ordered) + ")"


# Said to be polite or to start talking; never part of a sound.
GREETING = r"(?:hi|hello|hey|hiya|ok|okay|so|well|now|then|please|pls|plz|kindly|yo|alright|there|everyone)"
REQUEST = (
    r"(?:(?:can|could|would|will|might|may)\s+(?:you|we|u|i)"
    r"(?:\s+(?:please|pls|kindly|possibly|maybe|perhaps|help me|try to|be able to))*(?:\s+(?=just|only)|\s+)"
    r"|would you mind\s+"
    r"|(?:i(?:'d| would)|we(?:'d| would))\s+(?:like|love|prefer|want|need)\s+(?:you\s+|it if you\s+)?to\s+"
    r"|(?:i|we)\s+(?:want|need|wish)\s+(?:you\s+)?to\s+"
    r"|(?:is|would) (?:it|there)(?: be)?(?: possible| a way| any way)\s+(?:for you\s+)?to\s+"
    r"|how (?:can|do|could|would|should) (?:i|we|you)\s+|help me(?: to)?\s+|try to\s+|let's\s+|let us\s+"
    r"|(?:i'm|i am|we are|we're) (?:trying|looking|hoping) to\s+|you (?:should|must|have to|need to)\s+"
    r"|be so kind as to\s+)"
)
TRAILER = (
    r"(?:please|pls|plz|thanks(?: a lot| so much)?|thank you(?: so much| very much)?|thx|for me|for us|if you can|"
    r"if possible|if you could|if you would|will you|would you|can you|could you|ok|okay|right now|asap|altogether|"
    r"completely|entirely|mate|cheers)"
)
WHERE = rf"(?:from|in|out of|within|on|inside|off)\s+(?:(?:the|this|that|my|our|a)\s+)?(?:\w+\s+)?(?:{RECORDING})"
