"""The trained parser: a small transformer that reads the operation and marks the sound's words.

Departure: Sec. III-F asks a large language model; this one runs offline in a few milliseconds. It
starts from the text encoder's own word-piece embeddings, so it has met words that its training
sentences never used, and learns order and negation itself.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import torch
from torch import Tensor, nn

from hsm.errors import HSMError
from hsm.instruction.grammar import names_nothing, trim
from hsm.instruction.targets import split_targets
from hsm.instruction.text import clean_text, nothing_to_separate
from hsm.records import OPERATIONS, Instruction
from hsm.text import TextEncoder

WIDTH, LAYERS, HEAD_WIDTH, LONGEST_TOKENS = 128, 1, 32, 192
DILATIONS = (1, 1, 2, 4)
NOTHING_CLASS = len(OPERATIONS)
_WORD = re.compile(r"\S+")
_BINDING_WORDS = "a an the of in on at to and or as with for from by & is are that who which"
_GLUE = frozenset(_BINDING_WORDS.split())


class Decision(NamedTuple):
    """Operation logits (B, 3): extract, remove, nothing; description logits (B, L), one a token."""

    operation: Tensor
    description: Tensor


class Neighbours(nn.Module):
    """Each token adds a weighted look at two tokens on either side, one weight a channel.

    Word order is what turns "leave in" into "leave out"; given directly, it is learnt in far fewer
    steps than attention alone needs.
    """

    def __init__(self, width: int, dilation: int, reach: int = 2) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.weight = nn.Parameter(torch.randn(2 * reach + 1, width) / (2 * reach + 1) ** 0.5)
        self.mix = nn.Linear(width, width)
        self.dilation, self.pad = dilation, reach * dilation

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, L, D), (B, L) -> (B, L, D); padding is read as zeros."""
        padded = nn.functional.pad(self.norm(x) * mask.unsqueeze(-1), (0, 0, self.pad, self.pad))
        windows = [padded[:, k * self.dilation :][:, : x.shape[1]] for k in range(len(self.weight))]
        near = torch.stack([window * weight for window, weight in zip(windows, self.weight, strict=True)]).sum(0)
        added: Tensor = self.mix(nn.functional.gelu(near))
        return x + added  # (B, L, D)


class InstructionNet(nn.Module):
    """A few dilated convolutions and attention over word-piece embeddings, with two heads.

    Args:
        vocabulary_width: width W of the embeddings it reads.
        width: its own width.
        layers: attention blocks.
    """

    def __init__(self, vocabulary_width: int, width: int = WIDTH, layers: int = LAYERS) -> None:
        super().__init__()
        self.enter = nn.Sequential(nn.Linear(vocabulary_width, width), nn.LayerNorm(width))
        self.near = nn.ModuleList(Neighbours(width, dilation) for dilation in DILATIONS)
        self.position = nn.Parameter(0.1 * torch.randn(LONGEST_TOKENS, width))
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width, width // HEAD_WIDTH, 3 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
            )
            for _ in range(layers)
        )
        self.last = Neighbours(width, 1)
        self.leave = nn.LayerNorm(width)
        self.operation = nn.Linear(2 * width, NOTHING_CLASS + 1)
        self.description = nn.Linear(width, 1)

    def forward(self, embeddings: Tensor, mask: Tensor) -> Decision:
        """Read word pieces.

        Args:
            embeddings: (B, L, W), the first one is the start token.
            mask: (B, L), True where a token stands.
        """
        x = self.enter(embeddings) + self.position[: embeddings.shape[1]]  # (B, L, D)
        for near in self.near:
            x = near(x, mask)  # (B, L, D)
        for block in self.blocks:
            x = block(x, src_key_padding_mask=~mask)  # (B, L, D)
        x = self.leave(self.last(x, mask))
        weight = mask.unsqueeze(-1).to(x.dtype)
        mean = (x * weight).sum(1) / weight.sum(1)  # (B, D)
        return Decision(self.operation(torch.cat([x[:, 0], mean], -1)), self.description(x).squeeze(-1))


class NeuralParser:
    """The network with the tokenizer and the embeddings it reads.

    Args:
        net: the network.
        encoder: the text encoder it was trained on (all-MiniLM-L6-v2).
    """

    def __init__(self, net: InstructionNet, encoder: TextEncoder) -> None:
        self.net = net.eval()
        self.encoder = encoder

    @staticmethod
    def from_state(state: dict[str, Tensor], encoder: TextEncoder) -> NeuralParser:
        """Build a parser from saved weights; sizes are read from the tensors.

        Raises:
            HSMError: weights of another network, or trained on another text encoder.
        """
        if "enter.0.weight" not in state:
            raise HSMError("instruction parser: these are not its weights ('enter.0.weight' is missing).")
        width, vocabulary_width = state["enter.0.weight"].shape
        if vocabulary_width != encoder.width:
            raise HSMError(
                f"instruction parser: trained on a text encoder {vocabulary_width} wide, this one has "
                f"{encoder.width}; load all-MiniLM-L6-v2 for it."
            )
        layers = len({name.split(".")[1] for name in state if name.startswith("blocks.")})
        net = InstructionNet(vocabulary_width, width, layers)
        net.load_state_dict({name: tensor.float() for name, tensor in state.items()})
        return NeuralParser(net, encoder)

    def state(self) -> dict[str, Tensor]:
        """The weights in half precision, for a safetensors file."""
        return {name: tensor.detach().half().contiguous() for name, tensor in self.net.state_dict().items()}

    def tokens(self, texts: list[str]) -> tuple[Tensor, Tensor, Tensor]:
        """Ids (B, L), mask (B, L) and character spans (B, L, 2) of instructions."""
        batch = self.encoder.tokenizer(  # type: ignore[operator]
            texts, padding=True, truncation=True, max_length=LONGEST_TOKENS, return_offsets_mapping=True,
            return_tensors="pt",
        )  # fmt: skip
        return batch["input_ids"], batch["attention_mask"].bool(), batch["offset_mapping"]

    @torch.inference_mode()
    def parse(self, text: str) -> Instruction:
        """Understand an instruction.

        Raises:
            HSMError: empty, too long, or naming no sound.
        """
        cleaned = clean_text(text)
        ids, mask, spans = self.tokens([cleaned])
        decision = self.net(self.encoder.vocabulary[ids].float(), mask)
        chances = decision.operation.float().softmax(-1)[0]  # (3,)
        words, sure = _marked_words(cleaned, decision.description[0].float().sigmoid(), spans[0])
        description = trim(" ".join(words))
        if names_nothing(description):  # the marks, not the class: words that were marked are worth showing
            raise nothing_to_separate(cleaned)
        best = int(chances[:NOTHING_CLASS].argmax())
        return Instruction(
            operation=OPERATIONS[best],
            description=description,
            text=text,
            parser="neural",
            confidence=round(float(chances[best]) * sure, 3),
            descriptions=split_targets(description),
        )


def _marked_words(text: str, marks: Tensor, spans: Tensor) -> tuple[list[str], float]:
    """The description's words in order, and how sure the marks are (geometric mean of all words)."""
    words, chances = list(_WORD.finditer(text)), []
    for word in words:
        inside = [
            float(mark)
            for mark, (start, end) in zip(marks, spans.tolist(), strict=True)
            if end > start and start >= word.start() and end <= word.end()
        ]
        pieces = inside if any(c.isalnum() for c in word[0]) else inside[:1]
        chances.append(sum(pieces) / len(pieces) if pieces else 0.0)
    runs = _runs([word[0] for word in words], [chance > 0.5 for chance in chances])
    sure = torch.tensor([max(chance, 1 - chance) for chance in chances]).clamp_min(1e-6).log().mean().exp()
    chosen: list[str] = []
    for first, last in runs:
        if chosen and not chosen[-1].endswith(",") and chosen[-1].lower() not in _GLUE:
            chosen.append("and")
        chosen += [word[0] for word in words[first:last]]
    return chosen, float(sure)


def _runs(words: list[str], marked: list[bool]) -> list[tuple[int, int]]:
    """Stretches of marked words; a gap of at most two words that only bind is closed."""
    runs: list[tuple[int, int]] = []
    for index in [i for i, mark in enumerate(marked) if mark]:
        gap = words[runs[-1][1] : index] if runs else []
        if runs and len(gap) <= 2 and all(word.lower() in _GLUE for word in gap):
            runs[-1] = (runs[-1][0], index + 1)
        else:
            runs.append((index, index + 1))
    return runs
