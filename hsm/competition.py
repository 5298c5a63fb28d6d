"""A counter-question: the strongest other sound of a mixture is asked for too, and both answers decide together.

    heard ──> names that may be there ──> the one that claims most of what the target does not
          └─> log-odds of the target, less a part of those of the other

Departure: the paper asks once. Of two sounds each tells something about the other: what surely is rain is not
the dog. It tells less the more of the mixture is neither: then a third sound is there.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from hsm.networks.tagger import ALIKE

CANDIDATES = 4
EXCERPT_FRAMES = 96  # 3 s, on which the candidates are compared
FAINT, CLEAR = 0.02, 0.10  # share of the energy: below the first the described sound is not there, nothing is asked
WEIGHT = 0.5  # of the other sound's answer, where the two answers together explain the whole mixture
UNEXPLAINED = 0.25  # share of the energy in neither answer at which the other one no longer counts: more is there


def contested(
    ask: Callable[[Tensor, Tensor], Tensor],
    vocabulary: Tensor,
    heard: Tensor,
    energy: Tensor,
    present: Tensor,
    named: Tensor,
    described: Tensor,
) -> tuple[Tensor, int | None]:
    """Log-odds of the described sound after the counter-question.

    Args:
        ask: gives the log-odds (K, T, F) of descriptions (K, W) in what is heard (1, T, C), text alone.
        vocabulary: (V, W) sentence embeddings of the names that may be asked for.
        heard: (1, T, C) from `MaskDecoder.encode`.
        energy: (T, F) of the mixture, sums to 1.
        present: (V,) log-odds from `Tagger`.
        named: (N, W) sentence embeddings of all that the instruction names; nothing like it is asked for.
        described: (1, T, F) log-odds of its mask.

    Returns:
        (1, T, F), and which name of the vocabulary was asked for, if any.
    """
    mask = described[0].sigmoid()  # (T, F)
    share = float((mask.square() * energy).sum())
    clear = min(1.0, max(0.0, (share - FAINT) / (CLEAR - FAINT)))
    allowed = (vocabulary @ named.t() <= ALIKE).all(1).nonzero()[:, 0]
    if clear == 0.0 or len(allowed) == 0:
        return described, None
    names = allowed[present[allowed].argsort(descending=True)[:CANDIDATES]]
    candidates = vocabulary[names]  # (K, W)
    first = _most_doubtful(mask, energy)
    excerpt = slice(first, first + EXCERPT_FRAMES)
    others = ask(heard[:, excerpt], candidates).sigmoid()  # (K, frames, F)
    claims = ((others * (1 - mask[excerpt])).square() * energy[excerpt]).sum((1, 2))  # (K,)
    strongest = int(claims.argmax())
    other = ask(heard, candidates[strongest : strongest + 1])  # (1, T, F)
    neither = float(((1 - mask - other[0].sigmoid()).clamp_min(0) * energy).sum())
    weight = WEIGHT * clear * max(0.0, 1 - neither / UNEXPLAINED)
    return (1 - weight) * described - weight * other, int(names[strongest]) if weight else None


def _most_doubtful(mask: Tensor, energy: Tensor) -> int:
    """First frame of the excerpt where most energy is in doubt."""
    doubt = (mask * (1 - mask) * energy).sum(1)  # (T,)
    if len(doubt) <= EXCERPT_FRAMES:
        return 0
    return int(doubt.unfold(0, EXCERPT_FRAMES, 1).sum(1).argmax())
