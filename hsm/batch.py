"""Many separations: what a command line asks for, where each result goes, and doing them one by one.

Results are named after their input, folders included, and the instruction, so that none takes another's place:

    mixtures/a.wav, mixtures/more/a.wav   ->   out/a.remove-the-dog.target.wav, out/more/a.remove-the-dog.target.wav
    a.wav and a.flac in one folder        ->   out/a.wav.remove-the-dog.target.wav, out/a.flac.remove-the-dog.target.wav
"""

from __future__ import annotations

import argparse
import csv
import glob
import hashlib
import json
import os
import re
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hsm.audio.reading import ENDINGS, open_sound
from hsm.audio.writing import locked, part_name, parts_of, short_name
from hsm.errors import HSMError
from hsm.records import SeparationOptions
from hsm.separator import HSM, FileProgress

COLUMNS = ("file", "instruction")
PARTS = ("target", "residual")
HIDDEN = re.compile(r"\.[0-9a-f]{12}-")  # files beside a result, see `hsm.audio.writing.part_name`
MAGIC = re.compile(r"[*?\[]")
NAME_BYTES, WORDS_BYTES = 150, 60  # of a result's name; file systems take 255 in all


@dataclass(frozen=True)
class Job:
    """One separation to do."""

    file: Path
    instruction: str
    stem: str  # where results go, below the folder for results; ".target.wav" and the like follow
    fault: str = ""  # why it cannot be done, where a row of a list is at fault


def find_jobs(given: str, instruction: str | None, out: Path, recursive: bool = False) -> tuple[list[Job], list[Path]]:
    """The jobs in order of their names or of a list's rows, and the files of a folder that hold no sound.

    `given` is a sound file, a folder of them, a pattern such as "takes/*.wav", or a CSV list with the columns file
    and instruction, files relative to the list's folder. Results of an earlier run in `out` are no mixtures.
    """
    path = Path(given)
    if path.suffix.lower() == ".csv" and not path.is_dir():
        if instruction is not None:
            raise HSMError(f"{path.name}: a list has an instruction in every row; give none beside it.")
        return _listed(path), []
    if instruction is None:
        raise HSMError('instruction: got none; wanted one such as "remove the dog barking", or a .csv list.')
    skipped: list[Path] = []
    if path.is_dir():
        root = path
        found = sorted(p for p in (path.rglob("*") if recursive else path.iterdir()) if p.is_file())
        files = [file for file in found if not _is_result(file, out)]
        skipped = [file for file in files if not _is_sound(file)]
        files = sorted(set(files) - set(skipped))
        wanted = f"{path}: the folder holds no sound file; wanted {', '.join(ENDINGS)} or the like."
    elif MAGIC.search(given) and not path.exists():
        parts = path.parts
        first = next(i for i, part in enumerate(parts) if MAGIC.search(part))
        root = Path(*parts[:first])
        files = sorted(p for p in map(Path, glob.glob(given, recursive=True)) if p.is_file() and not _is_result(p, out))
        wanted = f"{given}: the pattern fits no file; check it, and quote it so that the shell leaves it alone."
    else:
        root, files, wanted = path.parent, [path], ""
    if not files:
        raise HSMError(wanted)
    return _named([(file, instruction, "") for file in files], root), skipped


def _is_result(path: Path, out: Path) -> bool:
    stem = Path(path.stem)
    if path.suffix == ".json" and any(path.with_suffix(f".target{ending}").is_file() for ending in (".wav", ".flac")):
        return True
    if stem.suffix not in (".target", ".residual"):
        return bool(HIDDEN.match(path.name))
    return path.with_name(f"{stem.stem}.json").is_file() or path.resolve().is_relative_to(out.resolve())


def _is_sound(path: Path) -> bool:
    """By its ending, or, where that says nothing, by a look inside; a Mac's "._" files hold no sound."""
    if path.name.startswith("._"):
        return False
    if path.suffix.lower() in ENDINGS:
        return True
    try:
        open_sound(path)
    except HSMError:
        return False
    return True


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
        elif "\0" in name or "\0" in instruction:
            fault = "a NUL character"
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
    places = {_below(file, root) for file, _, fault in wishes if not fault}
    files_of_stem = Counter(str(place.with_suffix("")).casefold() for place in places)
    jobs = []
    for file, instruction, fault in wishes:
        if fault:
            jobs.append(Job(file, instruction, "", fault))
            continue
        place = _below(file, root)
        alone = files_of_stem[str(place.with_suffix("")).casefold()] == 1
        name = short_name(place.stem if alone else place.name, NAME_BYTES)
        jobs.append(Job(file, instruction, (place.parent / f"{name}.{_words(instruction)}").as_posix()))
    return jobs


def _words(instruction: str) -> str:
    """An instruction as a part of a file's name; where that leaves something out, with a few letters of its hash."""
    words = re.findall(r"\w+", instruction.lower())
    name = "-".join(words)
    if " ".join(words) != instruction.strip(" .!?").lower():
        name = f"{name}-{hashlib.sha256(instruction.encode('utf-8', 'replace')).hexdigest()[:6]}".lstrip("-")
    return short_name(name, WORDS_BYTES)


def load_model(chosen: argparse.Namespace, device: str) -> HSM:
    """The model that a command line asks for, on a device."""
    return HSM.load(
        chosen.weights,
        device,
        chosen.language_model,
        chosen.language_model_url,
        precision=chosen.precision,
        compiler=chosen.compile,
    )


def job_line(job: Job, chosen: argparse.Namespace, model: HSM) -> dict[str, Any]:
    """Do one job, or find it done by an earlier run: its line, where it failed with "error"."""
    line: dict[str, Any] = {"file": str(job.file)}
    try:
        return line | _separate(job, chosen, model)
    except (HSMError, OSError) as error:
        return line | {"error": str(error)}
    except Exception as error:  # whatever one file of thousands does, also to FFmpeg or libsndfile, the others are done
        traceback.print_exc()
        return line | {"error": f"{type(error).__name__}: {error}"}


@dataclass(frozen=True)
class Outputs:
    """Where a job's results go."""

    target: Path
    residual: Path
    record: Path  # JSON of the request and of what was written, made last: its presence says that both are whole
    begun: Path  # an empty file while they are made: what lies there is ours

    @staticmethod
    def of(job: Job, out: Path, ending: str) -> Outputs:
        """Name them after a job."""
        target, residual, record = (out / f"{job.stem}.{part}" for part in (*(f"{p}.{ending}" for p in PARTS), "json"))
        return Outputs(target, residual, record, part_name(record, "begun"))

    def done(self, request: dict[str, Any]) -> dict[str, Any] | None:
        """What an earlier run wrote for the very same request, or None where it is to be done."""
        if not self.record.is_file():
            for path in (self.target, self.residual, self.target.with_suffix(".wav")):
                if path.exists() and not self.begun.exists():
                    raise HSMError(f"{path}: this file is there and no result of ours; choose another folder with -o.")
            return None
        try:
            record = json.loads(self.record.read_text(encoding="utf-8"))
            asked, line = record["request"], record["result"]
            other = asked["file"] != request["file"]
        except (ValueError, KeyError, TypeError) as error:
            raise HSMError(f"{self.record}: this is no record of a separation; move it away.") from error
        if other:
            raise HSMError(f"{self.target}: this is the result of {asked['file']}; choose another folder with -o.")
        whole = all(Path(line[part]).is_file() for part in PARTS)
        return line if whole and asked == request else None

    def confirm(self, request: dict[str, Any], line: dict[str, Any]) -> None:
        """Note that both files are whole."""
        part = part_name(self.record)
        try:
            part.write_text(json.dumps({"request": request, "result": line}), encoding="utf-8")
            os.replace(part, self.record)
        finally:
            part.unlink(missing_ok=True)


def _request(job: Job, chosen: argparse.Namespace, model: HSM) -> dict[str, Any]:
    """All that the results depend on; where it is the same as before, so are they."""
    try:
        state = job.file.stat()
    except OSError as error:
        raise HSMError(f"{job.file.name}: there is no such file; check the path.") from error
    weights = json.dumps(model.weights_info, sort_keys=True, default=str)
    return {
        "file": str(job.file.resolve()),
        "bytes": state.st_size,
        "modified_ns": state.st_mtime_ns,
        "instruction": job.instruction,
        "language_model": [chosen.language_model, chosen.language_model_url],
        "operation": chosen.operation,
        "renderer": chosen.renderer,
        "seed": chosen.seed,
        "depth": chosen.subtype,
        "track": chosen.track,
        "weights": hashlib.sha256(weights.encode()).hexdigest(),
    }


def _teller(name: str) -> Callable[[FileProgress], None] | None:
    """Shows how far a file is, on a terminal only."""
    if not sys.stderr.isatty():
        return None

    def tell(progress: FileProgress) -> None:
        minutes, seconds = divmod(round(progress.left_s), 60)
        share = progress.done_s / progress.duration_s
        end = "\n" if progress.done_s == progress.duration_s else ""
        print(f"\r{name}: {share:4.0%}, {minutes}:{seconds:02d} left ", end=end, file=sys.stderr, flush=True)

    return tell


def _separate(job: Job, chosen: argparse.Namespace, model: HSM) -> dict[str, Any]:
    if job.fault:
        raise HSMError(job.fault)
    outputs = Outputs.of(job, chosen.out, chosen.format)
    request = _request(job, chosen, model)
    with locked(outputs.record):
        done = outputs.done(request)
        if done is not None:
            return {**done, "skipped": True}
        return _separate_alone(job, chosen, model, outputs, request)


def _separate_alone(
    job: Job, chosen: argparse.Namespace, model: HSM, outputs: Outputs, request: dict[str, Any]
) -> dict[str, Any]:
    """Do a job while nobody else can."""
    for path in (outputs.target, outputs.residual, outputs.record):
        for left in parts_of(path):  # by a run that was killed
            left.unlink()
    outputs.begun.touch()
    outputs.record.unlink(missing_ok=True)  # what it says would not be true any more
    options = SeparationOptions(renderer=chosen.renderer, seed=chosen.seed, operation=chosen.operation)
    try:
        result = model.separate_file(
            job.file,
            job.instruction,
            outputs.target,
            outputs.residual,
            options,
            _teller(job.file.name),
            chosen.subtype,
            chosen.track,
        )
    except BaseException:  # an interrupt or a signal, too
        if not outputs.target.exists() and not outputs.residual.exists():
            outputs.begun.unlink()
        raise
    line = {
        "target": str(result.target),
        "residual": str(result.residual),
        "operation": result.instruction.operation,
        "description": result.instruction.description,
        **({"note": result.instruction.note} if result.instruction.note else {}),
        "duration_s": round(result.length_samples / result.rate_hz, 3),
        "subtype": result.depth,
        "seconds": round(sum(result.timings_s.values()), 3),
    }
    if result.warning:
        line["warning"] = result.warning
    outputs.confirm(request, line)
    outputs.begun.unlink()
    return line
