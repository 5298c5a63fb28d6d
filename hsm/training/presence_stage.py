"""Stage `presence`: names of what a mixture holds, over the frozen hearing of the mask renderer."""

from __future__ import annotations

from collections import Counter

import torch
from torch import Tensor
from torch.nn import functional as F

from hsm.errors import HSMError
from hsm.features import stft
from hsm.networks.mask_decoder import MaskDecoder
from hsm.networks.tagger import ALIKE, Tagger
from hsm.precision import mixed_precision
from hsm.training.mixing import Mixer, MixingSettings
from hsm.training.pool import Pool, Rows
from hsm.training.processes import gathered, processes, share
from hsm.training.stages import Optimisation, Stage, StageContext

DROPPED = 0.1  # of the channels of what is heard, or mixtures are known by heart
POOL_BATCHES, USES = 24, 6  # batches a pool, uses of a mixture on average


def frequent_names(context: StageContext, count: int) -> list[str]:
    """The most frequent narrow class names of the training clips.

    Raises:
        HSMError: fewer names than the configuration has places for.
    """
    clips = [clip for clip in context.clips.clips if clip.split == "train"]
    names = [name for name, _ in Counter(clip.label for clip in clips).most_common(count)]
    if len(names) < count:
        raise HSMError(f"manifest: {len(names)} class names in split train; wanted at least {count}.")
    return names


class PresenceStage(Stage):
    """Binary cross-entropy of every name; names that may mean the same as one that is there do not count.

    Hearing costs many times what a step costs, so mixtures are drawn from a pool.

    Args:
        context: with trained "sound_encoder" and "mask".
        optimisation: see `Optimisation`.
        mixing: how mixtures are drawn.
    """

    def __init__(self, context: StageContext, optimisation: Optimisation, mixing: MixingSettings) -> None:
        module = context.modules["presence"].train().requires_grad_(True)
        renderer = context.modules["mask"].eval().requires_grad_(False)
        assert isinstance(module, Tagger)
        assert isinstance(renderer, MaskDecoder)
        needs = ("sound_encoder", "mask")
        super().__init__("presence", {"presence": module}, optimisation, context, needs=needs, matrices=())
        self.presence, self.renderer = module, renderer
        self.encoder = context.modules["sound_encoder"].eval()
        self.names = frequent_names(context, len(module.vocabulary))
        self._row = {name: i for i, name in enumerate(self.names)}
        vocabulary = context.captions.features(self.names)[0].sentence().to(self.device)  # (V, W)
        module.vocabulary.copy_(vocabulary)
        self._alike = vocabulary @ vocabulary.t() > ALIKE  # (V, V)
        self.mixer = Mixer(context.clips, "train", mixing, context.seed)
        self.pool = Pool(self.mixer.rng, self._listen, POOL_BATCHES, POOL_BATCHES * USES, context.seed)
        self.random_state |= self.pool.random_state

    def losses(self) -> dict[str, Tensor]:
        """See `Stage.losses`."""
        heard, there = self.pool.draw(self.optimisation.batch)  # (B, T, C), (B, V)
        kept = share(torch.rand(len(heard) * processes(), 1, heard.shape[2]) >= DROPPED).to(heard.device)
        scores = self.presence(heard.float() * kept / (1 - DROPPED))  # (B, V)
        counts = (there > 0) | (there @ self._alike.float() == 0)
        loss = (F.binary_cross_entropy_with_logits(scores, there, reduction="none") * counts).sum(1).mean()
        first = scores.detach().argmax(1, keepdim=True)
        return {"loss": loss, "first_is_there": there.gather(1, first).mean()}

    def _listen(self) -> Rows:
        """What is heard of new mixtures (B, T, C), half precision, and which names are there (B, V)."""
        batch = self.mixer.batch(self.optimisation.batch)
        mixture = batch.mixture.to(self.device)
        with mixed_precision(self.device):
            heard = self.renderer.encode(stft(mixture).abs(), self.encoder(mixture))  # (B, T, C)
        there = torch.zeros(len(mixture), len(self.names), device=self.device)
        clips = self.context.clips.clips
        for i, pair in enumerate(batch.clips):
            for name in {name for index in pair for name in clips[index].classes}:
                if name in self._row:
                    there[i, self._row[name]] = 1
        return gathered(heard.half()), gathered(there)
