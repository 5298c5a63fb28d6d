"""Whether a named sound is in a recording at all: what its mask and the tags say, calibrated on training mixtures."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from tqdm import tqdm

from hsm.model import Model, WindowFeatures
from hsm.networks.tagger import Tagger
from hsm.text import load_text_encoder
from hsm.training.mixtures import Mixer, MixingSettings
from hsm.training.stage import StageContext

NEEDS = ("sound_encoder", "tagger", "audiomae", "q_audio", "global_separator", "local_separator", "mask")
MIXTURES = 240
MIXING = MixingSettings(crop_s=10.24, sources=(0.2, 0.5, 0.3), snr_db=12.0, noise=0.1)


@torch.inference_mode()
def calibrate(context: StageContext) -> None:
    """Set `Tagger.presence` by logistic regression; every mixture is asked for one of its sounds and an absent one."""
    model = Model(context.config, context.modules, load_text_encoder(context.config.text), context.device)
    mixer = Mixer(context.clips, "train", MIXING)
    rng = np.random.default_rng(context.seed)
    cues, there = [], []
    for _ in tqdm(range(MIXTURES), desc="presence"):
        batch = mixer.batch(1, rng)
        features: WindowFeatures = model.encode(batch.mixture)
        for text, present in ((str(rng.choice(batch.captions[0])), True), (batch.absent[0], False)):
            cues.append(model.forward(features, model.encode_query("extract", [text])).cues[0].cpu().numpy())
            there.append(present)
    fitted = LogisticRegression().fit(np.stack(cues), there)
    tagger: Tagger = model.tagger
    tagger.presence.copy_(torch.from_numpy(np.concatenate([fitted.coef_[0], fitted.intercept_])))
