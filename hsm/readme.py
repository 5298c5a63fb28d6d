"""Tables in a page, between marks, so that a command can write them again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from hsm.errors import HSMError


def insert(path: Path, name: str, text: str) -> None:
    """Put a table between the marks `<!-- NAME -->` and `<!-- /NAME -->` of a file.

    Args:
        path: the page.
        name: of the marks, such as "evaluation:esc50".
        text: what goes between them.

    Raises:
        HSMError: the file lacks the marks.
    """
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    page = path.read_text(encoding="utf-8") if path.is_file() else ""
    if begin not in page or end not in page:
        raise HSMError(f"{path}: lacks the marks {begin} and {end}; wanted both, the table goes between them.")
    head, rest = page.split(begin, 1)
    path.write_text(f"{head}{begin}\n{text}\n{end}{rest.split(end, 1)[1]}", encoding="utf-8")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
