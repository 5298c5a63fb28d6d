"""Several ranks: each its own batches, all the same weights."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from stage_context import fresh_context, teacher_file

import hsm.training.stages  # noqa: F401
from hsm.config import TINY
from hsm.errors import HSMError
from hsm.text import load_text_encoder
from hsm.training.command import main
from hsm.training.data import CaptionStore, ClipStore
from hsm.training.distributed import average_gradients, gather
from hsm.training.losses import contrastive
from hsm.training.mixtures import texts_of
from hsm.training.stage import STAGES
from hsm.training.trainer import Budget, Trainer
from hsm.weights import MANIFEST

TRAINED = ("mask", "q_audio", "global")  # guided in some ranks and not in others; contrastive; pooled


def sources(batch: Any) -> torch.Tensor:
    """Of what a stage draws, the sounds."""
    return (batch if hasattr(batch, "sources") else batch[0]).sources


def work(rank: int, folder: Path, manifest: Path, cache: Path) -> None:
    """What each of two processes does."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    store = ClipStore(manifest, cache)
    captions = CaptionStore(texts_of(store.clips), lambda: load_text_encoder(TINY.text), "tiny", cache)
    found: dict[str, object] = {}

    weight = torch.nn.Parameter(torch.linspace(-1, 1, 12).reshape(3, 4))
    unused_here = torch.nn.Parameter(torch.ones(2))
    rows = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))[4 * rank : 4 * rank + 4]
    embedded = gather(rows @ weight)
    loss = contrastive(embedded @ embedded.t(), torch.eye(8, dtype=torch.bool)) + (unused_here.sum() if rank else 0.0)
    loss.backward()  # type: ignore[no-untyped-call]
    mean = average_gradients([weight, unused_here], torch.tensor([float(rank)]))
    found["contrastive"] = (weight.grad, unused_here.grad, mean)

    for name in TRAINED:
        stage = STAGES[name](fresh_context(store, captions))
        first: list[object] = []
        train = stage.training_step
        stage.training_step = lambda batch, train=train, first=first: first.append(batch) or train(batch)  # type: ignore
        trainer = Trainer(stage, folder / name, Budget(steps=3))
        start = {key: value.clone() for key, value in trainer.ema.values.items()}
        trainer.train()
        state = {key: m.state_dict() for key, m in stage.trains.items()}
        found[name] = (state, trainer.ema.values, start, sources(first[0]))  # type: ignore[attr-defined]

    if rank == 1:
        time.monotonic = lambda: 0.0  # a clock that stands still would never end
    trainer = Trainer(STAGES["codec"](fresh_context(store, captions)), folder / "timed", Budget(minutes=0.01))
    trainer.train()
    found["steps"] = trainer.step
    torch.save(found, folder / f"found{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def found(
    manifest: Path, cache: Path, text_features: CaptionStore, tmp_path_factory: pytest.TempPathFactory
) -> list[dict]:
    """What both ranks found."""
    folder = tmp_path_factory.mktemp("two")
    torch.multiprocessing.spawn(work, (folder, manifest, cache), nprocs=2)
    return [torch.load(folder / f"found{rank}.pt") for rank in (0, 1)]


def test_losses_over_all_ranks_have_the_gradients_that_one_process_has(found: list[dict]) -> None:
    weight = torch.nn.Parameter(torch.linspace(-1, 1, 12).reshape(3, 4))
    embedded = torch.randn(8, 3, generator=torch.Generator().manual_seed(0)) @ weight
    contrastive(embedded @ embedded.t(), torch.eye(8, dtype=torch.bool)).backward()  # type: ignore[no-untyped-call]
    for gradient, of_one_rank, mean in (rank["contrastive"] for rank in found):
        torch.testing.assert_close(gradient, weight.grad)
        assert of_one_rank.tolist() == [0.5, 0.5], "zero where it was not used"
        assert mean.tolist() == [0.5]


@pytest.mark.parametrize("name", TRAINED)
def test_ranks_draw_batches_of_their_own_and_agree_on_the_weights(found: list[dict], name: str) -> None:
    (one, ema, start, batch), (two, other_ema, _, other_batch) = (rank[name] for rank in found)
    assert not torch.equal(batch, other_batch)
    for key, state in one.items():
        for parameter, value in state.items():
            assert torch.equal(value, two[key][parameter]), (key, parameter)
    for key, value in ema.items():
        assert torch.equal(value, other_ema[key])
    assert any(not torch.equal(ema[key], start[key]) for key in start)


def test_ranks_end_at_the_same_step_by_the_mean_of_their_clocks(found: list[dict]) -> None:
    assert found[0]["steps"] == found[1]["steps"] > 0


def test_torchrun_trains_a_stage_and_the_first_process_alone_writes(
    manifest: Path, cache: Path, text_features: CaptionStore, tmp_path: Path
) -> None:
    where = ["--data", manifest, "--cache", cache, "--runs", tmp_path / "runs", "--weights", tmp_path / "weights"]
    how = ["--config", "tiny", "--steps", "2", "--batch", "3", "--crop-s", "0.64", "--device", "cpu", "--threads", "1"]
    command = [str(part) for part in (*where, *how)]
    main(["sound_encoder", *command, "--teacher", str(teacher_file())])
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*torchrun, "-m", "hsm.training", "mask", "--single", *command],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("wrote") == 1
    assert len((tmp_path / "runs" / "mask" / "metrics.csv").read_text().splitlines()) == 2
    trained = json.loads((tmp_path / "weights" / MANIFEST).read_text())["files"]["mask"]["trained"]
    assert (trained["steps"], trained["processes"]) == (2, 2)


def test_what_is_no_training_is_refused_in_several_processes(manifest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hsm.training.command.world_size", lambda: 2)
    with pytest.raises(HSMError, match="run it without torchrun"):
        main(["bank", "--data", str(manifest), "--device", "cpu"])
