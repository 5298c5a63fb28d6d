"""Stage `audiosep`: the rival, on the mixtures, the texts and the mixer of the mask renderer."""

from __future__ import annotations

from torch import Tensor

from hsm.evaluation.baselines.audiosep import AudioSep
from hsm.features import istft, stft
from hsm.precision import mixed_precision
from hsm.training.losses import error_db
from hsm.training.mixing import Mixer, MixingSettings
from hsm.training.stages import Optimisation, Stage, StageContext


class AudioSepStage(Stage):
    """AudioSep's form: L1 on the waveform, AdamW. Paper: "Separate Anything You Describe", Sec. III-C.

    Every mixture is asked for both of its sources, as in the mask stage; an absent sound is never asked for, as in
    that paper. The statistics of its batch normalisation are buffers, which checkpoint and export keep beside the
    averaged weights. Of several processes each normalises by its own examples, and the first one's statistics are
    kept.

    Args:
        context: with "audiosep".
        optimisation: see `Optimisation`.
        mixing: how mixtures are drawn.
    """

    def __init__(self, context: StageContext, optimisation: Optimisation, mixing: MixingSettings) -> None:
        module = context.modules["audiosep"].train().requires_grad_(True)
        assert isinstance(module, AudioSep)
        super().__init__("audiosep", {"audiosep": module}, optimisation, context, matrices=())
        self.network = module
        self.mixer = Mixer(context.clips, "train", mixing, context.seed)
        self.random_state["mixer"] = self.mixer.rng

    def losses(self) -> dict[str, Tensor]:
        """See `Stage.losses`; "waveform_db" is the error in the mask stage's measure."""
        batch = self.mixer.batch(self.optimisation.batch)
        texts = [wording for pair in batch.wordings for wording in pair]
        text = self.context.captions.features(texts)[0].to(self.device).sentence()  # (2 B, W)
        mixture, truth = batch.mixture.to(self.device), batch.sources.flatten(0, 1).to(self.device)  # (B, S), (2 B, S)
        heard = stft(mixture).repeat_interleave(2, 0)  # (2 B, T, F)
        with mixed_precision(self.device):
            gain = self.network(heard, text)  # (2 B, T, F)
        error = istft(gain * heard, mixture.shape[-1]) - truth  # (2 B, S)
        return {"loss": error.abs().mean(), "waveform_db": error_db(error.detach(), truth).mean()}
