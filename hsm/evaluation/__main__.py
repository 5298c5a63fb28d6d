"""`python -m hsm.evaluation BENCHMARK --data MANIFEST`: measure the weights and print the table."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from hsm.errors import HSMError
from hsm.evaluation import codec, instructions, renderers
from hsm.evaluation.benchmarks import run
from hsm.evaluation.lists import LISTS
from hsm.evaluation.mixing import is_audible
from hsm.evaluation.pairs import Pair, draw_pairs
from hsm.evaluation.rows import Judge, Separator
from hsm.evaluation.tables import markdown, provenance_line, summarise, write
from hsm.evaluation.tagger import Tagger
from hsm.manifest import Clip, read_manifest
from hsm.readme import insert

Load = Callable[[Path | None, str], Separator]  # weights folder, device
BENCHMARKS = {
    "esc50": "pairs of ESC-50 clips at 0 dB",
    "general": "pairs of everything else, target at -15 to 15 dB, by kind",
    "three": "three sources, the target at -5 to 5 dB over each other",
    "instructions": "instructions written by hand and templates, by kind; takes no --data",
    "codec": "clips there and back through the codec, by kind; Table VIII",
    "renderers": "the codec renderer from S and from Ŝ beside the mask renderer, on the esc50 list",
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
    command.add_argument("--codec", metavar="NAME", help="codec: also a DAC or EnCodec of transformers, name or folder")
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

            def load(weights: Path | None, device: str) -> HSM:  # figures do not depend on the machine
                return HSM.load(weights, device, precision="float32")

        if options.benchmark == "instructions":
            model = load(options.weights, options.device)
            torch.set_num_threads(options.threads or 1)
            found = instructions.run(model.parse)
            if options.readme is not None:
                sha = model.weights_info.get("instruction", {}).get("sha256", "none")
                insert(options.readme, "evaluation:instructions", instructions.markdown(found, sha))
            return 0
        if options.benchmark in ("codec", "renderers"):
            print(regeneration(options, load))
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
    clips = _clips(options)
    features_only = options.benchmark == "features"
    pairs = _pairs(options, clips, "esc50" if features_only else options.benchmark)
    judge = _judge(options)
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
        insert(options.readme, f"evaluation:{options.benchmark}", text)
    return report, text, write(options.out, options.benchmark, report, text, results)


def regeneration(options: argparse.Namespace, load: Load) -> str:
    """Measure the codec or the codec renderer and write the files: markdown. Raises HSMError."""
    clips = _clips(options)
    model: Any = load(options.weights, options.device)
    if options.benchmark == "codec":
        names = ["codec"]
        report = codec.measure(model, clips, options.split, options.limit or codec.LIMIT, options.seed, options.codec)
        text = codec.markdown(report)
    else:
        names = ["codec", "decoder", "local_separator", "mask"]
        report = renderers.measure(model, _pairs(options, clips, "esc50"), _judge(options))
        text = renderers.markdown(report)
    found = ", ".join(f"{n} {model.weights_info[n]['sha256'][:12]}" for n in names if n in model.weights_info)
    text = (
        f"### {options.benchmark}: {BENCHMARKS[options.benchmark]} ({options.split})\n\n{text}\n"
        f"Weights (sha256): {found}. Data: {options.data.name} ({_sha256(options.data)[:12]}), seed {options.seed}. "
        f"Made by `python -m hsm.evaluation {options.benchmark}`.\n"
    )
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / f"{options.benchmark}.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    (options.out / f"{options.benchmark}.md").write_text(text, encoding="utf-8")
    if options.readme is not None:
        insert(options.readme, f"evaluation:{options.benchmark}", text)
    return text


def _clips(options: argparse.Namespace) -> list[Clip]:
    """Set the threads and read the manifest. Raises HSMError."""
    if options.threads is not None:
        if options.threads < 1:
            raise HSMError(f"threads: got {options.threads}; wanted at least 1.")
        torch.set_num_threads(options.threads)
    if options.data is None:
        raise HSMError("--data: got no manifest; wanted a CSV list of clips, as the README describes it.")
    return read_manifest(options.data)


def _pairs(options: argparse.Namespace, clips: list[Clip], name: str) -> list[Pair]:
    return draw_pairs(
        clips,
        LISTS[name],
        split=options.split,
        seed=options.seed,
        limit=options.limit,
        queries=options.queries,
        audible=is_audible,
    )


def _judge(options: argparse.Namespace) -> Judge | None:
    return Tagger(options.teacher, options.threads or 1).probabilities if options.teacher else None


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
