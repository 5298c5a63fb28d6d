"""Upload the page to a Hugging Face Space: what git tracks, without tests, through the `hf` command.

    python assets/upload_space.py YOUR_NAME/hsm-tss --dry-run
    python assets/upload_space.py YOUR_NAME/hsm-tss

Log in first with `hf auth login`. The front matter of README.md configures the Space; it runs on CPU
hardware as it is, and on shared GPUs (ZeroGPU) with `--hardware zero-a10g`.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LEFT_OUT = ("tests/", ".ci/", ".git")
MOST_FILE_MB, MOST_WEIGHTS_MB = 50, 100


def space_files() -> list[Path]:
    """The files of the Space, relative to the checkout."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True)
    return [Path(name) for name in listed.stdout.splitlines() if not name.startswith(LEFT_OUT)]


def faults(files: list[Path]) -> list[str]:
    """What would keep the Space from running, in words."""
    needed = {"app.py", "README.md", "requirements.txt", "weights/manifest.json"} - {path.as_posix() for path in files}
    found = [f"{name} is missing; run this in a whole checkout" for name in sorted(needed)]
    sizes_mb = {path: (ROOT / path).stat().st_size / 1e6 for path in files}
    found += [
        f"{path}: {size:.0f} MB; at most {MOST_FILE_MB} MB a file"
        for path, size in sizes_mb.items()
        if size > MOST_FILE_MB
    ]
    weights_mb = sum(size for path, size in sizes_mb.items() if path.parts[0] == "weights")
    if weights_mb > MOST_WEIGHTS_MB:
        found.append(f"weights/: {weights_mb:.0f} MB; at most {MOST_WEIGHTS_MB} MB, or the Space starts too slowly")
    return found


def commands(space: str, folder: Path, private: bool, hardware: str) -> list[list[str]]:
    """What is run: make the Space, then upload the folder as one commit that also deletes what is gone."""
    create = ["hf", "repos", "create", space, "--type", "space", "--space-sdk", "gradio", "--exist-ok"]
    create += ["--private"] * private + (["--flavor", hardware] if hardware else [])
    upload = ["hf", "upload", space, str(folder), ".", "--type", "space", "--delete", "*"]
    return [create, [*upload, "--commit-message", "Upload of the page"]]


def main(arguments: list[str] | None = None) -> int:
    """Check, show, and unless it is a dry run upload; the exit status is 0 where that went well."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("space", help="OWNER/NAME")
    parser.add_argument("--private", action="store_true")
    parser.add_argument(
        "--hardware", default="", help="such as cpu-basic or zero-a10g; the account's default if not given"
    )
    parser.add_argument("--dry-run", action="store_true", help="list the files and the commands, upload nothing")
    chosen = parser.parse_args(arguments)
    files = space_files()
    if found := faults(files):
        print(*found, sep="\n", file=sys.stderr)
        return 1
    total_mb = sum((ROOT / path).stat().st_size for path in files) / 1e6
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path in files:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / path, folder / path)
        if chosen.dry_run:
            print(*files, sep="\n")
        print(f"{len(files)} files, {total_mb:.1f} MB")
        for command in commands(chosen.space, folder, chosen.private, chosen.hardware):
            print("+", shlex.join(command), flush=True)
            if not chosen.dry_run:
                subprocess.run(command, check=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
