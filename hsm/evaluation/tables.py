"""Results of many pairs as one summary for machines and one table for readers."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hsm.evaluation.benchmarks import PairResult
from hsm.evaluation.features import FEATURES, MAPS, PAUSES
from hsm.evaluation.rows import METRICS, ROWS
from hsm.readme import table

TITLES = {
    "sdri": "SDRi dB",
    "sdr": "SDR dB",
    "si_sdr": "SI-SDR dB",
    "mel_psnr": "mel-PSNR dB",
    "lsd": "LSD",
    "kl": "KL",
    "level_db": "level dB",
}
KIND_ROWS = ("ideal ratio mask", "extract", "remove", "wrong query")


def summarise(results: Sequence[PairResult]) -> dict[str, Any]:
    """Means, medians and differences of a run, ready for JSON.

    Args:
        results: from `hsm.evaluation.benchmarks.run`, at least one.

    Returns:
        `rows[row][metric]` and `features[name]` as {"mean", "median", "pairs"}; `kinds[kind][row]`, the
        same for SDRi and for the level of the absent query; `right_minus_wrong_sdri_db`,
        `extract_minus_remove_sdri_db` (two sources only, else None), `cosine_margin`,
        `cosine_improved_share`, `model_s_per_mixture`.
    """
    assert results
    kinds = sorted({result.pair.kind for result in results})
    two_sources = all(len(result.pair.sources) == 2 for result in results)
    margins = [r.features["cosine_predicted"] - r.features["cosine_mixture"] for r in results]
    return {
        "pairs": len(results),
        "rows": {
            row: {metric: _spread(_values(results, row, metric)) for metric in METRICS if _values(results, row, metric)}
            for row in ROWS
            if any(row in result.rows for result in results)
        },
        "right_minus_wrong_sdri_db": _difference(results, "extract", "wrong query"),
        "extract_minus_remove_sdri_db": _difference(results, "extract", "remove") if two_sources else None,
        "kinds": {kind: _kind([r for r in results if r.pair.kind == kind]) for kind in kinds},
        "features": {
            name: _spread(values)
            for name in FEATURES
            if (values := [r.features[name] for r in results if name in r.features])
        },
        "cosine_margin": _spread(margins),
        "cosine_improved_share": float(np.mean(np.array(margins) > 0)),
        "model_s_per_mixture": float(np.mean([r.model_s for r in results])),
        "mixture_s": float(np.mean([r.mixture_s for r in results])),
    }


def markdown(title: str, summary: dict[str, Any]) -> str:
    """A summary as markdown; each cell is "mean / median"."""
    lines = [f"### {title}", ""]
    rows: dict[str, Any] = summary["rows"]
    if rows:
        shown = [metric for metric in METRICS if any(metric in scores for scores in rows.values())]
        lines.append(
            table(
                ["mean / median", *(TITLES[metric] for metric in shown)],
                [[row, *(_cell(scores.get(metric)) for metric in shown)] for row, scores in rows.items()],
            )
        )
        lines += ["", f"Right query minus wrong query, SDRi: {summary['right_minus_wrong_sdri_db']:+.2f} dB."]
        if summary["extract_minus_remove_sdri_db"] is not None:
            lines += [f"Extract minus remove, SDRi: {summary['extract_minus_remove_sdri_db']:+.2f} dB."]
        lines += [
            "Level is the energy that came out relative to the mixture's; ±100 dB is the scale's end.",
            "",
        ]
    if len(summary["kinds"]) > 1 and rows:
        lines.append(
            table(
                ["SDRi dB", "pairs", *KIND_ROWS, "absent query, level dB"],
                [
                    [
                        kind,
                        str(of["pairs"]),
                        *(_cell(of[row]) for row in KIND_ROWS),
                        _cell(of["absent query level_db"]),
                    ]
                    for kind, of in summary["kinds"].items()
                ],
            )
        )
        lines += [""]
    return "\n".join([*lines, *_feature_lines(summary)]) + "\n"


def provenance_line(report: dict[str, Any]) -> str:
    """What the figures stand on: weights' checksums, data split and seed."""
    weights = ", ".join(f"{name} {info['sha256'][:12]}" for name, info in sorted(report["weights"].items()))
    data = report["data"]
    return (
        f"Weights (sha256): {weights}. Data: {data['manifest']} ({data['sha256'][:12]}), split {data['split']}, "
        f"{report['pairs']} pairs, queries by {report['queries']}, seed {report['seed']}. "
        f"Made by `python -m hsm.evaluation {report['benchmark']}`."
    )


def write(folder: Path, name: str, report: dict[str, Any], text: str, results: Sequence[PairResult]) -> list[Path]:
    """Write NAME.json, NAME.md and NAME.csv (one line a pair) into a folder; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.{ending}" for ending in ("json", "md", "csv")]
    paths[0].write_text(json.dumps(report, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    paths[1].write_text(text, encoding="utf-8")
    rows = [row for row in ROWS if any(row in r.rows for r in results) and row != "absent query"]
    with paths[2].open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["kind", "clips", "queries", "absent", "snr_db", *(f"{row} sdri" for row in rows), *FEATURES])
        for r in results:
            clips, snr_db = (clip.path.name for clip in r.pair.sources), (f"{db:.2f}" for db in r.pair.snr_db)
            values = [r.rows.get(row, {}).get("sdri") for row in rows] + [r.features.get(name) for name in FEATURES]
            table.writerow(
                [r.pair.kind, ";".join(clips), ";".join(r.pair.queries), r.pair.absent, ";".join(snr_db)]
                + ["" if value is None else f"{value:.3f}" for value in values]
            )
    return paths


def _feature_lines(summary: dict[str, Any]) -> list[str]:
    features = summary["features"]
    lines = [
        table(
            ["cosine to the target's global feature", "mean / median"],
            [
                ["predicted from the right query", _cell(features["cosine_predicted"], 3)],
                ["global feature of the mixture", _cell(features["cosine_mixture"], 3)],
                ["predicted from the wrong query", _cell(features["cosine_wrong"], 3)],
                ["margin, predicted minus mixture", _cell(summary["cosine_margin"], 3)],
                ["pairs improved", f"{100 * summary['cosine_improved_share']:.1f} %"],
            ],
        )
    ]
    judged = {meaning: pauses for pauses, meaning in PAUSES.items() if f"attention_right{pauses}" in features}
    if judged:
        lines += ["", "Attention where the target sounds over attention in its pauses, mean / median:", ""]
        lines.append(
            table(
                ["", "clips", *(f"{name} query" if name != "uniform" else "uniform map" for name in MAPS)],
                [
                    [meaning, str(features[f"attention_right{pauses}"]["pairs"])]
                    + [_cell(features[f"attention_{name}{pauses}"]) for name in MAPS]
                    for meaning, pauses in judged.items()
                ],
            )
        )
    return lines


def _kind(results: Sequence[PairResult]) -> dict[str, Any]:
    of: dict[str, Any] = {"pairs": len(results)}
    if results[0].rows:
        of |= {row: _spread(_values(results, row, "sdri")) for row in KIND_ROWS}
        of["absent query level_db"] = _spread(_values(results, "absent query", "level_db"))
    return of


def _values(results: Iterable[PairResult], row: str, metric: str) -> list[float]:
    return [result.rows[row][metric] for result in results if metric in result.rows.get(row, {})]


def _difference(results: Sequence[PairResult], row: str, other: str) -> float | None:
    if not results[0].rows:
        return None
    return float(np.mean(_values(results, row, "sdri")) - np.mean(_values(results, other, "sdri")))


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"mean": float(np.mean(values)), "median": float(np.median(values)), "pairs": len(values)}


def _cell(spread: dict[str, float] | None, digits: int = 2) -> str:
    if spread is None:
        return ""
    mean, median = (round(spread[name], digits) + 0.0 for name in ("mean", "median"))  # + 0.0: never "-0.00"
    return f"{mean:.{digits}f} / {median:.{digits}f}"
