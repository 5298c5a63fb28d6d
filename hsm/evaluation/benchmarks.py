"""A list of pairs through a model: every row's scores, and what lies inside, pair by pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np
from tqdm import tqdm

from hsm.evaluation.features import feature_scores
from hsm.evaluation.mixing import Mixture, mix
from hsm.evaluation.pairs import Pair
from hsm.evaluation.rows import QUERY_ROWS, Judge, Separator, answers, ask, score
from hsm.records import Separation


@dataclass(frozen=True)
class PairResult:
    """What one pair gave.

    Args:
        pair: the pair.
        rows: metric values by row; empty when only features were measured.
        features: values by name, see `hsm.evaluation.features.FEATURES`.
        model_s: seconds the model took for listening and all queries.
        mixture_s: length of the mixture in seconds.
    """

    pair: Pair
    rows: dict[str, dict[str, float]]
    features: dict[str, float]
    model_s: float
    mixture_s: float


def run(
    model: Separator, pairs: Sequence[Pair], judge: Judge | None = None, *, features_only: bool = False
) -> list[PairResult]:
    """Separate every mixture of a list and score it; progress goes to stderr.

    Args:
        model: what is measured.
        pairs: from `hsm.evaluation.pairs.draw_pairs`.
        judge: for KL, such as `Tagger.probabilities`; None leaves KL out.
        features_only: ask only the right and the wrong query and score no waves.

    Returns:
        One result a pair, in order.

    Raises:
        HSMError: a clip that cannot be read, or a model whose output does not fit its input.
    """
    asked = ("extract", "wrong query") if features_only else QUERY_ROWS
    results: list[PairResult] = []
    for pair in tqdm(pairs, desc="pairs", unit="pair"):
        mixture = mix(pair)
        start_s = perf_counter()
        separations = ask(model, mixture, pair, asked)
        model_s = perf_counter() - start_s
        results.append(
            PairResult(
                pair=pair,
                rows={} if features_only else _score_rows(mixture, separations, judge),
                features=feature_scores(model, mixture, separations["extract"], separations["wrong query"]),
                model_s=model_s,
                mixture_s=mixture.audio.duration_s,
            )
        )
    return results


def _score_rows(
    mixture: Mixture, separations: dict[str, Separation], judge: Judge | None
) -> dict[str, dict[str, float]]:
    heard: dict[int, np.ndarray] = {}  # the judge hears each reference once, most rows share theirs
    rows: dict[str, dict[str, float]] = {}
    for row, answer in answers(mixture, separations).items():
        classes = None
        if judge is not None and answer.reference is not None:
            key = id(answer.reference)
            classes = heard[key] if key in heard else heard.setdefault(key, judge(answer.reference))
        rows[row] = score(answer, mixture, classes, judge)
    return rows
