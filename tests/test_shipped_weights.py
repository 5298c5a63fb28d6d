"""The weights that ship: whole, small enough, and really separating. Without them there is nothing to test."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hsm import HSM, Audio, Instruction
from hsm.evaluation.measure import measure
from hsm.evaluation.metrics import sdr, sdri
from hsm.evaluation.protocols import Ask, Trial
from hsm.evaluation.report import gate_table, gates
from hsm.evaluation.systems import HSMSystem
from hsm.manifest import Clip
from hsm.page.texts import separation_json
from hsm.weights import BUNDLED, MANIFEST, WeightFolder, sha256

pytestmark = pytest.mark.skipif(
    not (BUNDLED / MANIFEST).exists(), reason=f"{BUNDLED.name}/{MANIFEST} is not there: no weights to test"
)
ASSETS = Path(__file__).resolve().parent.parent / "assets"
NETWORKS = {"sound_encoder", "tagger", "audiomae", "q_audio", "global_separator", "local_separator", "mask"}
MEGABYTE = 10**6
EXCERPT_S = 5.12


@pytest.fixture(scope="module")
def folder() -> WeightFolder:
    return WeightFolder.open(BUNDLED)


@pytest.fixture(scope="module")
def model() -> HSM:
    return HSM.load(precision="float32")


def test_the_manifest_lists_every_file_and_its_checksum_is_right(folder: WeightFolder) -> None:
    files = folder.manifest["files"]
    assert {*NETWORKS, "bank"} <= set(files)
    for entry in files.values():
        path = folder.path / entry["file"]
        assert path.stat().st_size == entry["bytes"], path.name
        assert sha256(path) == entry["sha256"], path.name
        assert entry["trained"]["stage"], path.name
    listed = {entry["file"] for entry in files.values()}
    assert {path.name for path in folder.path.glob("*.safetensors")} <= listed
    assert "non-commercial" in folder.manifest["licence"]


def test_the_files_are_small_enough_for_a_repository(folder: WeightFolder) -> None:
    sizes = [path.stat().st_size for path in folder.path.iterdir()]
    assert max(sizes) < 50 * MEGABYTE
    assert sum(sizes) < 100 * MEGABYTE


def test_nothing_in_the_files_is_broken(folder: WeightFolder) -> None:
    for name in folder.manifest["files"]:
        for key, value in folder.state(name).items():
            assert bool(np.isfinite(value.numpy()).all()), f"{name}.{key}"
            if value.ndim == 2 and min(value.shape) > 1:
                assert value.any(), f"{name}.{key} was never trained"


def test_the_bank_fits_the_model(model: HSM) -> None:
    count, width = model.bank.features.shape
    assert width == model.config.q_audio.width
    assert len(model.bank.classes) == len(model.bank.names) == count >= 100
    assert len(set(model.bank.classes)) >= 10


def excerpts() -> list[tuple[Audio, np.ndarray, list[str]]]:
    """Mixtures of two sounds of the examples at equal level: mixture, sources (2, S), captions."""
    found = []
    for example in json.loads((ASSETS / "examples.json").read_text()):
        if len(example["sources"]) != 2:
            continue
        sounds = [Audio.load(ASSETS / source["file"]) for source in example["sources"]]
        length = min(sound.length_samples for sound in sounds)
        rate_hz = sounds[0].rate_hz
        waves = np.stack([sound.samples.mean(0)[:length] for sound in sounds])
        count = min(length, round(EXCERPT_S * rate_hz))
        quieter = np.square(waves).cumsum(1)
        energy = quieter[:, count - 1 :] - np.pad(quieter, ((0, 0), (1, 0)))[:, : length - count + 1]
        start = int(energy.min(0).argmax())  # where the quieter of the two is heard most
        waves = waves[:, start : start + count]
        waves = 0.05 * waves / np.sqrt(np.square(waves).mean(1, keepdims=True))
        found.append((Audio(waves.sum(0), rate_hz), waves, [source["caption"] for source in example["sources"]]))
    return found


def test_asked_for_a_sound_it_comes_nearer_and_asked_for_the_other_it_does_not(model: HSM) -> None:
    """Means over all examples, as one alone may fail: this catches broken or exchanged files, not a bad day."""
    right, wrong, removed = [], [], []
    for mixture, sources, captions in excerpts():
        encoded = model.encode(mixture)
        for row, caption in enumerate(captions):
            found = model.separate(encoded, Instruction("extract", caption))
            removal = model.separate(encoded, Instruction("remove", caption))
            kept, left = found.target.samples[0], removal.target.samples[0]
            right.append(sdri(sources[row], kept, mixture.samples[0]))
            wrong.append(sdri(sources[1 - row], kept, mixture.samples[0]))
            removed.append(sdri(sources[1 - row], left, mixture.samples[0]))
    assert len(right) >= 10
    told = f"SDRi {np.mean(right):.2f} dB, of the other source {np.mean(wrong):.2f}, removing {np.mean(removed):.2f}"
    assert np.mean(right) > 0, told
    assert np.mean(removed) > 0, told
    assert np.mean(right) > np.mean(wrong) + 1, told


HELD: tuple[str, ...] = (
    "other source's S, G over text alone, dB",
    "attention, right to wrong query",
)  # names of the gates that the shipped weights must pass


def test_the_hierarchy_passes_the_gates_that_it_is_held_to(model: HSM, capsys: pytest.CaptureFixture[str]) -> None:
    """The same figures over the list esc50 are in weights/RESULTS.md; here they are of the examples alone."""
    records = measure(HSMSystem(model), example_trials())
    found = gates({"mixtures": records})
    with capsys.disabled():
        print("\n" + gate_table(found))
    measured = {gate.name for gate in found if gate.figure is not None}
    assert len(measured) >= 4
    assert [gate.name for gate in found if gate.name in HELD and not gate.passed] == []


def example_trials() -> list[Trial]:
    """The example mixtures of two sounds, each asked for in all ways that the gates compare."""
    trials = []
    for example in json.loads((ASSETS / "examples.json").read_text()):
        clips = tuple(
            Clip(ASSETS / part["file"], "", part["caption"], (part["caption"],), "", "", "", "", 1.0)
            for part in example["sources"]
        )
        if len(clips) != 2:
            continue
        target, other = (clip.caption for clip in clips)
        asks = [Ask(way, target, "extract", (0,), way) for way in ("text alone", "true S, G")]
        asks += [Ask("other source's S, G", target, "extract", (0,), "other's S, G")]
        asks += [Ask("extract", target, "extract", (0,)), Ask("wrong query", other, "extract", (0,))]
        trials.append(Trial("examples", clips, (target, other), (0.0,), (0.0, 0.0), tuple(asks), inside=True))
    return trials


def test_the_dog_in_the_rain_is_told_apart_from_the_rain_by_name(model: HSM) -> None:
    separation = model.separate(Audio.load(ASSETS / "examples" / "rain_dog.flac"), "remove the dog barking")
    assert separation.competing_sounds == ("rain",)
    assert separation_json(separation)["told_apart_from"] == ["rain"]


def test_bfloat16_makes_no_difference_that_could_be_heard(model: HSM) -> None:
    mixture = Audio.load(ASSETS / "examples" / "rain_dog.flac")
    half = HSM.load(precision="bfloat16").separate(mixture, "remove the dog barking")
    whole = model.separate(mixture, "remove the dog barking")
    assert half.competing_sounds == whole.competing_sounds
    assert sdr(whole.target.samples[0], half.target.samples[0]) > 30


@pytest.mark.parametrize("sound", ["bell 0", "bell 1 1", "dog 3", "take 5"])
def test_numbers_that_end_an_instruction_belong_to_the_sound(model: HSM, sound: str) -> None:
    assert model.parse(f"extract the {sound}").description == sound
