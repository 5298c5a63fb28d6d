"""What a command line asks to separate: a file, a folder, a pattern or a list, and where each result goes.

Results are named after their input, folders included, so that two inputs never share a name:

    mixtures/a.wav, mixtures/more/a.wav   ->   out/a.target.wav, out/more/a.target.wav
    a.wav and a.flac in one folder        ->   out/a.wav.target.wav, out/a.flac.target.wav
    a.wav twice in a list                 ->   out/a.extract-the-dog-1f2e3d.target.wav, ...
"""

from __future__ import annotations

import csv
import glob
import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from hsm.errors import HSMError
from hsm.reading import ENDINGS

COLUMNS = ("file", "instruction")
PARTS = ("target", "residual")
MAGIC = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class Job:
    """One separation to do.

    Args:
        file: the mixture.
        instruction: what is asked.
        stem: where results go, below the folder for results; ".target.wav" and the like follow.
        fault: why it cannot be done, where a row of a list is at fault.
    """

    file: Path
    instruction: str
    stem: Path
    fault: str = ""


def find_jobs(given: str, instruction: str | None, out: Path, recursive: bool = False) -> list[Job]:
    """List what is to be done.

    Args:
        given: a sound file, a folder of them, a pattern such as "takes/*.wav", or a CSV list with the
            columns file and instruction, files relative to the list's folder.
        instruction: for all files; a list has its own.
        out: folder for results; those of an earlier run are not taken for mixtures.
        recursive: whether folders within a folder count.

    Returns:
        Jobs in order of their names, or of the list's rows.

    Raises:
        HSMError: nothing that fits, an instruction too few or too many, or a list without its columns.
    """
    path = Path(given)
    if path.suffix.lower() == ".csv":
        if instruction is not None:
            raise HSMError(f"{path.name}: a list has an instruction in every row; give none beside it.")
        return _listed(path)
    if instruction is None:
        raise HSMError('instruction: got none; wanted one such as "remove the dog barking", or a .csv list.')
    if path.is_dir():
        root = path
        found = [p for p in (path.rglob("*") if recursive else path.iterdir()) if p.suffix.lower() in ENDINGS]
        wanted = f"{path}: the folder holds no sound file; wanted {', '.join(ENDINGS)}."
    elif MAGIC.search(given) and not path.exists():
        parts = path.parts
        first = next(i for i, part in enumerate(parts) if MAGIC.search(part))
        root = Path(*parts[:first])
        found = [Path(p) for p in glob.glob(given, recursive=True)]
        wanted = f"{given}: the pattern fits no file; check it, and quote it so that the shell leaves it alone."
    else:
        return [Job(path, instruction, Path(path.stem))]
    files = sorted(p for p in found if p.is_file() and not _is_result(p, out))
    if not files:
        raise HSMError(wanted)
    return _named([(file, instruction, "") for file in files], root)


def _is_result(path: Path, out: Path) -> bool:
    return Path(path.stem).suffix in (".target", ".residual") and path.resolve().is_relative_to(out.resolve())


def _listed(path: Path) -> list[Job]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            names = [name.strip() for name in reader.fieldnames or []]
            reader.fieldnames = names
            rows = [(reader.line_num, row) for row in reader]
    except FileNotFoundError as error:
        raise HSMError(f"{path.name}: there is no such file; check the path.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise HSMError(f"{path.name}: this is no CSV list in UTF-8 ({error}); save it as one.") from error
    if sorted(names) != sorted(COLUMNS):
        raise HSMError(f"{path.name}: got the columns {names}; wanted exactly {', '.join(COLUMNS)} in the first line.")
    if not rows:
        raise HSMError(f"{path.name}: the list has no rows below its first line; add a file and an instruction.")
    wishes: list[tuple[Path, str, str]] = []
    seen: dict[tuple[Path, str], int] = {}
    for number, row in rows:
        name, instruction = ((row[column] or "").strip() for column in COLUMNS)
        place = (path.parent / name, instruction)
        fault = ""
        if None in row:
            fault = "more values than columns; quote what contains a comma"
        elif not name or not instruction:
            fault = f"no {'instruction' if name else 'file'}"
        elif place in seen:
            fault = f"the same as line {seen[place]}"
        seen.setdefault(place, number)
        wishes.append((*place, f"{path.name}, line {number}: {fault}; correct the row." if fault else ""))
    return _named(wishes, path.parent)


def _below(file: Path, root: Path) -> Path:
    """The file's place below a root, or below its drive where it lies elsewhere."""
    place = Path(os.path.abspath(file))
    root = Path(os.path.abspath(root))
    return place.relative_to(root if place.is_relative_to(root) else place.anchor)


def _named(wishes: Iterable[tuple[Path, str, str]], root: Path) -> list[Job]:
    """Jobs whose results share no name, also where capital letters do not count."""
    wishes = list(wishes)
    uses = Counter(_below(file, root) for file, _, fault in wishes if not fault)
    files_of_stem = Counter(str(place.with_suffix("")).casefold() for place in uses)
    jobs = []
    for file, instruction, fault in wishes:
        if fault:
            jobs.append(Job(file, instruction, Path(), fault))
            continue
        place = _below(file, root)
        alone = files_of_stem[str(place.with_suffix("")).casefold()] == 1
        name = place.stem if alone else place.name
        if uses[place] > 1:
            words = re.sub(r"\W+", "-", instruction.lower()).strip("-")[:40]
            name += f".{words}-{hashlib.sha256(instruction.encode()).hexdigest()[:6]}"
        jobs.append(Job(file, instruction, place.with_name(name)))
    return jobs
