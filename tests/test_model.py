"""The paper's figure: what passes from window to window."""

from __future__ import annotations

import torch

from hsm.model import smooth


def test_a_changed_global_feature_is_half_there_at_once_and_nearly_whole_after_four_windows() -> None:
    """Neither flips the target from window to window nor keeps what is long over."""
    before = torch.zeros(1, 1)
    now = smooth(torch.ones(4, 1), before)[:, 0].tolist()
    assert 0.25 <= now[0] <= 0.75
    assert now == sorted(now)
    assert now[3] > 0.9


def test_the_first_window_has_nothing_to_keep_and_a_steady_one_stays() -> None:
    fresh = torch.tensor([[2.0], [2.0], [2.0]])
    assert torch.equal(smooth(fresh, None), fresh)
    together = smooth(torch.tensor([[1.0], [0.0], [0.0]]), None)
    one_by_one = smooth(torch.tensor([[0.0]]), smooth(torch.tensor([[1.0], [0.0]]), None)[-1:])
    assert torch.equal(together[-1:], one_by_one)
