"""Attention against torch's own."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from hsm.networks.layers import Attention, TransformerBlock


def torchs_own(attention: Attention, width: int, context_width: int) -> nn.MultiheadAttention:
    """`nn.MultiheadAttention` with the same weights."""
    own = nn.MultiheadAttention(width, attention.heads, kdim=context_width, vdim=context_width, batch_first=True)
    parts = (attention.query, attention.key, attention.value)
    with torch.no_grad():
        if own.in_proj_weight is not None:
            own.in_proj_weight.copy_(torch.cat([part.weight for part in parts]))
        else:
            for mine, part in zip((own.q_proj_weight, own.k_proj_weight, own.v_proj_weight), parts, strict=True):
                mine.copy_(part.weight)
        own.in_proj_bias.copy_(torch.cat([part.bias for part in parts]))
        own.out_proj.load_state_dict(attention.out.state_dict())
    return own.eval()


@pytest.mark.parametrize("masked", [False, True])
def test_self_attention_equals_torchs_own(masked: bool) -> None:
    attention, x = Attention(24, 4), torch.randn(2, 7, 24)
    present = torch.ones(2, 7, dtype=torch.bool)
    if masked:
        present[0, 4:] = False
    wanted, weights = torchs_own(attention, 24, 24)(x, x, x, key_padding_mask=~present, average_attn_weights=False)
    mask = present[:, None, None, :] if masked else None
    assert torch.allclose(attention(x, mask=mask), wanted, atol=1e-5)
    assert torch.allclose(attention.scores(x, slice(1, 4), mask).softmax(-1), weights[:, :, 1:4], atol=1e-6)


def test_cross_attention_over_another_width_equals_torchs_own() -> None:
    attention, x, context = Attention(24, 3, 10), torch.randn(2, 5, 24), torch.randn(2, 9, 10)
    wanted, _ = torchs_own(attention, 24, 10)(x, context, context)
    assert torch.allclose(attention(x, context), wanted, atol=1e-5)


def test_the_weights_sum_to_one_and_are_those_that_forward_uses() -> None:
    attention, x = Attention(16, 2), torch.randn(3, 6, 16)
    mask = torch.ones(3, 1, 1, 6, dtype=torch.bool)
    mask[1, ..., 2] = False
    weights = attention.scores(x, slice(0, 6), mask).softmax(-1)
    assert weights.shape == (3, 2, 6, 6)
    assert torch.allclose(weights.sum(-1), torch.ones(3, 2, 6))
    assert not weights[1, :, :, 2].any(), "what is masked gets no weight"
    values = attention.value(x).unflatten(-1, (2, 8)).transpose(1, 2)  # (B, heads, L, d)
    joined = (weights @ values).transpose(1, 2).flatten(2)
    assert torch.allclose(attention.out(joined), attention(x, mask=mask), atol=1e-5)


def test_a_block_is_pre_norm_and_keeps_its_input_where_its_outputs_are_zero() -> None:
    block, x = TransformerBlock(16, 2), torch.randn(1, 5, 16)
    for layer in (block.attention.out, block.feed[-1]):
        nn.init.zeros_(layer.weight)  # type: ignore[arg-type]
        nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    assert torch.equal(block(x), x)
