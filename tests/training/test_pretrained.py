"""The sound encoder's weights from a checkpoint of the package that brings them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from aisfx_file import write_aisfx

from hsm.config import TINY
from hsm.errors import HSMError
from hsm.features import sfx_mel
from hsm.networks.sound_encoder import SoundEncoder
from hsm.training import pretrained
from hsm.training.pretrained import aisfx_checkpoint, read_checkpoint


def test_the_folded_network_computes_what_the_original_does(tmp_path: Path) -> None:
    layers = write_aisfx(tmp_path / "checkpoint.pth", 2)
    encoder = SoundEncoder(TINY.sound_encoder)
    encoder.load_state_dict(read_checkpoint(tmp_path / "checkpoint.pth", TINY.sound_encoder))
    wave = torch.randn(1, 32_000) * 0.05
    x = sfx_mel(wave)[None]
    with torch.no_grad():
        for i in range(0, len(layers), 2):
            x = torch.relu(layers[i + 1](layers[i](x)))
            if i % 4 == 2 and i < 14:
                x = torch.nn.functional.max_pool2d(x, 2)
    wanted = x.permute(0, 2, 3, 1)
    torch.testing.assert_close(encoder(wave), wanted, rtol=1e-3, atol=1e-3 * float(wanted.max()))


def test_a_checkpoint_of_another_size_is_refused(tmp_path: Path) -> None:
    write_aisfx(tmp_path / "checkpoint.pth", 3)
    with pytest.raises(HSMError, match="has 3 channels, wanted 2"):
        read_checkpoint(tmp_path / "checkpoint.pth", TINY.sound_encoder)


def test_a_missing_package_is_named_with_its_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(HSMError, match="pip install --no-deps aisfx"):
        aisfx_checkpoint()
