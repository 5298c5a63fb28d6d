"""Global features of training clips with their classes, for the t-SNE. Paper: Fig. 5."""

from __future__ import annotations

from collections import Counter

import numpy as np
import torch

from hsm.features import COLUMN_SAMPLES, RATE_HZ, pad_to_multiple, working_gain
from hsm.networks.q_audio import QAudio
from hsm.training.frozen import FrozenLocal
from hsm.training.stage import Stage, StageContext
from hsm.weights import FeatureBank

NEEDS = ("sound_encoder", "audiomae", "q_audio")
CLASSES, CLIPS_PER_CLASS, EXCERPT_S = 30, 24, 5.12


@torch.inference_mode()
def build_bank(context: StageContext) -> FeatureBank:
    """Global features of up to 24 training clips of each of the 30 most frequent classes, chosen by the seed."""
    frozen = Stage(context)
    local_features, q_audio = FrozenLocal(frozen), frozen.freeze("q_audio", QAudio)
    clips = context.clips.clips
    train = [i for i, clip in enumerate(clips) if clip.split == "train" and len(clip.classes) == 1]
    frequent = [name for name, _ in Counter(clips[i].classes[0] for i in train).most_common(CLASSES)]
    rng = np.random.default_rng(context.seed)
    features, classes, names = [], [], []
    for name in frequent:
        members = [i for i in train if clips[i].classes[0] == name]
        for index in rng.permutation(members)[:CLIPS_PER_CLASS]:
            wave = torch.from_numpy(context.clips.wave(int(index), 0, int(EXCERPT_S * RATE_HZ)))
            wave = pad_to_multiple(wave, COLUMN_SAMPLES).to(context.device)
            local = local_features((wave * working_gain(wave))[None])  # (1, P, D)
            features.append(q_audio.audio(local)[0].cpu().numpy())
            classes.append(name)
            names.append(clips[index].caption)
    return FeatureBank(np.stack(features).astype(np.float32), tuple(classes), tuple(names))
