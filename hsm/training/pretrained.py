"""Weights of the sound encoder, from the package that brings them.

`pip install --no-deps aisfx==0.1.2` (its own requirements pin an old numpy). Weights: CC BY 4.0,
Alison B. Ma and Alexander Lerch, "Representation Learning for the Automatic Indexing of Sound Effects
Libraries", ISMIR 2022.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hsm.errors import HSMError
from hsm.networks.sound_encoder import BLOCKS, SoundEncoderConfig

SOURCE = "aisfx 0.1.2"
LICENCE = "CC BY 4.0, Alison B. Ma and Alexander Lerch, ISMIR 2022 (aiSFX); batch normalisation folded in"
NORM_EPSILON = 1e-5


def aisfx_checkpoint() -> Path:
    """Where the installed package keeps its weights; nothing of it is imported.

    Raises:
        HSMError: the package is not installed.
    """
    found = importlib.util.find_spec("aisfx")
    if found is None or found.origin is None:
        raise HSMError("sound_encoder: the package aisfx is not here; pip install --no-deps aisfx==0.1.2")
    return Path(found.origin).parent / "models" / "checkpoint.pth"


def read_checkpoint(path: Path, config: SoundEncoderConfig) -> dict[str, Tensor]:
    """State of `hsm.networks.sound_encoder.SoundEncoder` from aiSFX's checkpoint.

    Args:
        path: checkpoint.pth; tensors and plain numbers alone are unpickled.
        config: sizes that it must have.

    Returns:
        Convolutions with their batch normalisation folded in.

    Raises:
        HSMError: a file of other sizes.
    """
    # numpy's numbers, under their name of before numpy 2 too.
    scalar = np.float64(0).__reduce__()[0]
    dtypes = [np.dtype, np.dtypes.Float64DType, np.dtypes.Int64DType]
    allowed: list[Any] = [scalar, (scalar, "numpy.core.multiarray.scalar"), *dtypes]
    with torch.serialization.safe_globals(allowed):
        saved = torch.load(path, map_location="cpu", weights_only=True)[0]
    channels = len(saved["embedding_net.conv_block1.conv1.weight"])
    if channels != config.channels:
        raise HSMError(f"{path}: its first block has {channels} channels, wanted {config.channels}.")
    state = {}
    for block in range(BLOCKS):
        for number in (1, 2):
            prefix = f"embedding_net.conv_block{block + 1}."
            norm = {part: saved[f"{prefix}bn{number}.{part}"] for part in ("weight", "bias", "running_mean")}
            scale = norm["weight"] / (saved[f"{prefix}bn{number}.running_var"] + NORM_EPSILON).sqrt()
            name = f"convolutions.{2 * block + number - 1}"
            state[f"{name}.weight"] = saved[f"{prefix}conv{number}.weight"] * scale[:, None, None, None]
            state[f"{name}.bias"] = norm["bias"] - norm["running_mean"] * scale
    return state
