"""The frozen networks that later stages stand on."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from hsm.audio import log_mel, mel_amplitude
from hsm.models.audiomae import to_patches
from hsm.models.mask_renderer import Guidance
from hsm.models.q_audio import QAudio
from hsm.models.separators import TextCondition
from hsm.text import TextFeatures
from hsm.training.mixing import Mixer, MixingSettings, MixtureBatch
from hsm.training.stages import StageContext


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
    """S and G of mixtures and of their sources."""

    NEEDS = (*FrozenEar.NEEDS, "q_audio")

    def __init__(self, context: StageContext, mixing: MixingSettings) -> None:
        self.ear = FrozenEar(context)
        q_audio = context.modules["q_audio"]
        assert isinstance(q_audio, QAudio)
        self.q_audio = q_audio.eval().requires_grad_(False)
        self.context = context
        self.mixer = Mixer(context.clips, "train", mixing, context.seed)

    @torch.no_grad()
    def draw(self, size: int) -> SeparationBatch:
        """Draw mixtures and compute their features; the task is drawn at random. Paper: Sec. IV-A.

        Each mixture is asked for both of its sources.

        Args:
            size: number of mixtures, B / 2.

        Returns:
            B examples.
        """
        device = self.context.device
        batch: MixtureBatch = self.mixer.batch(size)
        row = torch.arange(size, device=device).repeat_interleave(2)  # (B,) example -> mixture
        task = torch.from_numpy(self.mixer.rng.integers(0, 2, 2 * size))  # (B,)
        mixture, sources = batch.mixture.to(device), batch.sources.to(device)
        target, other = sources.flatten(0, 1), sources.flip(1).flatten(0, 1)  # (B, S) each
        # "extract" describes the target, "remove" the other source.
        wanted = [(pair[side], pair[1 - side]) for pair in batch.wordings for side in (0, 1)]
        texts = [pair[t] for pair, t in zip(wanted, task.tolist(), strict=True)]
        features = self.context.captions.features(texts)[0].to(device)
        with torch.autocast(device.type, torch.bfloat16):
            local = self.ear.local(torch.cat([mixture, target]))  # (3 size, P, D)
            whole = self.q_audio.audio(local)  # (3 size, D)
            caption = self.q_audio.text(features)  # (B, L, D)
        words = self.context.captions.task.to(device)  # (2, W)
        return SeparationBatch(
            local_mixture=local[:size].float()[row],
            global_mixture=whole[:size].float()[row],
            local_target=local[size:].float(),
            global_target=whole[size:].float(),
            text=TextCondition(caption.float(), features.mask, words[task.to(device)]),
            activity=patch_activity(log_mel(target), log_mel(other)),
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
