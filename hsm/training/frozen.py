"""The frozen networks that later stages stand on."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from hsm.audio import log_mel, mel_amplitude
from hsm.models.audiomae import AudioMAE, to_patches
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


class FrozenFeatures:
    """AudioMAE and Q-Audio as frozen feature extractors."""

    NEEDS = ("audiomae", "q_audio")

    def __init__(self, context: StageContext, mixing: MixingSettings) -> None:
        encoder, q_audio = context.modules["audiomae"], context.modules["q_audio"]
        assert isinstance(encoder, AudioMAE) and isinstance(q_audio, QAudio)
        self.encoder = encoder.eval().requires_grad_(False)
        self.q_audio = q_audio.eval().requires_grad_(False)
        self.context = context
        self.mixer = Mixer(context.clips, "train", mixing, context.seed)

    @torch.no_grad()
    def draw(self, size: int) -> SeparationBatch:
        """Draw mixtures and compute their features; the task is drawn at random. Paper: Sec. IV-A."""
        device = self.context.device
        batch: MixtureBatch = self.mixer.batch(size)
        task = torch.from_numpy(self.mixer.rng.integers(0, 2, size)).to(device)  # (B,)
        target, mixture = batch.sources[:, 0].to(device), batch.mixture.to(device)  # (B, S)
        # Row 0 is the target: "extract" describes it, "remove" describes the other one.
        texts = [pair[int(t)] for pair, t in zip(batch.wordings, task.tolist(), strict=True)]
        features = self.context.captions.features(texts)[0].to(device)
        mel = log_mel(torch.cat([mixture, target, mixture - target]))  # (3 B, T, M)
        with torch.autocast(device.type, torch.bfloat16):
            local = self.encoder(mel[: 2 * size])  # (2 B, P, D)
            whole = self.q_audio.audio(local)  # (2 B, D)
            caption = self.q_audio.text(features)  # (B, L, D)
        words = self.context.captions.task.to(device)  # (2, W)
        return SeparationBatch(
            local_mixture=local[:size].float(),
            global_mixture=whole[:size].float(),
            local_target=local[size:].float(),
            global_target=whole[size:].float(),
            text=TextCondition(caption.float(), features.mask, words[task]),
            activity=patch_activity(mel[size : 2 * size], mel[2 * size :]),
        )


class FrozenSeparators:
    """H1 and H2 over AudioMAE and Q-Audio: what guides the mask renderer."""

    NEEDS = ("audiomae", "q_audio", "global_separator", "local_separator")

    def __init__(self, context: StageContext) -> None:
        modules = [context.modules[name] for name in self.NEEDS]
        for module in modules:
            module.eval().requires_grad_(False)
        self.encoder, self.q_audio, self.h1, self.h2 = modules
        self.words = context.captions.task.to(context.device)  # (2, W)

    @torch.no_grad()
    def guidance(self, mixture: Tensor, features: TextFeatures, row: Tensor, task: Tensor) -> Guidance:
        """Ĝ and Ŝ of queries.

        Args:
            mixture: (B, S).
            features: of Q descriptions.
            row: (Q,) which mixture each query asks.
            task: (Q,) 0 extract, 1 remove.

        Returns:
            Ĝ (Q, D) and Ŝ (Q, P, D).
        """
        local = self.encoder(log_mel(mixture))  # (B, P, D)
        whole = self.q_audio.audio(local)  # type: ignore[operator]  # (B, D)
        caption = self.q_audio.text(features)  # type: ignore[operator]  # (Q, L, D)
        text = TextCondition(caption, features.mask, self.words[task])
        predicted = self.h1(whole[row], text)  # (Q, D)
        return Guidance(predicted, self.h2(local[row], predicted, text).local)
