"""Training of the offline instruction parser on generated sentences."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from hsm.config import TextConfig
from hsm.instruction.generator import Example, examples
from hsm.instruction.neural import InstructionNet, NeuralParser
from hsm.text import load_text_encoder

BATCH, PEAK_RATE, MUON_RATE, WARM_UP_STEPS, POOL = 64, 3e-3, 0.02, 100, 64
MINILM = TextConfig(encoder="minilm", width=384, max_tokens=64)


def _targets(batch: list[Example], spans: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Operation labels (B,) and token marks (B, L): 1 where most of a token's characters are marked."""
    marks = torch.zeros(mask.shape)
    for row, example in enumerate(batch):
        for column, (start, end) in enumerate(spans[row].tolist()):
            if end > start and 2 * example.marks.count("1", start, end) >= end - start:
                marks[row, column] = 1.0
    return torch.tensor([example.label for example in batch]), marks


def _batches(stream: Iterator[Example]) -> Iterator[list[Example]]:
    """Batches of sentences of similar length, so that little is padding."""
    while True:
        pool = sorted(islice(stream, POOL * BATCH), key=lambda example: len(example.text))
        order = torch.randperm(POOL).tolist()
        yield from (pool[i * BATCH : (i + 1) * BATCH] for i in order)


def losses(parser: NeuralParser, batch: list[Example]) -> Tensor:
    """Cross-entropy of the operation plus that of the marks."""
    ids, mask, spans = parser.tokens([example.text for example in batch])
    labels, marks = _targets(batch, spans, mask)
    decision = parser.net(parser.encoder.vocabulary[ids], mask)
    tags = nn.functional.binary_cross_entropy_with_logits(decision.description.float(), marks, reduction="none")
    return nn.functional.cross_entropy(decision.operation.float(), labels) + 2 * tags[mask].mean()


def _optimisers(net: nn.Module) -> list[torch.optim.Optimizer]:
    """Muon for the square-ish matrices inside, AdamW for the rest."""
    matrices: list[Tensor] = []
    others: list[Tensor] = []
    for name, parameter in net.named_parameters():
        inside = name.startswith(("near", "blocks", "last")) and name.endswith("weight")
        (matrices if inside and parameter.ndim == 2 and min(parameter.shape) > 8 else others).append(parameter)
    return [
        torch.optim.Muon(matrices, lr=MUON_RATE, weight_decay=0.01),
        torch.optim.AdamW(others, lr=PEAK_RATE, weight_decay=0.01, betas=(0.9, 0.98)),
    ]


def train_parser(out: Path, minutes: float, captions: list[str], seed: int) -> None:
    """Train the parser and write its weights.

    Args:
        out: safetensors file to write; saved every two minutes and at the end.
        minutes: wall-clock budget; the learning rate falls to zero with it.
        captions: further sound captions for the sentences; may be empty.
        seed: of the sentences and the first weights.
    """
    torch.manual_seed(seed)
    encoder = load_text_encoder(MINILM)
    parser = NeuralParser(InstructionNet(encoder.width), encoder)
    optimisers = _optimisers(parser.net)
    start = saved = time.monotonic()
    running = 0.0
    for step, batch in enumerate(_batches(examples(seed, captions))):
        part = (time.monotonic() - start) / (60 * minutes)
        if part >= 1:
            break
        scale = min(1, (step + 1) / WARM_UP_STEPS) * 0.5 * (1 + math.cos(math.pi * part))
        for optimiser, peak in zip(optimisers, (MUON_RATE, PEAK_RATE), strict=True):
            optimiser.param_groups[0]["lr"] = peak * scale
        parser.net.train()
        loss = losses(parser, batch)
        parser.net.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(parser.net.parameters(), 1.0)
        for optimiser in optimisers:
            optimiser.step()
        running += (loss.item() - running) / min(step + 1, 100)
        if step % 100 == 0:
            print(f"instruction step {step:6d}  {60 * minutes * part:6.0f} s  loss {running:.4f}", flush=True)
        if time.monotonic() - saved > 120:
            _save(parser, out)
            saved = time.monotonic()
    _save(parser, out)


def _save(parser: NeuralParser, out: Path) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    save_file(parser.state(), out)
