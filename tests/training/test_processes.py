"""Two processes take the steps of one with twice the batch, and the first alone writes."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from aisfx_file import write_aisfx
from stage_context import fresh_context

from hsm.config import TINY
from hsm.errors import HSMError
from hsm.text import load_text_encoder
from hsm.training.__main__ import STAGES, main, make_stage
from hsm.training.captions import CaptionStore
from hsm.training.clip_store import ClipStore
from hsm.training.loop import CHECKPOINT, Budget, Run
from hsm.training.processes import share
from hsm.training.stages import StageContext
from hsm.weights import MANIFEST

MakeContext = Callable[[], StageContext]
BATCH, CROP_S = 8, 0.64
BUDGET = Budget(steps=3, save_s=0.0, report_s=0.0)


def run_of(context: StageContext, name: str, batch: int, folder: Path, resume: bool = False) -> Run:
    """A few steps of a stage, each of them saved and reported."""
    return Run(make_stage(name, context, batch, CROP_S), folder, BUDGET, resume)


def train_all(number: int, folder: Path, manifest: Path, cache: Path) -> None:
    """What each of two processes does: all stages, a run that is cut off and resumed, one by the clock."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=number, world_size=2)
    store = ClipStore(manifest, cache)
    captions = CaptionStore(store.clips, lambda: load_text_encoder(TINY.text), "tiny", cache)
    for name in STAGES:
        run_of(fresh_context(store, captions), name, BATCH, folder / name).train()

    cut = run_of(fresh_context(store, captions), "mask", BATCH, folder / "cut")
    draw, steps = cut.stage.losses, iter(range(3))

    def power_cut() -> dict[str, torch.Tensor]:
        losses = draw()  # numbers are drawn, and lost
        if next(steps) == 2:
            raise KeyboardInterrupt
        return losses

    cut.stage.losses = power_cut  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        cut.train()
    dist.barrier()
    run_of(fresh_context(store, captions), "mask", BATCH, folder / "cut", resume=True).train()

    if number == 1:
        time.monotonic = lambda: 0.0  # a clock that stands still would never end
    stage = make_stage("codec", fresh_context(store, captions), BATCH, CROP_S)
    timed = Run(stage, folder / "timed", Budget(minutes=0.01))
    timed.train()
    (folder / f"steps{number}").write_text(str(timed.step))
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def by_two(manifest: Path, cache: Path, captions: CaptionStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which two processes have trained."""
    folder = tmp_path_factory.mktemp("two")
    torch.multiprocessing.spawn(train_all, (folder, manifest, cache), nprocs=2)
    return folder


def rows(folder: Path) -> list[dict[str, float]]:
    """The losses of each step."""
    with (folder / "metrics.csv").open(newline="") as file:
        return [{k: float(v) for k, v in row.items() if k != "elapsed_s"} for row in csv.DictReader(file)]


def flat(state: dict[str, torch.Tensor]) -> torch.Tensor:
    return torch.cat([value.flatten().float() for value in state.values()])


@pytest.mark.parametrize("name", [name for name in STAGES if name != "audiosep"])  # its normalisation is by process
def test_two_processes_take_the_steps_of_one_with_twice_the_batch(
    by_two: Path, make_context: MakeContext, tmp_path: Path, name: str
) -> None:
    run = run_of(make_context(), name, 2 * BATCH, tmp_path)
    start = {key: flat(module.state_dict()) for key, module in run.stage.trains.items()}
    run.train()
    for alone, together in zip(rows(tmp_path), rows(by_two / name), strict=True):
        assert together == pytest.approx(alone, abs=5e-6)
    one, two = (torch.load(folder / CHECKPOINT, weights_only=False) for folder in (tmp_path, by_two / name))
    for key, before in start.items():
        here, there = flat(one["modules"][key]), flat(two["modules"][key])
        assert (here - there).norm() < 1e-3 * (here - before).norm(), "but for the order in which sums are rounded"
    assert torch.equal(one["torch_rng"], two["torch_rng"])
    assert one["random_state"] == two["random_state"]


def test_a_run_of_two_processes_that_was_cut_off_goes_on_bit_for_bit(by_two: Path) -> None:
    whole, parts = (torch.load(by_two / name / CHECKPOINT, weights_only=False) for name in ("mask", "cut"))
    assert (whole["step"], parts["step"]) == (3, 3)
    assert torch.equal(flat(whole["modules"]["mask"]), flat(parts["modules"]["mask"]))
    assert torch.equal(flat(whole["average"]), flat(parts["average"]))
    assert torch.equal(whole["torch_rng"], parts["torch_rng"])
    assert rows(by_two / "mask") == rows(by_two / "cut")


def test_the_clock_of_the_first_process_ends_all_at_the_same_step(by_two: Path) -> None:
    steps = [int((by_two / f"steps{number}").read_text()) for number in (0, 1)]
    assert steps[0] == steps[1] > 0


def test_shares_are_all_there_is_in_order_also_where_they_differ_in_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hsm.training.processes.processes", lambda: 3)
    parts = []
    for number in range(3):
        monkeypatch.setattr("hsm.training.processes.number", lambda number=number: number)
        parts.append(share(list(range(10))))
    assert parts == [[0, 1, 2], [3, 4, 5], [6, 7, 8, 9]]


def test_torchrun_trains_a_stage_and_the_first_process_alone_writes_and_tells(
    manifest: Path, cache: Path, captions: CaptionStore, tmp_path: Path
) -> None:
    write_aisfx(tmp_path / "aisfx.pth", TINY.sound_encoder.channels)
    where = ["--data", manifest, "--cache", cache, "--runs", tmp_path / "runs", "--weights", tmp_path / "weights"]
    how = ["--config", "tiny", "--steps", "2", "--batch", "3", "--crop-s", "0.64", "--device", "cpu", "--threads", "1"]
    command = [str(part) for part in (*where, *how)]
    main(["sound_encoder", *command, "--checkpoint", str(tmp_path / "aisfx.pth")])
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*torchrun, "-m", "hsm.training", "mask", "--single", *command],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("mask  step 2") == done.stdout.count("wrote") == 1
    assert len(rows(tmp_path / "runs" / "mask")) == 1
    trained = json.loads((tmp_path / "weights" / MANIFEST).read_text())["files"]["mask"]["trained"]
    assert (trained["steps"], trained["processes"]) == (2, 2)


def test_what_is_no_training_is_refused_in_several_processes(manifest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hsm.training.__main__.processes", lambda: 2)
    with pytest.raises(HSMError, match="run it without torchrun"):
        main(["bank", "--data", str(manifest), "--device", "cpu"])
