"""A checkpoint of the form of aiSFX's, with random weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn


def write_aisfx(path: Path, channels: int) -> list[nn.Module]:
    """Write one and return its blocks' layers in evaluation mode: convolution, normalisation, and so on."""
    torch.manual_seed(4)
    state: dict[str, torch.Tensor] = {}
    layers: list[nn.Module] = []
    widths = [1, channels, 2 * channels, 4 * channels, 8 * channels]
    for block in range(4):
        for number, narrow in ((1, widths[block]), (2, widths[block + 1])):
            convolution = nn.Conv2d(narrow, widths[block + 1], 3, padding=1, bias=False)
            norm = nn.BatchNorm2d(widths[block + 1])
            for values in (norm.weight.data, norm.running_var):
                nn.init.uniform_(values, 0.5, 2.0)  # type: ignore[arg-type]
            for values in (norm.bias.data, norm.running_mean):
                nn.init.normal_(values)  # type: ignore[arg-type]
            layers += [convolution.eval(), norm.eval()]
            for name, layer in (("conv", convolution), ("bn", norm)):
                prefix = f"embedding_net.conv_block{block + 1}.{name}{number}."
                state |= {prefix + key: value for key, value in layer.state_dict().items()}
    torch.save((state, {"dataset": (np.float64(0), np.int64(3))}), path)
    return layers
