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
from hsm.training.losses import global_loss
from hsm.training.mixtures import Mixer, MixingSettings, MixtureBatch, draw_first_column
from hsm.training.pool import Pool
from hsm.training.stage import Stage, StageContext, register

P_GT = 0.1  # Paper: Sec. IV-C
GLOBAL_WEIGHT, LOCAL_WEIGHT = 0.1, 1.0
SHARE_WEIGHT = 0.5
REMOVAL_SHARE = 0.3  # of the removals, that teach H2 what they leave; the mask decoder asks for the named sound
WORDLESS_SHARE = 0.1  # of H2's queries, in which the true G alone asks, as an example does
POOL_MIXTURES, USES = 192, 6  # mixtures in the pool, steps that ask each on average


def patch_shares(target: Tensor, rest: Tensor) -> Tensor:
    """The target's share of each patch's energy, from log-mels (B, T, M) of target and rest: (B, P) in [0, 1]."""
    loud, other = (to_patches(mel_amplitude(mel)).mean(-1).square() for mel in (target, rest))  # (B, P)
    return loud / (loud + other + 1e-9)


def share_loss(scores: Tensor, shares: Tensor, level: Tensor) -> Tensor:
    """Cross-entropy of H2's shares (B, P) above its least possible; patches count by the root of their level (B, P)."""
    weight = level.sqrt() / level.sqrt().mean(1, keepdim=True).clamp_min(1e-6)
    least = F.binary_cross_entropy(shares, shares, reduction="none")
    return (weight * (F.binary_cross_entropy_with_logits(scores, shares, reduction="none") - least)).mean()


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
        """Compute their features: S and G of mixture and sources, shares and level of patches, captions' numbers."""
        waves = torch.cat([batch.mixture[:, None], batch.sources], 1).to(self.device)  # (N, 3, S)
        with mixed_precision(self.device):
            local = self.local(waves.flatten(0, 1))  # (3 N, P, D)
            whole = self.q_audio.audio(local)  # (3 N, D)
        mels = log_mel(waves)  # (N, 3, T, M)
        shares = patch_shares(mels[:, 1:].flatten(0, 1), mels[:, 1:].flip(1).flatten(0, 1))  # (2 N, P)
        level = to_patches(mel_amplitude(mels[:, 0])).mean(-1)  # (N, P)
        rows = self.context.captions.rows(batch.queries[1])
        self.pool.add(
            rearrange(local.half(), "(n k) p d -> n k p d", k=3),
            rearrange(whole.half(), "(n k) d -> n k d", k=3),
            rearrange(shares, "(n k) p -> n k p", k=2),
            level,
            rearrange(rows, "(n k) -> n k", k=2),
        )

    def training_step(self, batch: MixtureBatch) -> dict[str, Tensor]:
        """See `Stage.training_step`."""
        self.prepare(batch)
        local, whole, shares, level, rows = self.pool.draw(self.pairs)
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
                taught = ((task == 0) | (torch.rand(len(task)) < REMOVAL_SHARE)).nonzero()[:, 0].to(self.device)
                silent = (torch.rand(len(taught), 1) < WORDLESS_SHARE).to(self.device)
                words = TextCondition(*(part[taught] for part in text))
                words = words._replace(mask=words.mask & ~silent)
                told = torch.where(silent, global_target[taught], condition[taught])
                found = self.h2(local_mixture[taught], told, words, first)
                out["l1"] = F.l1_loss(found.local.float(), local_target[taught])
                out["l1_mixture"] = F.l1_loss(local_mixture[taught], local_target[taught])
                level = level.repeat_interleave(2, 0)[taught]
                out["share"] = share_loss(found.share.float(), shares.flatten(0, 1)[taught], level)
                loss = loss + LOCAL_WEIGHT * out["l1"] + SHARE_WEIGHT * out["share"]
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
