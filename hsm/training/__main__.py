"""Train a stage: `python -m hsm.training STAGE --data MANIFEST --minutes 60`.

On N GPUs or processes: `torchrun --nproc-per-node N -m hsm.training STAGE ...`, see `hsm.training.processes`.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import nn

from hsm.config import CONFIGS, Config
from hsm.errors import HSMError
from hsm.model import build_modules
from hsm.separator import build_baselines
from hsm.text import load_text_encoder
from hsm.training.audiosep_stage import AudioSepStage
from hsm.training.bank import build_bank
from hsm.training.captions import CaptionStore
from hsm.training.clip_store import ClipStore
from hsm.training.codec_stage import CodecStage
from hsm.training.decoder_stage import DecoderStage
from hsm.training.frozen import FrozenFeatures
from hsm.training.instruction_stage import InstructionStage
from hsm.training.loop import Budget, Run
from hsm.training.mask_stage import MaskStage
from hsm.training.mixing import MixingSettings
from hsm.training.presence_stage import PresenceStage
from hsm.training.pretrained import LICENCE as SOURCE_LICENCE
from hsm.training.pretrained import SOURCE, aisfx_checkpoint, read_checkpoint
from hsm.training.processes import first_goes_first, joined, number, processes
from hsm.training.representation_stages import AudioMAEStage, QAudioStage
from hsm.training.separation_stages import SeparationStage
from hsm.training.stages import ADAMW_RATE, MUON_RATE, Optimisation, Stage, StageContext
from hsm.weights import BUNDLED, MANIFEST, WeightFolder, save_weights, sha256

STAGES_HELP = "in this order; sound_encoder converts pretrained weights, bank computes features for the t-SNE"
STAGES = (
    "audiomae",
    "q_audio",
    "global",
    "local",
    "joint",
    "mask",
    "presence",
    "instruction",
    "codec",
    "decoder",
    "audiosep",
)
OWN_BATCH = {
    "audiomae": 32,
    "q_audio": 64,
    "global": 24,
    "local": 24,
    "joint": 24,
    "mask": 16,
    "presence": 16,
    "instruction": 64,
    "codec": 16,
    "decoder": 8,
    "audiosep": 16,
}
SHORT_CROPS = ("mask", "decoder", "audiosep")
CODEC_CROP_S = 1.28
BYSTANDER = 0.25  # of the mask renderer's mixtures, and of its rival's
LICENCE = (
    "For non-commercial use: parts of the training clips (ESC-50, UrbanSound8K, RAVDESS) are CC BY-NC. "
    "No training clip is contained in or can be taken from these files."
)


def make_stage(
    name: str,
    context: StageContext,
    batch: int = 0,
    crop_s: float = 0.0,
    single: bool = False,
    rate: float = 1.0,
) -> Stage:
    """The stage of a name with its settings.

    Args:
        name: one of `STAGES`.
        context: what stages share.
        batch: examples a step of each process; 0 for the stage's own.
        crop_s: seconds an example; 0 for the stage's own.
        single: for "mask", text alone; for "decoder", features of single clips alone.
        rate: times the stage's own step sizes.

    Returns:
        The stage, its networks in training mode.
    """
    optimisation = Optimisation(batch or OWN_BATCH[name], MUON_RATE * rate, ADAMW_RATE * rate)
    mixing = MixingSettings(crop_s=crop_s or (2.56 if name in SHORT_CROPS else 5.12))
    if name == "audiomae":
        return AudioMAEStage(context, optimisation, mixing)
    if name == "q_audio":
        return QAudioStage(context, optimisation, mixing)
    if name == "mask":
        return MaskStage(context, optimisation, dataclasses.replace(mixing, bystander=BYSTANDER), guided=not single)
    if name == "presence":
        return PresenceStage(context, optimisation, dataclasses.replace(mixing, bystander=BYSTANDER))
    if name == "audiosep":
        return AudioSepStage(context, optimisation, dataclasses.replace(mixing, bystander=BYSTANDER))
    if name == "instruction":
        return InstructionStage(context, optimisation)
    if name == "codec":
        return CodecStage(context, optimisation, crop_s or CODEC_CROP_S)
    if name == "decoder":
        return DecoderStage(context, optimisation, mixing, predicted=not single)
    return SeparationStage(name, context, optimisation, dataclasses.replace(mixing, snr_db=15.0))


def load_available(modules: dict[str, nn.Module], folder: Path, config: Config) -> list[str]:
    """Load the networks that a weight folder has; names of those it lacks are returned.

    Raises:
        HSMError: weights of another configuration.
    """
    if not (folder / MANIFEST).exists():
        return list(modules)
    weights = WeightFolder.open(folder)
    if weights.manifest["config"] != config.to_dict():
        raise HSMError(f"--weights {folder}: holds another configuration, {weights.manifest['config']['name']!r}.")
    for name in modules:
        if name in weights:
            weights.load_into(name, modules[name])
    return [name for name in modules if name not in weights]


def check_needs(stage: str, needs: tuple[str, ...], missing: list[str], folder: Path) -> None:
    """Refuse to train upon networks that were never trained; `HSMError` names them."""
    untrained = [name for name in needs if name in missing]
    if untrained:
        raise HSMError(f"stage {stage}: {folder} lacks {', '.join(untrained)}; train them first.")


def _commit() -> str:
    """The project's commit, marked when files have changed since; "unknown" outside a repository."""
    here = Path(__file__).resolve().parent
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=here, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"


def provenance(context: StageContext, data: Path, **more: Any) -> dict[str, Any]:
    """How a weight file came about, for the manifest."""
    return {
        **more,
        "device": f"{context.device.type}, {torch.get_num_threads()} threads",
        "processes": processes(),
        "data": f"{data.name}, split train",
        "data_sha256": sha256(data),
        "seed": context.seed,
        "commit": _commit(),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def origins(stage: Stage, folder: Path) -> dict[str, dict[str, Any]]:
    """Checksum and history of the weights that a run goes on from, by network."""
    if not (folder / MANIFEST).exists():
        return {}
    files = WeightFolder.open(folder).manifest["files"]
    return {
        name: {"sha256": files[name]["sha256"], "trained": files[name]["trained"]}
        for name in stage.exports
        if name in files
    }


def export(run: Run, folder: Path, data: Path, started_from: dict[str, dict[str, Any]]) -> None:
    """Write a run's averaged weights and how they came about into a weight folder."""
    context = run.stage.context
    trained = provenance(context, data, stage=run.stage.name, steps=run.step, minutes=round(run.elapsed_s / 60, 1))
    for name in run.stage.exports:
        history = {"started_from": started_from[name]} if name in started_from else {}
        state = run.average.state(name)
        text = {"names": json.dumps(run.stage.names)} if isinstance(run.stage, PresenceStage) else None
        path = save_weights(folder, name, state, context.config.to_dict(), trained | history, LICENCE, text)
        print(f"wrote {path}")


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m hsm.training", description=__doc__)
    parser.add_argument("stage", choices=("sound_encoder", *STAGES, "bank"), help=STAGES_HELP)
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
    parser.add_argument(
        "--checkpoint", type=Path, help="sound_encoder: aiSFX's file; the installed package's by default"
    )
    parser.add_argument(
        "--single", action="store_true", help="without H1 and H2: mask: text alone; decoder: single clips"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 for all")
    return parser


def main(arguments: list[str] | None = None) -> None:
    """Run one stage as the command line says."""
    chosen = _arguments().parse_args(arguments)
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    with joined(chosen.device) as device:
        _train(chosen, device)


def _train(chosen: argparse.Namespace, device: torch.device) -> None:
    config: Config = CONFIGS[chosen.config]
    if chosen.stage not in STAGES and processes() > 1:
        raise HSMError(f"stage {chosen.stage}: got {processes()} processes, wanted one; run it without torchrun.")
    if chosen.stage == "sound_encoder":  # needs no sound
        state = read_checkpoint(chosen.checkpoint or aisfx_checkpoint(), config.sound_encoder)
        converted = {"stage": "sound_encoder", "source": SOURCE, "licence": SOURCE_LICENCE}
        path = save_weights(chosen.weights, "sound_encoder", state, config.to_dict(), converted, LICENCE)
        print(f"wrote {path}")
        return
    with first_goes_first():
        clips = ClipStore(chosen.data, chosen.cache)
        captions = CaptionStore(clips.clips, lambda: load_text_encoder(config.text), config.text.encoder, chosen.cache)
    torch.manual_seed(chosen.seed)
    modules = build_modules(config) | build_baselines(config)
    missing = load_available(modules, chosen.weights, config)
    for module in modules.values():
        module.to(device).eval()
    context = StageContext(config, clips, captions, device, modules, chosen.seed)
    if chosen.stage == "bank":
        check_needs("bank", FrozenFeatures.NEEDS, missing, chosen.weights)
        state, text = build_bank(context).to_state()
        trained = provenance(context, chosen.data, stage="bank")
        print(f"wrote {save_weights(chosen.weights, 'bank', state, config.to_dict(), trained, LICENCE, text)}")
        return
    stage = make_stage(chosen.stage, context, chosen.batch, chosen.crop_s, chosen.single, chosen.rate)
    check_needs(stage.name, stage.needs, missing, chosen.weights)
    if chosen.fresh:
        random = build_modules(config) | build_baselines(config)
        for name in stage.exports:
            modules[name].load_state_dict(random[name].state_dict())
    run = Run(
        stage,
        chosen.runs / chosen.stage,
        Budget(minutes=chosen.minutes, steps=chosen.steps),
        resume=chosen.resume,
    )
    started_from = {} if chosen.fresh else origins(stage, chosen.weights)
    run.train()
    if number() == 0:
        export(run, chosen.weights, chosen.data, started_from)


if __name__ == "__main__":
    try:
        main()
    except HSMError as error:
        sys.exit(f"error: {error}")
