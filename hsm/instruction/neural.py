"""The trained parser: a small transformer that reads the operation and marks the sound's words.

Departure: Sec. III-F asks a large language model; this one runs offline in a few milliseconds. It
reads the layers of the frozen text encoder, which has met words and turns of phrase that the
training sentences never used, and learns order and negation itself.
"""

from __future__ import annotations

import math
import re

import torch
from torch import Tensor

from hsm.instruction.grammar import names_nothing, trim
from hsm.instruction.targets import split_targets
from hsm.instruction.text import clean_text, nothing_to_separate
from hsm.networks.instruction_net import LONGEST_TOKENS, InstructionNet
from hsm.records import OPERATIONS, Instruction
from hsm.text import TextEncoder

NOTHING_CLASS = len(OPERATIONS)
_WORD = re.compile(r"\S+")
_BINDING_WORDS = "a an the of in on at to and or as with for from by & is are that who which"
_GLUE = frozenset(_BINDING_WORDS.split())
_GOING_ON_WORDS = "keep keeps kept on is are was were start starts started stop stops won't never always just"
_GOING_ON = frozenset(_GOING_ON_WORDS.split())


class NeuralParser:
    """The network with the tokenizer and the embeddings it reads.

    Args:
        net: the network.
        encoder: the text encoder it was trained on (all-MiniLM-L6-v2).
    """

    def __init__(self, net: InstructionNet, encoder: TextEncoder) -> None:
        self.net = net.eval()
        self.encoder = encoder
        self._words = encoder.words()

    def tokens(self, texts: list[str]) -> tuple[Tensor, Tensor, Tensor]:
        """Ids (B, L), mask (B, L) and character spans (B, L, 2) of instructions."""
        found = self.encoder.encodings(texts, LONGEST_TOKENS)
        ids, mask = self.encoder.padded(found)
        spans = torch.zeros(*ids.shape, 2, dtype=torch.long)
        for row, one in zip(spans, found, strict=True):
            row[: len(one.ids)] = torch.tensor(one.offsets)
        return ids, mask, spans

    def is_word(self, word: str) -> bool:
        """Whether the text encoder's vocabulary has a lower-case word whole."""
        return word in self._words

    @torch.no_grad()
    def layers(self, ids: Tensor, mask: Tensor) -> Tensor:
        """What the network reads of tokens (B, L): embeddings, middle and last layer, (B, L, 3 W)."""
        hidden = self.encoder.hidden_states(ids, mask)
        read = torch.cat([hidden[0], hidden[len(hidden) // 2], hidden[-1]], -1)
        return read.float()

    @torch.inference_mode()
    def parse(self, text: str) -> Instruction:
        """Understand an instruction.

        Raises:
            HSMError: empty, too long, or naming no sound.
        """
        cleaned = clean_text(text)
        ids, mask, spans = self.tokens([cleaned])
        layers = self.layers(ids, mask)  # (1, L, 3 W)
        decision = self.net(layers, mask.to(layers.device))
        chances = decision.operation.float().softmax(-1)[0].cpu()  # (3,)
        words, sure = _marked_words(cleaned, decision.description[0].float().sigmoid().tolist(), spans[0].tolist())
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


def _marked_words(text: str, marks: list[float], spans: list[list[int]]) -> tuple[list[str], float]:
    """The description's words in order, and how sure the marks are (geometric mean of all words)."""
    words, chances = list(_WORD.finditer(text)), []
    for word in words:
        inside = [
            mark
            for mark, (start, end) in zip(marks, spans, strict=True)
            if word.start() <= start < end <= word.end() and any(c.isalnum() for c in text[start:end])
        ]  # a full stop after a word says nothing about the word
        chances.append(sum(inside) / len(inside) if inside else 0.0)
    marked = [chance > 0.5 for chance in chances]
    for i in range(1, len(words)):  # "bell 2": numbers that end the sentence belong to what they follow
        marked[i] |= marked[i - 1] and all(word[0].isdigit() for word in words[i:])
    runs = _runs([word[0] for word in words], marked)
    sure = math.exp(sum(math.log(max(chance, 1 - chance)) for chance in chances) / len(chances))
    chosen: list[str] = []
    end = 0
    for first, last in _last_mentions([word[0] for word in words], runs):
        between = {word[0].lower() for word in words[end:first]}
        one_sound = bool(between) and between <= _GOING_ON  # "somebody keeps coughing"
        if chosen and not one_sound and not chosen[-1].endswith(",") and chosen[-1].lower() not in _GLUE:
            chosen.append("and")
        chosen += [word[0] for word in words[first:last]]
        end = last
    return chosen, sure


def _last_mentions(words: list[str], runs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Runs without those that a later run names again ("a fan is running, remove the fan")."""
    named = [{re.sub(r"\W", "", word).lower() for word in words[first:last]} for first, last in runs]
    again = [any(one <= later or later <= one for later in named[i + 1 :]) for i, one in enumerate(named)]
    return [run for run, repeated in zip(runs, again, strict=True) if not repeated]


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
