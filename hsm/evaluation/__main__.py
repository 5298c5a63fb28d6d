"""`python -m hsm.evaluation BENCHMARK --data MANIFEST`: measure the weights and print the table."""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from hsm.errors import HSMError
from hsm.evaluation import instructions
from hsm.evaluation.benchmarks import run
from hsm.evaluation.lists import LISTS
from hsm.evaluation.mixing import is_audible
from hsm.evaluation.pairs import draw_pairs
from hsm.evaluation.rows import Separator
from hsm.evaluation.tables import insert, markdown, provenance_line, summarise, write
from hsm.evaluation.tagger import Tagger
from hsm.manifest import read_manifest

Load = Callable[[Path | None, str], Separator]  # weights folder, device
BENCHMARKS = {
    "esc50": "pairs of ESC-50 clips at 0 dB",
    "general": "pairs of everything else, target at -15 to 15 dB, by kind",
    "three": "three sources, the target at -5 to 5 dB over each other",
    "instructions": "hand-written instructions and templates, by kind; takes no --data",
    "features": "global feature and attention alone, on the esc50 list",
}


def parser() -> argparse.ArgumentParser:
    """Make the command line; every option has its meaning in --help."""
    lists = "; ".join(f"{name}: {meaning}" for name, meaning in BENCHMARKS.items())
    command = argparse.ArgumentParser("python -m hsm.evaluation", description=__doc__)
    command.add_argument("benchmark", choices=BENCHMARKS, help=lists)
    command.add_argument("--data", type=Path, metavar="MANIFEST", help="CSV list of clips")
    command.add_argument("--split", default="valid", help="which clips of the manifest")
    command.add_argument("--limit", type=int, help="only the first so many pairs")
    command.add_argument("--seed", type=int, default=0, help="of the draw of pairs")
    command.add_argument("--queries", choices=("label", "caption"), default="label", help="words to ask with")
    command.add_argument("--teacher", type=Path, metavar="FOLDER", help="YAMNet's folder, adds the KL column")
    command.add_argument("--weights", type=Path, metavar="DIR", help="other weights than the bundled ones")
    command.add_argument("--device", default="cpu", help="cpu or cuda")
    command.add_argument("--threads", type=int, help="CPU threads of the model")
    command.add_argument("--out", type=Path, default=Path("runs/evaluation"), metavar="DIR", help="for the files")
    command.add_argument("--readme", type=Path, metavar="FILE", help="also put the table between its marks there")
    return command


def main(arguments: Sequence[str] | None = None, load: Load | None = None) -> int:
    """Run one benchmark.

    Args:
        arguments: the command line; None reads the program's own.
        load: makes the model from a weights folder (None for the bundled one) and a device; `HSM.load`.

    Returns:
        0, or 2 when the caller's input cannot be used.
    """
    options = parser().parse_args(arguments)
    try:
        if load is None:
            from hsm import HSM

            load = HSM.load
        if options.benchmark == "instructions":
            model = load(options.weights, options.device)
            instructions.run(model.parse)
            return 0
        report, text, paths = measure(options, load)
    except HSMError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(text)
    print(f"{report['pairs']} pairs. Written: {', '.join(map(str, paths))}", file=sys.stderr)
    return 0


def measure(options: argparse.Namespace, load: Load) -> tuple[dict[str, Any], str, list[Path]]:
    """Draw the list, run it and write the files: (report, markdown, paths). Raises HSMError."""
    if options.threads is not None:
        if options.threads < 1:
            raise HSMError(f"threads: got {options.threads}; wanted at least 1.")
        torch.set_num_threads(options.threads)
    if options.data is None:
        raise HSMError("--data: got no manifest; wanted a CSV list of clips, as the README describes it.")
    features_only = options.benchmark == "features"
    pairs = draw_pairs(
        read_manifest(options.data),
        LISTS["esc50" if features_only else options.benchmark],
        split=options.split,
        seed=options.seed,
        limit=options.limit,
        queries=options.queries,
        audible=is_audible,
    )
    judge = Tagger(options.teacher, options.threads or 1).probabilities if options.teacher else None
    model = load(options.weights, options.device)
    results = run(model, pairs, judge, features_only=features_only)
    report = {
        "benchmark": options.benchmark,
        "data": {"manifest": options.data.name, "sha256": _sha256(options.data), "split": options.split},
        "seed": options.seed,
        "queries": options.queries,
        "weights": dict(model.weights_info),
        **summarise(results),
    }
    title = f"{options.benchmark}: {BENCHMARKS[options.benchmark]} ({len(results)} mixtures, {options.split})"
    text = f"{markdown(title, report)}\n{provenance_line(report)}\n"
    if options.readme is not None:
        insert(options.readme, options.benchmark, text)
    return report, text, write(options.out, options.benchmark, report, text, results)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
