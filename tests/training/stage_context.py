"""What stages are given: the same random networks every time, for tests in one process or in several."""

from __future__ import annotations

import torch

from hsm.config import TINY
from hsm.model import build_modules
from hsm.separator import build_baselines
from hsm.training.captions import CaptionStore
from hsm.training.clip_store import ClipStore
from hsm.training.stages import StageContext


def fresh_context(store: ClipStore, captions: CaptionStore) -> StageContext:
    """Fresh networks over some clips."""
    torch.manual_seed(7)
    modules = build_modules(TINY) | build_baselines(TINY)
    for module in modules.values():
        module.eval()
    return StageContext(TINY, store, captions, torch.device("cpu"), modules, seed=3)
