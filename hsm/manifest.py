"""Lists of clips: one CSV line a sound file, with what it holds and where it comes from."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from hsm.errors import HSMError

COLUMNS = ("path", "split", "caption", "classes", "group", "source", "recording", "licence", "duration_s")


@dataclass(frozen=True)
class Clip:
    """One sound file of a manifest.

    Args:
        path: absolute path of the file.
        split: such as "train" or "valid".
        caption: what is heard, in words.
        classes: labels, general ones beside narrow ones ("music", "clarinet").
        group: the collection it belongs to, such as "esc50".
        source: where it was published.
        recording: clips of one recording or speaker share it; "" where unknown.
        licence: as the source states it.
        duration_s: length in seconds, above 0.
    """

    path: Path
    split: str
    caption: str
    classes: tuple[str, ...]
    group: str
    source: str
    recording: str
    licence: str
    duration_s: float

    @property
    def label(self) -> str:
        """The narrowest class, which stands last; the caption where no class is given."""
        return self.classes[-1] if self.classes else self.caption


def conflict(first: Clip, second: Clip) -> bool:
    """Whether two clips must not be mixed: the classes of one are all among the other's.

    A clarinet ("music", "clarinet") over a piano ("music", "piano") is a fair mixture, a clarinet over
    unnamed music ("music") is not. A clip without classes conflicts with every other.
    """
    one, other = set(first.classes), set(second.classes)
    return one <= other or other <= one


def read_manifest(path: str | Path) -> list[Clip]:
    """Read a manifest.

    Args:
        path: a CSV file with a header and the columns of `COLUMNS` (others are ignored); its paths
            are relative to its own folder; classes are separated by ";".

    Returns:
        The clips in the file's order. Whether the sound files exist is not checked here.

    Raises:
        HSMError: no such file, a missing column, an unusable value or no clip at all.
    """
    path = Path(path)
    if not path.is_file():
        raise HSMError(f"manifest: there is no file {path}; wanted a CSV with the columns {', '.join(COLUMNS)}.")
    folder = path.resolve().parent
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        missing = [name for name in COLUMNS if name not in (rows.fieldnames or ())]
        if missing:
            raise HSMError(
                f"{path.name}: the header lacks {', '.join(missing)}; "
                f"got {', '.join(rows.fieldnames or ())}. Wanted the columns {', '.join(COLUMNS)}."
            )
        clips = [_clip(row, folder, f"{path.name} line {rows.line_num}") for row in rows]
    if not clips:
        raise HSMError(f"{path.name}: the manifest lists no clip; add a line for each sound file.")
    return clips


def _clip(row: dict[str, str], folder: Path, where: str) -> Clip:
    short = [name for name in COLUMNS if row[name] is None]
    if short or not row["path"]:
        raise HSMError(f"{where}: got no value for {short[0] if short else 'path'}; complete or remove the line.")
    try:
        duration_s = float(row["duration_s"])
    except ValueError as error:
        raise HSMError(f"{where}: duration_s is {row['duration_s']!r}; wanted seconds as a number.") from error
    if not 0 < duration_s < float("inf"):
        raise HSMError(f"{where}: duration_s is {row['duration_s']!r}; wanted a length above 0 seconds.")
    return Clip(
        path=folder / row["path"],
        split=row["split"],
        caption=row["caption"],
        classes=tuple(name.strip() for name in row["classes"].split(";") if name.strip()),
        group=row["group"],
        source=row["source"],
        recording=row["recording"],
        licence=row["licence"],
        duration_s=duration_s,
    )
