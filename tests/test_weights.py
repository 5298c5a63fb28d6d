"""Weight folders: what is written comes back, and nothing else gets in."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from hsm import HSM, Audio, HSMError
from hsm.config import SMALL, TINY
from hsm.records import Instruction
from hsm.weights import MANIFEST, FeatureBank, WeightFolder, save_weights, sha256

MakeSound = Callable[..., Audio]
LICENCE = "for tests"


def save(folder: Path, name: str = "net", module: nn.Module | None = None, **more: str) -> Path:
    module = module if module is not None else nn.Linear(3, 2)
    return save_weights(folder, name, module.state_dict(), TINY.to_dict(), {"stage": "test"}, LICENCE, **more)


def test_saved_weights_load_strictly_and_to_half_precision(tmp_path: Path) -> None:
    wanted, found = nn.Linear(3, 2), nn.Linear(3, 2)
    path = save(tmp_path, module=wanted)
    folder = WeightFolder.open(tmp_path)
    folder.load_into("net", found)
    for key, value in found.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, wanted.state_dict()[key].half().float())
    entry = folder.manifest["files"]["net"]
    assert (entry["file"], entry["sha256"], entry["bytes"]) == (path.name, sha256(path), path.stat().st_size)
    assert entry["trained"] == {"stage": "test"}
    assert folder.manifest["licence"] == LICENCE


def test_weights_can_stay_in_half_precision_and_do_not_hang_on_their_file(tmp_path: Path) -> None:
    path = save(tmp_path)
    found = WeightFolder.open(tmp_path).state("net", half=True)
    before = {key: value.clone() for key, value in found.items()}
    path.write_bytes(bytes(path.stat().st_size))
    for key, value in found.items():
        assert value.dtype == torch.float16
        assert torch.equal(value, before[key])


def test_the_checksum_is_the_standard_one(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_second_file_keeps_the_first_ones_entry(tmp_path: Path) -> None:
    save(tmp_path, "one")
    save(tmp_path, "two")
    folder = WeightFolder.open(tmp_path)
    assert "one" in folder
    assert "two" in folder
    assert "three" not in folder


def test_a_changed_file_is_refused_by_name(tmp_path: Path) -> None:
    path = save(tmp_path)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(HSMError, match=r"net\.safetensors has sha256 .* the manifest says"):
        WeightFolder.open(tmp_path).state("net")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    save(tmp_path).unlink()
    with pytest.raises(HSMError, match=r"net\.safetensors is missing"):
        WeightFolder.open(tmp_path).state("net")


def test_a_name_that_is_not_listed_is_refused_with_those_that_are(tmp_path: Path) -> None:
    save(tmp_path)
    with pytest.raises(HSMError, match=r"lists no 'mask', only net"):
        WeightFolder.open(tmp_path).state("mask")


def test_a_file_that_is_no_safetensors_is_named(tmp_path: Path) -> None:
    path = save(tmp_path)
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    manifest = json.loads((tmp_path / MANIFEST).read_text())
    manifest["files"]["net"]["sha256"] = sha256(path)
    (tmp_path / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(HSMError, match=r"net\.safetensors is not a safetensors file"):
        WeightFolder.open(tmp_path).state("net")


@pytest.mark.parametrize("other", [nn.Linear(4, 2), nn.Linear(3, 2, bias=False), nn.Bilinear(3, 3, 2)])
def test_weights_of_another_shape_or_name_are_refused(tmp_path: Path, other: nn.Module) -> None:
    save(tmp_path)
    with pytest.raises(HSMError, match=r"net\.safetensors does not fit the network 'net' of configuration 'tiny'"):
        WeightFolder.open(tmp_path).load_into("net", other)


def test_a_folder_of_another_configuration_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = save(tmp_path)
    before = path.read_bytes(), (tmp_path / MANIFEST).read_text()
    with pytest.raises(HSMError, match="configuration 'tiny' with other sizes than 'small'"):
        save_weights(tmp_path, "net", {"x": torch.ones(1)}, SMALL.to_dict(), {}, LICENCE)
    assert (path.read_bytes(), (tmp_path / MANIFEST).read_text()) == before


@pytest.mark.parametrize("value", [1e6, float("nan"), float("inf")])
def test_a_value_that_half_precision_cannot_hold_is_refused(tmp_path: Path, value: float) -> None:
    with pytest.raises(HSMError, match=r"net\.weight has values that fp16 cannot hold"):
        save_weights(tmp_path, "net", {"weight": torch.tensor([value])}, TINY.to_dict(), {}, LICENCE)
    assert not (tmp_path / "net.safetensors").exists()


def test_a_missing_or_damaged_manifest_is_named(tmp_path: Path) -> None:
    with pytest.raises(HSMError, match=r"there is no .*manifest\.json"):
        WeightFolder.open(tmp_path)
    for text in ("{", "{}", "[]", '{"config": {}}'):
        (tmp_path / MANIFEST).write_text(text)
        with pytest.raises(HSMError, match=r"manifest\.json is damaged"):
            WeightFolder.open(tmp_path)


@pytest.mark.parametrize("entry", [{"file": "net.safetensors"}, {"file": "net.safetensors", "sha256": 5}, [], "net"])
def test_a_manifest_with_no_checksum_or_of_another_type_is_named(tmp_path: Path, entry: Any) -> None:
    save(tmp_path)
    manifest = json.loads((tmp_path / MANIFEST).read_text())
    manifest["files"]["net"] = entry
    (tmp_path / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(HSMError, match=r"manifest\.json is damaged"):
        WeightFolder.open(tmp_path)


def test_weights_that_are_no_numbers_are_named(tmp_path: Path) -> None:
    path = save(tmp_path)
    save_file({"weight": torch.full((2, 3), torch.nan), "bias": torch.zeros(2)}, path)
    manifest = json.loads((tmp_path / MANIFEST).read_text())
    manifest["files"]["net"]["sha256"] = sha256(path)
    (tmp_path / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(HSMError, match=r"net\.safetensors holds values that are no numbers"):
        WeightFolder.open(tmp_path).state("net")


def test_text_travels_inside_a_file(tmp_path: Path) -> None:
    save(tmp_path, metadata={"classes": "[]"})
    assert WeightFolder.open(tmp_path).metadata("net") == {"classes": "[]"}


def test_a_bank_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    bank = FeatureBank(np.eye(2, 4, dtype=np.float32), ("dog", "rain"), ("a dog; barks", 'rain, "heavy"'))
    state, text = bank.to_state()
    save_weights(tmp_path, "bank", state, TINY.to_dict(), {}, LICENCE, text)
    found = FeatureBank.load(WeightFolder.open(tmp_path))
    assert np.array_equal(found.features, bank.features)
    assert (found.classes, found.names) == (bank.classes, bank.names)


@pytest.fixture(scope="module")
def whole_folder(tmp_path_factory: pytest.TempPathFactory, tiny_model: HSM) -> Path:
    """The tiny model's weights and bank as a folder."""
    folder = tmp_path_factory.mktemp("weights")
    for name, module in tiny_model.model.modules.items():
        save(folder, name, module)
    state, text = tiny_model.bank.to_state()
    save_weights(folder, "bank", state, tiny_model.config.to_dict(), {}, LICENCE, text)
    return folder


def test_a_whole_model_saved_and_loaded_separates_as_before(
    whole_folder: Path, tiny_model: HSM, make_sound: MakeSound
) -> None:
    loaded = HSM.load(whole_folder, precision="float32")
    assert loaded.config == tiny_model.config
    assert loaded.bank.classes == tiny_model.bank.classes
    assert set(loaded.weights_info) == {*tiny_model.model.modules, "bank"}
    mixture, asked = make_sound(1.0), Instruction("extract", "dog")  # the two read words differently
    before, after = (model.separate(mixture, asked).mask for model in (tiny_model, loaded))
    assert np.allclose(before, after, atol=5e-3), "only rounding to half precision lies between them"


@pytest.mark.parametrize("name", ["audiomae", "q_audio", "global_separator", "local_separator", "mask", "bank"])
def test_a_model_does_not_load_with_one_file_missing(tmp_path: Path, whole_folder: Path, name: str) -> None:
    manifest = json.loads((whole_folder / MANIFEST).read_text())
    for entry in manifest["files"].values():
        if entry["file"] != f"{name}.safetensors":
            (tmp_path / entry["file"]).symlink_to(whole_folder / entry["file"])
    (tmp_path / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(HSMError, match=rf"{name}\.safetensors is missing"):
        HSM.load(tmp_path)


def test_a_missing_folder_says_what_is_wanted(tmp_path: Path) -> None:
    with pytest.raises(HSMError, match=r"wanted a folder with manifest\.json"):
        HSM.load(tmp_path / "nowhere")
