"""What stages are given: the same random networks every time, for tests in one process or in several."""

from __future__ import annotations

import torch

from hsm.config import TINY
from hsm.model import build_modules
from hsm.separator import build_baselines
from hsm.training.data import CaptionStore, ClipStore
from hsm.training.stage import StageContext, StageOptions

BATCH, CROP_S = 6, 0.64


def fresh_context(store: ClipStore, captions: CaptionStore, seed: int = 3, single: bool = False) -> StageContext:
    """Fresh networks over some clips."""
    torch.manual_seed(7)
    modules = build_modules(TINY) | build_baselines(TINY)
    for module in modules.values():
        module.eval()
    options = StageOptions(batch=BATCH, crop_s=CROP_S, single=single)
    return StageContext(TINY, store, captions, torch.device("cpu"), modules, seed, options)
