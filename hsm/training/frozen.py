"""The frozen networks that later stages stand on."""

from __future__ import annotations

from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor

from hsm.features import log_mel, mel_amplitude
from hsm.networks.audiomae import to_patches
from hsm.networks.mask_decoder import Guidance
from hsm.networks.q_audio import QAudio
from hsm.networks.separators import TextCondition
from hsm.precision import mixed_precision
from hsm.text import TextFeatures
from hsm.training.captions import draw_wording
from hsm.training.mixing import Mixer, MixingSettings, MixtureBatch
from hsm.training.pool import Pool, Rows
from hsm.training.processes import gathered, processes, share
from hsm.training.stages import StageContext

POOL_BATCHES = 16  # batches of mixtures in a pool
POOL_STEPS = 96  # on average a mixture is used six times


class SeparationBatch(NamedTuple):
    """Features of B mixtures, each asked for one of its sources by one of the two tasks.

    Args:
        local_mixture: S_mix (B, P, D).
        global_mixture: G_mix (B, D).
        local_target: S of the target alone (B, P, D).
        global_target: G of the target alone (B, D).
        text: the condition.
        activity: (B, P), the target's share of each patch of the mixture times its loudness there, sums
            to 1: where the target is to be found.
    """

    local_mixture: Tensor
    global_mixture: Tensor
    local_target: Tensor
    global_target: Tensor
    text: TextCondition
    activity: Tensor


def patch_activity(target: Tensor, other: Tensor) -> Tensor:
    """Where the target is to be found, from log-mels (B, T, M) of target and rest: (B, P), sums to 1."""
    loud, rest = (to_patches(mel_amplitude(mel)).mean(-1) for mel in (target, other))  # (B, P)
    activity = loud * loud / (loud + rest + 1e-6) + 1e-8
    return activity / activity.sum(1, keepdim=True)


class FrozenEar:
    """Sound encoder and AudioMAE: S of waves."""

    NEEDS = ("sound_encoder", "audiomae")

    def __init__(self, context: StageContext) -> None:
        self.sound_encoder, self.audiomae = (context.modules[name].eval().requires_grad_(False) for name in self.NEEDS)

    def local(self, waves: Tensor, cells: Tensor | None = None) -> Tensor:
        """S (B, P, D) of (B, S); the cells are computed where not given."""
        cells = self.sound_encoder(waves) if cells is None else cells
        out: Tensor = self.audiomae(log_mel(waves), cells)
        return out


class FrozenFeatures:
    """S and G of mixtures and of their sources.

    Features cost many times what a step of H1 costs, so mixtures are drawn from a pool. What a step sees of a
    mixture still differs: its task and its wordings.

    Args:
        context: see `NEEDS`.
        mixing: how mixtures are drawn.
        batch: mixtures of a step, B / 2 of each process.
    """

    NEEDS = (*FrozenEar.NEEDS, "q_audio")

    def __init__(self, context: StageContext, mixing: MixingSettings, batch: int) -> None:
        self.ear = FrozenEar(context)
        q_audio = context.modules["q_audio"]
        assert isinstance(q_audio, QAudio)
        self.q_audio = q_audio.eval().requires_grad_(False)
        self.context = context
        self.mixer = Mixer(context.clips, "train", mixing, context.seed)
        self.batch = batch
        self.pool = Pool(self.mixer.rng, self._fill, POOL_BATCHES, POOL_STEPS, context.seed)

    def _fill(self) -> Rows:
        """New mixtures of all processes, half precision.

        Returns:
            S (N, 3, P, D) and G (N, 3, D) of mixture and sources; activity (N, 2, P), see `SeparationBatch`;
            N pairs of indices into the clip list.
        """
        device = self.context.device
        batch: MixtureBatch = self.mixer.batch(self.batch)
        mixture, sources = batch.mixture.to(device), batch.sources.to(device)
        waves = torch.cat([mixture.unsqueeze(1), sources], 1).flatten(0, 1)  # (3 N, S)
        with mixed_precision(device):
            local = self.ear.local(waves)  # (3 N, P, D)
            whole = self.q_audio.audio(local)  # (3 N, D)
        target, other = sources.flatten(0, 1), sources.flip(1).flatten(0, 1)  # (2 N, S) each
        activity = patch_activity(log_mel(target), log_mel(other))
        return (
            gathered(rearrange(local.half(), "(n k) p d -> n k p d", k=3)),
            gathered(rearrange(whole.half(), "(n k) d -> n k d", k=3)),
            gathered(rearrange(activity, "(n k) p -> n k p", k=2)),
            gathered(torch.tensor(batch.clips, device=device)),
        )

    @torch.no_grad()
    def draw(self) -> SeparationBatch:
        """Draw mixtures; the task is drawn at random. Paper: Sec. IV-A.

        Each mixture is asked for both of its sources: of B / 2 mixtures B examples.
        """
        device = self.context.device
        local, whole, activity, pairs = self.pool.rows()
        picks = self.pool.picks
        chosen = picks.choice(len(pairs), self.batch * processes(), replace=False)
        task = torch.from_numpy(picks.integers(0, 2, 2 * len(chosen)))  # of all
        clips = self.context.clips.clips
        # "extract" describes the target, "remove" the other source.
        wanted = pairs[chosen].flatten().tolist()
        other = pairs[chosen].flip(1).flatten().tolist()
        described = [o if t else w for w, o, t in zip(wanted, other, task.tolist(), strict=True)]
        texts = share([draw_wording(clips[i], picks) for i in described])
        chosen, task = share(chosen), share(task)  # (B / 2,), (B,)
        features = self.context.captions.features(texts)[0].to(device)
        with mixed_precision(device):
            caption = self.q_audio.text(features)  # (B, L, D)
        words = self.context.captions.task.to(device)  # (2, W)
        local, whole = local[chosen].float(), whole[chosen].float()  # (B / 2, 3, ...)
        return SeparationBatch(
            local_mixture=local[:, 0].repeat_interleave(2, 0),
            global_mixture=whole[:, 0].repeat_interleave(2, 0),
            local_target=local[:, 1:].flatten(0, 1),
            global_target=whole[:, 1:].flatten(0, 1),
            text=TextCondition(caption.float(), features.mask, words[task.to(device)]),
            activity=activity[chosen].flatten(0, 1),
        )


class FrozenSeparators:
    """H1 and H2 over S and G: what guides the mask renderer."""

    NEEDS = (*FrozenFeatures.NEEDS, "global_separator", "local_separator")

    def __init__(self, context: StageContext) -> None:
        self.ear = FrozenEar(context)
        self.q_audio, self.h1, self.h2 = (context.modules[name].eval().requires_grad_(False) for name in self.NEEDS[2:])
        self.words = context.captions.task.to(context.device)  # (2, W)

    @torch.no_grad()
    def guidance(self, mixture: Tensor, cells: Tensor, features: TextFeatures, row: Tensor, task: Tensor) -> Guidance:
        """Ĝ and Ŝ of queries.

        Args:
            mixture: (B, S).
            cells: (B, cells in time, 12, E) of the sound encoder.
            features: of Q descriptions.
            row: (Q,) which mixture each query asks.
            task: (Q,) 0 extract, 1 remove.

        Returns:
            Ĝ (Q, D) and Ŝ (Q, P, D).
        """
        local = self.ear.local(mixture, cells)  # (B, P, D)
        whole = self.q_audio.audio(local)  # type: ignore[operator]  # (B, D)
        caption = self.q_audio.text(features)  # type: ignore[operator]  # (Q, L, D)
        text = TextCondition(caption, features.mask, self.words[task])
        predicted = self.h1(whole[row], text)  # (Q, D)
        return Guidance(predicted, self.h2(local[row], predicted, text).local)
