"""Stages `global`, `local` and `joint`: H1, H2 and both together. Paper: Sec. III-C, III-D."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hsm.features import PATCH_BANDS
from hsm.networks.separators import GlobalSeparator, LocalSeparator
from hsm.precision import mixed_precision
from hsm.training.frozen import FrozenFeatures
from hsm.training.mixing import MixingSettings, draw_first_column
from hsm.training.processes import processes, share
from hsm.training.stages import Optimisation, Stage, StageContext

P_GT = 0.1  # Paper: Sec. IV-C
GLOBAL_WEIGHT, LOCAL_WEIGHT = 0.1, 1.0
ATTENTION_WEIGHT = 0.05


def global_loss(predicted: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """1 - cosine and L1, both weights 1: loss and cosine. Paper: Eq. 5-7."""
    cosine = F.cosine_similarity(predicted, truth).mean()
    return 1 - cosine + F.l1_loss(predicted, truth), cosine


def attention_loss(attention: Tensor, activity: Tensor) -> Tensor:
    """KL divergence of the heads' mean attention (B, heads, P) from the target's activity (B, P).

    Departure: the paper trains this attention through Ŝ alone, but nothing reads what the last layer
    writes into the global token, so its attention would stay as it came; this trains it to say where
    the target is.
    """
    mean = attention.mean(1).clamp_min(1e-9)  # (B, P)
    return (activity * (activity.clamp_min(1e-9).log() - mean.log())).sum(1).mean()


class SeparationStage(Stage):
    """H1, H2 or both.

    Args:
        name: "global", "local" or "joint".
        context: with audiomae, q_audio, global_separator, local_separator.
        optimisation: see `Optimisation`.
        mixing: how mixtures are drawn.
    """

    def __init__(self, name: str, context: StageContext, optimisation: Optimisation, mixing: MixingSettings) -> None:
        h1, h2 = context.modules["global_separator"], context.modules["local_separator"]
        assert isinstance(h1, GlobalSeparator) and isinstance(h2, LocalSeparator)
        wanted: dict[str, dict[str, nn.Module]] = {
            "global": {"global_separator": h1},
            "local": {"local_separator": h2},
            "joint": {"global_separator": h1, "local_separator": h2},
        }
        for module in wanted[name].values():
            module.train().requires_grad_(True)
        before = {"global": (), "local": (), "joint": ("global_separator", "local_separator")}[name]
        needs = (*FrozenFeatures.NEEDS, *before)
        super().__init__(name, wanted[name], optimisation, context, needs=needs)
        self.h1, self.h2 = h1, h2
        self.features = FrozenFeatures(context, mixing, optimisation.batch)
        self.random_state |= self.features.pool.random_state

    def losses(self) -> dict[str, Tensor]:
        """See `Stage.losses`."""
        batch = self.features.draw()
        out: dict[str, Tensor] = {}
        loss = torch.zeros((), device=self.device)
        with mixed_precision(self.device):
            condition = batch.global_target
            if self.name != "local":
                predicted = self.h1(batch.global_mixture, batch.text).float()
                l_global, out["cosine"] = global_loss(predicted, batch.global_target)
                out["cosine_mixture"] = F.cosine_similarity(batch.global_mixture, batch.global_target).mean()
                loss = loss + (l_global if self.name == "global" else GLOBAL_WEIGHT * l_global)
                switch = share(torch.rand(len(predicted) * processes(), 1) < P_GT).to(self.device)
                condition = torch.where(switch, batch.global_target, predicted)
            if self.name != "global":
                first = draw_first_column(batch.local_mixture.shape[1] // PATCH_BANDS)
                local = self.h2(batch.local_mixture, condition, batch.text, first)
                out["l1"] = F.l1_loss(local.local.float(), batch.local_target)
                out["l1_mixture"] = F.l1_loss(batch.local_mixture, batch.local_target)
                out["attention"] = attention_loss(local.attention, batch.activity)
                loss = loss + LOCAL_WEIGHT * out["l1"] + ATTENTION_WEIGHT * out["attention"]
        return {"loss": loss, **out}
