"""The codec alone: clips there and back, by kind. Paper: Sec. V-E, Table VIII."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from hsm import HSM, Audio
from hsm.audio import is_silent, to_model_rate
from hsm.codecs import load_codec
from hsm.errors import HSMError
from hsm.evaluation import metrics
from hsm.features import CODEC_HOP, RATE_HZ, working_gain
from hsm.manifest import Clip
from hsm.readme import table

LIMIT = 40  # clips of a kind
KINDS = ("speech", "music", "effects")
COLUMNS = {
    "mel_d": "MEL-D",
    "lsd": "LSD",
    "mel_psnr": "mel-PSNR dB",
    "stoi": "STOI",
    "pesq": "PESQ",
    "si_sdr": "SI-SDR dB",
    "borders": "borders",
}
LONGEST_S = 10.0


def kind_of(clip: Clip) -> str:
    """One of `KINDS`, by the manifest's group."""
    if clip.group == "speech":
        return "speech"
    return "music" if clip.group.startswith("music") else "effects"


def _speech_measures() -> tuple[Callable[..., float], Callable[..., float]]:
    try:
        return import_module("pystoi").stoi, import_module("pesq").pesq
    except ModuleNotFoundError as error:
        raise HSMError(
            f"codec: the package {error.name} is not installed; run `pip install -e .[evaluation]`."
        ) from error


def scores(kind: str, reference: np.ndarray, estimate: np.ndarray) -> dict[str, float]:
    """The measures of one clip, named as in `COLUMNS`; STOI and PESQ for speech alone."""
    found = {
        "mel_d": metrics.mel_distance(reference, estimate),
        "lsd": metrics.lsd(reference, estimate),
        "mel_psnr": metrics.mel_psnr(reference, estimate),
        "si_sdr": metrics.si_sdr(reference, estimate),
        "borders": metrics.border_jumps(estimate, CODEC_HOP),
    }
    if kind == "speech":
        stoi, pesq = _speech_measures()
        found["stoi"] = float(stoi(reference, estimate, RATE_HZ))
        found["pesq"] = float(pesq(RATE_HZ, reference, estimate, "wb", on_error=1))
    return found


@torch.inference_mode()
def measure(
    model: HSM, clips: Sequence[Clip], split: str, limit: int, seed: int, public: str | None = None
) -> dict[str, Any]:
    """Code and decode clips of each kind.

    Args:
        model: with the codec.
        clips: of a manifest.
        split: which of them.
        limit: clips of a kind.
        seed: of the choice of clips.
        public: a codec of `hsm.codecs` to measure beside it.

    Returns:
        `clips[kind]`, `used[codec]` (the share of entries that were chosen at least once) and
        `rows[codec][kind][measure]`, means.
    """
    if "codec" in model.missing:
        raise HSMError("codec: the weight folder has no codec; train it with `python -m hsm.training codec`.")
    codecs: dict[str, Any] = {"ours": model.model.codec} | ({public: load_codec(public)} if public else {})
    found: dict[str, dict[str, list[dict[str, float]]]] = {n: {k: [] for k in KINDS} for n in ("self", *codecs)}
    used = {name: torch.zeros(codec.groups, codec.entries, dtype=torch.bool) for name, codec in codecs.items()}
    rng = np.random.default_rng(seed)
    for kind in KINDS:
        members = [clip for clip in clips if clip.split == split and kind_of(clip) == kind]
        for index in tqdm(rng.permutation(len(members))[:limit], desc=kind):
            audio = Audio.load(members[index].path)
            wave = to_model_rate(audio)[: int(LONGEST_S * RATE_HZ)]
            if is_silent(Audio(wave.numpy(), RATE_HZ)) or len(wave) < RATE_HZ // 2:
                continue
            gain = working_gain(wave)
            reference = wave.numpy()
            found["self"][kind].append(scores(kind, reference, reference))
            for name, codec in codecs.items():
                tokens = codec.encode((wave * gain)[None])  # (1, N, K)
                for group, row in enumerate(tokens[0].unbind(-1)):
                    used[name][group, row] = True
                made = (codec.decode(tokens)[0, : len(wave)] / gain).numpy()
                found[name][kind].append(scores(kind, reference, made))
    return {
        "clips": {kind: len(found["self"][kind]) for kind in KINDS},
        "used": {name: float(table.float().mean()) for name, table in used.items()},
        "rows": {
            name: {k: {m: float(np.mean([s[m] for s in rows])) for m in rows[0]} for k, rows in kinds.items() if rows}
            for name, kinds in found.items()
        },
    }


def markdown(report: dict[str, Any]) -> str:
    """A report as a table."""
    rows = [
        [name, f"{kind} ({report['clips'][kind]})"]
        + [f"{values[measure]:.3f}" if measure in values else "" for measure in COLUMNS]
        for name, kinds in report["rows"].items()
        for kind, values in kinds.items()
    ]
    used = ", ".join(f"{name} {100 * share:.1f} %" for name, share in report["used"].items())
    return "\n".join(
        [
            table(["codec", "kind (clips)", *COLUMNS.values()], rows),
            "",
            f'Means. MEL-D and LSD: lower is nearer; "self" is a clip against itself. Borders: 1 where the edges of '
            f"the codec's frames are as smooth as other places. Entries in use: {used}.",
            "",
        ]
    )
