"""Stage `q_audio`: the global-semantic features. Paper: Sec. III-B2, IV-C."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from hsm.networks.q_audio import QAudio
from hsm.precision import mixed_precision
from hsm.text import TextFeatures
from hsm.training.distributed import gather, rank
from hsm.training.frozen import FrozenLocal
from hsm.training.losses import contrastive
from hsm.training.mixtures import Mixer, MixingSettings, MixtureBatch
from hsm.training.stage import Stage, StageContext, register
from hsm.training.stages.audiomae import class_numbers


@register("q_audio")
class QAudioStage(Stage):
    """ITC, ITM and ITG over frozen AudioMAE and text features, weights 1."""

    batch = 64
    mixing = MixingSettings(crop_s=5.12, sources=(1.0,))

    def __init__(self, context: StageContext) -> None:
        super().__init__(context)
        self.local = FrozenLocal(self)
        self.q_audio = self.train("q_audio", QAudio)
        self.mixer = Mixer(context.clips, "train", self.mixing)

    def draw(self, rng: np.random.Generator) -> MixtureBatch:
        """Single clips."""
        return self.mixer.batch(self.batch, rng)

    def training_step(self, batch: MixtureBatch) -> dict[str, Tensor]:
        """See `Stage.training_step`."""
        captions = self.context.captions
        features, ids = captions.features(captions.rows(batch.queries[1]))
        features, ids = features.to(self.device), ids.to(self.device)
        kinds = gather(class_numbers(batch.classes).to(self.device))  # of all ranks
        positives = kinds[:, None] == kinds
        vocabulary = captions.vocabulary.to(self.device)  # (V, W)
        with mixed_precision(self.device):
            local = self.local(batch.mixture.to(self.device))  # (B, P, D)
            audio = F.normalize(self.q_audio.audio(local).float(), dim=-1)  # (B, D)
            text = F.normalize(self.q_audio.text(features)[:, 0].float(), dim=-1)  # (B, D)
            similarity = gather(audio) @ gather(text).t() * self.q_audio.temperature.exp().clamp(max=50)
            itc = contrastive(similarity, positives)
            own = slice(rank() * len(local), (rank() + 1) * len(local))
            itm = self._matching(local, features, similarity.detach()[own, own], positives[own, own])
            words = self.q_audio.generation(local, vocabulary[ids[:, :-1]], features.mask[:, :-1])
            scores = words @ vocabulary.t() * words.shape[-1] ** -0.5  # (B, L - 1, V)
        following = ids[:, 1:].masked_fill(~features.mask[:, 1:], -100)
        itg = F.cross_entropy(scores.float().flatten(0, 1), following.flatten(), ignore_index=-100)
        return {"loss": itc + itm + itg, "itc": itc, "itm": itm, "itg": itg}

    def _matching(self, local: Tensor, features: TextFeatures, similarity: Tensor, positives: Tensor) -> Tensor:
        """ITM against hard negatives of the batch: captions and sounds drawn in proportion to their similarity."""
        weights = similarity.masked_fill(positives, -torch.inf)
        every = torch.arange(len(local), device=local.device)
        rows = every[weights.isfinite().any(1)]  # those that have a negative
        if len(rows) == 0:
            return similarity.new_zeros(())
        wrong_text = torch.multinomial(weights[rows].softmax(1), 1)[:, 0]
        wrong_audio = torch.multinomial(weights.t()[rows].softmax(1), 1)[:, 0]
        audio_rows, text_rows = torch.cat([every, rows, wrong_audio]), torch.cat([every, wrong_text, rows])
        target = (torch.arange(len(audio_rows), device=local.device) < len(every)).long()
        pairs = TextFeatures(features.tokens[text_rows], features.mask[text_rows])
        return F.cross_entropy(self.q_audio.matching(local[audio_rows], pairs).float(), target)
