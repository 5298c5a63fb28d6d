"""Stages `audiomae` and `q_audio`: the two feature spaces. Paper: Sec. III-B."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hsm.features import COLUMN_SAMPLES, PATCH_BANDS, log_mel, working_gain
from hsm.networks.audiomae import AudioMAE
from hsm.networks.q_audio import QAudio
from hsm.precision import mixed_precision
from hsm.text import TextFeatures
from hsm.training.captions import draw_wording
from hsm.training.frozen import FrozenEar
from hsm.training.mixing import Mixer, MixingSettings, draw_first_column
from hsm.training.processes import gathered, gathered_list, mean_over_all, processes, share
from hsm.training.stages import Optimisation, Stage, StageContext

VISIBLE_SHARE = 0.4
CAPTION_WEIGHT = 1.0
LABEL_SMOOTHING = 0.1


class ClipBatches:
    """Batches of single clips with a wording each.

    Args:
        context: clips and captions.
        mixing: crop, speed, equaliser and focus of the draws.
    """

    def __init__(self, context: StageContext, mixing: MixingSettings) -> None:
        self.context, self.mixing = context, mixing
        self.mixer = Mixer(context.clips, "train", mixing, context.seed)

    def draw(self, size: int) -> tuple[Tensor, list[str], list[int]]:
        """Waves (B, S) near the working level; wordings and clip indices of all processes' batches."""
        rows, texts, indices = [], [], []
        for mixer in self.mixer.split(size):
            index = mixer.draw_clip()
            wave = mixer.equalise(torch.from_numpy(mixer.draw_source(index, mixer.crop_samples))[None])
            rows.append(wave * working_gain(wave) * float(10 ** (mixer.rng.uniform(-6, 6) / 20)))
            texts.append(draw_wording(self.context.clips.clips[index], mixer.rng))
            indices.append(index)
        return torch.cat(rows).to(self.context.device), gathered_list(texts), gathered_list(indices)


def positive_pairs(context: StageContext, indices: list[int]) -> Tensor:
    """(B, B) bool: pairs whose class sets are the same, whose captions therefore fit each other."""
    classes = [frozenset(context.clips.clips[i].classes) for i in indices]
    table = torch.tensor([[a == b for b in classes] for a in classes])
    return table.to(context.device)


def contrastive(similarity: Tensor, positives: Tensor) -> Tensor:
    """Symmetric cross-entropy of (B, B) similarities where a row may have several positives."""

    def one_way(scores: Tensor) -> Tensor:
        target = positives.float() / positives.float().sum(1, keepdim=True)
        target = (1 - LABEL_SMOOTHING) * target + LABEL_SMOOTHING / len(target)
        return -(target * scores.log_softmax(1)).sum(1).mean()

    return 0.5 * (one_way(similarity) + one_way(similarity.t()))


class AudioMAEStage(Stage):
    """Masked patch reconstruction, and captions as a second teacher.

    Departure: Sec. III-B1 pretrains on two million clips by reconstruction alone. On a few hours of
    sound that learns textures before meanings, so the mean of the visible patches is also drawn to
    the caption's sentence embedding.
    """

    def __init__(self, context: StageContext, optimisation: Optimisation, mixing: MixingSettings) -> None:
        module = context.modules["audiomae"].train().requires_grad_(True)
        assert isinstance(module, AudioMAE)
        self.encoder = module
        torch.manual_seed(context.seed)
        self.caption_head = nn.Linear(context.config.audiomae.width, context.config.text.width).to(context.device)
        trains = {"audiomae": module, "caption_head": self.caption_head}
        super().__init__("audiomae", trains, optimisation, context, exports=("audiomae",), needs=("sound_encoder",))
        self.sound_encoder = context.modules["sound_encoder"].eval()
        self.batches = ClipBatches(context, mixing)
        self.random_state["mixer"] = self.batches.mixer.rng

    def losses(self) -> dict[str, Tensor]:
        """See `Stage.losses`."""
        waves, texts, indices = self.batches.draw(self.optimisation.batch)
        sentence = self.context.captions.features(texts)[0].sentence().to(self.device)
        columns = waves.shape[-1] // COLUMN_SAMPLES
        first = draw_first_column(columns)
        order = share(torch.rand(len(waves) * processes(), columns * PATCH_BANDS).argsort(1)).to(self.device)  # (B, P)
        with mixed_precision(self.device):
            cells = self.sound_encoder(waves)  # (B, cells in time, 12, E)
            pretraining = self.encoder.masked(log_mel(waves), cells, VISIBLE_SHARE, order, first)
            pooled = self.caption_head(pretraining.visible.mean(1))
        similarity = gathered(F.normalize(pooled.float(), dim=-1)) @ sentence.t() / 0.07  # of all processes' batches
        caption = contrastive(similarity, positive_pairs(self.context, indices))
        loss = pretraining.loss.float() + CAPTION_WEIGHT * caption
        return {"loss": loss, "reconstruction": pretraining.loss, "caption": caption}


class QAudioStage(Stage):
    """ITC, ITM and ITG over frozen AudioMAE and text features, weights 1. Paper: Sec. III-B2, IV-C."""

    def __init__(self, context: StageContext, optimisation: Optimisation, mixing: MixingSettings) -> None:
        module = context.modules["q_audio"].train().requires_grad_(True)
        assert isinstance(module, QAudio)
        super().__init__("q_audio", {"q_audio": module}, optimisation, context, needs=FrozenEar.NEEDS)
        self.q_audio, self.ear = module, FrozenEar(context)
        self.batches = ClipBatches(context, mixing)
        self.random_state["mixer"] = self.batches.mixer.rng

    def losses(self) -> dict[str, Tensor]:
        """See `Stage.losses`."""
        waves, texts, indices = self.batches.draw(self.optimisation.batch)
        captions = self.context.captions
        everyone, ids = captions.features(texts)  # of all processes' batches
        everyone, ids = everyone.to(self.device), share(ids).to(self.device)
        features = TextFeatures(share(everyone.tokens), share(everyone.mask))
        positives = positive_pairs(self.context, indices)
        vocabulary = captions.vocabulary.to(self.device)  # (V, W)
        with mixed_precision(self.device):
            local = self.ear.local(waves)  # (B, P, D)
            audio = F.normalize(self.q_audio.audio(local).float(), dim=-1)  # (B, D)
            text = F.normalize(self.q_audio.text(features)[:, 0].float(), dim=-1)  # (B, D)
            similarity = gathered(audio) @ gathered(text).t() * self.q_audio.temperature.exp().clamp(max=50)
            itc = contrastive(similarity, positives)
            itm = self._matching(gathered(local), everyone, similarity.detach(), positives)
            words = self.q_audio.generation(local, vocabulary[ids[:, :-1]], features.mask[:, :-1])
            scores = words @ vocabulary.t() * words.shape[-1] ** -0.5  # (B, L - 1, V)
        following = ids[:, 1:].masked_fill(~features.mask[:, 1:], -100)
        entropy = F.cross_entropy(scores.float().flatten(0, 1), following.flatten(), ignore_index=-100, reduction="sum")
        itg = mean_over_all(entropy, (following >= 0).sum())
        return {"loss": itc + itm + itg, "itc": itc, "itm": itm, "itg": itg}

    def _matching(self, local: Tensor, features: TextFeatures, similarity: Tensor, positives: Tensor) -> Tensor:
        """ITM against hard negatives: captions and sounds drawn in proportion to their similarity.

        Given what all processes have; each matches its share of the pairs.
        """
        size = len(local)
        weights = similarity.masked_fill(positives, -torch.inf)
        has_negative = weights.isfinite().any(1)
        rows = has_negative.nonzero()[:, 0]
        if len(rows) == 0:
            return similarity.new_zeros(())
        # Drawn on the CPU, whose random state a checkpoint holds.
        wrong_text = torch.multinomial(weights[rows].softmax(1).cpu(), 1)[:, 0].to(local.device)
        wrong_audio = torch.multinomial(weights.t()[rows].softmax(1).cpu(), 1)[:, 0].to(local.device)
        every = torch.arange(size, device=local.device)
        audio_rows = share(torch.cat([every, rows, wrong_audio]))
        text_rows = share(torch.cat([every, wrong_text, rows]))
        target = share((torch.arange(size + 2 * len(rows), device=local.device) < size).long())
        pairs = TextFeatures(features.tokens[text_rows], features.mask[text_rows])
        logits = self.q_audio.matching(local[audio_rows], pairs)
        return mean_over_all(F.cross_entropy(logits.float(), target, reduction="sum"), len(target))
