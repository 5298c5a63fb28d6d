"""Stage `decoder`: codec tokens from local-semantic features. Paper: Sec. III-E1, Eq. 10."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from hsm.networks.codec import Codec
from hsm.networks.decoder import AcousticDecoder
from hsm.precision import mixed_precision
from hsm.training.frozen import FrozenLocal, FrozenSeparators
from hsm.training.mixtures import Mixer, MixingSettings
from hsm.training.pool import Pool
from hsm.training.stage import Stage, StageContext, register

LEVEL_DB = 8.0
ALONE_WEIGHT = 1.0  # of the entropy without a history
OWN_HISTORY = 0.25  # share of the sounds whose history is all the decoder's own
POOL_SOUNDS, USES = 96, 3  # sounds in the pool, uses of each on average
PREDICTED_SHARE = 0.5  # of the later part's sounds, so that true features are not forgotten
NO_TARGET = -100


class Sounds(NamedTuple):
    """Waves (B, S), samples of them that sound (B,); of mixtures (B / 2, S) also what to ask of them for these."""

    waves: Tensor
    samples: Tensor
    mixture: Tensor | None = None
    task: Tensor | None = None
    texts: list[str] | None = None


def next_frames(tokens: Tensor, frames: Tensor, end: int) -> Tensor:
    """What is to be predicted.

    Args:
        tokens: (B, N, K) of padded sounds.
        frames: (B,) how many of them belong to the sound.
        end: the end's number.

    Returns:
        (B, N + 1, K): the tokens, the end behind the last of them, `NO_TARGET` behind that.
    """
    wanted = F.pad(tokens, (0, 0, 0, 1), value=end)
    number = torch.arange(wanted.shape[1], device=tokens.device)[None, :, None]
    last = frames.to(tokens.device)[:, None, None]
    wanted = torch.where(number == last, end, wanted)
    return torch.where(number > last, NO_TARGET, wanted)


@register("decoder")
class DecoderStage(Stage):
    """Cross-entropy of all groups of every frame, each from the true frames before it.

    Trained on S of single clips (`--single`), then also on Ŝ, as H1 and H2 predict it from mixtures. Frozen
    networks cost more than the decoder, so batches are drawn from a pool of features and tokens.

    Departure: a share of the history, from none to all, is what the decoder itself draws, as in generation
    (scheduled sampling in two passes: Mihaylova & Martins 2019). From true histories alone it learns to go
    on with the sound and hardly listens to Ŝ: 24 dB mel-PSNR with the true history, 17 dB on its own.
    """

    batch = 8
    mixing = MixingSettings(crop_s=2.56)

    def __init__(self, context: StageContext) -> None:
        super().__init__(context)
        self.codec = self.freeze("codec", Codec)
        self.separators = None if context.options.single else FrozenSeparators(self)
        self.local = self.separators.local if self.separators else FrozenLocal(self)
        self.decoder = self.train("decoder", AcousticDecoder)
        self.mixer = Mixer(context.clips, "train", self.mixing)
        self.fresh = max(2, self.batch // USES // 2 * 2)
        self.pool = Pool(max(POOL_SOUNDS, self.batch) // self.fresh + 1)
        self.prefill = self.pool.batches - 1

    def draw(self, rng: np.random.Generator) -> Sounds:
        """Single clips, or the sources of pairs, each to be asked for by one of the two tasks."""
        if self.separators is None or rng.random() >= PREDICTED_SHARE:
            self.mixer.rng = rng
            drawn = [self.mixer.excerpt(LEVEL_DB) for _ in range(self.fresh)]
            return Sounds(torch.stack([wave for wave, _ in drawn]), torch.tensor([samples for _, samples in drawn]))
        batch = self.mixer.batch(self.fresh // 2, rng)
        task = torch.from_numpy(rng.integers(0, 2, self.fresh))
        sides = [side for texts in batch.captions for side in (texts, texts[::-1])]  # wanted first
        texts = [side[t] for side, t in zip(sides, task.tolist(), strict=True)]
        waves = batch.sources.flatten(0, 1)
        return Sounds(waves, torch.full((self.fresh,), waves.shape[1]), batch.mixture, task, texts)

    @torch.no_grad()
    def prepare(self, batch: Sounds) -> None:
        """Compute S or Ŝ, tokens, and how many frames belong to each sound."""
        wave = batch.waves.to(self.device)
        with mixed_precision(self.device):
            local = self.local(wave) if batch.mixture is None else self._separated(batch)
            tokens = self.codec.encode(wave)  # (B, N, K)
        frames = torch.tensor([self.codec.frames_of(count) for count in batch.samples.tolist()], device=self.device)
        self.pool.add(local.half(), tokens, frames)

    def _separated(self, batch: Sounds) -> Tensor:
        """Ŝ (B, P, D) of mixtures asked for both of their sources."""
        assert self.separators is not None and batch.mixture is not None
        assert batch.task is not None and batch.texts is not None
        captions = self.context.captions
        features = captions.features(captions.rows(batch.texts))[0].to(self.device)
        mixture, task = batch.mixture.to(self.device), batch.task.to(self.device)
        row = torch.arange(len(mixture), device=self.device).repeat_interleave(2)
        local = self.local(mixture)  # (B / 2, P, D)
        return self.separators(local[row], self.separators.q_audio.audio(local)[row], features, task)[1]

    def training_step(self, batch: Sounds) -> dict[str, Tensor]:
        """See `Stage.training_step`."""
        self.prepare(batch)
        local, tokens, frames = self.pool.draw(self.batch)  # (B, P, D), (B, N, K), (B,)
        wanted = next_frames(tokens, frames, self.decoder.boundary)
        with mixed_precision(self.device):
            condition = self.decoder.condition(local.float())
            scores = self.decoder(condition, self._history(condition, tokens))  # (B, N + 1, K, entries + 1)
            alone = self.decoder.without_history(condition)  # the same of Ŝ alone
        entropy, entropy_alone = (
            F.cross_entropy(s.float().flatten(0, 2), wanted.flatten(), ignore_index=NO_TARGET) for s in (scores, alone)
        )
        right = (scores.argmax(-1) == wanted).sum() / (wanted != NO_TARGET).sum()
        return {"loss": entropy + ALONE_WEIGHT * entropy_alone, "alone": entropy_alone, "right": right}

    @torch.no_grad()
    def _history(self, condition: Tensor, tokens: Tensor) -> Tensor:
        """Tokens (B, N, K) to go in, some of them the decoder's own."""
        scores = self.decoder(condition, tokens)[:, :-1, :, :-1].float()  # (B, N, K, entries)
        noise = -torch.empty_like(scores).exponential_().log()
        drawn = (scores + noise).argmax(-1)  # as often as they are likely
        part = torch.rand(len(tokens), 1, 1)
        part = torch.where(torch.rand_like(part) < OWN_HISTORY, 1.0, part)
        own = (torch.rand(*tokens.shape[:2], 1) < part).to(self.device)
        return torch.where(own, drawn, tokens)
