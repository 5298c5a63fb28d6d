"""Separate from the shell: `python -m hsm separate MIX "remove the dog barking" -o OUT`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from hsm.errors import HSMError
from hsm.pipeline import HSM
from hsm.records import OPERATIONS, RENDERERS, Audio, SeparationOptions

ENDINGS = {".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff"}


def _files(path: Path) -> list[Path]:
    """The sound files a path stands for: itself, or those of a folder in order."""
    if not path.is_dir():
        return [path]
    found = sorted(p for p in path.iterdir() if p.suffix.lower() in ENDINGS)
    if not found:
        raise HSMError(f"{path}: the folder holds no sound file; wanted {', '.join(sorted(ENDINGS))}.")
    return found


def separate(chosen: argparse.Namespace) -> int:
    """Separate every file; one JSON line each on standard output.

    A file that fails is reported in its line and does not stop the rest.

    Args:
        chosen: the parsed command line.

    Returns:
        Exit status: 0, or 1 when a file failed.
    """
    files = _files(chosen.mixture)
    options = SeparationOptions(renderer=chosen.renderer, seed=chosen.seed, operation=chosen.operation)
    model = HSM.load(chosen.weights, chosen.device)
    model.parse(chosen.instruction)  # an instruction that names no sound fails once, before any file
    failed = 0
    for path in files:
        line: dict[str, object] = {"file": str(path)}
        try:
            separation = model.separate(Audio.load(path), chosen.instruction, options)
            for name, audio in (("target", separation.target), ("residual", separation.residual)):
                out = chosen.out / f"{path.stem}.{name}.{chosen.format}"
                line[name] = str(audio.save(out))
            line["operation"] = separation.instruction.operation
            line["description"] = separation.instruction.description
            line["seconds"] = round(sum(separation.timings_s.values()), 3)
        except HSMError as error:
            failed += 1
            line["error"] = str(error)
        print(json.dumps(line, ensure_ascii=False), flush=True)
    return 1 if failed else 0


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m hsm", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("separate", help="write target and residual of a file or of a folder's files")
    command.add_argument("mixture", type=Path, help="a sound file, or a folder of them")
    command.add_argument("instruction", help='such as "remove the dog barking"')
    command.add_argument("-o", "--out", type=Path, default=Path("separated"), help="folder for the results")
    command.add_argument("--format", choices=("wav", "flac"), default="wav")
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


if __name__ == "__main__":
    sys.exit(main())
