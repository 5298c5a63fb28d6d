"""Reading a tensor at fractional places."""

from __future__ import annotations

from torch import Tensor


def interpolate(x: Tensor, place: Tensor, dim: int) -> Tensor:
    """Values of x between its entries along one dimension, linearly; the ends are held.

    Args:
        x: any shape.
        place: (n,) real positions, counted in entries.
        dim: the dimension that is read.

    Returns:
        x's shape with n entries along that dimension.
    """
    last = x.shape[dim] - 1
    place = place.clamp(0, last)
    below = place.floor().long().clamp_max(max(0, last - 1))
    share = (place - below).to(x.dtype).reshape([-1 if d == dim else 1 for d in range(x.ndim)])
    lower, upper = x.index_select(dim, below), x.index_select(dim, (below + 1).clamp_max(last))
    return lower + (upper - lower) * share
