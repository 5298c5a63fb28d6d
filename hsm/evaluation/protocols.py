"""Which clips meet in a mixture, what is asked of it and what should come out: lists drawn from a manifest by a seed.

Only `Random.random` is used, over clips sorted by path, so that every machine draws the same list, and a shorter
list is the beginning of a longer one. Each clip is a target once before any is one again.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import combinations, product
from pathlib import Path
from random import Random
from typing import Literal

from hsm.errors import HSMError
from hsm.manifest import Clip, conflict
from hsm.records import Operation

Words = Literal["label", "caption"]
Choice = Callable[[Clip], bool]
Way = Literal[
    "whole", "no competitor", "text alone", "true G", "true S, G", "other's S, G", "random S, G", "example", "AudioSep"
]
TOLD: tuple[Way, ...] = ("true G", "true S, G", "other's S, G", "random S, G")
INSIDE = ("no competitor", *TOLD)  # asked where what lies inside is looked at
MOST_DRAWS = 2_000  # tries for one mixture before the manifest is said to be too small
MADE = "made"  # group of the noises that are computed, not read
NOISES = ("hiss", "hum")
NOISES_EACH = 20


@dataclass(frozen=True)
class Ask:
    """One query put to a mixture.

    Args:
        row: line of the table.
        text: the named sound, or a whole instruction where `operation` is None, which is parsed as users' are.
        operation: what is to be done with the named sound.
        reference: sources whose sum should come out; none where nothing should.
        way: what the system is told or denied.
        clip: the example of "example", and the unrelated sound of "random S, G".
    """

    row: str
    text: str
    operation: Operation | None
    reference: tuple[int, ...]
    way: Way = "whole"
    clip: Clip | None = None


@dataclass(frozen=True)
class Trial:
    """One mixture, still as clips.

    Args:
        kind: which rule made it.
        sources: the target first.
        words: what each source is called.
        snr_db: level of the target over each other source, one fewer than sources.
        places: [0, 1) for each source, where in the mixture a shorter clip starts.
        asks: what is asked.
        inside: whether Ĝ and attention are looked at, too.
    """

    kind: str
    sources: tuple[Clip, ...]
    words: tuple[str, ...]
    snr_db: tuple[float, ...]
    places: tuple[float, ...]
    asks: tuple[Ask, ...] = ()
    inside: bool = False


@dataclass(frozen=True)
class Kind:
    """A rule for who meets whom.

    Args:
        name: of the rule.
        target: which clips may be the target.
        other: which clips may be the other sources.
        words: what target and other are called; else by the rarest of their own classes, or by caption.
        spread: deal the targets from all of their publishers in turn, not mostly from the largest.
    """

    name: str
    target: Choice
    other: Choice
    words: tuple[str, ...] = ()
    spread: bool = False


@dataclass(frozen=True)
class Plan:
    """A list by name. Kinds take turns; a kind of which the manifest has no fitting clips is left out.

    Args:
        about: in words.
        kinds: who meets whom.
        asks: what is asked of a mixture.
        mixtures: how many the full list has.
        sources: clips in each mixture, the first is the target.
        snr_db: lowest and highest level of the target over each other source, drawn evenly.
        least_named: a class that fewer clips of the manifest bear is no name to ask by.
        inside: in so many mixtures of the list what lies inside is looked at, and the truth is told.
        absent: which clips may lend the name of an absent sound; those of the list where not given.
    """

    about: str
    kinds: tuple[Kind, ...]
    asks: Callable[[Trial, Beside], tuple[Ask, ...]]
    mixtures: int
    sources: int = 2
    snr_db: tuple[float, float] = (0.0, 0.0)
    least_named: int = 1
    inside: int = 0
    absent: Choice | None = None


@dataclass(frozen=True)
class Beside:
    """What is asked of a mixture without being in it: another sound, and another recording of the target's class."""

    absent: Clip
    absent_word: str
    example: Clip | None


@cache
def unseen_wordings() -> dict[str, str]:
    """Other words for the sounds of ESC-50 by label; they share no sentence with the training captions."""
    with (Path(__file__).parent / "data" / "wordings.csv").open(newline="", encoding="utf-8") as file:
        return {row["label"]: row["wording"] for row in csv.DictReader(file)}


def _two_ways(trial: Trial, beside: Beside) -> tuple[Ask, ...]:
    """The first source is asked for in every way; the second is removed, and asked for instead."""
    target, other = trial.words[:2]
    rest = tuple(i for i in range(len(trial.sources)) if i != 1)
    unseen = unseen_wordings().get(target)
    return (
        Ask("extract", target, "extract", (0,)),
        Ask("extract, no competitor", target, "extract", (0,), "no competitor"),
        Ask("text alone", target, "extract", (0,), "text alone"),
        Ask("true G", target, "extract", (0,), "true G"),
        Ask("true S, G", target, "extract", (0,), "true S, G"),
        Ask("other source's S, G", target, "extract", (0,), "other's S, G"),
        Ask("random S, G", target, "extract", (0,), "random S, G", beside.absent),
        *([Ask("extract, unseen wording", unseen, "extract", (0,))] if unseen else []),
        *([Ask("extract, by example", target, "extract", (0,), "example", beside.example)] if beside.example else []),
        Ask("remove", other, "remove", rest),
        Ask("wrong query", other, "extract", (0,)),
        Ask("absent query", beside.absent_word, "extract", ()),
        Ask("AudioSep's form", target, "extract", (0,), "AudioSep"),
    )


def _plain(trial: Trial, beside: Beside) -> tuple[Ask, ...]:
    kept = "whole", "text alone", "AudioSep"
    return tuple(ask for ask in _two_ways(trial, beside) if ask.way in kept)


def _alone(trial: Trial, beside: Beside) -> tuple[Ask, ...]:
    speech = "speech" in trial.sources[0].classes
    return (
        Ask("named, extracted", trial.words[0], "extract", (0,)),
        Ask("named, removed", trial.words[0], "remove", ()),
        Ask("absent, extracted", beside.absent_word, "extract", ()),
        Ask("absent, removed", beside.absent_word, "remove", (0,)),
        *([Ask("speech, background noise removed", "remove the background noise", None, (0,))] if speech else []),
    )


def _both_ways(trial: Trial, beside: Beside) -> tuple[Ask, ...]:
    first, second = trial.words
    return (
        Ask(f"extract {first}", first, "extract", (0,)),
        Ask(f"remove {first}", first, "remove", (1,)),
        Ask(f"extract {second}", second, "extract", (1,)),
        Ask(f"remove {second}", second, "remove", (0,)),
        Ask(f"AudioSep's form, {first}", first, "extract", (0,), "AudioSep"),
        Ask(f"AudioSep's form, {second}", second, "extract", (1,), "AudioSep"),
    )


def _song(trial: Trial, beside: Beside) -> tuple[Ask, ...]:
    as_typed = (("keep only the vocals", (0,)), ("karaoke", (1,)), ("keep only the accompaniment", (1,)))
    return (*_both_ways(trial, beside), *(Ask(f'"{text}"', text, None, part) for text, part in as_typed))


def _denoise(trial: Trial, beside: Beside) -> tuple[Ask, ...]:
    return (
        Ask('"remove the background noise"', "remove the background noise", None, (0,)),
        Ask('"denoise"', "denoise", None, (0,)),
        Ask("extract speech", "speech", "extract", (0,)),
        Ask("remove, by name", trial.words[1], "remove", (0,)),
    )


WORDINGS = {
    "hiss": ("hiss", "white noise", "static"),
    "speech": ("speech", "voice", "talking"),
    "singing": ("singing", "vocals", "singing voice"),
}


def _wordings(trial: Trial, beside: Beside) -> tuple[Ask, ...]:
    return tuple(Ask(word, word, "extract", (0,)) for word in WORDINGS[trial.kind])


def _within(*collections: str) -> Choice:
    return lambda clip: clip.group.split("/")[0] in collections


def _outside(*collections: str) -> Choice:
    """Full-band music, whose classes are genres and not names of sounds, has lists of its own."""
    return lambda clip: clip.group.split("/")[0] not in collections and clip.group not in (MADE, "music")


def _made(noise: str) -> Choice:
    return lambda clip: clip.group == MADE and noise in clip.classes


def _noisy(clip: Clip) -> bool:
    """Whether it is what people call background noise."""
    return clip.group != MADE and bool(_BACKGROUND.intersection(clip.classes))


def _clear(clip: Clip) -> bool:
    """Whether nobody would call it noise."""
    return clip.group != MADE and not _BACKGROUND.intersection(clip.classes)


def _instrument(clip: Clip) -> bool:
    return clip.group.startswith("music/")


def _band(clip: Clip) -> bool:
    """Music of many instruments and no voice."""
    return clip.group in ("music", "music/track") and "singing" not in clip.classes


def _singer(clip: Clip) -> bool:
    """A voice that sings and nothing else."""
    return "singing" in clip.classes and clip.group in ("human", "music/singing")


_BACKGROUND = {
    *("air conditioner", "airplane", "car", "engine", "pneumatic hiss", "fan", "helicopter", "rain", "sea waves"),
    *("train", "tram", "vacuum cleaner", "washing machine", "water", "wind", "boiling water", "frying", "microwave"),
}
_ANYTHING, _SPEECH = _outside(), _within("speech")
_NOISE = _outside("esc50", "speech", "music")
_URBAN = _within("urbansound8k", "urban", "vehicle")
PLANS: dict[str, Plan] = {
    "esc50": Plan(
        "pairs of ESC-50 clips at 0 dB",
        (Kind("esc50", _within("esc50"), _within("esc50")),),
        _two_ways,
        500,
        inside=120,
    ),
    "general": Plan(
        "pairs of everything else, the target at -15 to 15 dB, by kind",
        (
            Kind("speech in noise", _SPEECH, _NOISE),
            Kind("noise behind speech", _NOISE, _SPEECH),
            Kind("instruments", _instrument, _instrument),
            Kind("urban", _URBAN, _URBAN),
            Kind("anything", _outside("esc50"), _outside("esc50")),
        ),
        _plain,
        200,
        snr_db=(-15.0, 15.0),
        least_named=3,
    ),
    "three": Plan(
        "three sources, the target at -5 to 5 dB over each other",
        (Kind("three", _ANYTHING, _ANYTHING),),
        _plain,
        60,
        sources=3,
        snr_db=(-5.0, 5.0),
        least_named=3,
    ),
    "solo": Plan(
        "one sound alone: what is named passes, what is not there comes out silent",
        (
            Kind("speech", _SPEECH, _SPEECH, spread=True),
            Kind("music", _band, _band, ("music",)),
            Kind("other sounds", _outside("speech"), _ANYTHING),
        ),
        _alone,
        120,
        sources=1,
        least_named=3,
        absent=_ANYTHING,
    ),
    "music": Plan(
        "speech over full-band music at -5 to 5 dB, both ways",
        (Kind("speech over music", _SPEECH, _band, ("speech", "music"), spread=True),),
        _both_ways,
        60,
        snr_db=(-5.0, 5.0),
        absent=_ANYTHING,
    ),
    "songs": Plan(
        "singers over full-band music of other recordings at -5 to 5 dB, both ways",
        (Kind("song", _singer, _band, ("vocals", "accompaniment"), spread=True),),
        _song,
        60,
        snr_db=(-5.0, 5.0),
        absent=_ANYTHING,
    ),
    "denoise": Plan(
        '"remove the background noise" of speech at 0 to 10 dB',
        (
            Kind("recorded noise", _SPEECH, _noisy, spread=True),
            Kind("hiss", _SPEECH, _made("hiss"), ("speech", "hiss"), spread=True),
            Kind("hum", _SPEECH, _made("hum"), ("speech", "hum"), spread=True),
        ),
        _denoise,
        120,
        snr_db=(0.0, 10.0),
        absent=_ANYTHING,
    ),
    "wordings": Plan(
        "two wordings of one thing, at -5 to 5 dB over another sound",
        (
            Kind("hiss", _made("hiss"), _clear),
            Kind("speech", _SPEECH, _NOISE, spread=True),
            Kind("singing", _singer, _NOISE, spread=True),
        ),
        _wordings,
        120,
        snr_db=(-5.0, 5.0),
        absent=_ANYTHING,
    ),
}


def made_noises(split: str) -> list[Clip]:
    """Clips of noises that `hsm.evaluation.mixtures.clip_wave` computes, each by its own seed."""
    return [
        Clip(Path(f"{name} {i}"), split, f"{name} {i}", ("noise", name), MADE, MADE, f"{name} {i}", "CC0", 10.0)
        for name in NOISES
        for i in range(NOISES_EACH)
    ]


def draw(
    clips: Sequence[Clip],
    plan: Plan,
    *,
    split: str = "valid",
    seed: int = 0,
    limit: int | None = None,
    words: Words = "label",
    audible: Choice,
) -> list[Trial]:
    """Draw a list.

    Args:
        clips: a whole manifest; a clip is asked for by the rarest of its classes in it that no other
            source of the mixture has ("clarinet", not "music"), or by its caption.
        plan: one of `PLANS`.
        split: which clips take part.
        seed: of the draw.
        limit: the first so many mixtures of the list; None for all.
        words: "label" or "caption".
        audible: whether a clip holds enough sound to take part, see `hsm.evaluation.mixtures.is_audible`.

    Returns:
        The mixtures: no two sources conflict, share a recording or a name.

    Raises:
        HSMError: a limit below 1, or a manifest with too few clips or classes for the list.
    """
    if limit is not None and limit < 1:
        raise HSMError(f"limit: got {limit}; wanted at least 1 mixture.")
    rarity = Counter(name for clip in clips for name in clip.classes)
    usable = [clip for clip in clips if clip.split == split and clip.duration_s >= 1.0 and clip.classes]
    usable = [clip for clip in usable if min(rarity[name] for name in clip.classes) >= plan.least_named]
    usable = sorted([*usable, *made_noises(split)], key=lambda clip: clip.path.as_posix())
    rng = Random(seed)
    tables = [_Table(kind, usable, rng) for kind in plan.kinds]
    tables = [table for table in tables if table.possible(plan.sources)]
    if not tables:
        names = ", ".join(kind.name for kind in plan.kinds)
        raise HSMError(
            f"mixtures: no {plan.sources} of {len(clips)} clips fit; wanted split {split!r}, different classes and "
            f"recordings, at least 1 s, of the groups of {names}."
        )
    members = {clip for table in tables for clip in (*table.targets, *table.others)}
    strangers = [clip for clip in usable if (plan.absent(clip) if plan.absent else clip in members)]
    trials: list[Trial] = []
    for index in range(min(plan.mixtures, limit or plan.mixtures)):
        table = tables[index % len(tables)]
        sources = _draw_sources(table, plan.sources, audible, rng)
        called = table.kind.words[: plan.sources] or tuple(_name(clip, sources, words, rarity) for clip in sources)
        absent = _draw_absent(strangers, sources, rng)
        low, high = plan.snr_db
        trial = Trial(
            kind=table.kind.name,
            sources=sources,
            words=called,
            snr_db=tuple(low + (high - low) * rng.random() for _ in sources[1:]),
            places=tuple(rng.random() for _ in sources),
        )
        absent_word = _name(absent, [absent], words, rarity)
        example = next((clip for clip in _same_class(sources, usable) if audible(clip)), None)
        inside = index < plan.inside
        asks = plan.asks(trial, Beside(absent, absent_word, example))
        asks = tuple(ask for ask in asks if inside or ask.way not in INSIDE)
        trials.append(replace(trial, asks=asks, inside=inside))
    return trials


def read_list(path: Path, clips: Sequence[Clip], *, split: str = "valid", limit: int | None = None) -> list[Trial]:
    """AudioSep's own list of ESC-50 pairs, those of which both clips are in a split of the manifest.

    Args:
        path: CSV with the columns caption, src_wav and noise_wav, named as ESC-50 names its files.
        clips: a whole manifest.
        split: which clips take part.
        limit: the first so many mixtures; None for all.

    Returns:
        The mixtures at 0 dB, in the list's order.

    Raises:
        HSMError: no such file, a missing column, or no pair whose clips are there.
    """
    if not path.is_file():
        raise HSMError(f"--list: there is no file {path}; wanted AudioSep's list of ESC-50 pairs.")
    by_name = {
        clip.path.stem.rpartition("_")[2]: clip for clip in clips if clip.group == "esc50" and clip.split == split
    }
    trials = []
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        if lacking := {"caption", "src_wav", "noise_wav"} - set(rows.fieldnames or ()):
            raise HSMError(f"{path.name}: the header lacks {', '.join(sorted(lacking))}.")
        for row in rows:
            names = [Path(row[column]).stem for column in ("src_wav", "noise_wav")]
            if not all(name in by_name for name in names):
                continue
            sources = tuple(by_name[name] for name in names)
            asks = [Ask("extract", row["caption"], "extract", (0,))]
            asks.append(Ask("AudioSep's form", row["caption"], "extract", (0,), "AudioSep"))
            asks.append(Ask("wrong query", sources[1].label, "extract", (0,)))
            words = row["caption"], sources[1].label
            trials.append(Trial("AudioSep's list", sources, words, (0.0,), (0.0, 0.0), tuple(asks)))
    if not trials:
        raise HSMError(f"{path.name}: none of its pairs has both clips in split {split!r} of the manifest.")
    return trials[:limit]


class _Table:
    """The clips of one kind; targets are dealt like cards, the pack is shuffled anew when it is empty."""

    def __init__(self, kind: Kind, clips: Sequence[Clip], rng: Random) -> None:
        self.kind = kind
        self.targets = [clip for clip in clips if kind.target(clip)]
        self.others = [clip for clip in clips if kind.other(clip)]
        self._pack: list[Clip] = []
        self._rng = rng

    def possible(self, sources: int) -> bool:
        """Whether any of the clips may be mixed at all."""
        if sources == 1:
            return bool(self.targets)
        return any(_may_meet(two) for two in product(self.targets, self.others))

    def deal(self) -> Clip:
        if not self._pack:
            self._pack = list(self.targets)
            for i in range(len(self._pack) - 1, 0, -1):
                j = int(self._rng.random() * (i + 1))
                self._pack[i], self._pack[j] = self._pack[j], self._pack[i]
            if self.kind.spread:
                seen: Counter[str] = Counter()
                rounds = []
                for clip in self._pack:
                    seen[clip.source] += 1
                    rounds.append(seen[clip.source])
                order = sorted(range(len(rounds)), key=lambda i: -rounds[i])  # dealt from the end: first rounds first
                self._pack = [self._pack[i] for i in order]
        return self._pack.pop()


def _draw_sources(table: _Table, count: int, audible: Choice, rng: Random) -> tuple[Clip, ...]:
    chosen: list[Clip] = []
    for step in range(MOST_DRAWS):
        if not chosen or step % 100 == 99:  # a target that next to nothing may meet is passed over
            target = table.deal()
            chosen = [target] if audible(target) else []
        else:
            clip = _any_of(table.others, rng)
            if _may_meet([*chosen, clip]) and audible(clip):
                chosen.append(clip)
        if len(chosen) == count:
            return tuple(chosen)
    raise HSMError(
        f"mixtures: no {count} clips of {table.kind.name!r} may be mixed; wanted audible clips of at least "
        f"{count} different classes and recordings."
    )


def _draw_absent(clips: Sequence[Clip], sources: Sequence[Clip], rng: Random) -> Clip:
    heard = {name for clip in sources for name in clip.classes}
    captions = {clip.caption for clip in sources}
    for _ in range(MOST_DRAWS):
        clip = _any_of(clips, rng)
        if heard.isdisjoint(clip.classes) and clip.caption not in captions:
            return clip
    raise HSMError(f"mixtures: every clip shares a class with {', '.join(sorted(heard))}; wanted a further class.")


def _same_class(sources: Sequence[Clip], clips: Sequence[Clip]) -> list[Clip]:
    """Other recordings of the target's classes, from the one behind it on."""
    target = sources[0]
    same = [c for c in clips if c.classes == target.classes and c not in sources and c.path != target.path]
    same = [c for c in same if not c.recording or c.recording not in {s.recording for s in sources}]
    behind = [c for c in same if c.path.as_posix() > target.path.as_posix()]
    return [*behind, *same[: len(same) - len(behind)]]


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


def _name(clip: Clip, clips: Sequence[Clip], words: Words, rarity: Counter[str]) -> str:
    if words == "caption":
        return clip.caption
    return min(_own_classes(clip, clips), key=lambda name: (rarity[name], name))


def _any_of(clips: Sequence[Clip], rng: Random) -> Clip:
    return clips[int(rng.random() * len(clips))]
