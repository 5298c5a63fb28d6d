"""Stage `instruction`: the offline instruction parser on generated sentences. Paper: Sec. III-F."""

from __future__ import annotations

import random

import numpy as np
import torch
from torch import Tensor, nn

from hsm.evaluation.instructions import evaluated_sentences, plain_words
from hsm.instruction.generator import Example, generate
from hsm.instruction.neural import NeuralParser
from hsm.networks.instruction_net import InstructionNet
from hsm.precision import mixed_precision
from hsm.text import load_text_encoder
from hsm.training.stage import Stage, StageContext, register

MARK_WEIGHT = 2.0
TOGETHER = 16  # sentences of like length that are read side by side: little padding


def targets(batch: list[Example], spans: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Operation labels (B,) and token marks (B, L): 1 where most of a token's characters are marked."""
    marks = torch.zeros(mask.shape)
    for row, example in enumerate(batch):
        for column, (start, end) in enumerate(spans[row].tolist()):
            if end > start and 2 * example.marks.count("1", start, end) >= end - start:
                marks[row, column] = 1.0
    return torch.tensor([example.label for example in batch]), marks


@register("instruction")
class InstructionStage(Stage):
    """Cross-entropy of the operation plus that of the marks on the description's words.

    Every sentence is new, and none is one of the evaluated sets; the training clips' captions are among the sounds
    that are named.
    """

    batch = 64
    matrices = ("mix.", "linear", "self_attn.")

    def __init__(self, context: StageContext) -> None:
        super().__init__(context)
        net = self.train("instruction", InstructionNet)
        encoder = load_text_encoder(context.config.text)
        encoder.module.to(context.device)
        self.net, self.parser = net, NeuralParser(net, encoder)
        self.captions = sorted({clip.caption for clip in context.clips.clips if clip.split == "train"})
        self.evaluated = evaluated_sentences()

    def draw(self, rng: np.random.Generator) -> list[Example]:
        """A batch, shortest first, without the evaluated sentences."""
        draw, batch = random.Random(int(rng.integers(2**63))), list[Example]()
        while len(batch) < self.batch:
            example = generate(draw, self.captions)
            if plain_words(example.text) not in self.evaluated:
                batch.append(example)
        return sorted(batch, key=lambda example: len(example.text))

    def training_step(self, batch: list[Example]) -> dict[str, Tensor]:
        """See `Stage.training_step`."""
        operation, description, tokens = torch.zeros((), device=self.device), torch.zeros((), device=self.device), 0
        for start in range(0, len(batch), TOGETHER):
            part = batch[start : start + TOGETHER]
            ids, mask, spans = self.parser.tokens([example.text for example in part])
            labels, marks = (x.to(self.device) for x in targets(part, spans, mask))
            with mixed_precision(self.device):
                layers = self.parser.layers(ids, mask)  # (B, L, 3 W)
            mask = mask.to(self.device)
            decision = self.net(layers, mask)
            operation = operation + nn.functional.cross_entropy(decision.operation.float(), labels, reduction="sum")
            tags = nn.functional.binary_cross_entropy_with_logits(decision.description.float(), marks, reduction="none")
            description, tokens = description + tags[mask].sum(), tokens + int(mask.sum())
        operation, description = operation / len(batch), description / tokens
        return {
            "loss": operation + MARK_WEIGHT * description,
            "operation": operation,
            "description": description,
        }
