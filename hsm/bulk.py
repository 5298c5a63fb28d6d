"""One job of many: done, found to be done already, or told why it cannot be done."""

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
from hsm.jobs import PARTS, Job
from hsm.records import SeparationOptions
from hsm.separator import HSM, FileProgress
from hsm.writing import part_name


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
    """Do one job, or find it done by an earlier run.

    Args:
        job: what is to be done.
        chosen: the parsed command line.
        model: does the work.

    Returns:
        The job's line; where it failed, with "error".
    """
    line: dict[str, Any] = {"file": str(job.file)}
    try:
        return line | _separate(job, chosen, model)
    except (HSMError, OSError) as error:
        return line | {"error": str(error)}


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
        "language_model": [chosen.language_model, chosen.language_model_url],
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


def _separate(job: Job, chosen: argparse.Namespace, model: HSM) -> dict[str, Any]:
    if job.fault:
        raise HSMError(job.fault)
    outputs = Outputs.of(job, chosen.out, chosen.format)
    request = _request(job, chosen, model)
    done = outputs.done(request)
    if done is not None:
        return {**done, "skipped": True}
    outputs.record.unlink(missing_ok=True)  # what it says would not be true any more
    options = SeparationOptions(renderer=chosen.renderer, seed=chosen.seed, operation=chosen.operation)
    result = model.separate_file(
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
        **({"note": result.instruction.note} if result.instruction.note else {}),
        "duration_s": round(result.length_samples / result.rate_hz, 3),
        "subtype": result.depth,
        "seconds": round(sum(result.timings_s.values()), 3),
    }
    if result.warning:
        line["warning"] = result.warning
    outputs.confirm(request, line)
    return line
