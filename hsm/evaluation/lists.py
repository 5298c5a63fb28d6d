"""The lists by name: which clips may meet, how many of them, and how loud."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hsm.manifest import Clip


@dataclass(frozen=True)
class Kind:
    """A rule for who meets whom; `target` and `other` say which clips may take part."""

    name: str
    target: Callable[[Clip], bool]
    other: Callable[[Clip], bool]


@dataclass(frozen=True)
class PairList:
    """A list by name. Kinds take turns; a kind of which the manifest has no two fitting clips is left out.

    Args:
        kinds: who meets whom.
        sources: clips in each mixture, 2 or more; the first is the target.
        snr_db: lowest and highest level of the target over each other source, drawn evenly.
        shortest_s: clips below this length are not used.
        pairs: how many mixtures the full list has.
    """

    kinds: tuple[Kind, ...]
    sources: int = 2
    snr_db: tuple[float, float] = (0.0, 0.0)
    shortest_s: float = 1.0
    pairs: int = 500


def _within(*collections: str) -> Callable[[Clip], bool]:
    return lambda clip: clip.group.split("/")[0] in collections


def _outside(*collections: str) -> Callable[[Clip], bool]:
    return lambda clip: clip.group.split("/")[0] not in collections


_NOISE = _outside("esc50", "speech", "music")
_URBAN = _within("urbansound8k", "urban", "vehicle")
LISTS: dict[str, PairList] = {
    "esc50": PairList((Kind("esc50", _within("esc50"), _within("esc50")),)),
    "general": PairList(
        (
            Kind("speech in noise", _within("speech"), _NOISE),
            Kind("noise behind speech", _NOISE, _within("speech")),
            Kind("instruments", _within("music"), _within("music")),
            Kind("urban", _URBAN, _URBAN),
            Kind("anything", _outside("esc50"), _outside("esc50")),
        ),
        snr_db=(-15.0, 15.0),
    ),
    "three": PairList((Kind("three", _outside(), _outside()),), sources=3, snr_db=(-5.0, 5.0)),
}
