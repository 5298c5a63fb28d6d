"""The lean pass over a BERT encoder gives the library's own hidden states."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import BertConfig, BertModel

from hsm.models.bert_layers import BertLayers


def test_the_hidden_states_are_the_librarys() -> None:
    torch.manual_seed(0)
    config = BertConfig(vocab_size=50, hidden_size=32, num_hidden_layers=3, num_attention_heads=4, intermediate_size=64)
    module = BertModel(config).eval()
    ids = torch.randint(0, 50, (1, 9))
    with torch.no_grad():
        wanted = module(input_ids=ids, attention_mask=torch.ones_like(ids), output_hidden_states=True).hidden_states
        found = BertLayers(module)(ids)
    assert len(found) == len(wanted) == 4
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


def test_only_a_plain_bert_fits() -> None:
    sizes: dict[str, Any] = {"vocab_size": 9, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    assert BertLayers.fits(BertModel(BertConfig(**sizes)))
    assert not BertLayers.fits(BertModel(BertConfig(**sizes, hidden_act="relu")))
    assert not BertLayers.fits(nn.Identity())
