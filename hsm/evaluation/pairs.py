"""Which clips meet in a mixture and what is asked of it: fixed lists, drawn from a manifest by a seed.

Only `Random.random` is used, over clips sorted by path, so that every machine draws the same list, and a
shorter list is the beginning of a longer one. Each clip is a target once before any is one again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from random import Random
from typing import Literal

from hsm.errors import HSMError
from hsm.evaluation.lists import Kind, PairList
from hsm.manifest import Clip, conflict

Queries = Literal["label", "caption"]
MOST_DRAWS = 2_000  # tries for one pair before the manifest is said to be too small


@dataclass(frozen=True)
class Pair:
    """One mixture, still as clips.

    Args:
        kind: which rule made it.
        sources: the target first.
        queries: what to ask for to get each source.
        absent: a query for a sound that is in none of them.
        snr_db: level of the target over each other source, one fewer than sources.
        places: [0, 1) for each source, where in the mixture a shorter clip starts.
    """

    kind: str
    sources: tuple[Clip, ...]
    queries: tuple[str, ...]
    absent: str
    snr_db: tuple[float, ...]
    places: tuple[float, ...]


def draw_pairs(
    clips: Sequence[Clip],
    plan: PairList,
    *,
    split: str = "valid",
    seed: int = 0,
    limit: int | None = None,
    queries: Queries = "label",
    audible: Callable[[Clip], bool],
) -> list[Pair]:
    """Draw a list.

    Args:
        clips: a whole manifest; a clip is asked for by the rarest of its classes in it that no other
            source of the mixture has ("clarinet", not "music"), or by its caption.
        plan: one of `hsm.evaluation.lists.LISTS`.
        split: which clips take part.
        seed: of the draw.
        limit: the first so many pairs of the list; None for all.
        queries: "label" or "caption".
        audible: whether a clip holds enough sound to take part, see `hsm.evaluation.mixing.is_audible`.

    Returns:
        The pairs: no two sources conflict, share a recording or a query.

    Raises:
        HSMError: a limit below 1, or a manifest with too few clips or classes for the list.
    """
    if limit is not None and limit < 1:
        raise HSMError(f"limit: got {limit}; wanted at least 1 pair.")
    rarity = Counter(name for clip in clips for name in clip.classes)
    usable = [clip for clip in clips if clip.split == split and clip.duration_s >= plan.shortest_s]
    usable = sorted((clip for clip in usable if clip.classes), key=lambda clip: clip.path.as_posix())
    rng = Random(seed)
    tables = [_Table(kind, usable, rng) for kind in plan.kinds]
    tables = [table for table in tables if table.possible()]
    if not tables:
        names = ", ".join(kind.name for kind in plan.kinds)
        raise HSMError(
            f"pairs: no two of {len(clips)} clips fit; wanted split {split!r}, different classes and "
            f"recordings, at least {plan.shortest_s:g} s, of the groups of {names}."
        )
    members = {clip for table in tables for clip in (*table.targets, *table.others)}
    everyone = [clip for clip in usable if clip in members]
    pairs: list[Pair] = []
    for index in range(min(plan.pairs, limit or plan.pairs)):
        table = tables[index % len(tables)]
        sources = _draw_sources(table, plan.sources, audible, rng)
        texts = tuple(_query(clip, sources, queries, rarity) for clip in sources)
        absent = _draw_absent(everyone, sources, rng)
        low, high = plan.snr_db
        pairs.append(
            Pair(
                kind=table.kind.name,
                sources=sources,
                queries=texts,
                absent=_query(absent, [absent], queries, rarity),
                snr_db=tuple(low + (high - low) * rng.random() for _ in sources[1:]),
                places=tuple(rng.random() for _ in sources),
            )
        )
    return pairs


class _Table:
    """The clips of one kind; targets are dealt like cards, the pack is shuffled anew when it is empty."""

    def __init__(self, kind: Kind, clips: Sequence[Clip], rng: Random) -> None:
        self.kind = kind
        self.targets = [clip for clip in clips if kind.target(clip)]
        self.others = [clip for clip in clips if kind.other(clip)]
        self._pack: list[Clip] = []
        self._rng = rng

    def possible(self) -> bool:
        """Whether any two of the clips may be mixed at all."""
        return any(_may_meet(two) for two in product(self.targets, self.others))

    def deal(self) -> Clip:
        if not self._pack:
            self._pack = list(self.targets)
            for i in range(len(self._pack) - 1, 0, -1):
                j = int(self._rng.random() * (i + 1))
                self._pack[i], self._pack[j] = self._pack[j], self._pack[i]
        return self._pack.pop()


def _draw_sources(table: _Table, count: int, audible: Callable[[Clip], bool], rng: Random) -> tuple[Clip, ...]:
    chosen: list[Clip] = []
    for draw in range(MOST_DRAWS):
        if not chosen or draw % 100 == 99:  # a target that next to nothing may meet is passed over
            target = table.deal()
            chosen = [target] if audible(target) else []
            continue
        clip = _any_of(table.others, rng)
        if _may_meet([*chosen, clip]) and audible(clip):
            chosen.append(clip)
        if len(chosen) == count:
            return tuple(chosen)
    raise HSMError(
        f"pairs: no {count} clips of {table.kind.name!r} may be mixed; wanted audible clips of at least "
        f"{count} different classes and recordings."
    )


def _draw_absent(clips: Sequence[Clip], sources: Sequence[Clip], rng: Random) -> Clip:
    heard = {name for clip in sources for name in clip.classes}
    captions = {clip.caption for clip in sources}
    for _ in range(MOST_DRAWS):
        clip = _any_of(clips, rng)
        if heard.isdisjoint(clip.classes) and clip.caption not in captions:
            return clip
    raise HSMError(f"pairs: every clip shares a class with {', '.join(sorted(heard))}; wanted a further class.")


def _may_meet(clips: Sequence[Clip]) -> bool:
    recordings = [clip.recording for clip in clips if clip.recording]
    captions = {clip.caption for clip in clips}
    if len(set(recordings)) < len(recordings) or len(captions) < len(clips):
        return False
    if any(conflict(first, second) for first, second in combinations(clips, 2)):
        return False
    # Of three clips without a conflict, two may still cover all classes of the third between them.
    return all(_own_classes(clip, clips) for clip in clips)


def _own_classes(clip: Clip, clips: Sequence[Clip]) -> list[str]:
    others = {name for other in clips if other is not clip for name in other.classes}
    return [name for name in clip.classes if name not in others]


def _query(clip: Clip, clips: Sequence[Clip], queries: Queries, rarity: Counter[str]) -> str:
    if queries == "caption":
        return clip.caption
    return min(_own_classes(clip, clips), key=lambda name: (rarity[name], name))


def _any_of(clips: Sequence[Clip], rng: Random) -> Clip:
    return clips[int(rng.random() * len(clips))]
