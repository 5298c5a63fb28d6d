"""A BERT encoder's hidden states for one sentence, without the time that general code takes.

Departure: none in the values. For one short sentence on the CPU a third of the library's time is not
arithmetic; here are no padding, no dropout and no hooks, and query, key and value are one product.
"""

from __future__ import annotations

from typing import Any, TypeGuard, cast

import torch
from torch import Tensor, nn
from transformers import BertModel


class BertLayers:
    """The layers of a frozen `BertModel`, its own weights but for the joined query, key and value.

    Args:
        module: in evaluation mode and on the CPU; see `fits`.
    """

    def __init__(self, module: BertModel) -> None:
        self.embeddings: Any = module.embeddings
        self.layers = cast(Any, module.encoder).layer
        self.heads = int(module.config.num_attention_heads)
        inward = [layer.attention.self for layer in self.layers]
        self.weights = [torch.cat([a.query.weight, a.key.weight, a.value.weight]) for a in inward]  # (3 W, W) each
        self.biases = [torch.cat([a.query.bias, a.key.bias, a.value.bias]) for a in inward]  # (3 W) each
        for attention, joined in zip(inward, self.weights, strict=True):  # the module's own become parts of these
            for linear, part in zip((attention.query, attention.key, attention.value), joined.chunk(3), strict=True):
                linear.weight.data = part

    @staticmethod
    def fits(module: nn.Module) -> TypeGuard[BertModel]:
        """Whether the module is a BERT encoder of the plain kind that this class computes."""
        return isinstance(module, BertModel) and module.config.hidden_act == "gelu" and not module.config.is_decoder

    def __call__(self, ids: Tensor) -> list[Tensor]:
        """Embeddings and the output of every layer, (1, L, W) each, of the tokens (1, L) of one sentence."""
        x: Tensor = self.embeddings(input_ids=ids)  # (1, L, W)
        hidden = [x]
        for layer, weight, bias in zip(self.layers, self.weights, self.biases, strict=True):
            joined = nn.functional.linear(x, weight, bias)  # (1, L, 3 W)
            query, key, value = joined.view(*ids.shape, 3, self.heads, -1).permute(2, 0, 3, 1, 4)  # (1, H, L, W/H)
            seen = nn.functional.scaled_dot_product_attention(query, key, value)
            seen = seen.transpose(1, 2).flatten(2)  # (1, L, W)
            x = layer.attention.output.LayerNorm(layer.attention.output.dense(seen) + x)
            inner = nn.functional.gelu(layer.intermediate.dense(x))  # (1, L, 4 W)
            x = layer.output.LayerNorm(layer.output.dense(inner) + x)
            hidden.append(x)
        return hidden
