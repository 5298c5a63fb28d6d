"""Complaints and scenes whose form leaves no doubt: "the hum drives me mad", "someone tapping a glass".

A complaint asks for removal of what it blames. It may first praise another sound ("I like the choir but
the hum is annoying") or say what cannot be heard because of it; both sounds are named, one is meant.
"""

from __future__ import annotations

import re


def _re(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


_WHOM = r"(?:me|us|everyone|everybody|people|the listeners)"
_MAD = r"(?:mad|crazy|nuts|insane|bananas|bonkers|up the wall|round the bend)"
_VERY = r"(?:(?:just|really|so|very|quite|simply|absolutely|extremely|pretty|a bit|a little|rather)\s+)*"
_BAD = (
    r"(?:annoying|awful|terrible|horrible|unbearable|distracting|irritating|disturbing|intolerable|unpleasant|"
    r"insufferable|unwanted|a nuisance|a pain|in the way)"
)
_BLAME = (
    rf"(?:(?:is|are|was|were)\s+(?:{_VERY}(?:(?:way|far|much)\s+)?too\s+(?:loud|noisy|strong|shrill|harsh|much)|"
    rf"{_VERY}{_BAD}|driving\s+{_WHOM}\s+{_MAD}|(?:annoying|irritating|distracting|disturbing|bothering)\s+{_WHOM})|"
    rf"{_VERY}(?:bothers?|annoys?|irritates?|disturbs?|distracts?|bugs?|upsets?|bothered|annoyed|irritated|disturbed|"
    rf"distracted)\s+{_WHOM}|(?:drives?|drove)\s+{_WHOM}\s+{_MAD}|"
    r"(?:ruins?|ruined|spoils?|spoiled|wrecks?|wrecked)\s+(?:it|everything|it all|the whole thing|"
    r"(?:my|the|our|this|the whole)\s+(?:recording|audio|clip|track|video|song|take|podcast|interview)))"
)
_LIKE = r"(?:like|love|enjoy|adore|want|wanted|appreciate)"
_PRAISE = (
    rf"(?:i\s+(?:(?:really|do|just|quite)\s+)*{_LIKE}\s+(?:to\s+hear\s+)?|(?:what\s+a\s+|such\s+a\s+)?(?:nice|lovely|"
    r"beautiful|great)\s+)[^,;.!?]{1,80}?|[^,;.!?]{1,80}?\s+(?:is|are|sounds?|was|were)\s+"
    rf"{_VERY}(?:nice|lovely|beautiful|great|fine|good|ok|okay|perfect|wonderful)"
)
_NAME = r"[\w'& -]{2,80}?"
_LOST = (
    r"[\s,;.!?]+(?:so\s+|and\s+|that\s+)*(?:i|we|you|one)\s+(?:can(?:not|'t)?|could(?:n't)?)\s+"
    r"(?:(?:hardly|barely|scarcely|not|never)\s+)?(?:hear|make out|follow|understand|enjoy|listen to|catch)\s+"
    r"[^,;.!?]{1,80}"
)
_FIX = (
    r"[\s,;.!?-]+(?:(?:so|and|can you|could you|please|just|kindly|i want you to)\s+)*"
    r"(?:fix|remove|delete|mute|silence|drop|stop|take|get rid of|make|cut|filter|do something|clean|help)\b"
    r"(?:\s+(?:it|that|this|them|him|her|me|out|away|up|stop|about|noise|sound|please|go))*"
)
_GOING_ON = r"(?:keeps?(?:\s+on)?|kept(?:\s+on)?|(?:won't|doesn't|don't|can't|never|wouldn't|didn't)\s+stops?)"
_DEVICE = r"(?:(?:my|our|the)\s+)(?:\w+\s+)?(?:mic|microphone|phone|camera|recorder|headset|laptop)"
_CAUGHT = r"(?:picked\s+up|caught|captured|recorded|is\s+picking\s+up|picks\s+up)"

_COMPLAINT = _re(
    rf"^(?:(?:{_PRAISE})[\s,;.]+(?:but|yet|however|only|unfortunately|sadly|except)\s+(?:that\s+)?)?"
    rf"(?P<sound>{_NAME})\s+{_BLAME}(?:{_LOST}|{_FIX})?$"
)
_NEVER_ENDING = _re(rf"^(?P<who>{_NAME})\s+{_GOING_ON}\s+(?P<deed>\w+ing\b[\w' -]{{0,80}}?){_FIX}$")
_CAUGHT_BY = _re(rf"^{_DEVICE}\s+(?:also\s+|even\s+|accidentally\s+)?{_CAUGHT}\s+(?P<sound>{_NAME})(?:{_FIX})?$")
_SOMEBODY = (
    r"(?:someone|somebody|(?:(?:a|an|the|one|two|three|some|several|many)\s+)(?:(?:young|old|little)\s+)?"
    r"(?:man|woman|men|women|boys?|girls?|child|children|kids?|person|people|lady|guy|baby|crowd|audience))"
)
_SCENE = _re(rf"^(?P<scene>{_SOMEBODY}\s+(?:(?:is|are)\s+)?(?:\w+ly\s+)?\w+ing\b[\w' -]{{0,120}})$")
_NO_SCENE = _re(
    r"\b(?:i|me|my|you|we|us|our|please|this|not|no|don't|too|so|just|only|annoying|want|stop|again|remove|extract|"
    r"keep|mute|delete|gone|without|except|but|everything|it|recording|driving|ruining|spoiling|bothering)\b"
)
_NO_NAME = _re(
    r"^(?:it|this|that|which|who|what|he|she|they|all)$|^there\b|\b(?:that|which|who)$|"
    r"\b(?:i|you|we|not|don't|without|except|but|everything|nothing|anything|please|keep|remove|only|if|what|why|which)\b"
)


def blamed_sound(body: str) -> str:
    """What a complaint is about, empty where the sentence is no plain complaint.

    Args:
        body: a sentence without politeness and final marks.
    """
    found = _COMPLAINT.match(body) or _CAUGHT_BY.match(body)
    sound = found["sound"] if found else ""
    return "" if _NO_NAME.search(sound) else sound


def sound_going_on(body: str) -> str:
    """Who does what in "X keeps doing Y, make it stop"; empty for any other sentence."""
    found = _NEVER_ENDING.match(body)
    return "" if found is None or _NO_NAME.search(found["who"]) else f"{found['who']} {found['deed']}"


def scene_of_people(body: str) -> str:
    """A caption that starts with people, whole; empty where the sentence may be anything else."""
    found = _SCENE.match(body)
    return found["scene"] if found and not _NO_SCENE.search(found["scene"]) else ""
