"""How often an instruction is understood: sentences written by hand, by kind, and plain templates."""

from __future__ import annotations

import csv
import re
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hsm.errors import HSMError
from hsm.evaluation.report import table
from hsm.instruction import parse_instruction
from hsm.records import Instruction

HAND_WRITTEN = Path(__file__).parent / "data" / "instructions.csv"
UNSEEN = Path(__file__).parent / "data" / "instructions_unseen.csv"
BLIND = Path(__file__).parent / "data" / "instructions_blind.csv"
TYPED = Path(__file__).parent / "data" / "instructions_typed.csv"
TEMPLATES = {
    "Extract {}": "extract", "Extract the {} from the mixture": "extract", "Separate {}": "extract",
    "isolate the {}": "extract", "keep only the {}": "extract", "Keep {}": "extract", "Remove {}": "remove",
    "Remove the sound of the {}": "remove", "Drop the {}": "remove", "without {}": "remove",
    "everything without the {}": "remove",
}  # fmt: skip
SOUNDS = (
    "dog barking", "man speaking", "music", "car horn", "church bells", "rain", "female singing",
    "water running in a sink", "acoustic guitar", "sheep", "crackling fire", "footsteps on gravel",
    "baby crying", "engine idling", "keyboard typing", "crowd cheering in a stadium", "wind",
    "glass breaking", "violin", "thunder rumbling in the distance", "people talking", "train passing by",
    "drum kit", "birds chirping", "sirens wailing", "clock ticking", "applause", "hand saw",
    "vacuum cleaner", "door knock",
)  # fmt: skip
# Words that carry no sound: neither needed nor wrong in a description.
_NEUTRAL_WORDS = """a an the this that these those some any all of in on at to and or as well plus while both is are
was were be being been by from for with it its my our his her their sound sounds"""
_NEUTRAL = frozenset(_NEUTRAL_WORDS.split())


@dataclass(frozen=True)
class Case:
    """A sentence and what it means.

    Args:
        kind: row of the table.
        text: the instruction.
        operation: "extract", "remove", or "none" where an error is right.
        description: words that must be kept.
        optional: words that may be kept.
        also: another right answer, as "operation: description", or "none"; may be empty.
        note: a piece of what the user must be told; may be empty.
    """

    kind: str
    text: str
    operation: str
    description: str
    optional: str = ""
    also: str = ""
    note: str = ""


def load_cases(path: Path = HAND_WRITTEN) -> list[Case]:
    """Read a table of cases with the columns of `Case`."""
    with path.open(newline="", encoding="utf-8") as file:
        return [Case(**row) for row in csv.DictReader(file)]


def plain_words(text: str) -> str:
    """The words alone, in lower case: what makes two sentences the same."""
    return " ".join(re.findall(r"[\w'-]+", text.lower()))


def evaluated_sentences() -> frozenset[str]:
    """Words of every evaluated sentence, which training leaves out."""
    cases = [case for path in (HAND_WRITTEN, UNSEEN, BLIND, TYPED) for case in load_cases(path)]
    return frozenset(plain_words(case.text) for case in [*cases, *template_cases()])


def template_cases() -> list[Case]:
    """Every plain template with every sound."""
    return [
        Case("template", template.format(sound), operation, sound)
        for template, operation in TEMPLATES.items()
        for sound in SOUNDS
    ]


def _content(text: str) -> set[str]:
    return set(re.findall(r"[\w'-]+", text.lower())) - _NEUTRAL


def is_right(case: Case, found: Instruction | None) -> bool:
    """Operation right, every content word kept, and no other word left in."""
    if found is None or case.operation == "none":
        return found is None and "none" in (case.operation, case.also)
    answers = [(case.operation, case.description)]
    if case.also:
        operation, _, description = case.also.partition(":")
        answers.append((operation.strip(), description))
    kept = _content(found.description)
    return any(
        found.operation == operation and _content(description) <= kept <= _content(f"{description} {case.optional}")
        for operation, description in answers
    )


def answered(text: str, parse: Callable[[str], Instruction]) -> tuple[Instruction | None, str]:
    """What the parser made of it and what it told the user; None where it raised `HSMError`."""
    try:
        found = parse(text)
    except HSMError as error:
        return None, str(error)
    return found, found.note


def understood(text: str, parse: Callable[[str], Instruction]) -> Instruction | None:
    """What the parser made of it, None where it raised `HSMError`."""
    return answered(text, parse)[0]


def score(cases: list[Case], parse: Callable[[str], Instruction]) -> tuple[dict[str, tuple[int, int]], list[str]]:
    """Right and total by kind, and one line for each miss."""
    right: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    misses = []
    for case in cases:
        found, told = answered(case.text, parse)
        good = is_right(case, found) and case.note.lower() in told.lower()
        right[case.kind][0] += good
        right[case.kind][1] += 1
        if not good:
            got = f"{found.operation}: {found.description} ({found.parser})" if found else "nothing"
            misses.append(
                f"{case.kind:10} {case.text!r}: wanted {case.operation}: {case.description}; got {got} {told}"
            )
    return {kind: (good, total) for kind, (good, total) in right.items()}, misses


@dataclass(frozen=True)
class Measured:
    """One set of sentences and how many of them were understood.

    Args:
        name: of the set.
        rows: right and total by kind.
        misses: one line each.
        cpu_ms: CPU time a sentence, which other programs on the machine hardly change.
        clock_ms: time a sentence by the clock.
    """

    name: str
    rows: dict[str, tuple[int, int]]
    misses: list[str]
    cpu_ms: float
    clock_ms: float

    @property
    def right(self) -> int:
        """Sentences understood."""
        return sum(good for good, _ in self.rows.values())

    @property
    def total(self) -> int:
        """All sentences."""
        return sum(total for _, total in self.rows.values())


def run(parse: Callable[[str], Instruction] = parse_instruction, show_misses: bool = True) -> list[Measured]:
    """Measure a parser on every set and print it.

    Args:
        parse: the parser to measure.
        show_misses: print each sentence that was misunderstood, but none of the blind set.

    Returns:
        The sets: hand-written, templates, unseen, typed, blind.
    """
    sets = {
        "hand-written": load_cases(),
        "templates": template_cases(),
        "unseen": load_cases(UNSEEN),
        "typed": load_cases(TYPED),
        "blind": load_cases(BLIND),
    }
    found = []
    for name, cases in sets.items():
        clock, cpu = time.perf_counter(), time.process_time()
        rows, misses = score(cases, parse)
        each = [
            1000 * (now - start) / len(cases)
            for now, start in ((time.process_time(), cpu), (time.perf_counter(), clock))
        ]
        done = Measured(name, rows, misses, *each)
        found.append(done)
        print(
            f"{name}: {done.right}/{done.total} = {100 * done.right / done.total:.1f} %, "
            f"{done.cpu_ms:.1f} ms of CPU time each, {done.clock_ms:.1f} ms by the clock"
        )
        for kind, (kind_good, kind_total) in rows.items():
            print(f"  {kind:12} {kind_good:4d}/{kind_total:<4d} {100 * kind_good / kind_total:5.1f} %")
        if show_misses and name != "blind":
            print("".join(f"  miss: {line}\n" for line in misses), end="")
    return found


def markdown(found: list[Measured], weights: str) -> str:
    """The README's table: a row a kind, a column a set.

    Args:
        found: from `run`.
        weights: sha256 of the parser's weights.
    """

    def cell(right: int, total: int) -> str:
        return f"{right}/{total} = {100 * right / total:.1f} %" if total else ""

    kinds = [kind for kind in dict.fromkeys(kind for done in found for kind in done.rows) if kind != "template"]
    rows = [["all", *(cell(done.right, done.total) for done in found)]]
    rows += [[kind, *(cell(*done.rows.get(kind, (0, 0))) for done in found)] for kind in kinds]
    head = ["understood", *(done.name for done in found)]
    total = sum(done.total for done in found)
    cpu_ms = sum(done.cpu_ms * done.total for done in found) / total
    clock_ms = sum(done.clock_ms * done.total for done in found) / total
    took = f"{cpu_ms:.0f} ms of CPU time an instruction, {clock_ms:.0f} ms by the clock, one CPU thread."
    tail = f"{took} Weights (sha256): instruction {weights[:12]}."
    return f"{table(head, rows)}\n\n{tail} Made by `python -m hsm.evaluation instructions`.\n"
