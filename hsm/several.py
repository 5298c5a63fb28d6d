"""Several questions about one recording: it is listened to once, and several targets become stems."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from hsm.errors import HSMError
from hsm.native_rate import apply_mask
from hsm.pipeline import HSM, Progress
from hsm.records import Audio, Instruction, Separation, SeparationOptions

Wish = tuple[str | Instruction, SeparationOptions]
MOST_TARGETS = 6
REST = re.compile(r"(?:and )?(?:the |all the )?(?:rest|remainder|others?|everything else)", re.IGNORECASE)


def ask_several(
    model: HSM, mixture: Audio, wishes: Sequence[Wish], progress: Progress | None = None
) -> tuple[Separation, ...]:
    """Separate one recording in several ways.

    Args:
        model: does the work.
        mixture: the recording.
        wishes: what is asked, each with its options.
        progress: as in `HSM.separate`; the shares are those of all separations together.

    Returns:
        One separation a wish, in order.

    Raises:
        HSMError: as `HSM.separate`.
    """
    if len(wishes) == 1:
        return (model.separate(mixture, *wishes[0], progress=progress),)
    tell = progress or (lambda stage, fraction: None)
    tell("parse", 0.0)
    understood = [model.parse(wish) if isinstance(wish, str) else wish for wish, _ in wishes]
    listened = model.listen(mixture, progress)
    found = []
    for index, (instruction, (_, options)) in enumerate(zip(understood, wishes, strict=True)):

        def tell_share(stage: str, fraction: float, index: int = index) -> None:
            if stage != "parse":
                tell(stage, (index + fraction) / len(wishes))

        found.append(model.separate(listened, instruction, options, progress=tell_share))
    return tuple(found)


def named_targets(text: str) -> tuple[str, ...]:
    """The targets of a list such as "dog; rain; rest".

    Args:
        text: as typed. The rest is there in any case, so naming it adds nothing.

    Returns:
        The targets in order; none where the text holds no semicolon and so is an instruction.

    Raises:
        HSMError: a list with no target, or with more than six.
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
    """Make stems of separations that may claim the same energy.

    Where the masks of a bin sum to more than one, each is divided by their sum; what they leave is the
    rest. So targets and rest add up to the mixture.

    Args:
        separations: extractions from one mixture.

    Returns:
        The same with the masks, targets and residuals that follow.
    """
    total = np.maximum(np.sum([one.mask for one in separations], axis=0), 1.0)  # (T, F)
    shared = []
    for one in separations:
        mask = one.mask / total
        target = apply_mask(one.mixture, torch.from_numpy(mask))
        residual = Audio(one.mixture.samples - target.samples, target.rate_hz)
        shared.append(replace(one, mask=mask, target=target, residual=residual))
    return tuple(shared)
