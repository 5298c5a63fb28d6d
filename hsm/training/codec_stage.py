"""Stage `codec`: the neural codec, which needs no labels. Paper: Sec. III-E2, V-A3."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
import torchaudio.functional as taf
from torch import Tensor

from hsm.features import RATE_HZ, working_gain
from hsm.networks.codec import BINS, FLOOR, Codec
from hsm.precision import mixed_precision
from hsm.training.mixing import sampling_weights
from hsm.training.processes import generators
from hsm.training.stages import Optimisation, Stage, StageContext

MEL_BANDS = 80
COMPRESSION = 0.3
MAGNITUDE_WEIGHT = 2.0
LEVEL_DB = 6.0


@cache
def mel_filters() -> Tensor:
    """(F, M) triangles of unit height over the bins of the codec's STFT."""
    filters: Tensor = taf.melscale_fbanks(BINS, 0.0, RATE_HZ / 2, MEL_BANDS, RATE_HZ)
    return filters


def spectral_losses(estimate: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
    """Distances of two spectra as they are heard and bin by bin.

    Args:
        estimate: log magnitudes (..., F).
        reference: the same.

    Returns:
        L1 of log-mel amplitudes, and L1 of magnitudes raised to 0.3, in which loud bins count more.
    """
    filters = mel_filters().to(estimate.device)
    one, other = (torch.log(logs.exp() @ filters) for logs in (estimate, reference))  # (..., M)
    mel = (one - other).abs().mean()
    one, other = ((COMPRESSION * logs).exp() for logs in (estimate, reference))
    return mel, (one - other).abs().mean()


class CodecStage(Stage):
    """Reconstruction of the magnitudes of short crops of single clips near the working level.

    Departure: no discriminator and no loss on the wave; in hours of a CPU core spectral losses alone reach
    further, and the phases are not the networks' work.

    Args:
        context: with "codec".
        optimisation: see `Optimisation`.
        crop_s: seconds of a crop; whole codec frames of 20 ms.
    """

    def __init__(self, context: StageContext, optimisation: Optimisation, crop_s: float) -> None:
        module = context.modules["codec"].train().requires_grad_(True)
        assert isinstance(module, Codec)
        super().__init__("codec", {"codec": module}, optimisation, context)
        self.codec, self.samples = module, round(crop_s * RATE_HZ)
        self.indices = np.array([i for i, clip in enumerate(context.clips.clips) if clip.split == "train"])
        self.weights = sampling_weights(context.clips.clips, self.indices)
        self.rng = np.random.default_rng(context.seed)
        self.random_state["crops"] = self.rng

    def _draw(self) -> Tensor:
        """(B, S): crops at the level they have when their whole clip is near the working level."""
        rows = []
        for rng in generators(self.rng, self.optimisation.batch):
            whole = torch.from_numpy(self.context.clips.wave(int(rng.choice(self.indices, p=self.weights))))
            whole = whole * working_gain(whole) * 10 ** (rng.uniform(-LEVEL_DB, LEVEL_DB) / 20)
            spare = max(0, len(whole) - self.samples)
            crop = whole[int(rng.integers(0, spare + 1)) :][: self.samples]
            rows.append(torch.nn.functional.pad(crop, (0, self.samples - len(crop))))
        return torch.stack(rows).float()

    def losses(self) -> dict[str, Tensor]:
        """See `Stage.losses`."""
        wave = self._draw().to(self.device)
        with mixed_precision(self.device):
            made = self.codec(wave)
        wanted = torch.log(self.codec.magnitudes(wave) + FLOOR)  # (B, N, 2, F)
        mel, magnitude = spectral_losses(made.float(), wanted)
        return {"loss": mel + MAGNITUDE_WEIGHT * magnitude, "mel": mel, "magnitude": magnitude}
