"""The codec renderer beside the mask renderer, on mixtures whose parts are known. Paper: Sec. V-A."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from hsm import HSM, Audio, Instruction, SeparationOptions
from hsm.evaluation import metrics
from hsm.evaluation.mixing import mix
from hsm.evaluation.pairs import Pair
from hsm.evaluation.rows import Judge
from hsm.features import RATE_HZ, working_gain
from hsm.readme import table

ROWS = {
    "mixture": "the mixture",
    "mask": "mask renderer",
    "codec": "codec renderer, from Ŝ",
    "true": "codec renderer, from S of the target",
    "coded": "the target through the codec alone",
}
COLUMNS = {"mel_psnr": "mel-PSNR dB", "lsd": "LSD", "kl": "KL", "si_sdr": "SI-SDR dB"}


@torch.inference_mode()
def _coded(model: HSM, target: np.ndarray) -> np.ndarray:
    wave = torch.from_numpy(np.ascontiguousarray(target, dtype=np.float32))
    gain = working_gain(wave)
    made = model.model.codec.decode(model.model.codec.encode((wave * gain)[None]))[0, : len(wave)] / gain
    return np.asarray(made.numpy())


def measure(model: HSM, pairs: Sequence[Pair], judge: Judge | None = None) -> dict[str, Any]:
    """Answer "extract the first sound" with both renderers.

    Args:
        model: with codec and decoder.
        pairs: from `hsm.evaluation.pairs.draw_pairs`.
        judge: for KL; None leaves it out.

    Returns:
        `pairs`, `rows[row][measure]` as {"mean", "median"}, and `generation_s` for 10 s of sound.
    """
    found: dict[str, list[dict[str, float]]] = {row: [] for row in ROWS}
    spent, drawn = 0.0, 0.0
    for pair in tqdm(pairs, desc="pairs", unit="pair"):
        mixture = mix(pair)
        target = np.ascontiguousarray(mixture.target, dtype=np.float32)
        listened, wish = model.encode(mixture.audio), Instruction("extract", pair.queries[0])
        begin = perf_counter()
        true = model.resynthesise(Audio(target, RATE_HZ), SeparationOptions(renderer="codec"))
        spent, drawn = spent + perf_counter() - begin, drawn + true.duration_s
        estimates = {
            "mixture": mixture.wave,
            "mask": model.separate(listened, wish).target.samples[0],
            "codec": model.separate(listened, wish, SeparationOptions(renderer="codec")).target.samples[0],
            "true": true.samples[0],
            "coded": _coded(model, target),
        }
        wanted = judge(target) if judge is not None else None
        for row, estimate in estimates.items():
            values = {
                "mel_psnr": metrics.mel_psnr(target, estimate),
                "lsd": metrics.lsd(target, estimate),
                "si_sdr": metrics.si_sdr(target, estimate),
            }
            if judge is not None and wanted is not None:
                values["kl"] = metrics.kl(wanted, judge(np.ascontiguousarray(estimate, dtype=np.float32)))
            found[row].append(values)
    return {
        "pairs": len(pairs),
        "generation_s": 10 * spent / drawn,
        "rows": {
            row: {
                m: {"mean": float(np.mean([v[m] for v in rows])), "median": float(np.median([v[m] for v in rows]))}
                for m in rows[0]
            }
            for row, rows in found.items()
        },
    }


def markdown(report: dict[str, Any]) -> str:
    """A report as a table; each cell is "mean / median"."""
    shown = [name for name in COLUMNS if name in report["rows"]["mixture"]]
    rows = [
        [ROWS[row], *(f"{values[m]['mean']:.2f} / {values[m]['median']:.2f}" for m in shown)]
        for row, values in report["rows"].items()
    ]
    return "\n".join(
        [
            table([f"{report['pairs']} pairs, mean / median", *(COLUMNS[m] for m in shown)], rows),
            "",
            f"Drawing 10 s of sound, listening included, took {report['generation_s']:.1f} s.",
            "",
        ]
    )
