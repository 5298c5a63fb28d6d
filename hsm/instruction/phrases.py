"""How people ask: the rules of `data/phrases.txt`, a small context-free grammar that trains the parser."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import NamedTuple

_FOLDER = Path(__file__).parent / "data"


class Phrases(NamedTuple):
    """`rules` are expanded inside templates; the others hold templates by kind, `nothing` those without a sound."""

    rules: dict[str, list[str]]
    extract: dict[str, list[str]]
    remove: dict[str, list[str]]
    nothing: dict[str, list[str]]


@cache
def read_sections(name: str) -> dict[str, list[str]]:
    """Lines of a data file under their `[section]`; comments and empty lines are left out."""
    sections: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in (_FOLDER / name).read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            lines = sections.setdefault(line.strip("[]"), [])
        elif line and not line.startswith("#"):
            lines.append(line)
    return sections


@cache
def load_phrases() -> Phrases:
    """Read the file once."""
    parts: dict[str, dict[str, list[str]]] = {"rule": {}, "extract": {}, "remove": {}, "nothing": {}}
    for section, lines in read_sections("phrases.txt").items():
        part, _, name = section.partition(" ")
        parts[part][name] = [json.loads(line) if line.startswith('"') else line for line in lines]
    return Phrases(parts["rule"], parts["extract"], parts["remove"], parts["nothing"])
