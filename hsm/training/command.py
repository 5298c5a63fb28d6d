"""Train a stage: `hsm train STAGE --data MANIFEST --minutes 60`.

On N GPUs or processes: `torchrun --nproc-per-node N -m hsm.training STAGE ...`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hsm.config import CONFIGS, Config
from hsm.errors import HSMError
from hsm.model import build_modules
from hsm.separator import build_baselines
from hsm.text import load_text_encoder
from hsm.training import bank, presence, stages  # noqa: F401
from hsm.training.data import CaptionStore, ClipStore
from hsm.training.distributed import process_group, rank, rank_zero_first, world_size
from hsm.training.mixtures import texts_of
from hsm.training.stage import STAGES, StageContext, StageOptions
from hsm.training.trainer import Budget, Trainer
from hsm.weights import BUNDLED, MANIFEST, WeightFolder, save_weights, sha256

MOST_WORKERS = 12
COMPUTED = {"bank": bank.NEEDS, "presence": presence.NEEDS}  # what is computed, not trained
LICENCE = (
    "For non-commercial use: parts of the training clips (ESC-50, UrbanSound8K, RAVDESS) are CC BY-NC. "
    "No training clip is contained in or can be taken from these files."
)


def available(folder: Path, config: Config) -> WeightFolder | None:
    """The weights that training goes on from, if any; `HSMError` for those of another configuration."""
    if not (folder / MANIFEST).exists():
        return None
    weights = WeightFolder.open(folder)
    if weights.manifest["config"] != config.to_dict():
        raise HSMError(f"--weights {folder}: holds another configuration, {weights.manifest['config']['name']!r}.")
    return weights


def provenance(context: StageContext, data: Path, **more: Any) -> dict[str, Any]:
    """How a weight file came about, for the manifest; of the project, the commit and whether files changed since."""
    describe = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    return {
        **more,
        "device": f"{context.device.type}, {torch.get_num_threads()} threads",
        "processes": world_size(),
        "data": f"{data.name}, split train",
        "data_sha256": sha256(data),
        "seed": context.seed,
        "commit": subprocess.run(describe, capture_output=True, text=True, check=False).stdout.strip() or "unknown",
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="hsm train", description=__doc__)
    stages_help = "in this order; bank computes features for the t-SNE, presence calibrates what is heard"
    parser.add_argument("stage", choices=(*STAGES, *COMPUTED), help=stages_help)
    parser.add_argument("--config", choices=sorted(CONFIGS), default="small")
    parser.add_argument("--data", type=Path, required=True, help="manifest.csv")
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"), help="decoded clips and text features")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="checkpoints and metrics, a folder a stage")
    parser.add_argument("--weights", type=Path, default=BUNDLED, help="read from and written to")
    parser.add_argument("--fresh", action="store_true", help="train from random weights even where there are some")
    parser.add_argument("--minutes", type=float, default=60.0, help="wall-clock budget, earlier parts included")
    parser.add_argument("--steps", type=int, default=0, help="budget in steps instead")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    parser.add_argument("--batch", type=int, default=0, help="examples a step of each process; 0 for the stage's own")
    parser.add_argument("--rate", type=float, default=1.0, help="times the stage's own step sizes (warm restarts)")
    parser.add_argument("--crop-s", type=float, default=0.0, help="seconds an example; 0 for the stage's own")
    parser.add_argument("--single", action="store_true", help="without H1 and H2: mask: text alone; decoder: clips")
    parser.add_argument("--teacher", type=Path, help="sound_encoder: weights of the tagger that it learns from")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 for all")
    parser.add_argument("--workers", type=int, help="processes that mix beside the steps; one, more with a GPU")
    return parser


def main(arguments: list[str] | None = None) -> None:
    """Run one stage as the command line says; None reads the program's own arguments."""
    chosen = _arguments().parse_args(arguments)
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    with process_group(chosen.device) as device:
        _train(chosen, device)


def _workers(device: torch.device) -> int:
    if device.type != "cuda":
        return 1
    cores = (os.cpu_count() or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return max(1, min(MOST_WORKERS, cores - 1))


def _train(chosen: argparse.Namespace, device: torch.device) -> None:
    config: Config = CONFIGS[chosen.config]
    if chosen.stage not in STAGES and world_size() > 1:
        raise HSMError(f"stage {chosen.stage}: got {world_size()} processes, wanted one; run it without torchrun.")

    def save(name: str, state: dict[str, Tensor], trained: dict[str, Any], text: dict[str, str] | None = None) -> None:
        print(f"wrote {save_weights(chosen.weights, name, state, config.to_dict(), trained, LICENCE, text)}")

    with rank_zero_first():
        clips = ClipStore(chosen.data, chosen.cache)
        texts, encoder = texts_of(clips.clips), config.text
        captions = CaptionStore(texts, lambda: load_text_encoder(encoder), encoder.encoder, chosen.cache)
    torch.manual_seed(chosen.seed)
    modules = build_modules(config) | build_baselines(config)
    weights = available(chosen.weights, config)
    files = weights.manifest["files"] if weights else {}
    for name in files.keys() & modules.keys():
        weights.load_into(name, modules[name])  # type: ignore[union-attr]
    for module in modules.values():
        module.to(device).eval()
    options = StageOptions(chosen.batch, chosen.crop_s, chosen.rate, chosen.single, chosen.teacher)
    context = StageContext(config, clips, captions, device, modules, chosen.seed, options)
    stage = STAGES[chosen.stage](context) if chosen.stage in STAGES else None
    missing = [name for name in (stage.needs if stage else COMPUTED[chosen.stage]) if name not in files]
    if missing:
        raise HSMError(f"stage {chosen.stage}: {chosen.weights} lacks {', '.join(missing)}; train them first.")
    if chosen.stage == "bank":
        state, text = bank.build_bank(context).to_state()
        save("bank", state, provenance(context, chosen.data, stage="bank"), text)
        return
    if chosen.stage == "presence":
        presence.calibrate(context)
        trained = files["tagger"]["trained"] | {"presence": provenance(context, chosen.data, stage="presence")}
        save("tagger", modules["tagger"].state_dict(), trained, weights.metadata("tagger"))  # type: ignore[union-attr]
        return
    assert stage is not None
    if chosen.fresh:
        random = build_modules(config) | build_baselines(config)
        modules.update({name: random[name].to(device) for name in stage.exports})
        stage, files = STAGES[chosen.stage](context), {}
    workers = _workers(device) if chosen.workers is None else chosen.workers
    budget = Budget(minutes=chosen.minutes, steps=chosen.steps)
    trainer = Trainer(stage, chosen.runs / chosen.stage, budget, chosen.resume, workers)
    trainer.train()
    if rank() > 0:
        return
    minutes = round(trainer.elapsed_s / 60, 1)
    trained = provenance(context, chosen.data, stage=stage.name, steps=trainer.step, minutes=minutes)
    for name in stage.exports:
        before = {key: files[name][key] for key in ("sha256", "trained")} if name in files else None
        history = {"started_from": before} if before else {}
        save(name, trainer.ema.state(name), trained | history, stage.metadata())
