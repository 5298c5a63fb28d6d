"""Each stage learns, trains what it says, and goes on exactly where it stopped."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import hsm.training.stages  # noqa: F401
from hsm.errors import HSMError
from hsm.training.stage import STAGES, Stage, StageContext
from hsm.training.trainer import CHECKPOINT, EMA, Budget, Trainer, learning_rate_factor

MakeContext = Callable[..., StageContext]
FALL = {
    "sound_encoder": 0.5,
    "audiomae": 0.2,
    "q_audio": 0.4,
    "global": 0.04,
    "local": 0.05,
    "joint": 0.05,
    "mask": 1.0,
    "instruction": 0.3,
    "codec": 0.2,
    "decoder": 0.1,
    "audiosep": 0.004,
}
ADAMW_ALONE = ("audiosep",)
POOLED = ("global", "local", "joint", "decoder")


@pytest.fixture
def small_pools(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pools that are all new after a few steps."""
    monkeypatch.setattr("hsm.training.stages.separators.POOL_MIXTURES", 4)
    monkeypatch.setattr("hsm.training.stages.decoder.POOL_SOUNDS", 8)


pytestmark = pytest.mark.usefixtures("small_pools")


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize("name", STAGES)
def test_each_stage_overfits_one_batch(make_context: MakeContext, name: str) -> None:
    stage = STAGES[name](make_context())
    batches = [stage.draw(np.random.default_rng(i)) for i in range(stage.prefill + 1)]
    optimisers, history = stage.optimisers(), []
    for _ in range(32):
        for batch in batches[:-1]:
            stage.prepare(batch)
        torch.manual_seed(0)
        loss = stage.training_step(batches[-1])["loss"]
        for optimiser in optimisers:
            optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        for optimiser in optimisers:
            optimiser.step()
        history.append(float(loss.detach()))
    assert min(history[-3:]) < history[0] - FALL[name], history


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_changes_what_it_trains_and_nothing_else(make_context: MakeContext, tmp_path: Path, name: str) -> None:
    stage = STAGES[name](make_context())
    before = {
        key: {n: v.clone() for n, v in module.state_dict().items()} for key, module in stage.context.modules.items()
    }
    Trainer(stage, tmp_path, Budget(steps=3)).train()
    for key, module in stage.context.modules.items():
        assert same(before[key], module.state_dict()) != (key in stage.trains), key
    assert set(stage.exports) == set(stage.trains) - {"caption_head", "patch_decoder", "heads", "pooled_head"}
    assert not set(stage.needs) & set(stage.trains) or name == "joint"


def stop_in(stage: Stage, step: int) -> None:
    """Lose the power in a step of a stage."""
    train, steps = stage.training_step, iter(range(100))

    def power_cut(batch: Any) -> dict[str, Tensor]:
        losses = train(batch)
        if next(steps) == step:
            raise KeyboardInterrupt
        return losses

    stage.training_step = power_cut  # type: ignore[method-assign]


@pytest.mark.parametrize(("name", "workers"), [*((name, 0) for name in STAGES), ("mask", 2), ("decoder", 2)])
def test_a_run_that_was_stopped_goes_on_bit_for_bit(
    make_context: MakeContext, tmp_path: Path, name: str, workers: int
) -> None:
    budget = Budget(steps=4, save_s=0.0, report_s=0.0)
    Trainer(STAGES[name](make_context()), tmp_path / "whole", budget).train()

    stage = STAGES[name](make_context())
    stop_in(stage, 2)
    with pytest.raises(KeyboardInterrupt):
        Trainer(stage, tmp_path / "parts", budget, workers=workers).train()
    torch.manual_seed(99)
    again = Trainer(STAGES[name](make_context()), tmp_path / "parts", budget, resume=True)
    assert again.step == 2
    again.train()

    whole, parts = (torch.load(tmp_path / d / CHECKPOINT, weights_only=True) for d in ("whole", "parts"))
    assert whole["step"] == parts["step"] == 4
    assert same(whole["ema"], parts["ema"])
    for key in whole["modules"]:
        assert same(whole["modules"][key], parts["modules"][key])
    for one, other in zip(whole["optimisers"], parts["optimisers"], strict=True):
        for number in one["state"]:
            assert same(*({k: torch.as_tensor(v) for k, v in o["state"][number].items()} for o in (one, other)))
    tables = [list(csv.DictReader((tmp_path / d / "metrics.csv").open())) for d in ("whole", "parts")]
    for table in tables:
        for row in table:
            del row["elapsed_s"]
    assert tables[0] == tables[1]
    assert [row["step"] for row in tables[0]] == ["1", "2", "3", "4"]
    assert len({row["loss"] for row in tables[0]}) == 4, "no batch comes twice"


@pytest.mark.parametrize("name", POOLED)
def test_a_pool_holds_what_the_newest_batches_bring_each_in_its_turn(make_context: MakeContext, name: str) -> None:
    stage: Any = STAGES[name](make_context())
    batches = [stage.draw(np.random.default_rng(i)) for i in range(stage.prefill + 2)]
    for batch in batches[:-1]:
        stage.prepare(batch)
    held = stage.pool.draw(10_000)[0]
    stage.prepare(batches[-1])
    renewed = stage.pool.draw(10_000)[0]
    assert len(held) == len(renewed) >= 2 * stage.fresh

    def count_of_old() -> int:
        return sum(any(torch.equal(row, old) for old in held) for row in renewed)

    assert count_of_old() == len(held) - stage.fresh


def test_resuming_without_a_checkpoint_or_from_another_stage_is_refused(
    make_context: MakeContext, tmp_path: Path
) -> None:
    with pytest.raises(HSMError, match="start without --resume first"):
        Trainer(STAGES["global"](make_context()), tmp_path, Budget(steps=1), resume=True)
    Trainer(STAGES["global"](make_context()), tmp_path, Budget(steps=1)).train()
    with pytest.raises(HSMError, match="holds stage 'global', wanted 'joint'"):
        Trainer(STAGES["joint"](make_context()), tmp_path, Budget(steps=1), resume=True)


def test_a_finished_run_resumed_does_nothing_more(make_context: MakeContext, tmp_path: Path) -> None:
    Trainer(STAGES["global"](make_context()), tmp_path, Budget(steps=2)).train()
    trainer = Trainer(STAGES["global"](make_context()), tmp_path, Budget(steps=2), resume=True)
    trainer.train()
    assert trainer.step == 2


def test_measures_are_of_the_averaged_weights_and_training_goes_on_from_its_own(
    make_context: MakeContext, tmp_path: Path
) -> None:
    stage = STAGES["codec"](make_context())
    trainer = Trainer(stage, tmp_path, Budget(steps=3, evaluate_s=0.0))
    own: list[Tensor] = []

    def evaluate() -> dict[str, float]:
        state = stage.trains["codec"].state_dict()
        assert same({f"codec.{name}": value for name, value in state.items()}, trainer.ema.values)
        own.append(next(iter(state.values())).clone())
        return {"distance_db": float(len(own))}

    stage.evaluate = evaluate  # type: ignore[method-assign]
    trainer.train()
    assert [row["distance_db"] for row in csv.DictReader((tmp_path / "evaluation.csv").open())] == ["1.0", "2.0", "3.0"]
    assert not torch.equal(own[0], own[2])
    assert not torch.equal(next(iter(stage.trains["codec"].state_dict().values())), own[2])


def test_a_measure_is_the_mean_of_the_batches_that_have_it(make_context: MakeContext, tmp_path: Path) -> None:
    stage = STAGES["mask"](make_context())
    train, guided = stage.training_step, iter([1.0, float("nan"), 3.0])

    def training_step(batch: Any) -> dict[str, Tensor]:
        return {"loss": train(batch)["loss"], "guided_db": torch.tensor(next(guided))}

    stage.training_step = training_step  # type: ignore[method-assign]
    Trainer(stage, tmp_path, Budget(steps=3, report_s=1e9)).train()
    (row,) = csv.DictReader((tmp_path / "metrics.csv").open())
    assert float(row["guided_db"]) == 2.0


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


def test_a_run_ends_by_the_clock(make_context: MakeContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter(range(0, 10_000, 5))
    monkeypatch.setattr("hsm.training.trainer.time.monotonic", lambda: float(next(ticks)))
    trainer = Trainer(STAGES["codec"](make_context()), tmp_path, Budget(minutes=1.0))
    trainer.train()
    assert (trainer.step, trainer.elapsed_s) == (11, 60.0), "of five seconds each, after five of preparation"


@pytest.mark.parametrize("name", ADAMW_ALONE)
def test_what_has_no_blocks_is_stepped_by_adamw_alone(make_context: MakeContext, name: str) -> None:
    stage = STAGES[name](make_context())
    (adamw,) = stage.optimisers()
    assert type(adamw).__name__ == "AdamW"
    stepped = sum(p.numel() for group in adamw.param_groups for p in group["params"])
    assert stepped == sum(p.numel() for p in stage.trains[name].parameters())


def test_networks_trained_together_are_all_stepped_though_their_matrices_have_the_same_names(
    make_context: MakeContext,
) -> None:
    stage = STAGES["joint"](make_context())
    stepped = {id(p) for optimiser in stage.optimisers() for group in optimiser.param_groups for p in group["params"]}
    assert stepped == {id(p) for module in stage.trains.values() for p in module.parameters()}


def test_the_rate_option_scales_the_steps_of_every_optimiser(make_context: MakeContext) -> None:
    context = make_context()
    one = [o.param_groups[0]["lr"] for o in STAGES["mask"](context).optimisers()]
    context.options = type(context.options)(rate=0.5)
    half = [o.param_groups[0]["lr"] for o in STAGES["mask"](context).optimisers()]
    assert half == [rate / 2 for rate in one]


def test_the_baselines_statistics_of_batch_normalisation_are_exported_with_its_weights(
    make_context: MakeContext, tmp_path: Path
) -> None:
    stage = STAGES["audiosep"](make_context())
    before = {name: value.clone() for name, value in stage.trains["audiosep"].state_dict().items()}
    trainer = Trainer(stage, tmp_path, Budget(steps=3))
    trainer.train()
    exported = trainer.ema.state("audiosep")
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
    stage = STAGES[name](make_context())
    adamw, muon = stage.optimisers()
    assert (type(adamw).__name__, type(muon).__name__) == ("AdamW", "Muon")
    names = {id(p): n for m in stage.trains.values() for n, p in m.named_parameters()}
    in_muon = {names[id(p)] for group in muon.param_groups for p in group["params"]}
    in_adamw = {names[id(p)] for group in adamw.param_groups for p in group["params"]}
    assert in_muon.isdisjoint(in_adamw)
    assert in_muon | in_adamw == set(names.values()), "every parameter is stepped once"
    blocks = ("blocks.", "layers.", "decoder_blocks.", "mixture_blocks.", "described_blocks.", "near.", "last.")
    blocks += ("encoder.blocks.", "decoder.blocks.", "around.", "levels.", "merges.")
    matrices = {n for n in names.values() if n.startswith(blocks) and n.endswith("weight") and "film" not in n}
    matrices = {n for n in matrices if not any(part in n for part in ("norm", "depthwise", "context"))}
    matrices -= {"last.weight", *(f"near.{i}.weight" for i in range(4))}  # a number a channel, not a matrix
    assert in_muon == matrices


def test_the_average_lies_between_old_and_new_weights_and_keeps_buffers() -> None:
    module = torch.nn.BatchNorm1d(2)
    ema = EMA({"net": module}, decay=0.75)
    with torch.no_grad():
        module.weight.fill_(5.0)
        module.running_mean.fill_(7.0)  # type: ignore[union-attr]
    ema.update(step=1_000)
    state = ema.state("net")
    assert torch.allclose(state["weight"], torch.full((2,), 0.75 * 1 + 0.25 * 5))
    assert torch.equal(state["running_mean"], torch.full((2,), 7.0))
    ema.update(step=1)  # at first it follows fast: 2 parts old, 9 new
    assert torch.allclose(ema.state("net")["weight"], torch.full((2,), (2 * 2.0 + 9 * 5.0) / 11))
