"""Separate from the shell: `python -m hsm separate MIX "remove the dog barking" -o OUT`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from hsm.bulk import job_line, load_model
from hsm.cluster import Cluster
from hsm.errors import HSMError
from hsm.instruction.language_model import add_options
from hsm.jobs import find_jobs
from hsm.precision import PRECISIONS, add_device_option
from hsm.records import OPERATIONS, RENDERERS
from hsm.separator import DEPTHS

INTERRUPTED = 130  # as shells count an end by Ctrl-C


def separate(chosen: argparse.Namespace) -> int:
    """Separate every file, here or on a cluster; one JSON line each on standard output.

    A file that fails is reported in its line and does not stop the rest.

    Args:
        chosen: the parsed command line.

    Returns:
        Exit status: 0, or 1 when a file failed.
    """
    jobs = find_jobs(chosen.mixture, chosen.instruction, chosen.out, chosen.recursive)
    cluster = Cluster(chosen.ray) if chosen.ray else None
    device = "cpu" if cluster else chosen.device  # of a cluster's machines this one may be the only one without a GPU
    model = load_model(chosen, device)
    print(f"computing on {model.computing}", file=sys.stderr)
    if chosen.instruction is not None:
        model.parse(chosen.instruction)  # one that names no sound fails once, before any file
    failed = False
    for line in cluster.lines(jobs, chosen) if cluster else (job_line(job, chosen, model) for job in jobs):
        failed |= "error" in line
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
