"""Stage `mask`: the mask decoder, by text alone and guided by Ĝ and Ŝ."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from hsm.features import PATCH_BANDS, istft, log_mel, stft
from hsm.networks.mask_decoder import Guidance, MaskDecoder
from hsm.networks.sound_encoder import SoundEncoder, SoundFeatures
from hsm.precision import mixed_precision
from hsm.training.frozen import FrozenSeparators
from hsm.training.losses import compressed_l1, error_db
from hsm.training.mixtures import VARIED, Mixer, MixtureBatch, draw_first_column
from hsm.training.stage import Stage, StageContext, register

ABSENT_EVERY = 8  # one in so many mixtures is also asked for a sound that is not in it
MAGNITUDE_WEIGHT = 5.0
GUIDED_SHARE = 0.7  # of the batches; they have half as many mixtures, since they cost twice as much
TRUE_SHARE = 0.3  # of those, in which S and G are the true source's: the decoder must find them worth reading
WORDLESS_SHARE = 0.3  # of the guided queries, in which Ĝ asks alone
GLOBAL_ONLY_SHARE = 0.2  # of the guided queries, without Ŝ: with `WORDLESS_SHARE` they teach query by example


@register("mask")
class MaskStage(Stage):
    """Every mixture is asked for all of its sources, some also for an absent one, whose answer is silence.

    The loss looks at the named sound whatever the operation, since target and residual have the same error.
    """

    batch = 24
    ema_decay = 0.998
    mixing = replace(VARIED, crop_s=2.56)

    def __init__(self, context: StageContext) -> None:
        super().__init__(context)
        self.encoder = self.freeze("sound_encoder", SoundEncoder)
        self.decoder = self.train("mask", MaskDecoder)
        self.separators = None if context.options.single else FrozenSeparators(self)
        self.mixer = Mixer(context.clips, "train", self.mixing)

    def draw(self, rng: np.random.Generator) -> tuple[MixtureBatch, bool]:
        """Mixtures, and whether the decoder is guided."""
        guided = self.separators is not None and rng.random() < GUIDED_SHARE
        return self.mixer.batch(max(1, self.batch // 2) if guided else self.batch, rng), guided

    def training_step(self, drawn: tuple[MixtureBatch, bool]) -> dict[str, Tensor]:
        """See `Stage.training_step`."""
        batch, guided = drawn
        mixture, (row, texts, truth) = batch.mixture.to(self.device), batch.queries
        asked = torch.cat([row, torch.arange(0, len(mixture), ABSENT_EVERY)]).to(self.device)  # query -> mixture
        texts, truth, count = texts + batch.absent[::ABSENT_EVERY], truth.to(self.device), len(row)
        text = self.context.captions.sentences(texts).to(self.device)
        spectrum, mel = stft(mixture), log_mel(mixture)  # (B, T, F)
        with mixed_precision(self.device):
            with torch.no_grad():
                sound = self.encoder(mel)
            guidance, kind = None, "text"
            if guided:
                true = bool(torch.rand(()) < TRUE_SHARE)
                guidance, kind = self._guidance(mixture, sound, texts, truth, asked, true), "true" if true else "guided"
                text = text * (torch.rand(len(text), 1) >= WORDLESS_SHARE).to(self.device)
            frames = self.decoder.encode(spectrum.abs(), sound)  # (B, T, C)
            logits = self.decoder(frames[asked], text, guidance).float()  # (Q, T, F)

        mask, mixed = logits.sigmoid(), spectrum[asked]
        wave = istft(mask * mixed, mixture.shape[-1])  # (Q, S)
        waveform = error_db(wave[:count] - truth, truth).mean()
        loudness = mixed[:count].abs()
        magnitude = compressed_l1(mask[:count] * loudness, stft(truth).abs(), loudness).mean()
        # Silence is the answer to an absent query: what is left, relative to the mixture.
        left = error_db(wave[count:], mixture[asked[count:]]).mean()
        loss = waveform + MAGNITUDE_WEIGHT * magnitude + left / ABSENT_EVERY
        nothing = torch.full_like(waveform, torch.nan)
        by_kind = {f"waveform_db_{name}": waveform if name == kind else nothing for name in ("text", "guided", "true")}
        return {"loss": loss, **by_kind, "magnitude_l1": magnitude, "absent_db": left}

    @torch.no_grad()
    def _guidance(
        self, mixture: Tensor, sound: SoundFeatures, texts: list[str], truth: Tensor, asked: Tensor, true: bool
    ) -> Guidance:
        """Guidance to the named sounds, predicted or true; that to absent ones is always predicted."""
        assert self.separators is not None
        captions = self.context.captions
        local = self.separators.local(mixture, sound)[asked]  # (Q, P, D)
        whole = self.separators.q_audio.audio(local).float()  # (Q, D)
        features = captions.features(captions.rows(texts))[0].to(self.device)
        extract = torch.zeros(len(texts), dtype=torch.long, device=self.device)
        first = draw_first_column(local.shape[1] // PATCH_BANDS)
        predicted, found = self.separators(local, whole, features, extract, first)
        if true:
            alone = self.separators.local(truth)
            found = torch.cat([alone, found[len(truth) :]])
            predicted = torch.cat([self.separators.q_audio.audio(alone).float(), predicted[len(truth) :]])
        kept = (torch.rand(len(local), 1, 1) >= GLOBAL_ONLY_SHARE).to(self.device)
        return Guidance(predicted, (found - local) * kept)
