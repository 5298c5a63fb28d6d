"""Stage `decoder`: codec tokens from local-semantic features. Paper: Sec. III-E1, Eq. 10."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from hsm.features import working_gain
from hsm.networks.codec import Codec
from hsm.networks.decoder import AcousticDecoder
from hsm.precision import mixed_precision
from hsm.training.frozen import FrozenEar, FrozenSeparators
from hsm.training.mixing import Mixer, MixingSettings
from hsm.training.pool import Pool, Rows
from hsm.training.processes import gathered, mean_over_all, processes, share
from hsm.training.stages import Optimisation, Stage, StageContext

LEVEL_DB = 8.0
ALONE_WEIGHT = 1.0  # of the entropy without a history
OWN_HISTORY = 0.25  # share of the sounds whose history is all the decoder's own
POOL_BATCHES, USES = 12, 3  # batches a pool, uses of a sound on average
PREDICTED_SHARE = 0.5  # of the batches of the later part, so that true features are not forgotten
NO_TARGET = -100


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


class DecoderStage(Stage):
    """Cross-entropy of all groups of every frame, each from the true frames before it.

    Trained on S of single clips at first, then also on Ŝ, as H1 and H2 predict it from mixtures. Frozen
    networks cost more than the decoder, so batches are drawn from a pool of features and tokens.

    Departure: a share of the history, from none to all, is what the decoder itself draws, as in generation
    (scheduled sampling in two passes: Mihaylova & Martins 2019). From true histories alone it learns to go
    on with the sound and hardly listens to Ŝ: 24 dB mel-PSNR with the true history, 17 dB on its own.

    Args:
        context: with "codec", "decoder" and the frozen networks before them.
        optimisation: see `Optimisation`.
        mixing: crop length, and how mixtures are drawn.
        predicted: whether half of the batches are of Ŝ.
    """

    def __init__(
        self, context: StageContext, optimisation: Optimisation, mixing: MixingSettings, predicted: bool
    ) -> None:
        module = context.modules["decoder"].train().requires_grad_(True)
        codec = context.modules["codec"].eval().requires_grad_(False)
        assert isinstance(module, AcousticDecoder) and isinstance(codec, Codec)
        needs = ("codec", *(FrozenSeparators.NEEDS if predicted else FrozenEar.NEEDS))
        super().__init__("decoder", {"decoder": module}, optimisation, context, needs=needs)
        self.decoder, self.codec, self.ear = module, codec, FrozenEar(context)
        self.separators = FrozenSeparators(context) if predicted else None
        self.mixer = Mixer(context.clips, "train", mixing, context.seed)
        self.pool = Pool(self.mixer.rng, self._encode, POOL_BATCHES, POOL_BATCHES * USES, context.seed)
        self.random_state |= self.pool.random_state

    def losses(self) -> dict[str, Tensor]:
        """See `Stage.losses`."""
        local, tokens, frames = self.pool.draw(self.optimisation.batch)  # (B, P, D), (B, N, K), (B,)
        wanted = next_frames(tokens, frames, self.decoder.boundary)
        with mixed_precision(self.device):
            condition = self.decoder.condition(local.float())
            scores = self.decoder(condition, self._history(condition, tokens))  # (B, N + 1, K, entries + 1)
            alone = self.decoder.without_history(condition)  # the same of Ŝ alone
        entropy, entropy_alone = (
            F.cross_entropy(s.float().flatten(0, 2), wanted.flatten(), ignore_index=NO_TARGET, reduction="sum")
            for s in (scores, alone)
        )
        count = (wanted != NO_TARGET).sum()
        loss = mean_over_all(entropy + ALONE_WEIGHT * entropy_alone, count)
        right = mean_over_all((scores.argmax(-1) == wanted).sum(), count)
        return {"loss": loss, "alone": mean_over_all(entropy_alone, count), "right": right}

    @torch.no_grad()
    def _history(self, condition: Tensor, tokens: Tensor) -> Tensor:
        """Tokens (B, N, K) to go in, some of them the decoder's own."""
        scores = self.decoder(condition, tokens)[:, :-1, :, :-1].float()  # (B, N, K, entries)
        everyone = (len(tokens) * processes(), *scores.shape[1:])
        noise = -torch.empty(everyone).exponential_().log()
        drawn = (scores + share(noise).to(self.device)).argmax(-1)  # as often as they are likely
        part = torch.rand(everyone[0], 1, 1)
        part = torch.where(torch.rand_like(part) < OWN_HISTORY, 1.0, part)
        own = share(torch.rand(*everyone[:2], 1) < part).to(self.device)
        return torch.where(own, drawn, tokens)

    def _encode(self) -> Rows:
        """New sounds of all processes: S or Ŝ, half precision, tokens, and how many frames belong to each sound."""
        predicted = self.separators is not None and self.mixer.rng.random() < PREDICTED_SHARE
        with mixed_precision(self.device):
            local, wave, samples = self._separated() if predicted else self._clips()
            tokens = self.codec.encode(wave)  # (B, N, K)
        frames = torch.tensor([self.codec.frames_of(count) for count in samples], device=self.device)
        return gathered(local.half()), gathered(tokens), gathered(frames)

    def _clips(self) -> tuple[Tensor, Tensor, list[int]]:
        """S (B, P, D), waves (B, S) and their lengths in samples; shorter clips end in silence."""
        length, rows, samples = self.mixer.crop_samples, [], []
        for mixer in self.mixer.split(self.optimisation.batch):
            whole = torch.from_numpy(self.context.clips.wave(mixer.draw_clip()))
            level_db = mixer.rng.uniform(-LEVEL_DB, LEVEL_DB)
            whole = whole * working_gain(whole) * float(10 ** (level_db / 20))
            start = int(mixer.rng.integers(0, max(0, len(whole) - length) + 1))
            crop = whole[start : start + length]
            samples.append(len(crop))
            rows.append(F.pad(crop, (0, length - len(crop))))
        wave = torch.stack(rows).to(self.device)
        return self.ear.local(wave), wave, samples

    def _separated(self) -> tuple[Tensor, Tensor, list[int]]:
        """Ŝ of mixtures asked for both of their sources, the sources' waves and lengths."""
        assert self.separators is not None
        size = max(1, self.optimisation.batch // 2)
        batch = self.mixer.batch(size)
        row = torch.arange(size, device=self.device).repeat_interleave(2)
        task = torch.from_numpy(share(self.mixer.rng.integers(0, 2, 2 * size * processes()))).to(self.device)
        wanted = [(pair[side], pair[1 - side]) for pair in batch.wordings for side in (0, 1)]
        texts = [pair[t] for pair, t in zip(wanted, task.tolist(), strict=True)]
        features = self.context.captions.features(texts)[0].to(self.device)
        mixture = batch.mixture.to(self.device)
        cells = self.ear.sound_encoder(mixture)
        local = self.separators.guidance(mixture, cells, features, row, task).local_target
        wave = batch.sources.flatten(0, 1).to(self.device)
        return local, wave, [wave.shape[1]] * len(wave)
