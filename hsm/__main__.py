"""Separate sounds by an instruction: hsm separate MIX "remove the dog barking" -o OUT."""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from hsm.errors import HSMError

INTERRUPTED = 130  # as shells count an end by Ctrl-C
CLOSED = 141  # and an end because nobody reads on
MODULES = {  # what the other commands run
    "train": ("hsm.training.__main__", "train a stage"),
    "evaluate": ("hsm.evaluation.__main__", "measure a benchmark"),
    "benchmark": ("hsm.benchmarks", "measure speed and memory on this machine"),
    "demo": ("hsm.page.__main__", "serve the page"),
}
MOST_NAMED = 10


def separate(chosen: argparse.Namespace) -> int:
    """Separate every file, here or on a cluster; one JSON line each on standard output.

    A file that fails is reported in its line and does not stop the rest.

    Args:
        chosen: the parsed command line.

    Returns:
        Exit status: 0, or 1 when a file failed.
    """
    from hsm.batch import find_jobs, job_line, load_model
    from hsm.cluster import Cluster

    with _given(chosen.mixture) as mixture, _out(chosen) as deliver:
        jobs, skipped = find_jobs(mixture, chosen.instruction, chosen.out, chosen.recursive)
        if deliver is not None and len(jobs) > 1:
            raise HSMError(f"-o -: got {len(jobs)} files; wanted one, since its target goes to standard output.")
        cluster = Cluster(chosen.ray) if chosen.ray else None
        device = "cpu" if cluster else chosen.device  # of a cluster's machines only this one may lack a GPU
        model = load_model(chosen, device)
        print(f"computing on {model.computing}", file=sys.stderr)
        if skipped:
            more = ", ..." if skipped[MOST_NAMED:] else ""
            names = ", ".join(path.name for path in skipped[:MOST_NAMED])
            print(f"skipped, since they hold no sound ({len(skipped)}): {names}{more}", file=sys.stderr)
        if chosen.instruction is not None:
            model.parse(chosen.instruction)  # one that names no sound fails once, before any file
        failed = False
        for line in cluster.lines(jobs, chosen) if cluster else (job_line(job, chosen, model) for job in jobs):
            failed |= "error" in line
            if deliver is not None and "target" in line:
                deliver(Path(line["target"]))
                line = {**line, "target": "-", "residual": None}
            print(json.dumps(line, ensure_ascii=False), file=sys.stderr if deliver else sys.stdout, flush=True)
        return 1 if failed else 0


@contextmanager
def _given(mixture: str) -> Iterator[str]:
    """What was given; standard input and pipes, which can be read only once, are copied first."""
    path = Path(mixture)
    pipe = mixture == "-" or (path.exists() and not path.is_file() and not path.is_dir())
    if not pipe:
        yield mixture
        return
    with (
        tempfile.TemporaryDirectory() as folder,
        open(0 if mixture == "-" else path, "rb", closefd=mixture != "-") as source,
    ):
        copy = Path(folder) / "copy"
        with copy.open("wb") as file:
            shutil.copyfileobj(source, file)
        with copy.open("rb") as file:
            mark = hashlib.file_digest(file, "sha256").hexdigest()[:6]
        yield str(copy.rename(Path(folder) / f"stdin-{mark}"))


@contextmanager
def _out(chosen: argparse.Namespace) -> Iterator[Callable[[Path], None] | None]:
    """Where results go; for "-" what copies a target to standard output."""
    if str(chosen.out) != "-":
        yield None
        return

    def deliver(target: Path) -> None:
        with target.open("rb") as file:
            shutil.copyfileobj(file, sys.stdout.buffer)
        sys.stdout.buffer.flush()

    with tempfile.TemporaryDirectory() as folder:
        chosen.out = Path(folder)
        yield deliver


def _arguments() -> argparse.ArgumentParser:
    from hsm.instruction.language_model import add_options
    from hsm.precision import PRECISIONS, add_device_option
    from hsm.records import OPERATIONS, RENDERERS
    from hsm.separator import DEPTHS

    parser = argparse.ArgumentParser(prog="hsm", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser(
        "separate",
        help="write target and residual of files of any length; what is done already is skipped",
    )
    command.add_argument(
        "mixture",
        help="a sound or video file, - for standard input, a folder, a quoted pattern, or a .csv with columns file and "
        "instruction",
    )
    command.add_argument("instruction", nargs="?", help='such as "remove the dog barking"; not with a .csv')
    command.add_argument(
        "-o", "--out", type=Path, default=Path("separated"), help="folder for the results; - for the target alone"
    )
    command.add_argument("-r", "--recursive", action="store_true", help="folders within the folder too")
    command.add_argument(
        "--track", type=int, default=0, help="which sound track, from 1; by default the file's own choice"
    )
    command.add_argument("--format", choices=("wav", "flac"), default="wav")
    command.add_argument(
        "--subtype",
        choices=DEPTHS,
        default="same",
        help="bit depth; the input's where not given, FLOAT for MP3 or AAC; PCM_32 holds 24 bits; "
        "what is louder than full scale is FLOAT, as .wav",
    )
    command.add_argument("--operation", choices=OPERATIONS, help="instead of what the instruction says")
    command.add_argument("--renderer", choices=RENDERERS, default="mask")
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--weights", type=Path, help="weight folder; the bundled one where not given")
    add_device_option(command)
    command.add_argument("--precision", choices=PRECISIONS, default="", help="of the networks; by default the faster")
    command.add_argument(
        "--compile",
        action="store_const",
        const="inductor",
        default="",
        help="compile the networks first: minutes, for a GPU and many hours of sound",
    )
    command.add_argument(
        "--ray", metavar="ADDRESS", help="work on a Ray cluster: auto, HOST:PORT, or local for this machine's cores"
    )
    command.add_argument("--workers", type=int, help="models at work on the cluster; one a CPU or GPU by default")
    add_options(command)
    for name, (_, purpose) in MODULES.items():
        commands.add_parser(name, help=purpose, add_help=False)
    return parser


def _end(number: int, _: Any) -> None:
    sys.exit(128 + number)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: the command line; None reads the program's own.

    Returns:
        Exit status: 0 all is done, 1 a file failed, 2 the request cannot be used, 130 interrupted, 141 nobody reads on.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # names of files and sounds are printed whatever the terminal takes
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    if threading.current_thread() is threading.main_thread():
        for name in ("SIGTERM", "SIGHUP"):
            if hasattr(signal, name):  # an end like any other: unfinished files are removed
                signal.signal(getattr(signal, name), _end)
    try:
        if arguments and arguments[0] in MODULES:
            return _run(arguments[0], arguments[1:])
        parser = _arguments()
        chosen, rest = parser.parse_known_args(arguments)
        if rest and chosen.instruction is None and not rest[0].startswith("-"):
            chosen.instruction = rest.pop(0)  # behind options, where argparse no longer looks for it
        if rest:
            parser.error(f"unrecognized arguments: {' '.join(rest)}")
        return separate(chosen)
    except HSMError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # so that the interpreter's last flush has somewhere to go
        return CLOSED
    except KeyboardInterrupt:
        print("interrupted: finished files stay, the one at work left nothing; run again to go on", file=sys.stderr)
        return INTERRUPTED


def _run(name: str, arguments: list[str]) -> int:
    return int(import_module(MODULES[name][0]).main(arguments) or 0)


if __name__ == "__main__":
    sys.exit(main())
