"""`hsm evaluate BENCHMARK --data MANIFEST`: measure the weights, keep the figures as JSON, print the tables."""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from hsm.errors import HSMError
from hsm.evaluation import codec, instructions, report
from hsm.evaluation.judge import YamnetJudge
from hsm.evaluation.measure import Judge, measure
from hsm.evaluation.mixtures import is_audible
from hsm.evaluation.protocols import PLANS, Trial, draw, read_list
from hsm.evaluation.systems import HSMSystem, System
from hsm.manifest import Clip, read_manifest

Load = Callable[[Path | None, str], Any]  # weight folder, device
BENCHMARKS = {
    **{name: plan.about for name, plan in PLANS.items()},
    "audiosep": "those pairs of AudioSep's own list (--list) of which both clips are in the split",
    "instructions": "instructions written by hand and templates, by kind; takes no --data",
    "codec": "clips there and back through the codec, by kind; Table VIII",
    "renderers": "the codec renderer from S and from Ŝ beside the mask renderer, on the esc50 list",
}
ROOT = Path(__file__).resolve().parents[2]
REPORTS = Path("runs/evaluation")


def parser() -> argparse.ArgumentParser:
    """Make the command line; every option has its meaning in --help."""
    about = "; ".join(f"{name}: {meaning}" for name, meaning in BENCHMARKS.items())
    command = argparse.ArgumentParser("hsm evaluate", description=__doc__)
    command.add_argument(
        "benchmark", choices=[*BENCHMARKS, "tables"], metavar="BENCHMARK", help=f"{about}; tables: write all again"
    )
    command.add_argument("--data", type=Path, metavar="MANIFEST", help="CSV list of clips")
    command.add_argument("--split", default="valid", help="which clips of the manifest")
    command.add_argument("--limit", type=int, help="only the first so many mixtures")
    command.add_argument("--rows", nargs="+", default=[], metavar="ROW", help='only these, such as "extract"')
    command.add_argument("--seed", type=int, default=0, help="of the draw of mixtures")
    command.add_argument("--words", choices=("label", "caption"), default="label", help="to ask with")
    command.add_argument("--list", type=Path, metavar="CSV", help="audiosep: AudioSep's list of ESC-50 pairs")
    command.add_argument("--judge", type=Path, metavar="FOLDER", help="YAMNet's folder, adds the KL column")
    command.add_argument("--name", default="", help='reported as BENCHMARK-NAME; "single": the gates compare with it')
    command.add_argument("--weights", type=Path, metavar="DIR", help="other weights than the bundled ones")
    command.add_argument("--codec", default="", metavar="NAME", help="codec: also a DAC or EnCodec of transformers")
    command.add_argument("--device", default="cpu", help="cpu or cuda")
    command.add_argument("--threads", type=int, default=1, help="CPU threads of the model")
    command.add_argument(
        "--json", type=Path, metavar="OUT", help=f"the report; {REPORTS}/BENCHMARK.json where not given; tables: folder"
    )
    command.add_argument("--results", type=Path, default=ROOT / "weights" / "RESULTS.md", help="tables: the page")
    command.add_argument("--readme", type=Path, help="tables: also the one table of this page, between its marks")
    return command


def main(arguments: Sequence[str] | None = None, load: Load | None = None) -> int:
    """Run one benchmark.

    Args:
        arguments: the command line; None reads the program's own.
        load: makes a model or a `System` from a weight folder (None for the bundled one) and a device; `HSM.load`.

    Returns:
        0, or 2 when the caller's input cannot be used.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    options = parser().parse_args(arguments)
    try:
        if options.threads < 1:
            raise HSMError(f"threads: got {options.threads}; wanted at least 1.")
        torch.set_num_threads(options.threads)
        if options.benchmark == "tables":
            names = report.render(options.json or REPORTS, options.results, options.readme)
            print(f"{options.results}: {', '.join(names)}")
            return 0
        name = f"{options.benchmark}-{options.name}" if options.name else options.benchmark
        found = {
            "benchmark": name,
            "about": BENCHMARKS[options.benchmark],
            "command": " ".join(["hsm evaluate", *(Path(a).name if Path(a).is_absolute() else a for a in arguments)]),
            "commit": commit(),
            "threads": options.threads,
            **_measured(options, load or _load),
        }
        path = options.json or REPORTS / f"{name}.json"
        report.write(found, path)
        single = report.read(path.with_name(f"{report.SINGLE}.json"))
    except HSMError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(report.markdown(found, single))
    print(f"Written: {path}", file=sys.stderr)
    return 0


def commit() -> str:
    """Of the checkout that this package is run from; empty where there is none."""
    git = ["git", "-C", str(ROOT), "rev-parse", "HEAD"]
    try:
        return subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def _load(weights: Path | None, device: str) -> Any:
    from hsm import HSM

    return HSM.load(weights, device, precision="float32")  # figures do not depend on the machine


def _measured(options: argparse.Namespace, load: Load) -> dict[str, Any]:
    if options.benchmark == "instructions":
        model = load(options.weights, options.device)
        return {"weights": _checksums(model, "instruction"), "table": _sentences(instructions.run(model.parse))}
    if options.data is None:
        raise HSMError("--data: got no manifest; wanted a CSV list of clips, as hsm/training/README.md describes it.")
    clips = read_manifest(options.data)
    sha = hashlib.sha256(options.data.read_bytes()).hexdigest()
    found: dict[str, Any] = {
        "data": {"manifest": options.data.name, "sha256": sha, "split": options.split, "seed": options.seed},
        "words": options.words,
    }
    judge: Judge | None = YamnetJudge(options.judge, options.threads).probabilities if options.judge else None
    if options.benchmark == "codec":
        model = load(options.weights, options.device)
        asked = options.split, options.limit, options.seed, options.codec
        records, used = codec.measure_codec(model, clips, *asked)
        return {**found, "weights": _checksums(model, "codec"), "mixtures": records, "entries_used": used}
    trials = _trials(options, clips)
    model = load(options.weights, options.device)
    if options.benchmark == "renderers":
        names = ("codec", "decoder", "local_separator", "mask")
        records = codec.measure_renderers(model, trials, judge)
        return {**found, "weights": _checksums(model, *names), "mixtures": records}
    system: System = HSMSystem(model) if hasattr(model, "separate") else model
    lacking = {ask.row: why for trial in trials for ask in trial.asks if (why := system.lacks(ask.way))}
    records = measure(system, trials, judge, options.rows)
    return {**found, "weights": system.weights, "not_measured": lacking, "mixtures": records}


def _trials(options: argparse.Namespace, clips: list[Clip]) -> list[Trial]:
    if options.benchmark == "audiosep":
        if options.list is None:
            raise HSMError("--list: got no file; wanted AudioSep's CSV of ESC-50 pairs (caption, src_wav, noise_wav).")
        return read_list(options.list, clips, split=options.split, limit=options.limit)
    return draw(
        clips,
        PLANS["esc50" if options.benchmark == "renderers" else options.benchmark],
        split=options.split,
        seed=options.seed,
        limit=options.limit,
        words=options.words,
        audible=is_audible,
    )


def _checksums(model: Any, *names: str) -> dict[str, str]:
    return {name: model.weights_info[name]["sha256"] for name in names if name in model.weights_info}


def _sentences(found: Sequence[instructions.Measured]) -> dict[str, Any]:
    """How many sentences were understood: a row a kind, a column a set."""
    kinds = [kind for kind in dict.fromkeys(kind for done in found for kind in done.rows) if kind != "template"]
    rows = [["all", *(_share(done.right, done.total) for done in found)]]
    rows += [[kind, *(_share(*done.rows.get(kind, (0, 0))) for done in found)] for kind in kinds]
    rows.append(["CPU ms a sentence", *(f"{done.cpu_ms:.1f}" for done in found)])
    return {"head": ["understood", *(done.name for done in found)], "rows": rows}


def _share(right: int, total: int) -> str:
    return f"{right}/{total} = {100 * right / total:.1f} %" if total else ""


if __name__ == "__main__":
    sys.exit(main())
