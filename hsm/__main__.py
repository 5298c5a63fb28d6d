"""Separate from the shell: `python -m hsm separate MIX "remove the dog barking" -o OUT`."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hsm.errors import HSMError
from hsm.jobs import PARTS, Job, find_jobs
from hsm.pipeline import HSM
from hsm.records import OPERATIONS, RENDERERS, SeparationOptions
from hsm.streaming import DEPTHS, FileProgress, separate_file
from hsm.writing import part_name

INTERRUPTED = 130  # as shells count an end by Ctrl-C


@dataclass(frozen=True)
class Outputs:
    """Where a job's results go.

    Args:
        target: what was asked for.
        residual: the rest.
        record: JSON of the request and of what was written, made last: its presence says that both are whole.
    """

    target: Path
    residual: Path
    record: Path

    @staticmethod
    def of(job: Job, out: Path, ending: str) -> Outputs:
        """Name them after a job."""
        stem = out / job.stem
        target, residual = (stem.with_name(f"{stem.name}.{part}.{ending}") for part in PARTS)
        return Outputs(target, residual, stem.with_name(f"{stem.name}.json"))

    def done(self, request: dict[str, Any]) -> dict[str, Any] | None:
        """What an earlier run wrote for the very same request, or None where it is to be done."""
        if not self.record.is_file():
            return None
        try:
            record = json.loads(self.record.read_text(encoding="utf-8"))
            asked, line = record["request"], record["result"]
            other = asked["file"] != request["file"]
        except (ValueError, KeyError, TypeError) as error:
            raise HSMError(f"{self.record}: this is no record of a separation; move it away.") from error
        if other:
            raise HSMError(f"{self.target}: this is the result of {asked['file']}; choose another folder with -o.")
        whole = self.target.is_file() and self.residual.is_file()
        return line if whole and asked == request else None

    def confirm(self, request: dict[str, Any], line: dict[str, Any]) -> None:
        """Note that both files are whole."""
        part = part_name(self.record)
        part.write_text(json.dumps({"request": request, "result": line}, ensure_ascii=False), encoding="utf-8")
        os.replace(part, self.record)


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
        "operation": chosen.operation,
        "renderer": chosen.renderer,
        "seed": chosen.seed,
        "depth": chosen.subtype,
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


def _separate_job(job: Job, chosen: argparse.Namespace, model: HSM) -> dict[str, Any]:
    """Do one job, or find it done; returns its line."""
    if job.fault:
        raise HSMError(job.fault)
    outputs = Outputs.of(job, chosen.out, chosen.format)
    request = _request(job, chosen, model)
    done = outputs.done(request)
    if done is not None:
        return {**done, "skipped": True}
    outputs.record.unlink(missing_ok=True)  # what it says would not be true any more
    options = SeparationOptions(renderer=chosen.renderer, seed=chosen.seed, operation=chosen.operation)
    result = separate_file(
        model,
        job.file,
        job.instruction,
        outputs.target,
        outputs.residual,
        options,
        _teller(job.file.name),
        chosen.subtype,
    )
    line = {
        "target": str(result.target),
        "residual": str(result.residual),
        "operation": result.instruction.operation,
        "description": result.instruction.description,
        "duration_s": round(result.length_samples / result.rate_hz, 3),
        "subtype": result.depth,
        "clipped_samples": result.clipped_samples,
        "seconds": round(sum(result.timings_s.values()), 3),
    }
    outputs.confirm(request, line)
    return line


def separate(chosen: argparse.Namespace) -> int:
    """Separate every file; one JSON line each on standard output.

    A file that fails is reported in its line and does not stop the rest.

    Args:
        chosen: the parsed command line.

    Returns:
        Exit status: 0, or 1 when a file failed.
    """
    jobs = find_jobs(chosen.mixture, chosen.instruction, chosen.out, chosen.recursive)
    model = HSM.load(chosen.weights, chosen.device)
    if chosen.instruction is not None:
        model.parse(chosen.instruction)  # one that names no sound fails once, before any file
    failed = 0
    for job in jobs:
        line: dict[str, Any] = {"file": str(job.file)}
        try:
            line |= _separate_job(job, chosen, model)
        except (HSMError, OSError) as error:
            failed += 1
            line["error"] = str(error)
        print(json.dumps(line, ensure_ascii=False), flush=True)
    return 1 if failed else 0


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: the command line; None reads the program's own.

    Returns:
        Exit status: 0 all is done, 1 a file failed, 2 the request cannot be used, 130 interrupted.
    """
    parser = argparse.ArgumentParser(prog="python -m hsm", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser(
        "separate",
        help="write target and residual of files of any length; what is done already is skipped",
    )
    command.add_argument(
        "mixture", help="a sound or video file, a folder, a quoted pattern, or a .csv with columns file and instruction"
    )
    command.add_argument("instruction", nargs="?", help='such as "remove the dog barking"; not with a .csv')
    command.add_argument("-o", "--out", type=Path, default=Path("separated"), help="folder for the results")
    command.add_argument("-r", "--recursive", action="store_true", help="folders within the folder too")
    command.add_argument("--format", choices=("wav", "flac"), default="wav")
    command.add_argument(
        "--subtype",
        choices=DEPTHS,
        default="same",
        help="bit depth; the input's where not given, FLOAT for MP3 or AAC",
    )
    command.add_argument("--operation", choices=OPERATIONS, help="instead of what the instruction says")
    command.add_argument("--renderer", choices=RENDERERS, default="mask")
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--weights", type=Path, help="weight folder; the bundled one where not given")
    command.add_argument("--device", default="cpu")
    chosen = parser.parse_args(arguments)
    try:
        return separate(chosen)
    except HSMError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted: finished files stay, the one at work left nothing; run again to go on", file=sys.stderr)
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
