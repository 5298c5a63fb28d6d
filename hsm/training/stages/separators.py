"""Stages `global`, `local` and `joint`: H1, H2 and both together. Paper: Sec. III-C, III-D."""

from __future__ import annotations

import numpy as np
import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional as F

from hsm.features import PATCH_BANDS, log_mel, mel_amplitude
from hsm.networks.audiomae import to_patches
from hsm.networks.q_audio import QAudio
from hsm.networks.separators import GlobalSeparator, LocalSeparator, TextCondition
from hsm.precision import mixed_precision
from hsm.training.frozen import FrozenLocal
from hsm.training.losses import attention_loss, global_loss
from hsm.training.mixtures import Mixer, MixingSettings, MixtureBatch, draw_first_column
from hsm.training.pool import Pool
from hsm.training.stage import Stage, StageContext, register

P_GT = 0.1  # Paper: Sec. IV-C
GLOBAL_WEIGHT, LOCAL_WEIGHT = 0.1, 1.0
ATTENTION_WEIGHT = 0.05
POOL_MIXTURES, USES = 192, 6  # mixtures in the pool, steps that ask each on average


def patch_activity(target: Tensor, other: Tensor) -> Tensor:
    """Where the target is to be found, from log-mels (B, T, M) of target and rest: (B, P), sums to 1."""
    loud, rest = (to_patches(mel_amplitude(mel)).mean(-1) for mel in (target, other))  # (B, P)
    activity = loud * loud / (loud + rest + 1e-6) + 1e-8
    return activity / activity.sum(1, keepdim=True)


class SeparatorStage(Stage):
    """H1, H2 or both, on S and G of pairs and of their sources.

    These features cost many times what a step of H1 costs, so they are kept in a pool. Every pair is asked for both
    of its sources, each by a task drawn at random. Paper: Sec. IV-A.
    """

    batch = 24
    mixing = MixingSettings(crop_s=5.12, snr_db=15.0)

    def __init__(self, context: StageContext) -> None:
        super().__init__(context)
        self.local, self.q_audio = FrozenLocal(self), self.freeze("q_audio", QAudio)
        self.h1: GlobalSeparator | None = None
        self.h2: LocalSeparator | None = None
        self.mixer = Mixer(context.clips, "train", self.mixing)
        self.pairs = max(1, self.batch // 2)
        self.fresh = max(1, self.pairs // USES)  # mixtures that enter the pool at each step
        self.pool = Pool(max(POOL_MIXTURES, self.pairs) // self.fresh + 1)
        self.prefill = self.pool.batches - 1

    def draw(self, rng: np.random.Generator) -> MixtureBatch:
        """The pairs that enter the pool."""
        return self.mixer.batch(self.fresh, rng)

    @torch.no_grad()
    def prepare(self, batch: MixtureBatch) -> None:
        """Compute their features: S and G of mixture and sources, where each source is, and its caption's number."""
        waves = torch.cat([batch.mixture[:, None], batch.sources], 1).to(self.device)  # (N, 3, S)
        with mixed_precision(self.device):
            local = self.local(waves.flatten(0, 1))  # (3 N, P, D)
            whole = self.q_audio.audio(local)  # (3 N, D)
        mels = log_mel(waves[:, 1:])  # (N, 2, T, M)
        activity = patch_activity(mels.flatten(0, 1), mels.flip(1).flatten(0, 1))  # (2 N, P)
        rows = self.context.captions.rows(batch.queries[1])
        self.pool.add(
            rearrange(local.half(), "(n k) p d -> n k p d", k=3),
            rearrange(whole.half(), "(n k) d -> n k d", k=3),
            rearrange(activity, "(n k) p -> n k p", k=2),
            rearrange(rows, "(n k) -> n k", k=2),
        )

    def training_step(self, batch: MixtureBatch) -> dict[str, Tensor]:
        """See `Stage.training_step`."""
        self.prepare(batch)
        local, whole, activity, rows = self.pool.draw(self.pairs)
        local_mixture, local_target = local[:, 0].repeat_interleave(2, 0).float(), local[:, 1:].flatten(0, 1).float()
        global_mixture, global_target = whole[:, 0].repeat_interleave(2, 0).float(), whole[:, 1:].flatten(0, 1).float()
        task = torch.randint(0, 2, (len(local_target),))
        described = torch.where(task == 0, rows.flatten(), rows.flip(1).flatten())  # "remove" describes the other
        features = self.context.captions.features(described)[0].to(self.device)
        out: dict[str, Tensor] = {}
        loss = torch.zeros((), device=self.device)
        with mixed_precision(self.device):
            with torch.no_grad():
                caption = self.q_audio.text(features).float()  # (B, L, D)
            text = TextCondition(caption, features.mask, self.context.captions.task[task].to(self.device))
            condition = global_target
            if self.h1 is not None:
                predicted = self.h1(global_mixture, text).float()
                l_global, out["cosine"] = global_loss(predicted, global_target)
                out["cosine_mixture"] = F.cosine_similarity(global_mixture, global_target).mean()
                loss = loss + (l_global if self.h2 is None else GLOBAL_WEIGHT * l_global)
                true = (torch.rand(len(predicted), 1) < P_GT).to(self.device)
                condition = torch.where(true, global_target, predicted)
            if self.h2 is not None:
                first = draw_first_column(local_mixture.shape[1] // PATCH_BANDS)
                found = self.h2(local_mixture, condition, text, first)
                out["l1"] = F.l1_loss(found.local.float(), local_target)
                out["l1_mixture"] = F.l1_loss(local_mixture, local_target)
                out["attention"] = attention_loss(found.attention, activity.flatten(0, 1))
                loss = loss + LOCAL_WEIGHT * out["l1"] + ATTENTION_WEIGHT * out["attention"]
        return {"loss": loss, **out}


@register("global")
class GlobalStage(SeparatorStage):
    """H1 alone."""

    def __init__(self, context: StageContext) -> None:
        super().__init__(context)
        self.h1 = self.train("global_separator", GlobalSeparator)


@register("local")
class LocalStage(SeparatorStage):
    """H2 alone, from the true G."""

    def __init__(self, context: StageContext) -> None:
        super().__init__(context)
        self.h2 = self.train("local_separator", LocalSeparator)


@register("joint")
class JointStage(SeparatorStage):
    """Both, trained before one by one."""

    def __init__(self, context: StageContext) -> None:
        super().__init__(context)
        self.h1 = self.train("global_separator", GlobalSeparator)
        self.h2 = self.train("local_separator", LocalSeparator)
        self.needs = (*self.needs, *self.trains)
