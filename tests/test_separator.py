"""The whole way from a sound and a sentence to target and residual."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_weights import save_tiny

from hsm import HSM, Audio, HSMError, Instruction, SeparationOptions
from hsm.features import COLUMN_SAMPLES, PATCH_BANDS, PATCHES, RATE_HZ, WINDOW_S, istft, stft, working_gain
from hsm.progress import STAGES, Stopwatch
from hsm.records import Renderer

MakeSound = Callable[..., Audio]
ASKED = "extract the dog barking"


@pytest.fixture(scope="module")
def awake_model() -> HSM:
    """A tiny model whose zero-initialised weights were drawn too, so that every path matters."""
    model = HSM.tiny(seed=1)
    generator = torch.Generator().manual_seed(1)
    for module in model.model.modules.values():
        for parameter in module.parameters():
            if parameter.ndim == 2 and not parameter.any():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.05)
    return model


def test_target_and_residual_sum_to_the_mixture(tiny_model: HSM, make_sound: MakeSound) -> None:
    mixture = make_sound(12.0, 44_100, channels=2)
    found = tiny_model.separate(mixture, ASKED)
    for part in (found.target, found.residual):
        assert (part.rate_hz, part.samples.shape) == (44_100, mixture.samples.shape)
        assert np.abs(part.samples).max() > 0.01, "neither side is empty in a model that knows nothing"
    assert np.allclose(found.target.samples + found.residual.samples, mixture.samples, atol=1e-4)


@pytest.mark.parametrize(
    ("duration_s", "rate_hz", "channels"),
    [(0.1, 8_000, 1), (0.1, 192_000, 1), (1.0, 16_000, 8), (2.03, 48_000, 2), (0.001, 16_000, 1)],
)
def test_any_rate_length_and_number_of_channels_comes_back_as_it_went_in(
    tiny_model: HSM, make_sound: MakeSound, duration_s: float, rate_hz: int, channels: int
) -> None:
    mixture = make_sound(duration_s, rate_hz, channels)
    found = tiny_model.separate(mixture, ASKED)
    assert found.target.samples.shape == mixture.samples.shape
    assert found.target.rate_hz == rate_hz
    assert np.abs(found.target.samples).max() < 2 * np.abs(mixture.samples).max(), "nothing blows up at an edge"
    assert np.allclose(found.target.samples + found.residual.samples, mixture.samples, atol=1e-4)


@pytest.mark.parametrize("tail_samples", [1, 255, 511])
def test_no_click_at_the_end_of_a_sound_of_odd_length(
    awake_model: HSM, make_sound: MakeSound, tail_samples: int
) -> None:
    mixture = make_sound((20 * 512 + tail_samples) / RATE_HZ)
    target = awake_model.separate(mixture, ASKED).target
    assert np.abs(target.samples[:, -600:]).max() < 2 * np.abs(mixture.samples[:, -2_000:]).max()


@pytest.mark.parametrize("duration_s", [0.1, 1.0, 5.0, WINDOW_S])
def test_attention_is_a_distribution_over_512_patches_and_zero_beyond_the_clip(
    tiny_model: HSM, make_sound: MakeSound, duration_s: float
) -> None:
    found = tiny_model.separate(make_sound(duration_s), ASKED)
    assert found.attention.shape == (PATCHES,)
    assert found.attention_heads.shape == (2, PATCHES)
    assert found.attention_layers.shape == (tiny_model.config.local_separator.layers, 2, PATCHES)
    assert not np.allclose(found.attention_layers[0], found.attention_layers[-1], rtol=1e-3)
    for attention in (found.attention, *found.attention_heads, *found.attention_layers[0]):
        assert attention.min() >= 0
        assert attention.sum() == pytest.approx(1, abs=1e-5)
    columns = -(-round(duration_s * RATE_HZ) // COLUMN_SAMPLES)
    assert (found.attention[: columns * PATCH_BANDS] > 0).all()
    assert not found.attention[columns * PATCH_BANDS :].any()


def test_a_given_global_feature_takes_the_place_of_the_predicted_one(tiny_model: HSM, make_sound: MakeSound) -> None:
    mixture = make_sound(2.0)
    usual = tiny_model.separate(mixture, ASKED)
    same = tiny_model.separate(mixture, ASKED, global_target=usual.global_target)
    np.testing.assert_allclose(same.attention_layers, usual.attention_layers, atol=1e-6)
    other = tiny_model.separate(mixture, ASKED, global_target=5 * np.ones_like(usual.global_target))
    assert np.abs(other.attention_layers - usual.attention_layers).max() > 1e-6


def test_a_longer_sound_has_attention_over_all_of_it(tiny_model: HSM, make_sound: MakeSound) -> None:
    found = tiny_model.separate(make_sound(24.0), ASKED)
    assert found.attention.shape == (150 * PATCH_BANDS,)
    assert found.attention.min() > 0
    assert found.attention.sum() == pytest.approx(1, abs=1e-5)
    assert found.mask.shape == (24 * RATE_HZ // 512 + 1, 513)
    assert found.mask.min() >= 0
    assert found.mask.max() <= 1


@pytest.mark.parametrize("renderer", ["mask", "codec"])
def test_windows_heard_and_asked_together_are_those_heard_and_asked_one_by_one(
    make_sound: MakeSound, renderer: Renderer
) -> None:
    model, mixture = HSM.tiny(), make_sound(42.0)  # five windows
    found = {}
    for size in (1, 2, 16):
        model.windows_at_once = size
        found[size] = model.separate(mixture, ASKED, SeparationOptions(renderer=renderer))
    for size in (2, 16):
        np.testing.assert_allclose(found[size].mask, found[1].mask, atol=1e-5)
        np.testing.assert_allclose(found[size].attention_layers, found[1].attention_layers, atol=1e-6)
        np.testing.assert_allclose(found[size].global_target, found[1].global_target, atol=1e-5)
        assert found[size].competing_sounds == found[1].competing_sounds
    told = HSM.tiny().separate(mixture, ASKED, local_target=make_sound(42.0, seed=3))
    model.windows_at_once = 3
    again = model.separate(mixture, ASKED, local_target=make_sound(42.0, seed=3))
    np.testing.assert_allclose(again.mask, told.mask, atol=1e-5)


def test_stages_are_reported_in_their_order(tiny_model: HSM, make_sound: MakeSound) -> None:
    told: list[tuple[str, float]] = []
    tiny_model.separate(make_sound(2.0), ASKED, progress=lambda name, share: told.append((name, share)))
    assert [name for name, _ in told] == [*STAGES, STAGES[-1]]
    told.clear()
    found = tiny_model.separate(make_sound(24.0), ASKED, progress=lambda name, share: told.append((name, share)))
    assert list(dict.fromkeys(name for name, _ in told)) == list(STAGES)
    for stage in STAGES:
        shares = [share for name, share in told if name == stage]
        assert shares == sorted(shares)
        assert 0 <= shares[0] <= shares[-1] <= 1
    assert set(found.timings_s) == set(STAGES)


@pytest.mark.parametrize("stage", STAGES)
def test_an_exception_from_the_callback_stops_the_work(tiny_model: HSM, make_sound: MakeSound, stage: str) -> None:
    class Cancelled(Exception):
        pass

    told: list[str] = []

    def cancel(name: str, share: float) -> None:
        told.append(name)
        if name == stage:
            raise Cancelled

    with pytest.raises(Cancelled):
        tiny_model.separate(make_sound(1.0), ASKED, progress=cancel)
    assert told[-1] == stage


def test_a_mixture_encoded_to_once_separates_like_the_mixture_itself(tiny_model: HSM, make_sound: MakeSound) -> None:
    mixture = make_sound(13.0)
    told: list[str] = []
    encoded = tiny_model.encode(mixture)
    once = tiny_model.separate(encoded, ASKED, progress=lambda name, share: told.append(name))
    assert "local features" not in told, "what was heard is not computed again"
    anew = tiny_model.separate(mixture, ASKED)
    assert np.array_equal(once.target.samples, anew.target.samples)
    assert np.array_equal(once.attention, anew.attention)
    assert np.array_equal(once.global_mixture, tiny_model.global_feature(mixture))


def test_silence_is_refused_with_its_length(tiny_model: HSM) -> None:
    with pytest.raises(HSMError, match=r"2\.00 s are silent"):
        tiny_model.separate(Audio(np.zeros(32_000), 16_000), ASKED)


def test_samples_too_large_to_be_squared_are_refused_in_memory_and_on_disk(tiny_model: HSM, tmp_path: Path) -> None:
    mixture = Audio(np.full(16_000, 1e38), 16_000)
    with pytest.raises(HSMError, match=r"largest sample is 1e\+38; wanted full scale at 1"):
        tiny_model.separate(mixture, ASKED)
    with pytest.raises(HSMError, match=r"a\.wav: its largest sample is 1e\+38"):
        tiny_model.separate_file(mixture.save(tmp_path / "a.wav"), ASKED, tmp_path / "t.wav", tmp_path / "r.wav")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_process_that_was_forked_after_a_separation_separates_too() -> None:
    code = """
import os, numpy as np, torch
from hsm import HSM, Audio
torch.set_num_threads(2)
model, sound = HSM.tiny(), Audio(np.random.default_rng(0).standard_normal(48_000), 16_000)
model.separate(sound, "extract the dog")
child = os.fork()
if child == 0:
    model.separate(sound, "extract the dog")
    os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "7"


def test_a_pause_of_digital_silence_does_no_harm(tiny_model: HSM, make_sound: MakeSound) -> None:
    samples = make_sound(30.0).samples.copy()
    samples[:, 5 * RATE_HZ : 25 * RATE_HZ] = 0  # a whole window holds nothing
    found = tiny_model.separate(Audio(samples, RATE_HZ), ASKED)
    assert np.isfinite(found.mask).all()
    assert np.isfinite(found.attention).all()
    assert not found.target.samples[:, 6 * RATE_HZ : 24 * RATE_HZ].any()


def test_channels_that_cancel_each_other_are_still_separated(tiny_model: HSM, make_sound: MakeSound) -> None:
    left = make_sound(1.0).samples
    found = tiny_model.separate(Audio(np.concatenate([left, -left]), RATE_HZ), ASKED)
    assert np.isfinite(found.target.samples).all()
    assert np.isfinite(found.global_mixture).all()


def test_options_override_what_was_understood(tiny_model: HSM, make_sound: MakeSound) -> None:
    encoded = tiny_model.encode(make_sound(1.0))

    def understood(instruction: str | Instruction, options: SeparationOptions) -> tuple[str, str]:
        wish = tiny_model.separate(encoded, instruction, options).instruction
        return wish.operation, wish.description

    assert understood("remove the dog", SeparationOptions()) == ("remove", "dog")
    assert understood("remove the dog", SeparationOptions(operation="extract")) == ("extract", "dog")
    corrected = SeparationOptions(operation="remove", description="a siren")
    assert understood("extract the dog", corrected) == ("remove", "a siren")
    assert understood("?!", corrected) == ("remove", "a siren"), "what is corrected need not be parsed"
    given = Instruction("remove", "rain and wind", descriptions=("rain", "wind"))
    assert understood(given, SeparationOptions()) == ("remove", "rain and wind")
    assert understood(given, SeparationOptions(description="a siren")) == ("remove", "a siren")
    wish = tiny_model.separate(encoded, given, SeparationOptions(description="a siren")).instruction
    assert wish.descriptions == ("a siren",), "sounds of the overridden description do not linger"


def test_the_parsers_note_reaches_the_result(tiny_model: HSM, make_sound: MakeSound) -> None:
    given = Instruction("extract", "dog", note="not English", confidence=0.3, parser="guess")
    wish = tiny_model.separate(make_sound(1.0), given).instruction
    assert (wish.note, wish.confidence, wish.parser) == ("not English", 0.3, "guess")


def test_an_instruction_that_names_no_sound_is_refused(tiny_model: HSM, make_sound: MakeSound) -> None:
    with pytest.raises(HSMError):
        tiny_model.separate(make_sound(1.0), "   ")


@pytest.mark.parametrize("choice", [{"renderer": "magic"}, {"operation": "destroy"}])
def test_unknown_options_are_refused_with_the_known_ones(choice: dict[str, str]) -> None:
    with pytest.raises(HSMError, match="wanted one of"):
        SeparationOptions(**choice)  # type: ignore[arg-type]


def test_the_same_call_twice_gives_the_same_and_leaves_its_input_alone(awake_model: HSM, make_sound: MakeSound) -> None:
    mixture = make_sound(3.0, 22_050, channels=2)
    before = mixture.samples.copy()
    first, second = (awake_model.separate(mixture, ASKED) for _ in range(2))
    assert np.array_equal(first.target.samples, second.target.samples)
    assert np.array_equal(first.global_target, second.global_target)
    assert np.array_equal(mixture.samples, before)
    assert first.mixture is mixture


def test_a_louder_mixture_is_masked_the_same(awake_model: HSM, make_sound: MakeSound) -> None:
    quiet = make_sound(2.0)
    loud = Audio(30 * quiet.samples, quiet.rate_hz)
    masks = [awake_model.separate(audio, ASKED).mask for audio in (quiet, loud)]
    assert np.allclose(*masks, atol=1e-3)


def test_extracting_and_removing_are_two_sides_without_the_hierarchy(awake_model: HSM, make_sound: MakeSound) -> None:
    encoded = awake_model.encode(make_sound(2.0))
    kept, removed = (
        awake_model.separate(encoded, Instruction(operation, "dog"), SeparationOptions(hierarchy=False))
        for operation in ("extract", "remove")
    )
    assert np.allclose(kept.target.samples, removed.residual.samples, atol=1e-5)
    assert not np.allclose(kept.mask, removed.mask, atol=1e-2)


def test_words_task_and_hierarchy_all_matter(awake_model: HSM, make_sound: MakeSound) -> None:
    encoded = awake_model.encode(make_sound(2.0))
    usual = awake_model.separate(encoded, Instruction("extract", "dog"))
    other_words = awake_model.separate(encoded, Instruction("extract", "rain on a tent"))
    other_task = awake_model.separate(encoded, Instruction("remove", "dog"))
    text_alone = awake_model.separate(encoded, Instruction("extract", "dog"), SeparationOptions(hierarchy=False))
    for other in (other_words, other_task, text_alone):
        assert not np.allclose(usual.mask, other.mask, atol=1e-3)
    for other in (other_words, other_task):
        assert not np.allclose(usual.global_target, other.global_target, atol=1e-4)
    assert not np.allclose(usual.attention, other_words.attention, rtol=1e-4, atol=0)
    assert np.array_equal(usual.attention, other_task.attention)  # both look for the named sound


def test_a_change_late_in_a_long_sound_leaves_its_first_window_alone(awake_model: HSM, make_sound: MakeSound) -> None:
    samples = make_sound(30.0).samples.copy()
    before = awake_model.separate(Audio(samples, RATE_HZ), ASKED).target.samples
    samples[:, 20 * RATE_HZ :] *= -0.3
    after = awake_model.separate(Audio(samples, RATE_HZ), ASKED).target.samples
    assert np.array_equal(before[:, : 7 * RATE_HZ], after[:, : 7 * RATE_HZ])


def test_the_global_feature_is_carried_from_window_to_window(awake_model: HSM, make_sound: MakeSound) -> None:
    """The second half of a sound is asked differently when another sound came before it."""
    tail = make_sound(WINDOW_S, seed=1).samples
    masks = []
    for seed in (2, 3):
        head = make_sound(WINDOW_S - 2.56, seed=seed).samples * np.float32(seed)
        found = awake_model.separate(Audio(np.concatenate([head, tail], 1), RATE_HZ), ASKED)
        masks.append(found.mask[-200:])
    assert not np.array_equal(*masks)


RIVAL = SeparationOptions(renderer="audiosep")


@pytest.mark.parametrize(("duration_s", "rate_hz", "channels"), [(0.1, 8_000, 1), (2.03, 48_000, 2), (24.0, 44_100, 1)])
def test_the_rival_separates_anything_and_adds_up_too(
    tiny_model: HSM, make_sound: MakeSound, duration_s: float, rate_hz: int, channels: int
) -> None:
    mixture = make_sound(duration_s, rate_hz, channels)
    found = tiny_model.separate(mixture, ASKED, RIVAL)
    assert (found.target.rate_hz, found.target.samples.shape) == (rate_hz, mixture.samples.shape)
    assert np.abs(found.target.samples).max() > 0.001
    assert np.allclose(found.target.samples + found.residual.samples, mixture.samples, atol=1e-6)
    assert not np.allclose(found.target.samples, tiny_model.separate(mixture, ASKED).target.samples, atol=1e-3)


def test_what_the_rival_removes_is_what_it_extracts(tiny_model: HSM, make_sound: MakeSound) -> None:
    encoded = tiny_model.encode(make_sound(12.0))
    kept, removed = (tiny_model.separate(encoded, Instruction(o, "dog"), RIVAL) for o in ("extract", "remove"))
    assert np.allclose(kept.target.samples, removed.residual.samples, atol=1e-5)


def test_the_rival_hears_the_words_and_nothing_of_the_hierarchy(tiny_model: HSM, make_sound: MakeSound) -> None:
    encoded = tiny_model.encode(make_sound(2.0))
    usual = tiny_model.separate(encoded, ASKED, RIVAL).target.samples
    other = np.ones_like(encoded.global_feature)
    told = tiny_model.separate(encoded, ASKED, RIVAL, global_target=5 * other).target.samples
    assert np.array_equal(usual, told)
    assert not np.allclose(usual, tiny_model.separate(encoded, "extract rain on a tent", RIVAL).target.samples)


def test_the_rivals_target_is_its_networks_answer_to_the_whole_window(tiny_model: HSM, make_sound: MakeSound) -> None:
    mixture = make_sound(2.56)
    wave = torch.from_numpy(mixture.samples[0])
    spectrum = stft(wave * working_gain(wave))
    _, query = tiny_model.encode_query(Instruction("extract", "dog"), RIVAL)
    with torch.inference_mode():
        gain = tiny_model.model.network("audiosep")(spectrum[None], query.sentence)[0]
    wanted = istft(gain * stft(wave), len(wave)).numpy()
    found = tiny_model.separate(mixture, Instruction("extract", "dog"), RIVAL)
    assert np.allclose(found.target.samples[0], wanted, atol=1e-5)


def test_the_rival_is_loaded_when_it_is_first_asked(tmp_path: Path, make_sound: MakeSound) -> None:
    model = HSM.load(save_tiny(tmp_path))
    model.separate(make_sound(0.5), ASKED)
    assert "audiosep" not in model.model.modules
    model.separate(make_sound(0.5), ASKED, RIVAL)
    assert "audiosep" in model.model.modules


def test_a_renderer_without_weights_names_the_files_that_are_not_there(tmp_path: Path, make_sound: MakeSound) -> None:
    path = save_tiny(tmp_path) / "manifest.json"
    manifest = json.loads(path.read_text())
    for name in ("audiosep", "decoder"):
        del manifest["files"][name]
    path.write_text(json.dumps(manifest))
    model = HSM.load(tmp_path)
    missing = [model.missing_weights(name) for name in ("mask", "codec", "audiosep")]
    assert missing == [(), ("decoder",), ("audiosep",)]
    with pytest.raises(HSMError, match=r"'audiosep' needs audiosep\.safetensors, .*hsm train audiosep"):
        model.separate(make_sound(0.5), ASKED, RIVAL)
    with pytest.raises(HSMError, match=r"'codec' needs decoder\.safetensors, .*hsm train decoder"):
        model.separate(make_sound(0.5), ASKED, SeparationOptions(renderer="codec"))
    model.separate(make_sound(0.5), ASKED)


def test_the_true_local_feature_takes_the_place_of_the_predicted_one(awake_model: HSM, make_sound: MakeSound) -> None:
    mixture, other = make_sound(12.0), make_sound(12.0, seed=3)
    encoded = awake_model.encode(mixture)
    usual = awake_model.separate(encoded, ASKED)
    told = awake_model.separate(encoded, ASKED, local_target=other)
    assert not np.allclose(usual.mask, told.mask, atol=1e-3)
    assert np.array_equal(usual.attention, told.attention), "H2 still says where it looked"
    louder = Audio(10 * other.samples, other.rate_hz)
    assert not np.allclose(told.mask, awake_model.separate(encoded, ASKED, local_target=louder).mask, atol=1e-4), (
        "its level beside the mixture is part of it"
    )
    with pytest.raises(HSMError, match=r"local_target: got 1\.00 s; wanted the mixture's 12\.00 s"):
        awake_model.separate(encoded, ASKED, local_target=make_sound(1.0))


def test_told_the_mixtures_own_feature_the_renderer_hears_what_h2_heard(
    awake_model: HSM, make_sound: MakeSound
) -> None:
    encoded = awake_model.encode(make_sound(2.0))
    options = SeparationOptions()
    _, query = awake_model.encode_query(ASKED, options)
    own = [batch.features.local for batch in encoded.heard[0]]
    (wanted,) = awake_model.separate_windows(
        encoded.heard[0], encoded.columns, query, options, Stopwatch(), local_target=own
    )
    told = awake_model.separate(encoded, ASKED, local_target=encoded.mixture)
    assert np.allclose(told.mask, wanted.mask.numpy(), atol=1e-6)


def test_a_device_that_is_not_there_is_named() -> None:
    with pytest.raises(HSMError, match="device: got 'toaster'"):
        HSM.load(device="toaster")


def test_the_same_seed_makes_the_same_tiny_model_and_leaves_the_random_state_alone() -> None:
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    one, two = HSM.tiny(seed=3), HSM.tiny(seed=3)
    assert torch.equal(torch.rand(3), wanted)
    for name, module in one.model.modules.items():
        for a, b in zip(module.parameters(), two.model.modules[name].parameters(), strict=True):
            assert torch.equal(a, b)
    assert not any(p.requires_grad for module in one.model.modules.values() for p in module.parameters())


@pytest.mark.parametrize("renderer", ["mask", "audiosep", "codec"])
def test_channels_that_would_cancel_each_other_are_heard_apart(
    awake_model: HSM, make_sound: MakeSound, tmp_path: Path, renderer: Renderer
) -> None:
    seconds = 1.0 if renderer == "codec" else 12.0  # which is slow
    left, right = (make_sound(seconds, seed=seed).samples[0] for seed in (0, 1))
    options, asked = SeparationOptions(renderer=renderer), Instruction("extract", "dog")
    mixture = Audio(np.stack([left + right, left - right]), RATE_HZ)
    found = awake_model.separate(mixture, asked, options)
    assert np.isfinite(found.target.samples).all()
    if renderer != "codec":  # which draws one channel
        alone = [awake_model.separate(Audio(channel, RATE_HZ), asked, options) for channel in mixture.samples]
        np.testing.assert_allclose(found.target.samples, [one.target.samples[0] for one in alone], atol=1e-5)
        np.testing.assert_allclose(found.mask, np.mean([one.mask for one in alone], 0), atol=1e-5)
    path = mixture.save(tmp_path / "a.wav")
    written = awake_model.separate_file(path, asked, tmp_path / "t.wav", tmp_path / "r.wav", options)
    np.testing.assert_allclose(Audio.load(written.target).samples, found.target.samples, atol=1e-5)


def test_an_inverted_channel_changes_nothing_but_its_sign(awake_model: HSM, make_sound: MakeSound) -> None:
    left = make_sound(3.0).samples[0]
    found = awake_model.separate(Audio(np.stack([left, -left]), RATE_HZ), ASKED)
    alone = awake_model.separate(Audio(left, RATE_HZ), ASKED)
    np.testing.assert_allclose(found.target.samples[1], -alone.target.samples[0], atol=1e-5)
    assert found.events == alone.events


def test_channels_that_have_much_in_common_are_heard_as_one(make_sound: MakeSound) -> None:
    both, own = make_sound(1.0).samples[0], make_sound(1.0, channels=2, seed=1).samples
    silent = np.zeros_like(both)
    for channels in ([both, both], [both, 0.3 * both], [both, silent], both + 0.5 * own, [both, -both, both]):
        assert len(Audio(np.stack(channels), RATE_HZ).heard_16k) == 1
    for channels in ([both, -both], own, 0.3 * both + own):
        assert len(Audio(np.stack(channels), RATE_HZ).heard_16k) == 2


def test_a_negative_query_takes_from_the_mask_what_the_other_sound_claims(
    awake_model: HSM, make_sound: MakeSound
) -> None:
    encoded = awake_model.encode(make_sound(2.0))
    dog = Instruction("extract", "dog")
    alone = awake_model.separate(encoded, dog, SeparationOptions(suppress_competitor=False))
    told = awake_model.separate(encoded, dog, SeparationOptions(negative="rain"))
    both = awake_model.separate(encoded, dog, SeparationOptions(negative="rain and wind"))
    assert not np.allclose(alone.mask, told.mask, atol=1e-4)
    assert not np.allclose(told.mask, both.mask, atol=1e-4)


def test_sensitivity_is_added_to_the_log_odds_of_what_is_kept(awake_model: HSM, make_sound: MakeSound) -> None:
    encoded = awake_model.encode(make_sound(2.0))
    for operation in ("extract", "remove"):
        asked = Instruction(operation, "dog")  # type: ignore[arg-type]
        usual, more = (
            awake_model.separate(encoded, asked, SeparationOptions(sensitivity=s)).mask.astype(np.float64)
            for s in (0.0, 2.0)
        )
        usual = usual.clip(1e-5, 1 - 1e-5)
        wanted = 1 / (1 + np.exp(-(np.log(usual / (1 - usual)) + 2.0)))
        assert np.allclose(more, wanted, atol=1e-3)


def test_an_example_asks_in_the_place_of_words(awake_model: HSM, make_sound: MakeSound) -> None:
    encoded = awake_model.encode(make_sound(2.0))
    first, second = (SeparationOptions(example=make_sound(1.0, seed=seed)) for seed in (5, 6))
    found = awake_model.separate(encoded, "", first)
    assert found.instruction.operation == "extract"
    assert np.allclose(found.global_target, awake_model.global_feature(first.example), atol=1e-6)  # type: ignore[arg-type]
    other_words = awake_model.separate(encoded, Instruction("extract", "rain"), first)
    assert np.array_equal(found.mask, other_words.mask)  # the words do not count
    assert not np.array_equal(found.mask, awake_model.separate(encoded, "", second).mask)
    removed = awake_model.separate(encoded, "", SeparationOptions(operation="remove", example=first.example))
    assert np.allclose(removed.mask, 1 - found.mask, atol=1e-6)


def test_a_span_where_the_sound_is_heard_changes_what_is_looked_for(awake_model: HSM, make_sound: MakeSound) -> None:
    encoded = awake_model.encode(make_sound(4.0))
    dog = Instruction("extract", "dog")
    usual = awake_model.separate(encoded, dog)
    spanned = awake_model.separate(encoded, dog, SeparationOptions(span_s=(0.5, 1.5)))
    assert not np.allclose(usual.global_target, spanned.global_target, atol=1e-4)
    with pytest.raises(HSMError, match=r"span_s: got \(3, 9\); wanted a span within 4\.00 s"):
        awake_model.separate(encoded, dog, SeparationOptions(span_s=(3.0, 9.0)))


@pytest.mark.parametrize("choice", [{"sensitivity": 11.0}, {"span_s": (2.0, 1.0)}, {"span_s": (-1.0, 1.0)}])
def test_options_out_of_their_range_are_refused(choice: dict[str, object]) -> None:
    with pytest.raises(HSMError, match="wanted"):
        SeparationOptions(**choice)  # type: ignore[arg-type]


def test_examples_spans_and_negatives_work_from_file_to_file(
    awake_model: HSM, make_sound: MakeSound, tmp_path: Path
) -> None:
    mixture = make_sound(4.0)
    mixture.save(tmp_path / "mix.wav")
    options = SeparationOptions(span_s=(1.0, 2.0), negative="rain", sensitivity=1.0)
    dog = Instruction("extract", "dog")
    awake_model.separate_file(tmp_path / "mix.wav", dog, tmp_path / "t.wav", tmp_path / "r.wav", options)
    found = awake_model.separate(mixture, dog, options)
    assert np.allclose(Audio.load(tmp_path / "t.wav").samples, found.target.samples, atol=1e-5)


def test_whether_the_sound_is_present_is_between_none_and_one(awake_model: HSM, make_sound: MakeSound) -> None:
    assert 0.0 <= awake_model.separate(make_sound(2.0), "extract the dog").present <= 1.0
