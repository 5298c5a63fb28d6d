"""Each stage learns, trains what it says, and goes on exactly where it stopped."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from hsm.errors import HSMError
from hsm.training.__main__ import STAGES, make_stage
from hsm.training.loop import CHECKPOINT, AveragedWeights, Budget, Run, learning_rate_factor, make_optimisers
from hsm.training.stages import Stage, StageContext

MakeContext = Callable[[], StageContext]
BATCH, CROP_S = 6, 0.64
FALL = {
    "audiomae": 0.2,
    "q_audio": 0.4,
    "global": 0.04,
    "local": 0.05,
    "joint": 0.05,
    "mask": 1.0,
    "presence": 0.3,
    "instruction": 0.3,
    "codec": 0.2,
    "decoder": 0.1,
    "audiosep": 0.005,
}


ADAMW_ALONE = ("presence", "audiosep")


def stage_of(make_context: MakeContext, name: str, single: bool = False) -> Stage:
    return make_stage(name, make_context(), BATCH, CROP_S, single)


def everything(value: Any) -> list[Any]:
    """The leaves of a checkpoint in order."""
    if isinstance(value, dict):
        return [leaf for key in sorted(value, key=str) for leaf in (key, *everything(value[key]))]
    if isinstance(value, list | tuple):
        return [leaf for item in value for leaf in everything(item)]
    return [value]


def same(a: Any, b: Any) -> bool:
    one, two = everything(a), everything(b)
    return len(one) == len(two) and all(
        torch.equal(x, y) if isinstance(x, Tensor) else bool((x == y) if not hasattr(x, "all") else (x == y).all())
        for x, y in zip(one, two, strict=True)
    )


@pytest.mark.parametrize("name", STAGES)
def test_each_stage_overfits_one_batch(make_context: MakeContext, tmp_path: Path, name: str) -> None:
    stage = stage_of(make_context, name)
    draw, history = stage.losses, []
    start = {key: generator.bit_generator.state for key, generator in stage.random_state.items()}

    def same_batch() -> dict[str, Tensor]:
        for key, generator in stage.random_state.items():
            generator.bit_generator.state = start[key]
        torch.manual_seed(0)
        losses = draw()
        history.append(float(losses["loss"].detach()))
        return losses

    stage.losses = same_batch  # type: ignore[method-assign]
    Run(stage, tmp_path, Budget(steps=32)).train()
    assert len(history) == 32
    assert min(history[-3:]) < history[0] - FALL[name], history


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_changes_what_it_trains_and_nothing_else(make_context: MakeContext, tmp_path: Path, name: str) -> None:
    stage = stage_of(make_context, name)
    before = {
        key: {n: v.clone() for n, v in module.state_dict().items()} for key, module in stage.context.modules.items()
    }
    Run(stage, tmp_path, Budget(steps=3)).train()
    for key, module in stage.context.modules.items():
        assert same(before[key], module.state_dict()) != (key in stage.trains), key
    assert set(stage.exports) <= set(stage.context.modules)
    assert set(stage.exports) <= set(stage.trains)
    assert not set(stage.needs) & set(stage.trains) or name == "joint"


@pytest.mark.parametrize("name", ["audiomae", "q_audio", "joint", "mask", "codec", "decoder", "audiosep"])
def test_a_run_that_was_stopped_goes_on_bit_for_bit(
    make_context: MakeContext, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hsm.training.frozen.POOL_STEPS", 1.5)  # some steps draw a new pool, some do not
    budget = Budget(steps=4, save_s=0.0, report_s=0.0)
    Run(stage_of(make_context, name), tmp_path / "whole", budget).train()

    stage = stage_of(make_context, name)
    draw, steps = stage.losses, iter(range(100))

    def power_cut() -> dict[str, Tensor]:
        losses = draw()  # numbers are drawn, and lost
        if next(steps) == 2:
            raise KeyboardInterrupt
        return losses

    stage.losses = power_cut  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        Run(stage, tmp_path / "parts", budget).train()
    torch.manual_seed(99)
    again = Run(stage_of(make_context, name), tmp_path / "parts", budget, resume=True)
    assert again.step == 2
    again.train()

    whole, parts = (torch.load(tmp_path / d / CHECKPOINT, weights_only=False) for d in ("whole", "parts"))
    for key in ("step", "modules", "average", "optimisers", "random_state", "torch_rng"):
        assert same(whole[key], parts[key]), key
    tables = [list(csv.DictReader((tmp_path / d / "metrics.csv").open())) for d in ("whole", "parts")]
    for table in tables:
        for row in table:
            del row["elapsed_s"]
    assert tables[0] == tables[1]
    assert [row["step"] for row in tables[0]] == ["1", "2", "3", "4"]


def test_resuming_without_a_checkpoint_or_from_another_stage_is_refused(
    make_context: MakeContext, tmp_path: Path
) -> None:
    with pytest.raises(HSMError, match="start without --resume first"):
        Run(stage_of(make_context, "global"), tmp_path, Budget(steps=1), resume=True)
    Run(stage_of(make_context, "global"), tmp_path, Budget(steps=1)).train()
    with pytest.raises(HSMError, match="holds stage 'global', wanted 'joint'"):
        Run(stage_of(make_context, "joint"), tmp_path, Budget(steps=1), resume=True)


def test_a_finished_run_resumed_does_nothing_more(make_context: MakeContext, tmp_path: Path) -> None:
    Run(stage_of(make_context, "global"), tmp_path, Budget(steps=2)).train()
    run = Run(stage_of(make_context, "global"), tmp_path, Budget(steps=2), resume=True)
    run.train()
    assert run.step == 2


def test_the_learning_rate_warms_up_and_falls_to_a_twentieth() -> None:
    assert learning_rate_factor(0.0) == pytest.approx(0.02)
    assert learning_rate_factor(0.03) == pytest.approx(1.0, abs=0.01)
    assert learning_rate_factor(0.5) == pytest.approx(0.05 + 0.95 / 2)
    assert learning_rate_factor(1.0) == pytest.approx(0.05)
    falling = [learning_rate_factor(0.03 + 0.97 * i / 50) for i in range(51)]
    assert falling == sorted(falling, reverse=True)


def test_a_budget_counts_steps_or_minutes_and_never_more_than_all() -> None:
    assert Budget(steps=10).fraction(1e9, 5) == 0.5
    assert Budget(minutes=2.0).fraction(60.0, 10**9) == 0.5
    assert Budget(minutes=1.0).fraction(61.0, 0) == 1.0


@pytest.mark.parametrize("name", ADAMW_ALONE)
def test_what_has_no_blocks_is_stepped_by_adamw_alone(make_context: MakeContext, name: str) -> None:
    stage = stage_of(make_context, name)
    (adamw,) = make_optimisers(stage)
    assert type(adamw).__name__ == "AdamW"
    stepped = sum(p.numel() for group in adamw.param_groups for p in group["params"])
    assert stepped == sum(p.numel() for p in stage.trains[name].parameters())


def test_the_rivals_statistics_of_batch_normalisation_are_exported_with_its_weights(
    make_context: MakeContext, tmp_path: Path
) -> None:
    stage = stage_of(make_context, "audiosep")
    before = {name: value.clone() for name, value in stage.trains["audiosep"].state_dict().items()}
    run = Run(stage, tmp_path, Budget(steps=3))
    run.train()
    exported = run.average.state("audiosep")
    assert set(exported) == set(before)
    buffers = [name for name, _ in stage.trains["audiosep"].named_buffers()]
    assert any("running_var" in name for name in buffers)
    for name in buffers:
        assert not torch.equal(exported[name], before[name]), name
    assert int(exported["network.bins_norm.num_batches_tracked"]) == 3


@pytest.mark.parametrize("name", [name for name in STAGES if name not in ADAMW_ALONE])
def test_muon_steps_the_matrices_of_attention_and_feed_forward_and_adamw_all_others(
    make_context: MakeContext, name: str
) -> None:
    stage = stage_of(make_context, name)
    adamw, muon = make_optimisers(stage)
    assert (type(adamw).__name__, type(muon).__name__) == ("AdamW", "Muon")
    names = {id(p): n for m in stage.trains.values() for n, p in m.named_parameters()}
    in_muon = {names[id(p)] for group in muon.param_groups for p in group["params"]}
    in_adamw = {names[id(p)] for group in adamw.param_groups for p in group["params"]}
    assert in_muon.isdisjoint(in_adamw)
    assert in_muon | in_adamw == set(names.values()), "every parameter is stepped once"
    blocks = ("blocks.", "layers.", "decoder_blocks.", "mixture_blocks.", "described_blocks.", "near.", "last.")
    blocks += ("encoder.blocks.", "decoder.blocks.", "around.")
    matrices = {n for n in names.values() if n.startswith(blocks) and n.endswith("weight") and "film" not in n}
    matrices = {n for n in matrices if "norm" not in n and "depthwise" not in n}
    matrices -= {"last.weight", *(f"near.{i}.weight" for i in range(4))}  # a number a channel, not a matrix
    assert in_muon == matrices


def test_the_average_lies_between_old_and_new_weights_and_keeps_buffers() -> None:
    module = torch.nn.BatchNorm1d(2)
    average = AveragedWeights({"net": module}, decay=0.75)
    with torch.no_grad():
        module.weight.fill_(5.0)
        module.running_mean.fill_(7.0)  # type: ignore[union-attr]
    average.update(step=1_000)
    state = average.state("net")
    assert torch.allclose(state["weight"], torch.full((2,), 0.75 * 1 + 0.25 * 5))
    assert torch.equal(state["running_mean"], torch.full((2,), 7.0))
    average.update(step=1)  # at first it follows fast: 2 parts old, 9 new
    assert torch.allclose(average.state("net")["weight"], torch.full((2,), (2 * 2.0 + 9 * 5.0) / 11))
