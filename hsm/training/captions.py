"""Wordings of a clip and their frozen text features, computed once."""

from __future__ import annotations

import csv
import hashlib
from collections import defaultdict
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from hsm.manifest import Clip
from hsm.text import TASK_WORDS, TextEncoder, TextFeatures

TEMPLATES = ("the sound of {}", "a recording of {}", "{} in the background", "some {} nearby", "sound of a {}")


@cache
def all_paraphrases() -> dict[str, tuple[str, ...]]:
    """Other wordings of frequent classes, by class."""
    found: dict[str, list[str]] = defaultdict(list)
    with (Path(__file__).parent / "data" / "wordings.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            found[row["label"]].append(row["wording"])
    return {label: tuple(texts) for label, texts in found.items()}


def paraphrases(clip: Clip) -> tuple[str, ...]:
    """Other ways to say the narrowest class of a clip, written for training; none for a rare class."""
    return all_paraphrases().get(clip.label, ())


def wordings(clip: Clip) -> list[str]:
    """The wordings a clip is asked for by: caption, class names, templates around the narrowest class, paraphrases.

    The first is the caption, the second the narrowest class name.
    """
    narrow = clip.label
    all_classes = " ".join(reversed(clip.classes)) or clip.caption
    templates = (template.format(narrow) for template in TEMPLATES)
    return [clip.caption, narrow, all_classes, *templates, *paraphrases(clip)]


def draw_wording(clip: Clip, rng: np.random.Generator) -> str:
    """One wording: caption 40 %, class 30 %, the rest 30 %, two thirds of it a paraphrase where there is one."""
    u = rng.random()
    if u < 0.40:
        return clip.caption
    if u < 0.70:
        return clip.label
    options = wordings(clip)
    others = paraphrases(clip) if u < 0.90 else ()
    return str(rng.choice(others)) if others else options[int(rng.integers(2, 3 + len(TEMPLATES)))]


class CaptionStore:
    """Token features of every wording of some clips.

    Args:
        clips: whose wordings are needed.
        encoder: makes the frozen text encoder; not called when the cache already holds the features.
        name: of the encoder, part of the cache's name.
        cache: folder.
    """

    def __init__(self, clips: list[Clip], encoder: Callable[[], TextEncoder], name: str, cache: Path) -> None:
        texts = sorted({w for clip in clips for w in wordings(clip)})
        digest = hashlib.sha256("\n".join([name, *texts]).encode()).hexdigest()[:16]
        path = cache / f"text-{digest}.pt"
        if not path.exists():
            cache.mkdir(parents=True, exist_ok=True)
            self._build(texts, encoder(), path)
        packed = torch.load(path, weights_only=True)
        self._tokens, self._ids, self._offsets = packed["tokens"], packed["ids"], packed["offsets"]
        self.vocabulary: Tensor = packed["vocabulary"]  # (V', W) embeddings of the tokens that occur
        self.start_id: int = int(packed["start_id"])
        self.task: Tensor = packed["task"]  # (2, W)
        self._row = {text: i for i, text in enumerate(texts)}

    @staticmethod
    def _build(texts: list[str], encoder: TextEncoder, path: Path) -> None:
        tokens, ids, offsets = [], [], [0]
        for i in tqdm(range(0, len(texts), 128), desc="text features", mininterval=10):
            batch = texts[i : i + 128]
            features = encoder.encode(batch)
            token_ids, mask = encoder.token_ids(batch)
            for row in range(len(batch)):
                n = int(mask[row].sum())
                tokens.append(features.tokens[row, :n].half())
                ids.append(token_ids[row, :n])
                offsets.append(offsets[-1] + n)
        used, compact = torch.unique(torch.cat(ids), return_inverse=True)
        torch.save(
            {
                "tokens": torch.cat(tokens),  # (sum L, W)
                "ids": compact,  # (sum L,) rows of vocabulary
                "offsets": torch.tensor(offsets),
                "vocabulary": encoder.vocabulary[used].float().clone(),
                "start_id": int(compact[0]),
                "task": torch.cat([encoder.task(word) for word in TASK_WORDS]),
            },
            path,
        )

    def features(self, texts: list[str]) -> tuple[TextFeatures, Tensor]:
        """Token features (B, L, W) with mask, and ids (B, L) in the compact vocabulary."""
        rows = [self._row[text] for text in texts]
        spans = [(int(self._offsets[r]), int(self._offsets[r + 1])) for r in rows]
        longest = max(end - begin for begin, end in spans)
        tokens = torch.zeros(len(texts), longest, self._tokens.shape[1])
        ids = torch.zeros(len(texts), longest, dtype=torch.long)
        mask = torch.zeros(len(texts), longest, dtype=torch.bool)
        for i, (begin, end) in enumerate(spans):
            n = end - begin
            tokens[i, :n], ids[i, :n], mask[i, :n] = self._tokens[begin:end].float(), self._ids[begin:end], True
        return TextFeatures(tokens, mask), ids
