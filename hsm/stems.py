"""Several separations of one recording: it is encoded once, and several targets become stems."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from hsm.errors import HSMError
from hsm.native_rate import apply_mask
from hsm.progress import Progress
from hsm.records import Audio, Instruction, Separation, SeparationOptions
from hsm.separator import HSM

Request = tuple[str | Instruction, SeparationOptions]
MOST_TARGETS = 6
REST = re.compile(r"(?:and )?(?:the |all the )?(?:rest|remainder|others?|everything else)", re.IGNORECASE)


def separate_each(
    model: HSM, mixture: Audio, requests: Sequence[Request], progress: Progress | None = None
) -> tuple[Separation, ...]:
    """One separation of a recording for each request, in order; progress counts all of them together."""
    if len(requests) == 1:
        return (model.separate(mixture, *requests[0], progress=progress),)
    tell = progress or (lambda stage, fraction: None)
    tell("parse", 0.0)
    understood = [model.parse(text) if isinstance(text, str) else text for text, _ in requests]
    encoded = model.encode(mixture, progress)
    found = []
    for index, (instruction, (_, options)) in enumerate(zip(understood, requests, strict=True)):

        def tell_share(stage: str, fraction: float, index: int = index) -> None:
            if stage != "parse":
                tell(stage, (index + fraction) / len(requests))

        found.append(model.separate(encoded, instruction, options, progress=tell_share))
    return tuple(found)


def named_targets(text: str) -> tuple[str, ...]:
    """The targets of a list such as "dog; rain; rest"; none where the text holds no semicolon: an instruction.

    The rest is there in any case, so naming it adds nothing. Raises `HSMError` for no target or more than six.
    """
    if ";" not in text:
        return ()
    pieces = [piece.strip(" .") for piece in text.split(";")]
    targets = tuple(dict.fromkeys(piece for piece in pieces if piece and not REST.fullmatch(piece)))
    if not 1 <= len(targets) <= MOST_TARGETS:
        raise HSMError(
            f"list: got {len(targets)} sounds between semicolons; wanted 1 to {MOST_TARGETS}, "
            'for example "dog; rain; rest".'
        )
    return targets


def share_out(separations: Sequence[Separation]) -> tuple[Separation, ...]:
    """Extractions from one mixture with masks, targets and residuals that add up to it together with the rest.

    Where the masks of a bin sum to more than one, each is divided by their sum; what they leave is the rest.
    """
    total = np.maximum(np.sum([one.mask for one in separations], axis=0), 1.0)  # (T, F)
    shared = []
    for one in separations:
        mask = one.mask / total
        target = apply_mask(one.mixture, torch.from_numpy(mask))
        residual = Audio(one.mixture.samples - target.samples, target.rate_hz)
        shared.append(replace(one, mask=mask, target=target, residual=residual))
    return tuple(shared)
