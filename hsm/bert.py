"""BERT, the form of the packaged text encoder: all hidden states of its layers.

Departure: none in the values. The library's class computes the same, but importing it takes twice as long as
everything else together and as much memory as all weights; and of a short sentence's time a third is not
arithmetic there. Other encoders are the library's own.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from hsm.weights import without_weights

JOINED = ("query", "key", "value")  # one product here, three matrices in a file


class BertLayer(nn.Module):
    """Self-attention and feed-forward, each normalised after its residual."""

    def __init__(self, width: int, heads: int, inner: int, epsilon: float) -> None:
        super().__init__()
        self.heads = heads
        self.joined = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.attention_norm = nn.LayerNorm(width, epsilon)
        self.inner = nn.Linear(width, inner)
        self.outer = nn.Linear(inner, width)
        self.norm = nn.LayerNorm(width, epsilon)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """(B, L, W) to the same; mask (B, 1, 1, L), True where a token stands, None where all do."""
        joined = self.joined(x).view(*x.shape[:2], 3, self.heads, -1)  # (B, L, 3, heads, W / heads)
        query, key, value = joined.permute(2, 0, 3, 1, 4)  # (B, heads, L, W / heads) each
        seen = F.scaled_dot_product_attention(query, key, value, mask).transpose(1, 2).flatten(2)  # (B, L, W)
        x = self.attention_norm(self.out(seen) + x)
        out: Tensor = self.norm(self.outer(F.gelu(self.inner(x))) + x)
        return out


class Bert(nn.Module):
    """The encoder.

    Args:
        words: of the vocabulary.
        width: W.
        layers: number of layers.
        heads: of the attention; divides width.
        inner: width inside a feed-forward.
        positions: most tokens.
        kinds: of sentences; only the first is used.
        epsilon: of the normalisations.
    """

    def __init__(
        self,
        words: int,
        width: int,
        layers: int,
        heads: int,
        inner: int,
        positions: int = 512,
        kinds: int = 2,
        epsilon: float = 1e-12,
    ) -> None:
        super().__init__()
        self.words = nn.Embedding(words, width)
        self.positions = nn.Embedding(positions, width)
        self.kinds = nn.Embedding(kinds, width)
        self.norm = nn.LayerNorm(width, epsilon)
        self.layers = nn.ModuleList(BertLayer(width, heads, inner, epsilon) for _ in range(layers))

    @staticmethod
    def load(folder: str | Path) -> Bert:
        """A model of the transformers library.

        Args:
            folder: with config.json and model.safetensors.

        Returns:
            The encoder with its weights, float32.

        Raises:
            OSError: a file that is not there.
            ValueError: not a BERT with GELU.
        """
        folder = Path(folder)
        config: dict[str, Any] = json.loads((folder / "config.json").read_text())
        found = config.get("model_type"), config.get("hidden_act")
        if found != ("bert", "gelu"):
            raise ValueError(f"{folder}: got a model of the type and activation {found}, wanted ('bert', 'gelu')")
        with without_weights():
            module = Bert(
                config["vocab_size"],
                config["hidden_size"],
                config["num_hidden_layers"],
                config["num_attention_heads"],
                config["intermediate_size"],
                config["max_position_embeddings"],
                config["type_vocab_size"],
                config["layer_norm_eps"],
            )
        stored = {key: value.float() for key, value in load_file(folder / "model.safetensors").items()}
        module.load_state_dict(_renamed(stored, config["num_hidden_layers"]), assign=True)
        return module

    def get_input_embeddings(self) -> nn.Embedding:
        """Those of the words, as the library calls it."""
        return self.words

    def forward(self, ids: Tensor, mask: Tensor | None = None) -> list[Tensor]:
        """Hidden states.

        Args:
            ids: (B, L) tokens.
            mask: (B, L) True where a token stands, None where all do.

        Returns:
            The embeddings and the output of every layer, (B, L, W) each.
        """
        place = torch.arange(ids.shape[1], device=ids.device)
        x = self.norm(self.words(ids) + self.positions(place) + self.kinds.weight[0])  # (B, L, W)
        hidden = [x]
        allowed = None if mask is None or bool(mask.all()) else mask[:, None, None, :]
        for layer in self.layers:
            hidden.append(layer(hidden[-1], allowed))
        return hidden


def _renamed(stored: dict[str, Tensor], layers: int) -> dict[str, Tensor]:
    """A file's tensors under this module's names."""
    names = {
        "words": "embeddings.word_embeddings",
        "positions": "embeddings.position_embeddings",
        "kinds": "embeddings.token_type_embeddings",
    }
    state = {f"{ours}.weight": stored[f"{theirs}.weight"] for ours, theirs in names.items()}
    for part in ("weight", "bias"):
        state[f"norm.{part}"] = stored[f"embeddings.LayerNorm.{part}"]
        for i in range(layers):
            ours, theirs = f"layers.{i}", f"encoder.layer.{i}"
            state[f"{ours}.joined.{part}"] = torch.cat([stored[f"{theirs}.attention.self.{n}.{part}"] for n in JOINED])
            state[f"{ours}.out.{part}"] = stored[f"{theirs}.attention.output.dense.{part}"]
            state[f"{ours}.attention_norm.{part}"] = stored[f"{theirs}.attention.output.LayerNorm.{part}"]
            state[f"{ours}.inner.{part}"] = stored[f"{theirs}.intermediate.dense.{part}"]
            state[f"{ours}.outer.{part}"] = stored[f"{theirs}.output.dense.{part}"]
            state[f"{ours}.norm.{part}"] = stored[f"{theirs}.output.LayerNorm.{part}"]
    return state
