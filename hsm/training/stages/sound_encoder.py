"""Stage `sound_encoder`: a sound encoder and a tagger, from a teacher's labels and feature maps."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hsm.errors import HSMError
from hsm.features import log_mel, working_gain
from hsm.networks.sound_encoder import SoundEncoder
from hsm.networks.tagger import Tagger
from hsm.precision import mixed_precision
from hsm.training.mixtures import Mixer, MixingSettings, MixtureBatch
from hsm.training.stage import Stage, StageContext, register
from hsm.training.teacher import MAP_WIDTHS, Lesson, Teacher

MAP_WEIGHTS = (0.5, 1.0, 1.0)  # of half patches, of patches, of wide tiles
POOLED_WEIGHT, LABELS_WEIGHT, NAMES_WEIGHT = 1.5, 60.0, 10.0
TEACHER_PEAK = 0.6
MEASURED = 6  # batches from which mean and spread of the teacher's features are taken


class Spread(NamedTuple):
    """Mean and standard deviation of a feature, (C,) each."""

    mean: Tensor
    deviation: Tensor

    @staticmethod
    def of(values: Tensor) -> Spread:
        """Over all but the last axis."""
        flat = values.flatten(0, -2)
        return Spread(flat.mean(0), flat.std(0).clamp_min(1e-3))

    def normed(self, values: Tensor) -> Tensor:
        """To zero mean and unit spread."""
        return (values - self.mean) / self.deviation


@register("sound_encoder")
class SoundEncoderStage(Stage):
    """Clips and mixtures of up to three; the teacher hears what the student hears.

    The student learns the teacher's soft labels and three of its maps, each by a linear head that is not kept, and the
    class names of the training clips themselves.
    """

    batch = 24
    clip_norm = 5.0
    adamw_lr = 2e-3
    ema_decay = 0.999
    matrices = ("expand.", "project.", "merge.")
    mixing = MixingSettings(
        crop_s=5.12,
        sources=(0.4, 0.48, 0.12),
        focus_share=0.25,
        same_label_mix=0.1,
        reverberation=0.15,
        speed=0.15,
        equaliser_db=3.0,
    )

    def __init__(self, context: StageContext) -> None:
        super().__init__(context)
        path: Path | None = context.options.teacher
        if path is None:
            raise HSMError("stage sound_encoder: got no --teacher; wanted EfficientAT's mn04_as state dict.")
        self.teacher = Teacher.load(path).to(self.device)
        self.encoder, self.tagger = self.train("sound_encoder", SoundEncoder), self.train("tagger", Tagger)
        widths = context.config.sound_encoder.widths
        torch.manual_seed(context.seed)
        self.heads = nn.ModuleList(nn.Linear(w, c) for w, c in zip(widths, MAP_WIDTHS, strict=True)).to(self.device)
        self.pooled_head = nn.Linear(2 * widths[-1], MAP_WIDTHS[-1]).to(self.device)
        self.trains |= {"heads": self.heads, "pooled_head": self.pooled_head}
        self.names = frequent_classes(context, len(self.tagger.vocabulary))
        self._row = {name: i for i, name in enumerate(self.names)}
        self.tagger.vocabulary.copy_(context.captions.sentences(self.names))
        self.mixer = Mixer(context.clips, "train", self.mixing)
        rng = np.random.default_rng(context.seed)
        lessons = [self._lesson(self.mixer.batch(self.batch, rng).mixture.to(self.device)) for _ in range(MEASURED)]
        self._maps = [Spread.of(torch.cat(level)) for level in zip(*(lesson.maps for lesson in lessons), strict=True)]
        self._pooled = Spread.of(torch.cat([lesson.pooled for lesson in lessons]))

    def metadata(self) -> dict[str, str]:
        """The names, in the order of the tagger's vocabulary."""
        return {"names": json.dumps(self.names)}

    def draw(self, rng: np.random.Generator) -> MixtureBatch:
        """See `Mixer.batch`."""
        return self.mixer.batch(self.batch, rng)

    def _lesson(self, waves: Tensor) -> Lesson:
        peak = waves.abs().amax(1, keepdim=True).clamp_min(1e-6)
        with mixed_precision(self.device):
            return self.teacher(waves / peak * TEACHER_PEAK)

    def training_step(self, batch: MixtureBatch) -> dict[str, Tensor]:
        """See `Stage.training_step`."""
        waves = batch.mixture.to(self.device)
        lesson = self._lesson(waves)
        level = 10 ** (torch.empty(len(waves), 1, device=self.device).uniform_(-6, 6) / 20)
        mel = log_mel(waves * working_gain(waves) * level)
        with mixed_precision(self.device):
            maps = self.encoder(mel).maps
        losses = [
            F.mse_loss(head(own.float()), spread.normed(told))
            for head, own, spread, told in zip(self.heads, maps, self._maps, lesson.maps, strict=True)
        ]
        pooled = F.mse_loss(self.pooled_head(self.tagger.pool(maps[-1])), self._pooled.normed(lesson.pooled))
        labels, names = self.tagger(maps[-1])
        likely = lesson.logits.sigmoid()
        told = F.binary_cross_entropy_with_logits(labels, likely) - F.binary_cross_entropy(likely, likely)
        there = torch.zeros_like(names)
        for i, sources in enumerate(batch.classes):
            there[i, [self._row[name] for classes in sources for name in classes if name in self._row]] = 1
        named = F.binary_cross_entropy_with_logits(names, there)
        loss = sum(weight * one for weight, one in zip(MAP_WEIGHTS, losses, strict=True))
        loss = loss + POOLED_WEIGHT * pooled + LABELS_WEIGHT * told + NAMES_WEIGHT * named
        half_patches, patches, wide = losses
        return {
            "loss": loss,
            "half_patches": half_patches,
            "patches": patches,
            "wide": wide,
            "pooled": pooled,
            "labels": told,
            "names": named,
        }


def frequent_classes(context: StageContext, count: int) -> list[str]:
    """The most frequent class names of the training clips, sorted; `HSMError` where there are fewer."""
    clips = [clip for clip in context.clips.clips if clip.split == "train"]
    found = Counter(name for clip in clips for name in clip.classes).most_common(count)
    if len(found) < count:
        raise HSMError(f"manifest: {len(found)} class names in split train; wanted at least {count}.")
    return sorted(name for name, _ in found)
