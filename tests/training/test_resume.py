"""A checkpoint is data: loading one runs nothing that somebody put into it."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import hsm.training.stages  # noqa: F401
from hsm.training.stage import STAGES
from hsm.training.trainer import CHECKPOINT, Budget, Trainer


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def test_a_checkpoint_runs_no_code_when_training_resumes(make_context: Callable[..., Any], tmp_path: Path) -> None:
    torch.save({"stage": Trap(tmp_path / "sprung")}, tmp_path / CHECKPOINT)
    with pytest.raises(pickle.UnpicklingError):
        Trainer(STAGES["mask"](make_context()), tmp_path, Budget(steps=1), resume=True)
    assert not (tmp_path / "sprung").exists()
