"""The paper's own decoder: the codec alone, the codec renderer beside the mask. Paper: Sec. V-A, V-E, Table VIII."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from hsm import HSM, Audio, Instruction, SeparationOptions
from hsm.audio import is_silent
from hsm.codecs import load_codec
from hsm.errors import HSMError
from hsm.evaluation import metrics
from hsm.evaluation.measure import Judge
from hsm.evaluation.mixtures import mix
from hsm.evaluation.protocols import Trial
from hsm.features import CODEC_HOP, RATE_HZ, working_gain
from hsm.manifest import Clip

CLIPS_EACH = 40  # of a kind
KINDS = ("speech", "music", "effects")
LONGEST_S = 10.0


def kind_of(clip: Clip) -> str:
    """One of `KINDS`, by the manifest's group."""
    if clip.group == "speech":
        return "speech"
    return "music" if clip.group.startswith("music") else "effects"


def speech_measures() -> tuple[Callable[..., float], Callable[..., float]]:
    """STOI and PESQ; `HSMError` where their packages are not installed."""
    try:
        return import_module("pystoi").stoi, import_module("pesq").pesq
    except ModuleNotFoundError as error:
        raise HSMError(
            f"codec: the package {error.name} is not installed; run `pip install -e .[evaluation]`."
        ) from error


def scores(kind: str, reference: np.ndarray, estimate: np.ndarray) -> dict[str, float]:
    """The measures of one clip there and back; STOI and PESQ for speech alone."""
    found = {
        "mel_d": metrics.mel_distance(reference, estimate),
        "lsd": metrics.lsd(reference, estimate),
        "mel_psnr": metrics.mel_psnr(reference, estimate),
        "si_sdr": metrics.si_sdr(reference, estimate),
        "borders": metrics.border_jumps(estimate, CODEC_HOP),
    }
    if kind == "speech":
        stoi, pesq = speech_measures()
        found["stoi"] = float(stoi(reference, estimate, RATE_HZ))
        found["pesq"] = float(pesq(RATE_HZ, reference, estimate, "wb", on_error=1))
    return found


@torch.inference_mode()
def there_and_back(codec: Any, wave: np.ndarray) -> tuple[np.ndarray, torch.Tensor]:
    """A sound (S,) as a codec gives it back, and its tokens (N, K)."""
    samples = torch.from_numpy(np.ascontiguousarray(wave, dtype=np.float32))
    gain = working_gain(samples)
    tokens = codec.encode((samples * gain)[None])  # (1, N, K)
    return (codec.decode(tokens)[0, : len(samples)] / gain).numpy(), tokens[0]


def measure_codec(
    model: HSM, clips: Sequence[Clip], split: str, limit: int | None, seed: int, public: str = ""
) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """Code and decode clips of each kind.

    Args:
        model: with the codec.
        clips: of a manifest.
        split: which of them.
        limit: clips of a kind; 40 where not given.
        seed: of the choice of clips.
        public: a codec of `hsm.codecs` to measure beside it.

    Returns:
        A record a clip, and the share of each codec's entries that were chosen at least once.
    """
    if "codec" in model.missing:
        raise HSMError("codec: the weight folder has no codec; train it with `hsm train codec`.")
    codecs: dict[str, Any] = {"ours": model.model.codec} | ({public: load_codec(public)} if public else {})
    used = {name: torch.zeros(codec.groups, codec.entries, dtype=torch.bool) for name, codec in codecs.items()}
    records: list[dict[str, Any]] = []
    rng = np.random.default_rng(seed)
    for kind in KINDS:
        members = [clip for clip in clips if clip.split == split and kind_of(clip) == kind]
        for index in tqdm(rng.permutation(len(members))[: limit or CLIPS_EACH], desc=kind):
            reference = Audio.load(members[index].path).mono_16k[: int(LONGEST_S * RATE_HZ)].numpy()
            if len(reference) < RATE_HZ // 2 or is_silent(Audio(reference, RATE_HZ)):
                continue
            rows = {"self": scores(kind, reference, reference)}
            for name, codec in codecs.items():
                made, tokens = there_and_back(codec, reference)
                rows[name] = scores(kind, reference, made)
                for group, row in enumerate(tokens.unbind(-1)):
                    used[name][group, row] = True
            records.append({"kind": kind, "clips": [members[index].path.name], "rows": rows})
    return records, {name: float(entries.float().mean()) for name, entries in used.items()}


def measure_renderers(model: HSM, trials: Sequence[Trial], judge: Judge | None = None) -> list[dict[str, Any]]:
    """Extract the first source of each mixture with both renderers: a record a mixture."""
    drawn = SeparationOptions(renderer="codec")
    records = []
    for trial in tqdm(trials, desc="mixtures", unit="mixture"):
        mixture = mix(trial)
        target = mixture.target
        encoded, wanted = model.encode(mixture.audio), Instruction("extract", trial.words[0])
        estimates = {
            "mixture": mixture.wave,
            "mask": model.separate(encoded, wanted).target.samples[0],
            "codec, from Ŝ": model.separate(encoded, wanted, drawn).target.samples[0],
            "codec, from the true S": model.resynthesise(Audio(target, RATE_HZ), drawn).samples[0],
            "the target through the codec alone": there_and_back(model.model.codec, target)[0],
        }
        classes = judge(target) if judge is not None else None
        rows = {}
        for row, estimate in estimates.items():
            rows[row] = {
                "si_sdr": metrics.si_sdr(target, estimate),
                "mel_psnr": metrics.mel_psnr(target, estimate),
                "lsd": metrics.lsd(target, estimate),
            }
            if judge is not None and classes is not None:
                rows[row]["kl"] = metrics.kl(classes, judge(np.asarray(estimate, np.float32)))
        records.append({"kind": trial.kind, "clips": [clip.path.name for clip in trial.sources], "rows": rows})
    return records
