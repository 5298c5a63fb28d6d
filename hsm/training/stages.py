"""What each stage trains, what it freezes, and its losses. Paper: Sec. III, IV-C."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from hsm.config import Config
from hsm.training.captions import CaptionStore
from hsm.training.clip_store import ClipStore


@dataclass
class StageContext:
    """What a stage is given: sizes, data, device, and the networks trained before it.

    Args:
        config: sizes.
        clips: decoded clips.
        captions: frozen text features.
        device: where to compute.
        modules: networks by name, in evaluation mode; a stage finds there what it freezes and, when it
            goes on from earlier weights, what it trains.
        seed: of everything drawn at random.
    """

    config: Config
    clips: ClipStore
    captions: CaptionStore
    device: torch.device
    modules: dict[str, nn.Module]
    seed: int = 0


MUON_RATE, ADAMW_RATE = 0.02, 1e-3


@dataclass(frozen=True)
class Optimisation:
    """How a stage's networks are stepped.

    Args:
        batch: examples a step, of each process.
        muon_lr: step of Muon, for the matrices inside blocks.
        adamw_lr: step of AdamW, for everything else.
        ema: decay of the averaged weights that are exported.
    """

    batch: int
    muon_lr: float = MUON_RATE
    adamw_lr: float = ADAMW_RATE
    ema: float = 0.995


@dataclass
class Stage:
    """One training stage.

    Args:
        name: as on the command line.
        trains: the networks that change, by their name in `weights/`.
        optimisation: see there.
        context: see there.
        exports: which of the trained networks belong into the weights; all where not given.
        needs: networks that must have been trained before.
        matrices: parts of the names of matrices inside blocks, which Muon steps.
        random_state: generators whose state belongs into a checkpoint, by name; the same in all processes.
    """

    name: str
    trains: dict[str, nn.Module]
    optimisation: Optimisation
    context: StageContext
    exports: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    matrices: tuple[str, ...] = ("feed.", "attention.")
    random_state: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.exports = self.exports or tuple(self.trains)

    def losses(self) -> dict[str, Tensor]:
        """Draw a batch and return its losses; "loss" is the one to minimise, the rest is for the eye.

        Of several processes each draws its share, such that their losses' average is that of the batch of all.
        """
        raise NotImplementedError(self.name)

    @property
    def device(self) -> torch.device:
        """Where to compute."""
        return self.context.device
