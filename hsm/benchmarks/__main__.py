"""`python -m hsm.benchmarks long_audio`: how fast and in how much memory files of growing length are separated."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from hsm.benchmarks.long_audio import HOUR_S, LENGTHS_S, measure, run


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m hsm.benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser(
        "long_audio", help="44.1 kHz stereo from disk to disk, each length in its own process"
    )
    command.add_argument("--seconds", type=float, nargs="+", default=list(LENGTHS_S), help="lengths to measure")
    command.add_argument("--hour", action="store_true", help="also one hour")
    command.add_argument("--model", choices=("bundled", "small", "tiny"), default="bundled", help="last two untrained")
    command.add_argument("--threads", type=int, default=1, help="CPU threads")
    command.add_argument("--alone", action="store_true", help="measure one length in this process, and print JSON")
    chosen = parser.parse_args(arguments)
    if chosen.alone:
        measure(chosen.seconds[0], chosen.model, chosen.threads)
    else:
        run([*chosen.seconds, *([HOUR_S] if chosen.hour else [])], chosen.model, chosen.threads)
    return 0


if __name__ == "__main__":
    sys.exit(main())
