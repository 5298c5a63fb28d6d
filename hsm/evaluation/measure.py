"""A list of mixtures through a system: every ask scored, mixture by mixture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import process_time
from typing import Any

import numpy as np
from tqdm import tqdm

from hsm.evaluation import metrics
from hsm.evaluation.features import feature_scores
from hsm.evaluation.mixtures import Mixture, ideal_ratio_mask, mix
from hsm.evaluation.protocols import Trial
from hsm.evaluation.systems import Output, System

Judge = Callable[[np.ndarray], np.ndarray]  # wave (S,) to class probabilities (classes,)
PAPER_WAYS = ("whole", "AudioSep")  # the paper's slower measures, too


def measure(
    system: System, trials: Sequence[Trial], judge: Judge | None = None, rows: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """Ask a system everything about a list of mixtures; progress goes to stderr.

    Args:
        system: what is measured.
        trials: from `hsm.evaluation.protocols.draw`.
        judge: for KL, such as `YamnetJudge.probabilities`; None leaves KL out.
        rows: only these of the lists' rows; all where none is given.

    Returns:
        One record a mixture, ready for JSON: kind, clips, words, snr_db, CPU seconds, `rows[row][metric]` and
        `features[name]`. The rows "mixture" (nothing done), "self" (the target itself) and "ideal ratio mask"
        are those of the first source.

    Raises:
        HSMError: a clip that cannot be read, or a system whose output does not fit its input.
    """
    records: list[dict[str, Any]] = []
    for trial in tqdm(trials, desc="mixtures", unit="mixture"):
        mixture = mix(trial)
        asks = [ask for ask in trial.asks if not system.lacks(ask.way) and (not rows or ask.row in rows)]
        begin = process_time()
        outputs = dict(zip([ask.row for ask in asks], system.outputs(mixture, asks), strict=True))
        seconds = process_time() - begin
        score = _Scorer(mixture, judge)
        scores: dict[str, Any] = {
            "mixture": score((0,), Output(mixture.wave)),
            "self": score((0,), Output(mixture.target)),
        }
        if len(trial.sources) > 1:
            scores["ideal ratio mask"] = score((0,), Output(ideal_ratio_mask(mixture, mixture.target)))
        scores |= {ask.row: score(ask.reference, outputs[ask.row], ask.way in PAPER_WAYS) for ask in asks}
        features = feature_scores(system, trial, mixture, outputs) if trial.inside else {}
        records.append(
            {
                "kind": trial.kind,
                "clips": [clip.path.name for clip in trial.sources],
                "words": list(trial.words),
                "snr_db": [round(value, 3) for value in trial.snr_db],
                "mixture_s": mixture.audio.duration_s,
                "cpu_s": round(seconds, 3),
                "rows": {row: _rounded(values) for row, values in scores.items()},
                "features": _rounded(features),
            }
        )
    return records


class _Scorer:
    """Scores outputs of one mixture; the judge hears each reference once."""

    def __init__(self, mixture: Mixture, judge: Judge | None) -> None:
        self.mixture, self.judge = mixture, judge
        self._known: dict[tuple[int, ...], tuple[np.ndarray, dict[str, float], np.ndarray | None]] = {}

    def __call__(self, sources: tuple[int, ...], output: Output, paper: bool = True) -> dict[str, float]:
        estimate, whole = output.wave, self.mixture.wave
        scores = {"level_db": level_db(estimate, whole)}
        if output.present is not None:
            scores["present"] = output.present
        if not output.understood:
            scores["refused"] = 1.0
        if not sources:
            return scores
        if sources not in self._known:
            reference = self.mixture.sum_of(sources)
            classes = self.judge(reference) if self.judge is not None else None
            self._known[sources] = reference, _ratios(reference, whole), classes
        reference, of_mixture, classes = self._known[sources]
        ratios = _ratios(reference, estimate)
        if len(sources) < len(self.mixture.sources):  # nothing can improve on a mixture that is the reference
            scores |= {f"{name}i": ratios[name] - of_mixture[name] for name in ratios}
        scores |= ratios
        if not paper:
            return scores
        scores["mel_psnr"] = metrics.mel_psnr(reference, estimate)
        scores["lsd"] = metrics.lsd(reference, estimate)
        if self.judge is not None and classes is not None:
            scores["kl"] = metrics.kl(classes, self.judge(estimate))
        return scores


def _ratios(reference: np.ndarray, estimate: np.ndarray) -> dict[str, float]:
    return {"si_sdr": metrics.si_sdr(reference, estimate), "sdr": metrics.sdr(reference, estimate)}


def level_db(estimate: np.ndarray, mixture: np.ndarray) -> float:
    """Energy of an estimate relative to the mixture's in dB, not below -100."""
    ratio = float(np.sum(np.square(estimate, dtype=np.float64)) / np.sum(np.square(mixture, dtype=np.float64)))
    return max(-metrics.LIMIT_DB, 10.0 * float(np.log10(ratio))) if ratio > 0.0 else -metrics.LIMIT_DB


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in values.items()}
