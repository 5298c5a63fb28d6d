"""All clips of a manifest, decoded once into one int16 memory map."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from tqdm import tqdm

from hsm.audio import load_audio, to_model_rate
from hsm.features import RATE_HZ
from hsm.manifest import Clip, read_manifest

LONGEST_S = 30.0


def _decode(path: Path) -> np.ndarray:
    wave = to_model_rate(load_audio(path)).numpy()[: int(LONGEST_S * RATE_HZ)]  # (S,)
    return np.clip(np.round(wave * 32767), -32768, 32767).astype(np.int16)


class ClipStore:
    """Random access to decoded clips.

    Args:
        manifest: CSV as `hsm.manifest` reads it.
        cache: folder for the memory map; made anew when the manifest's text changes.

    A packed cache works without the clips themselves: copy manifest and cache folder to a machine that
    has neither the sound files nor a decoder.
    """

    def __init__(self, manifest: Path, cache: Path) -> None:
        self.clips: list[Clip] = read_manifest(manifest)
        digest = hashlib.sha256(Path(manifest).read_bytes()).hexdigest()[:16]
        samples_path, index_path = cache / f"{digest}.int16", cache / f"{digest}.json"
        if not index_path.exists():
            cache.mkdir(parents=True, exist_ok=True)
            self._build(samples_path, index_path)
        self.offsets = np.asarray(json.loads(index_path.read_text())["offsets"], dtype=np.int64)
        self._samples = np.memmap(samples_path, dtype=np.int16, mode="r")

    def _build(self, samples_path: Path, index_path: Path) -> None:
        offsets = [0]
        with samples_path.open("wb") as out, ProcessPoolExecutor() as pool:
            decoded = pool.map(_decode, [clip.path for clip in self.clips], chunksize=32)
            for wave in tqdm(decoded, total=len(self.clips), desc="decoding clips", mininterval=10):
                out.write(wave.tobytes())
                offsets.append(offsets[-1] + len(wave))
        index_path.write_text(json.dumps({"rate_hz": RATE_HZ, "offsets": offsets}))

    def length(self, index: int) -> int:
        """Samples of a clip."""
        return int(self.offsets[index + 1] - self.offsets[index])

    def wave(self, index: int, start: int = 0, count: int | None = None) -> np.ndarray:
        """Samples [start, start + count) of a clip as float32 in [-1, 1], fewer at its end."""
        begin, end = int(self.offsets[index]) + start, int(self.offsets[index + 1])
        if count is not None:
            end = min(end, begin + count)
        return self._samples[begin:end].astype(np.float32) / 32768.0
