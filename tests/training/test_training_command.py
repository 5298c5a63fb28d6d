"""The whole recipe from a manifest to a folder that separates, as the command line runs it."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from stage_context import teacher_file

from hsm import HSM, Audio, HSMError
from hsm.training.command import main
from hsm.training.stage import STAGES
from hsm.weights import MANIFEST, sha256

MakeSound = Callable[..., Audio]


@pytest.fixture
def command(manifest: Path, cache: Path, tmp_path: Path) -> list[str]:
    """Everything after the stage."""
    where = ["--data", str(manifest), "--cache", str(cache), "--runs", str(tmp_path / "runs")]
    how = [
        "--config",
        "tiny",
        "--steps",
        "2",
        "--batch",
        "3",
        "--crop-s",
        "0.64",
        "--workers",
        "0",
        "--device",
        "cpu",
        "--threads",
        "1",
    ]
    folders = ["--weights", str(tmp_path / "weights"), "--teacher", str(teacher_file())]
    return [*where, *folders, *how]


def test_all_stages_in_their_order_make_a_folder_that_separates(
    command: list[str], tmp_path: Path, manifest: Path, make_sound: MakeSound
) -> None:
    for stage in (*STAGES, "presence", "bank"):
        main([stage, *command])
    for stage in STAGES:
        *_, row = csv.DictReader((tmp_path / "runs" / stage / "metrics.csv").open())
        assert row["step"] == "2"
        assert np.isfinite(float(row["loss"]))

    model = HSM.load(tmp_path / "weights")
    mixture = make_sound(2.0, 44_100, channels=2)
    found = model.separate(mixture, "remove the dog")
    assert np.allclose(found.target.samples + found.residual.samples, mixture.samples, atol=1e-4)
    assert set(model.bank.classes) <= {"animal", "rain", "siren"}, "training clips of one class"
    assert model.bank.features.shape == (len(model.bank.names), model.config.q_audio.width)
    assert np.isfinite(model.bank.features).all()

    files = json.loads((tmp_path / "weights" / MANIFEST).read_text())["files"]
    stages = {name: entry["trained"]["stage"] for name, entry in files.items()}
    assert stages["global_separator"] == stages["local_separator"] == "joint"
    assert files["tagger"]["trained"]["presence"]["stage"] == "presence"
    for entry in files.values():
        trained = entry["trained"]
        assert trained["data_sha256"] == sha256(manifest)
        assert trained["commit"]
        assert trained["time"]
        assert trained["device"].startswith("cpu")
    assert files["mask"]["trained"]["steps"] == 2


def test_a_stage_whose_groundwork_is_untrained_is_refused(command: list[str]) -> None:
    with pytest.raises(HSMError, match="lacks sound_encoder; train them first"):
        main(["mask", "--single", *command])
    main(["sound_encoder", *command])
    with pytest.raises(HSMError, match="lacks audiomae; train them first"):
        main(["q_audio", *command])
    with pytest.raises(HSMError, match="lacks audiomae, q_audio"):
        main(["bank", *command])
    with pytest.raises(HSMError, match="lacks audiomae, q_audio, global_separator, local_separator"):
        main(["mask", *command])


def test_the_single_stage_mask_needs_the_sound_encoder_alone_and_goes_on_from_its_weights(
    command: list[str], tmp_path: Path
) -> None:
    main(["sound_encoder", *command])
    main(["mask", "--single", *command])
    first = sha256(tmp_path / "weights" / "mask.safetensors")
    main(["mask", "--single", "--resume", *command])
    assert sha256(tmp_path / "weights" / "mask.safetensors") == first, "its budget was spent"
    with pytest.raises(HSMError, match="another configuration, 'tiny'"):
        main(["mask", "--single", *command, "--config", "small"])
