"""What benchmarks found, as JSON for machines and as the tables of `weights/RESULTS.md` and the README."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hsm.errors import HSMError

Report = dict[str, Any]
COLUMNS = {
    "si_sdri": "SI-SDRi dB",
    "sdri": "SDRi dB",
    "si_sdr": "SI-SDR dB",
    "sdr": "SDR dB",
    "mel_psnr": "mel-PSNR dB",
    "lsd": "LSD",
    "kl": "KL",
    "level_db": "level dB",
    "present": "present",
    "mel_d": "MEL-D",
    "stoi": "STOI",
    "pesq": "PESQ",
    "borders": "borders",
    "refused": "refused",
}
SHORT = ("si_sdri", "sdri", "level_db")
RELIABLE = ("esc50", "solo")  # lists that ask for absent sounds, too
BINS = 5  # of the reliability of `present`
TOLD_ROWS = ("true G", "true S, G", "other source's S, G", "random S, G", "extract, no competitor")
FEATURES = {
    "cosine_right": "cosine of G of the target and Ĝ, right query",
    "cosine_wrong": "cosine of G of the target and Ĝ, wrong query",
    "cosine_mixture": "cosine of G of the target and G of the mixture",
    "cosine_right_to_wrong": "cosine of Ĝ of the right and of the wrong query",
    "nearest_class_right": "nearest class of the bank is the target's, from Ĝ",
    "nearest_class_truth": "nearest class of the bank is the target's, from its true G",
    "attention_correlation": "correlation of attention, right and wrong query",
    "attention_right": "attention where the target sounds over its pauses, right query",
    "attention_wrong": "attention where the target sounds over its pauses, wrong query",
}
PUBLISHED = (  # system, SI-SDRi, SDRi, what it was measured on
    ("AudioSep, published", "8.81", "10.04"),
    ("CLAPSep, published", "10.23", "11.49"),
)
SINGLE = "esc50-single"  # of weights trained without Ĝ, the paper's "Ours single"


@dataclass(frozen=True)
class Gate:
    """A property that the hierarchy must have; `figure` is None where it was not measured."""

    name: str
    figure: float | None
    wanted: str
    passed: bool | None


def values(report: Report, row: str, metric: str, *beside: str, kind: str = "") -> np.ndarray:
    """(N,) of a metric over the mixtures that have a row, and every row `beside` it."""
    return np.array(
        [
            mixture["rows"][row][metric]
            for mixture in report["mixtures"]
            if (not kind or mixture["kind"] == kind)
            and metric in mixture["rows"].get(row, {})
            and all(metric in mixture["rows"].get(other, {}) for other in beside)
        ]
    )


def gates(report: Report, single: Report | None = None) -> list[Gate]:
    """What an esc50 report says about the hierarchy: differences are means over mixtures that have both rows.

    Args:
        report: of the benchmark esc50.
        single: the same of `SINGLE`.
    """

    def more(row: str, than: str) -> float | None:
        first, second = values(report, row, "sdri", than), values(report, than, "sdri", row)
        return float((first - second).mean()) if first.size else None

    def feature(name: str) -> float | None:
        found = [m["features"][name] for m in report["mixtures"] if name in m.get("features", {})]
        return float(np.mean(found)) if found else None

    whole = None
    if single is not None:
        pairs = zip(report["mixtures"], single["mixtures"], strict=False)
        both = [(a["rows"], b["rows"]) for a, b in pairs if a["clips"] == b["clips"]]
        found = [a["extract"]["sdri"] - b["extract"]["sdri"] for a, b in both]
        whole = float(np.mean(found)) if found else None
    nearest = feature("nearest_class_right")
    rules: list[tuple[str, float | None, str, Callable[[float], bool]]] = [
        ("true S, G over text alone, SDRi dB", more("true S, G", "text alone"), ">= 1", lambda x: x >= 1.0),
        (
            "other source's S, G over text alone, dB",
            more("other source's S, G", "text alone"),
            "<= -3",
            lambda x: x <= -3,
        ),
        ("attention, right to wrong query", feature("attention_correlation"), "< 0.7", lambda x: x < 0.7),
        ("cosine of Ĝ, right to wrong query", feature("cosine_right_to_wrong"), "< 0.8", lambda x: x < 0.8),
        ("hierarchy over single stage, dB", whole, ">= 0.3", lambda x: x >= 0.3),
        ("nearest class of the bank, %", None if nearest is None else 100 * nearest, ">= 60", lambda x: x >= 60),
    ]
    return [Gate(name, x, wanted, None if x is None else holds(x)) for name, x, wanted, holds in rules]


def markdown(report: Report, single: Report | None = None) -> str:
    """One benchmark's section: its tables, what they cost and what they stand on."""
    name = report["benchmark"]
    lines = [f"## {name}: {report['about']}", ""]
    if "table" in report:  # benchmarks whose figures are not metrics of sounds
        return "\n".join([*lines, table(report["table"]["head"], report["table"]["rows"]), "", provenance(report), ""])
    mixtures = report["mixtures"]
    rows = list(dict.fromkeys(row for mixture in mixtures for row in mixture["rows"]))
    told = [row for row in rows if row in TOLD_ROWS]
    lines += [_metric_table(report, [row for row in rows if row not in told]), ""]
    if told:
        beside = [row for row in ("extract", "text alone") if row in rows]
        lines += ["The same mixtures where the system is told the truth, or denied something:", ""]
        lines += [_metric_table(report, [*beside, *told], SHORT, told[:1]), ""]
    kinds = list(dict.fromkeys(mixture["kind"] for mixture in mixtures))
    if len(kinds) > 1:
        lines += [_kind_table(report, kinds, [row for row in rows if row not in (*told, "self")]), ""]
    if name == "wordings":
        lines += [wording_gaps(report), ""]
    if name in RELIABLE and (found_there := reliability(report)):
        lines += [found_there, ""]
    if found := [_feature_line(mixtures, feature, text) for feature, text in FEATURES.items()]:
        shown = [cells for cells in found if cells]
        lines += [table(["inside", "mixtures", "mean / median"], shown), ""] if shown else []
    if name == "esc50":
        lines += [gate_table(gates(report, single)), ""]
    lines += [f"Not measured: {row}, because {why}." for row, why in report.get("not_measured", {}).items()]
    return "\n".join([*lines, provenance(report), ""])


def gate_table(found: Sequence[Gate]) -> str:
    """The gates with their figures."""
    verdict = {True: "pass", False: "FAIL", None: "not measured"}
    rows = [[g.name, "" if g.figure is None else f"{g.figure:.2f}", g.wanted, verdict[g.passed]] for g in found]
    return table(["gate", "measured", "wanted", ""], rows)


def wording_gaps(report: Report) -> str:
    """How far apart the wordings of one thing are: means of SDRi."""
    gaps = []
    for kind in dict.fromkeys(mixture["kind"] for mixture in report["mixtures"]):
        rows = dict.fromkeys(row for m in report["mixtures"] if m["kind"] == kind for row in m["rows"])
        means = {
            row: float(values(report, row, "sdri", kind=kind).mean())
            for row in rows
            if row not in ("mixture", "self", "ideal ratio mask")
        }
        gaps.append(f"{kind} {max(means.values()) - min(means.values()):.2f} dB ({', '.join(means)})")
    return f"Best wording over worst, mean SDRi: {'; '.join(gaps)}."


def reliability(report: Report) -> str:
    """How often the named sound was there, by what `present` said; absent ones have "absent" in their row."""
    found = [
        (scores["present"], "absent" not in row)
        for mixture in report["mixtures"]
        for row, scores in mixture["rows"].items()
        if "present" in scores and row in ("extract", "absent query", "named, extracted", "absent, extracted")
    ]
    if not found:
        return ""
    said, there = (np.array(column, dtype=float) for column in zip(*found, strict=True))
    place = (said * BINS).astype(int).clip(0, BINS - 1)
    rows = []
    for i in range(BINS):
        if (chosen := place == i).any():
            means = f"{said[chosen].mean():.2f}", f"{there[chosen].mean():.2f}"
            rows.append([f"{i / BINS:.1f} to {(i + 1) / BINS:.1f}", str(chosen.sum()), *means])
    return table(["`present` said", "queries", "mean", "sound was there"], rows)


def provenance(report: Report) -> str:
    """What the figures stand on."""
    said = [f"Command: `{report['command']}`"]
    if report.get("commit"):
        said.append(f"commit {report['commit'][:12]}")
    if "data" in report:
        data = report["data"]
        said.append(f"data {data['manifest']} ({data['sha256'][:12]}), split {data['split']}, seed {data['seed']}")
    if report.get("weights"):
        said.append("weights " + ", ".join(f"{name} {sha[:12]}" for name, sha in report["weights"].items()))
    if times := [m["cpu_s"] for m in report.get("mixtures", []) if "cpu_s" in m]:
        said.append(f"{np.mean(times):.1f} CPU s of the system a mixture of {len(report['mixtures'])}")
    if report.get("machine"):
        said.append(report["machine"])
    return "; ".join(said) + "."


def readme_table(reports: dict[str, Report]) -> str:
    """The one table of the README: esc50, and AudioSep's own list where it was measured."""
    names = {"mixture": "mixture, nothing done", "ideal ratio mask": "ideal ratio mask, which knows the parts"}
    names |= {"extract": "**ours**", "AudioSep's form": "AudioSep's form, trained here"}
    found: list[list[str]] = []
    lists = {"esc50": "ESC-50 pairs", "audiosep": "AudioSep's list, the pairs unseen in training"}
    for benchmark, about in lists.items():
        if (report := reports.get(benchmark)) is None:
            continue
        for row, name in names.items():
            if (of := values(report, row, "sdri")).size:
                cells = [f"{values(report, row, metric).mean():.2f}" for metric in ("si_sdri", "sdri")]
                found.append([name, about, str(of.size), *cells, f"{np.median(of):.2f}"])
    found += [[name, "another protocol", "2000", si_sdri, sdri, ""] for name, si_sdri, sdri in PUBLISHED]
    return table(["", "list", "mixtures", "SI-SDRi dB", "SDRi dB", "median SDRi dB"], found)


def write(report: Report, path: Path) -> None:
    """Keep a report as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=1, allow_nan=False, ensure_ascii=False) + "\n", encoding="utf-8")


def read(path: Path) -> Report | None:
    """A report that was kept; None where there is none."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def render(folder: Path, results: Path, readme: Path | None) -> list[str]:
    """Write every table: all reports of a folder into one page, and the README's between its marks.

    Returns:
        Names of the benchmarks.

    Raises:
        HSMError: a folder without reports, or a README without the marks.
    """
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    if not found:
        raise HSMError(
            f"tables: {folder} holds no reports; measure first, with `hsm evaluate BENCHMARK --json {folder}`."
        )
    reports = {report["benchmark"]: report for report in found}
    single = reports.get(SINGLE)
    head = [
        "# Results",
        "",
        "Written by `hsm evaluate tables` from the reports of `hsm evaluate` and `hsm benchmark`, nothing by hand.",
        "Cells are mean / median. SI-SDRi and SDRi are improvements over doing nothing: half the volume scores up to",
        "+3 dB SDRi and 0 dB SI-SDRi. Level is what came out relative to the mixture; ±100 dB is the scale's end.",
        "",
    ]
    sections = [markdown(report, single if name == "esc50" else None) for name, report in reports.items()]
    results.write_text("\n".join([*head, *sections]), encoding="utf-8")
    if readme is not None:
        insert(readme, "results", readme_table(reports))
    return list(reports)


def insert(path: Path, name: str, text: str) -> None:
    """Put text between the marks `<!-- NAME -->` and `<!-- /NAME -->` of a file; `HSMError` where it lacks them."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    page = path.read_text(encoding="utf-8") if path.is_file() else ""
    if begin not in page or end not in page:
        raise HSMError(f"{path}: lacks the marks {begin} and {end}; wanted both, the table goes between them.")
    head, rest = page.split(begin, 1)
    path.write_text(f"{head}{begin}\n{text}\n{end}{rest.split(end, 1)[1]}", encoding="utf-8")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _metric_table(report: Report, rows: Sequence[str], metrics: Sequence[str] = (), beside: Sequence[str] = ()) -> str:
    found = {metric for mixture in report["mixtures"] for row in rows for metric in mixture["rows"].get(row, {})}
    shown = [metric for metric in metrics or COLUMNS if metric in found]
    lines = []
    for row in rows:
        count = max(values(report, row, metric, *beside).size for metric in shown)
        lines.append([row, str(count), *(_cell(values(report, row, metric, *beside), metric) for metric in shown)])
    return table(["mean / median", "mixtures", *(COLUMNS[metric] for metric in shown)], lines)


def _kind_table(report: Report, kinds: Sequence[str], rows: Sequence[str]) -> str:
    lines = []
    for kind in kinds:
        for row in rows:
            cells = [values(report, row, metric, kind=kind) for metric in SHORT]
            if row != "mixture" and max(cell.size for cell in cells):
                count = max(cell.size for cell in cells)
                lines.append([kind, row, str(count), *(_cell(c, m) for c, m in zip(cells, SHORT, strict=True))])
    return table(["kind", "mean / median", "mixtures", *(COLUMNS[metric] for metric in SHORT)], lines)


def _feature_line(mixtures: Sequence[dict[str, Any]], name: str, text: str) -> list[str]:
    found = np.array([m["features"][name] for m in mixtures if name in m.get("features", {})])
    return [text, str(found.size), _cell(found, name)] if found.size else []


def _cell(found: np.ndarray, metric: str) -> str:
    if not found.size:
        return ""
    if metric == "refused":
        return str(int(found.sum()))
    mean, median = (round(float(x), 2) + 0.0 for x in (found.mean(), np.median(found)))  # + 0.0: never "-0.00"
    return f"{mean:.2f} / {median:.2f}"
