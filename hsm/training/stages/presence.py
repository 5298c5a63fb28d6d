"""Stage `presence`: names of what a mixture holds, over the frozen frames of the mask decoder."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from hsm.errors import HSMError
from hsm.features import stft
from hsm.networks.mask_decoder import MaskDecoder
from hsm.networks.sound_encoder import SoundEncoder
from hsm.networks.tagger import ALIKE, Tagger
from hsm.precision import mixed_precision
from hsm.training.mixtures import VARIED, Mixer, MixtureBatch
from hsm.training.pool import Pool
from hsm.training.stage import Stage, StageContext, register

DROPPED = 0.1  # of the channels of the frames, or mixtures are known by heart
POOL_MIXTURES, USES = 384, 6  # mixtures in the pool, steps that see each on average


def frequent_names(context: StageContext, count: int) -> list[str]:
    """The most frequent narrow class names of the training clips; `HSMError` where there are fewer."""
    clips = [clip for clip in context.clips.clips if clip.split == "train"]
    names = [name for name, _ in Counter(clip.label for clip in clips).most_common(count)]
    if len(names) < count:
        raise HSMError(f"manifest: {len(names)} class names in split train; wanted at least {count}.")
    return names


@register("presence")
class PresenceStage(Stage):
    """Binary cross-entropy of every name; names that may mean the same as one that is there do not count."""

    mixing = replace(VARIED, crop_s=5.12)
    matrices = ()

    def __init__(self, context: StageContext) -> None:
        super().__init__(context)
        self.encoder = self.freeze("sound_encoder", SoundEncoder)
        self.decoder = self.freeze("mask", MaskDecoder)
        self.tagger = self.train("presence", Tagger)
        self.names = frequent_names(context, len(self.tagger.vocabulary))
        self._row = {name: i for i, name in enumerate(self.names)}
        vocabulary = context.captions.sentences(self.names).to(self.device)  # (V, W)
        self.tagger.vocabulary.copy_(vocabulary)
        self._alike = (vocabulary @ vocabulary.t() > ALIKE).float()  # (V, V)
        self.mixer = Mixer(context.clips, "train", self.mixing)
        self.fresh = max(1, self.batch // USES)
        self.pool = Pool(max(POOL_MIXTURES, self.batch) // self.fresh + 1)
        self.prefill = self.pool.batches - 1

    def metadata(self) -> dict[str, str]:
        """The names, in the order of the tagger's vocabulary."""
        return {"names": json.dumps(self.names)}

    def draw(self, rng: np.random.Generator) -> MixtureBatch:
        """The mixtures that enter the pool."""
        return self.mixer.batch(self.fresh, rng)

    @torch.no_grad()
    def prepare(self, batch: MixtureBatch) -> None:
        """Compute their frames (B, T, C), and which names are there (B, V)."""
        mixture = batch.mixture.to(self.device)
        with mixed_precision(self.device):
            frames = self.decoder.encode(stft(mixture).abs(), self.encoder(mixture))  # (B, T, C)
        there = torch.zeros(len(mixture), len(self.names))
        for i, sources in enumerate(batch.classes):
            there[i, [self._row[name] for classes in sources for name in classes if name in self._row]] = 1
        self.pool.add(frames.half(), there.to(self.device))

    def training_step(self, batch: MixtureBatch) -> dict[str, Tensor]:
        """See `Stage.training_step`."""
        self.prepare(batch)
        frames, there = self.pool.draw(self.batch)  # (B, T, C), (B, V)
        kept = (torch.rand(len(frames), 1, frames.shape[2]) >= DROPPED).to(frames.device)
        scores = self.tagger(frames.float() * kept / (1 - DROPPED))  # (B, V)
        counts = (there > 0) | (there @ self._alike == 0)
        loss = (F.binary_cross_entropy_with_logits(scores, there, reduction="none") * counts).sum(1).mean()
        first = scores.detach().argmax(1, keepdim=True)
        return {"loss": loss, "first_is_there": there.gather(1, first).mean()}
