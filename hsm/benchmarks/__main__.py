"""Speed and memory on this machine: `python -m hsm.benchmarks NAME`, with `--readme README.md` into its page."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from hsm.benchmarks import audiosep, choices, compute, long_audio, many_files, start_up
from hsm.benchmarks.measuring import MODELS, machine
from hsm.config import CONFIGS
from hsm.errors import HSMError
from hsm.precision import PRECISIONS
from hsm.readme import insert

CLIP_S = 10.0


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m hsm.benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="name", required=True)

    def add(name: str, about: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=about)
        command.add_argument("--model", choices=MODELS, default="bundled", help="last two untrained")
        command.add_argument("--threads", type=int, default=torch.get_num_threads(), help="CPU threads")
        command.add_argument("--alone", action="store_true", help="measure one thing in this process, and print JSON")
        command.add_argument("--readme", type=Path, metavar="FILE", help="also put the table between its marks there")
        return command

    command = add("long_audio", "44.1 kHz stereo from disk to disk, each length in its own process")
    command.add_argument("--seconds", type=float, nargs="+", default=list(long_audio.LENGTHS_S), help="lengths")
    command.add_argument("--hour", action="store_true", help="also one hour")
    command = add("audiosep", "a clip of 10 s against AudioSep's network")
    command.add_argument("--seconds", type=float, default=CLIP_S, help="length of the clip")
    command.add_argument("--system", choices=audiosep.SYSTEMS, default="hsm", help="with --alone")
    command = add("compute", "cost of a second of sound, and the share of the machine's matrix product rate")
    command.add_argument("--config", choices=sorted(CONFIGS), nargs="+", default=["small", "paper"])
    command = add("choices", "precision, windows at once and compilation; on a GPU with --device cuda")
    command.add_argument("--seconds", type=float, default=choices.SECONDS, help="length of the clip")
    command.add_argument("--device", choices=sorted(choices.CHOICES), default="cpu")
    command.add_argument("--precision", choices=PRECISIONS, default="float32", help="with --alone")
    command.add_argument("--windows", type=int, default=1, help="with --alone")
    command.add_argument("--compiler", default="", help="with --alone")
    add("start_up", "from a cold start to the first answer")
    command = add("many_files", "files of all kinds, some broken, with a kill in the middle")
    command.add_argument("--count", type=int, default=many_files.COUNT, help="files in all")
    command.add_argument("--broken", type=int, default=many_files.BROKEN, help="how many of them are broken")
    command.add_argument("--weights", type=Path, help="weight folder; the bundled one where not given")
    return parser


def _measure(chosen: argparse.Namespace) -> dict[str, Any]:
    if chosen.name == "long_audio":
        return long_audio.measure(chosen.seconds[0], chosen.model)
    if chosen.name == "audiosep":
        return audiosep.measure(chosen.system, chosen.seconds, chosen.model)
    if chosen.name == "choices":
        asked = chosen.precision, chosen.windows, chosen.compiler
        return choices.measure(chosen.seconds, chosen.device, *asked)
    if chosen.name == "compute":
        return compute.measure(chosen.config[0])
    if chosen.name == "start_up":
        return start_up.measure(chosen.model)
    return many_files.measure(chosen.count, chosen.broken, chosen.weights)


def _run(chosen: argparse.Namespace) -> str:
    if chosen.name == "long_audio":
        lengths_s = [*chosen.seconds, *([long_audio.HOUR_S] if chosen.hour else [])]
        return long_audio.run(lengths_s, chosen.model, chosen.threads)
    if chosen.name == "audiosep":
        return audiosep.run(chosen.seconds, chosen.model, chosen.threads)
    if chosen.name == "choices":
        return choices.run(chosen.seconds, chosen.device, chosen.threads)
    if chosen.name == "compute":
        return compute.run(chosen.config, chosen.threads)
    if chosen.name == "start_up":
        return start_up.run(chosen.model, chosen.threads)
    return many_files.run(chosen.count, chosen.broken, chosen.weights)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    chosen = _arguments().parse_args(arguments)
    torch.set_num_threads(chosen.threads)
    if chosen.alone:
        print(json.dumps(_measure(chosen)))
        return 0
    command = f"python -m hsm.benchmarks {chosen.name}"
    text = f"`{command}` on {machine(chosen.threads)}:\n\n{_run(chosen)}\n"
    print(text)
    if chosen.readme is not None:
        try:
            insert(chosen.readme, f"benchmark:{chosen.name}", text)
        except HSMError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
