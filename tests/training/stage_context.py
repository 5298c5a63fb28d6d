"""What stages are given: the same random networks every time, for tests in one process or in several."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

import torch

from hsm.config import TINY
from hsm.model import build_modules
from hsm.separator import build_baselines
from hsm.training.data import CaptionStore, ClipStore
from hsm.training.stage import StageContext, StageOptions
from hsm.training.teacher import Teacher

BATCH, CROP_S = 6, 0.64


@cache
def teacher_file() -> Path:
    """A teacher that knows nothing, in the form of the published one."""
    torch.manual_seed(11)
    path = Path(tempfile.mkdtemp()) / "teacher.pt"
    torch.save(Teacher().state_dict(), path)
    return path


def fresh_context(store: ClipStore, captions: CaptionStore, seed: int = 3, single: bool = False) -> StageContext:
    """Fresh networks over some clips."""
    torch.manual_seed(7)
    modules = build_modules(TINY) | build_baselines(TINY)
    for module in modules.values():
        module.eval()
    options = StageOptions(batch=BATCH, crop_s=CROP_S, single=single, teacher=teacher_file())
    return StageContext(TINY, store, captions, torch.device("cpu"), modules, seed, options)
