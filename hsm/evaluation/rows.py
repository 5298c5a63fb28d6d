"""The lines of a table: what each one answers with, and what the answer is held against."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from hsm.errors import HSMError
from hsm.evaluation import metrics
from hsm.evaluation.mixing import Mixture
from hsm.evaluation.pairs import Pair
from hsm.features import RATE_HZ, istft, stft
from hsm.records import Audio, Instruction, Operation, Separation, SeparationOptions

REWORDED = "extract, unseen wording"
RIVAL = "AudioSep's form"
ORACLES = ("oracle G", "oracle S")
ONCE, TEXT_ALONE = "extract, asked once", "extract, text alone"
QUERY_ROWS = (
    "extract",
    ONCE,
    TEXT_ALONE,
    RIVAL,
    *ORACLES,
    REWORDED,
    "remove",
    "wrong query",
    "absent query",
)
ROWS = ("mixture", "self", "ideal ratio mask", *QUERY_ROWS)
METRICS = ("sdri", "sdr", "si_sdr", "mel_psnr", "lsd", "kl", "level_db")
Judge = Callable[[np.ndarray], np.ndarray]  # wave (S,) to class probabilities (classes,)


class Separator(Protocol):
    """The part of `hsm.HSM` that is measured."""

    @property
    def weights_info(self) -> Mapping[str, Any]: ...

    def parse(self, text: str, /) -> Instruction: ...

    def encode(self, audio: Audio, /) -> Any: ...

    def separate(
        self,
        audio: Any,
        instruction: Instruction,
        options: SeparationOptions,
        /,
        *,
        global_target: np.ndarray | None = None,
        local_target: Audio | None = None,
    ) -> Separation: ...

    def global_feature(self, audio: Audio, /) -> np.ndarray: ...


@cache
def unseen_wordings() -> dict[str, str]:
    """Other words for the sounds of ESC-50 by label; they share no sentence with the training captions."""
    with (Path(__file__).parent / "data" / "wordings.csv").open(newline="", encoding="utf-8") as file:
        return {row["label"]: row["wording"] for row in csv.DictReader(file)}


@dataclass(frozen=True, eq=False)
class Answer:
    """What came out and what should have.

    Args:
        estimate: (S,).
        reference: (S,); None where nothing should have come out.
    """

    estimate: np.ndarray
    reference: np.ndarray | None


def ask(model: Separator, mixture: Mixture, pair: Pair, rows: tuple[str, ...]) -> dict[str, Separation]:
    """Put the queries of some rows to the model; the mixture is listened to once.

    "extract" asks for the target, "extract, asked once" too, but without the counter-question, "extract, text
    alone" without the hierarchy's guidance, "extract, unseen wording" in words that no training clip is
    captioned with, where the label has such.
    "AudioSep's form" asks for it of the rival, where the model has its weights. The oracles are told the truth:
    "oracle G" the target's global feature in the place of Ĝ, "oracle S" its local feature, too, in that of Ŝ.
    "remove" takes the second source away. "wrong query" asks for the second source. "absent query"
    asks for a sound that is not there.
    """
    queries: dict[str, tuple[Operation, str]] = {
        **dict.fromkeys(("extract", ONCE, TEXT_ALONE, *ORACLES), ("extract", pair.queries[0])),
        "remove": ("remove", pair.queries[1]),
        "wrong query": ("extract", pair.queries[1]),
        "absent query": ("extract", pair.absent),
    }
    if (wording := unseen_wordings().get(pair.queries[0])) is not None:
        queries[REWORDED] = ("extract", wording)
    if "audiosep" in model.weights_info:
        queries[RIVAL] = ("extract", pair.queries[0])
    listened = model.encode(mixture.audio)
    truth = Audio(mixture.target, RATE_HZ)
    whole = model.global_feature(truth) if set(ORACLES) & set(rows) else None  # (D,)
    return {
        row: model.separate(
            listened,
            Instruction(*queries[row], text=" ".join(queries[row])),
            SeparationOptions(
                "audiosep" if row == RIVAL else "mask",
                hierarchy=row != TEXT_ALONE,
                suppress_competitor=row != ONCE,
            ),
            global_target=whole if row in ORACLES else None,
            local_target=truth if row == "oracle S" else None,
        )
        for row in rows
        if row in queries
    }


def answers(mixture: Mixture, separations: Mapping[str, Separation]) -> dict[str, Answer]:
    """One answer a row. All are held against the target, "remove" against all but what was removed.

    Of two sources these are the same sound. "mixture" is doing nothing; "self" is the target against
    itself; "ideal ratio mask" knows the sources and masks the mixture's STFT by |T| / (|T| + |O|).
    """
    target = mixture.target
    references: dict[str, np.ndarray | None] = {
        **dict.fromkeys(("extract", ONCE, TEXT_ALONE, RIVAL, *ORACLES, REWORDED), target),
        "remove": target if len(mixture.sources) == 2 else mixture.without(1),
        "wrong query": target,
        "absent query": None,
    }
    bounds = {"mixture": mixture.wave, "self": target, "ideal ratio mask": ideal_ratio_mask(mixture)}
    found = {row: Answer(wave, target) for row, wave in bounds.items()}
    for row, separation in separations.items():
        found[row] = Answer(_mono(separation.target, mixture), references[row])
    return found


def score(
    answer: Answer, mixture: Mixture, reference_classes: np.ndarray | None, judge: Judge | None
) -> dict[str, float]:
    """The metrics of one answer, named as in `METRICS`.

    Args:
        answer: without a reference only the level is given.
        mixture: what went in.
        reference_classes: the judge's opinion of the reference; None without a judge.
        judge: for KL; None leaves it out.

    Returns:
        Value by metric; `level_db` is the energy of the estimate relative to the mixture's, in dB.
    """
    estimate, reference = answer.estimate, answer.reference
    scores = {"level_db": level_db(estimate, mixture.wave)}
    if reference is None:
        return scores
    scores["sdr"] = metrics.sdr(reference, estimate)
    scores["sdri"] = scores["sdr"] - metrics.sdr(reference, mixture.wave)
    scores["si_sdr"] = metrics.si_sdr(reference, estimate)
    scores["mel_psnr"] = metrics.mel_psnr(reference, estimate)
    scores["lsd"] = metrics.lsd(reference, estimate)
    if judge is not None and reference_classes is not None:
        scores["kl"] = metrics.kl(reference_classes, judge(estimate))
    return scores


def ideal_ratio_mask(mixture: Mixture) -> np.ndarray:
    """(S,): the mixture under the best magnitude-ratio mask, which needs the sources: a ceiling."""
    target, rest, whole = (
        stft(torch.from_numpy(np.ascontiguousarray(wave)))
        for wave in (mixture.target, mixture.without(0), mixture.wave)
    )  # (T, F) each
    mask = target.abs() / (target.abs() + rest.abs()).clamp_min(1e-12)  # (T, F)
    return np.asarray(istft(mask * whole, mixture.sources.shape[1]).numpy())


def level_db(estimate: np.ndarray, mixture: np.ndarray) -> float:
    """Energy of an estimate relative to the mixture's in dB, not below -100."""
    ratio = float(np.sum(np.square(estimate, dtype=np.float64)) / np.sum(np.square(mixture, dtype=np.float64)))
    return max(-metrics.LIMIT_DB, 10.0 * float(np.log10(ratio))) if ratio > 0.0 else -metrics.LIMIT_DB


def _mono(audio: Audio, mixture: Mixture) -> np.ndarray:
    samples = mixture.sources.shape[1]
    if audio.samples.shape != (1, samples):
        raise HSMError(f"model: the target has shape {audio.samples.shape}; wanted the mixture's (1, {samples}).")
    return np.asarray(audio.samples[0])
