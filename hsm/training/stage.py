"""What a training stage is. Paper: Sec. III, IV-C."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from hsm.config import Config
from hsm.training.data import CaptionStore, ClipStore
from hsm.training.mixtures import MixingSettings
from hsm.training.muon import Muon

STAGES: dict[str, type[Stage]] = {}
Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class StageOptions:
    """What the command line says of a stage; 0 is the stage's own.

    Args:
        batch: examples a step, of each rank.
        crop_s: seconds an example.
        rate: times the stage's own step sizes.
        single: without H1 and H2; mask: text alone, decoder: S of single clips alone.
        teacher: a file of pretrained weights to learn from.
    """

    batch: int = 0
    crop_s: float = 0.0
    rate: float = 1.0
    single: bool = False
    teacher: Path | None = None


@dataclass
class StageContext:
    """What a stage is given; `modules`: networks by name, a stage trains some and freezes others."""

    config: Config
    clips: ClipStore
    captions: CaptionStore
    device: torch.device
    modules: dict[str, nn.Module]
    seed: int = 0
    options: StageOptions = field(default_factory=StageOptions)


class Stage:
    """One training stage. A subclass names its networks by `train` and `freeze` and writes `draw` and `training_step`.

    `prefill`: so many batches more are drawn before the first step and given to `prepare`, of a run that goes on
    as well; a stage that keeps a pool of features fills it so.
    """

    name: ClassVar[str]
    mixing = MixingSettings()
    batch = 16
    muon_lr, adamw_lr, clip_norm = 0.02, 1e-3, 1.0
    ema_decay = 0.995
    matrices: tuple[str, ...] = ("feed.", "attention.")  # parts of the names of matrices in blocks, Muon's
    prefill = 0

    def __init__(self, context: StageContext) -> None:
        options = context.options
        self.context, self.device = context, context.device
        self.trains: dict[str, nn.Module] = {}
        self.needs: tuple[str, ...] = ()  # networks that must have been trained before
        self.batch = options.batch or self.batch
        self.mixing = replace(self.mixing, crop_s=options.crop_s or self.mixing.crop_s)
        self.muon_lr, self.adamw_lr = self.muon_lr * options.rate, self.adamw_lr * options.rate

    def train(self, name: str, kind: type[Network]) -> Network:
        """A network that changes."""
        module = self.context.modules[name].train().requires_grad_(True)
        assert isinstance(module, kind)
        self.trains[name] = module
        return module

    def freeze(self, name: str, kind: type[Network]) -> Network:
        """A network that was trained before and stays."""
        module = self.context.modules[name].eval().requires_grad_(False)
        assert isinstance(module, kind)
        self.needs = (*self.needs, name)
        return module

    @property
    def exports(self) -> list[str]:
        """The trained networks that belong into the weights; heads that only training needs do not."""
        return [name for name in self.trains if name in self.context.modules]

    def metadata(self) -> dict[str, str] | None:
        """Text to store beside the weights."""
        return None

    def optimisers(self) -> list[torch.optim.Optimizer]:
        """Muon for the matrices inside blocks, AdamW for the rest."""
        named = [(f"{key}.{name}", p) for key, module in self.trains.items() for name, p in module.named_parameters()]
        named = [(name, p) for name, p in named if p.requires_grad]
        matrices = {name: p for name, p in named if p.ndim == 2 and any(part in name for part in self.matrices)}
        others = [p for name, p in named if name not in matrices]
        adamw = torch.optim.AdamW(others, lr=self.adamw_lr, betas=(0.9, 0.98), weight_decay=0.01)
        if not matrices:
            return [adamw]
        return [adamw, Muon(matrices.values(), lr=self.muon_lr, weight_decay=0.1)]

    def draw(self, rng: np.random.Generator) -> Any:
        """A batch on the CPU that `rng` alone decides; runs in a loader's process, beside the step."""
        raise NotImplementedError(self.name)

    def prepare(self, batch: Any) -> None:
        """Take in a batch without a step; see `prefill`."""

    def training_step(self, batch: Any) -> dict[str, Tensor]:
        """Losses of a batch; "loss" is the one to minimise, the rest is for the eye."""
        raise NotImplementedError(self.name)

    def evaluate(self) -> dict[str, float]:
        """Measures of the averaged weights, on a timer and at the end; none unless a stage has some."""
        return {}


def register(name: str) -> Callable[[type[Stage]], type[Stage]]:
    """Class decorator: the stage's name on the command line."""

    def enter(stage: type[Stage]) -> type[Stage]:
        stage.name = name
        STAGES[name] = stage
        return stage

    return enter
