"""Clips and captions: decoded and encoded once, then read from a cache.

A packed cache works without the clips themselves: copy manifest and cache folder to a machine that has neither the
sound files nor a decoder nor a text encoder.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from hsm.audio import load_audio
from hsm.features import RATE_HZ
from hsm.manifest import Clip, read_manifest
from hsm.text import TASK_WORDS, TextEncoder, TextFeatures

LONGEST_S = 30.0
TEMPLATES = ("the sound of {}", "a recording of {}", "{} in the background", "some {} nearby", "sound of a {}")


def _decode(path: Path) -> np.ndarray:
    wave = load_audio(path).mono_16k.numpy()[: int(LONGEST_S * RATE_HZ)]  # (S,)
    return np.clip(np.round(wave * 32767), -32768, 32767).astype(np.int16)


class ClipStore:
    """Random access to all clips of a manifest, which are decoded into one int16 memory map in `cache`.

    The map is made anew when the manifest's text changes.
    """

    def __init__(self, manifest: Path, cache: Path) -> None:
        self.clips: list[Clip] = read_manifest(manifest)
        digest = hashlib.sha256(Path(manifest).read_bytes()).hexdigest()[:16]
        samples_path, index_path = cache / f"{digest}.int16", cache / f"{digest}.json"
        if not index_path.exists():
            cache.mkdir(parents=True, exist_ok=True)
            self._build(samples_path, index_path)
        self.offsets = np.asarray(json.loads(index_path.read_text())["offsets"], dtype=np.int64)
        self._samples = np.memmap(samples_path, dtype=np.int16, mode="r")

    def _build(self, samples_path: Path, index_path: Path) -> None:
        offsets = [0]
        # One thread a process: several in each would fight for the same cores.
        workers = ProcessPoolExecutor(initializer=torch.set_num_threads, initargs=(1,))
        with samples_path.open("wb") as out, workers as pool:
            decoded = pool.map(_decode, [clip.path for clip in self.clips], chunksize=32)
            for wave in tqdm(decoded, total=len(self.clips), desc="decoding clips", mininterval=10):
                out.write(wave.tobytes())
                offsets.append(offsets[-1] + len(wave))
        index_path.write_text(json.dumps({"rate_hz": RATE_HZ, "offsets": offsets}))

    def length(self, index: int) -> int:
        """Samples of a clip."""
        return int(self.offsets[index + 1] - self.offsets[index])

    def wave(self, index: int, start: int = 0, count: int | None = None) -> np.ndarray:
        """Samples [start, start + count) of a clip as float32 in [-1, 1], fewer at its end."""
        begin, end = int(self.offsets[index]) + start, int(self.offsets[index + 1])
        if count is not None:
            end = min(end, begin + count)
        return self._samples[begin:end].astype(np.float32) / 32768.0


@cache
def all_paraphrases() -> dict[str, tuple[str, ...]]:
    """Other captions of frequent classes, written for training, by class."""
    found: dict[str, list[str]] = defaultdict(list)
    with (Path(__file__).parent / "paraphrases.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            found[row["label"]].append(row["caption"])
    return {label: tuple(texts) for label, texts in found.items()}


def _composed(clip: Clip) -> list[str]:
    """All class names, and templates around the narrowest."""
    names = " ".join(reversed(clip.classes)) or clip.caption
    return [names, *(template.format(clip.label) for template in TEMPLATES)]


def captions(clip: Clip) -> list[str]:
    """What a clip is asked for by: its caption, its narrowest class, templates around it, paraphrases."""
    return [clip.caption, clip.label, *_composed(clip), *all_paraphrases().get(clip.label, ())]


def draw_caption(clip: Clip, rng: np.random.Generator) -> str:
    """One of a clip's captions: its own 40 %, class 30 %, else a template or, two thirds of the times, a paraphrase."""
    u = rng.random()
    if u < 0.70:
        return clip.caption if u < 0.40 else clip.label
    options = all_paraphrases().get(clip.label, ()) if u < 0.90 else ()
    options = options or tuple(_composed(clip))
    return options[int(rng.integers(len(options)))]


class CaptionStore:
    """Frozen text features of some texts.

    Args:
        texts: all that will be asked for.
        encoder: makes the text encoder; not called when the cache already holds the features.
        name: of the encoder, part of the cache's name.
        cache: folder.
    """

    def __init__(self, texts: list[str], encoder: Callable[[], TextEncoder], name: str, cache: Path) -> None:
        texts = sorted(set(texts))
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
        means = torch.segment_reduce(self._tokens.float(), "mean", lengths=self._offsets.diff())
        self._sentences = F.normalize(means, dim=-1)

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

    def rows(self, texts: list[str]) -> Tensor:
        """Numbers of texts, for `features`: (B,)."""
        return torch.tensor([self._row[text] for text in texts])

    def sentences(self, texts: list[str]) -> Tensor:
        """Sentence embeddings (B, W), unit length."""
        return self._sentences[self.rows(texts)]

    def features(self, rows: Tensor) -> tuple[TextFeatures, Tensor]:
        """Token features (B, L, W) with mask, and ids (B, L) in the compact vocabulary."""
        begins, ends = self._offsets[rows], self._offsets[rows + 1]
        place = torch.arange(int((ends - begins).max()))
        mask = place < (ends - begins)[:, None]  # (B, L)
        places = (begins[:, None] + place)[mask]
        tokens = torch.zeros(*mask.shape, self._tokens.shape[1])
        tokens[mask] = self._tokens[places].float()
        ids = torch.zeros(mask.shape, dtype=torch.long)
        ids[mask] = self._ids[places]
        return TextFeatures(tokens, mask), ids
