"""The trained parser: a small transformer that reads the operation and marks the sound's words.

Departure: Sec. III-F asks a large language model; this one runs offline in a few milliseconds. It
reads the layers of the frozen text encoder, which has met words and turns of phrase that the
training sentences never used, and learns order and negation itself.
"""

from __future__ import annotations

import copy
import math
import re
from typing import NamedTuple

import torch
from torch import Tensor

from hsm.networks.instruction_net import LONGEST_TOKENS, InstructionNet
from hsm.records import OPERATIONS, Operation
from hsm.text import TextEncoder

LIKELY, POSSIBLE = 0.5, 0.2  # chance from which a word is the sound's, and where no word has it
_WORD = re.compile(r"\S+")
_AMOUNT = re.compile(r"[-+]?\d+(?:[.,]\d+)? ?(?:db|decibels?|percent|%)|\d?\d:\d\d", re.I)
_BINDING_WORDS = "a an the of in on at to and or as with for from by & is are that who which"
_GLUE = frozenset(_BINDING_WORDS.split())
_GOING_ON_WORDS = "keep keeps kept on is are was were start starts started stop stops won't never always just"
_GOING_ON = frozenset(_GOING_ON_WORDS.split())


class Reading(NamedTuple):
    """What the network made of a sentence.

    `description` has the marked words, empty where there are none; `rest` is the sentence with "_" in their place;
    `nothing` is the chance that it names no sound.
    """

    operation: Operation
    description: str
    rest: str
    confidence: float
    nothing: float


class NeuralParser:
    """The network with the tokenizer and the embeddings it reads, those of the text encoder it was trained on."""

    def __init__(self, net: InstructionNet, encoder: TextEncoder) -> None:
        # A copy, so that it stays in float32 on the CPU whatever becomes of the model's networks: 0.2 M parameters.
        self.net = copy.deepcopy(net).float().cpu().eval()
        self.encoder = encoder
        self._words = encoder.words

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
    def read(self, text: str) -> Reading:
        """Read one line, as `hsm.instruction.text.clean_text` makes it."""
        ids, mask, spans = self.tokens([text])
        decision = self.net(self.layers(ids, mask).cpu(), mask)  # of (1, L, 3 W)
        *chances, nothing = decision.operation.softmax(-1)[0].tolist()
        best = chances.index(max(chances))
        words, rest, sure = _marked_words(text, decision.description[0].sigmoid().tolist(), spans[0].tolist())
        return Reading(OPERATIONS[best], " ".join(words), rest, round(chances[best] * sure, 3), nothing)


def _marked_words(text: str, marks: list[float], spans: list[list[int]]) -> tuple[list[str], str, float]:
    """The description's words in order, the rest, and how sure the marks are (geometric mean of all words)."""
    words, chances = list(_WORD.finditer(text)), []
    amounts = [told.span() for told in _AMOUNT.finditer(text)]
    for word in words:
        inside = [
            mark
            for mark, (start, end) in zip(marks, spans, strict=True)
            if word.start() <= start < end <= word.end() and any(c.isalnum() for c in text[start:end])
        ]  # a full stop after a word says nothing about the word
        amount = any(start <= word.start() < end for start, end in amounts)
        chances.append(sum(inside) / len(inside) if inside and not amount else 0.0)
    least = LIKELY if max(chances) > LIKELY else POSSIBLE  # a sentence without a sound is far below both
    marked = [chance > least for chance in chances]
    for i in range(1, len(words)):  # "bell 2": numbers that end the sentence belong to what they follow
        marked[i] |= marked[i - 1] and all(word[0].isdigit() for word in words[i:])
    plain = [word[0] for word in words]
    for i in range(len(words) - 2):  # "voice of the man": a doubtful word belongs to the sound that it is of
        belongs = chances[i] > POSSIBLE and plain[i + 1].lower() == "of"
        marked[i] |= belongs and any(marked[i + 2 : i + (4 if plain[i + 2].lower() in _GLUE else 3)])
    sure = math.exp(sum(math.log(max(chance, 1 - chance)) for chance in chances) / len(chances))
    chosen: list[str] = []
    rest: list[str] = []
    end = 0
    for first, last in _last_mentions(plain, _runs(plain, marked)):
        between = {word.lower() for word in plain[end:first]}
        one_sound = bool(between) and between <= _GOING_ON  # "somebody keeps coughing"
        if chosen and not one_sound and not chosen[-1].endswith(",") and chosen[-1].lower() not in _GLUE:
            chosen.append("and")
        chosen += plain[first:last]
        rest += [*plain[end:first], "_"]
        end = last
    return chosen, " ".join(rest + plain[end:]), sure


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
