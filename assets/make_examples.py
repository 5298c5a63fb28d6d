"""Make the example mixtures of the page, with their stems, from code: nothing is recorded.

    python assets/make_examples.py                      write examples/, examples/sources/, examples.json
    python assets/make_examples.py --check TEACHER_DIR  ask an AudioSet tagger (YAMNet) what each stem is

Needs flite and FluidSynth with the FluidR3 soundfont; see LICENCES.md. The check needs the package
`ai-edge-litert` and a folder with `yamnet.tflite` and `yamnet_class_map.csv`.
"""

from __future__ import annotations

import argparse
import csv
import json
import zlib
from pathlib import Path

import numpy as np
import soundfile
from scipy import signal
from synthesis import common
from synthesis.common import Wave
from synthesis.scenes import SCENES, Scene, Source

HERE = Path(__file__).resolve().parent
SEED = 2_024
PEAK = 0.7
FULL_SCALE = 32_768
FRAME_S = 0.05
MADE_WITH = "synthesised by assets/make_examples.py"
TOOLS = {"speech": "speech by flite", "piano": "music by FluidSynth", "guitar": "music by FluidSynth"}


def frame_rms(wave: Wave, rate_hz: int) -> Wave:
    """Level of (channels, S) in frames of 50 ms."""
    step = int(FRAME_S * rate_hz)
    count = wave.shape[-1] // step
    frames = wave[:, : count * step].reshape(len(wave), count, step)
    return np.sqrt(np.mean(frames**2, axis=(0, 2)))


def active_spans(wave: Wave, rate_hz: int, floor_db: float = -30.0, gap_s: float = 0.4) -> list[list[float]]:
    """When a stem sounds: frames within 30 dB of its loudest, short gaps closed."""
    level = frame_rms(wave, rate_hz)
    spans: list[list[float]] = []
    for frame in np.flatnonzero(level > level.max() * 10 ** (floor_db / 20)):
        start, end = frame * FRAME_S, (frame + 1) * FRAME_S
        if spans and start - spans[-1][1] <= gap_s:
            spans[-1][1] = end
        else:
            spans.append([start, end])
    return [[round(float(start), 2), round(float(end), 2)] for start, end in spans]


def render(scene: Scene, source: Source) -> Wave:
    """One stem at the scene's rate, channels and level: (channels, S)."""
    rng = np.random.default_rng([SEED, zlib.crc32(f"{scene.name}/{source.name}".encode())])
    wave = np.atleast_2d(source.render(rng, scene.duration_s))  # (1 or 2, S)
    if scene.channels == 1:
        wave = wave.mean(0, keepdims=True)
    elif len(wave) == 1:
        wave = np.repeat(wave, 2, axis=0)
    if scene.rate_hz != common.RATE_HZ:
        wave = signal.resample_poly(wave, scene.rate_hz // 100, common.RATE_HZ // 100, axis=-1)
    level = frame_rms(wave, scene.rate_hz)
    active = level[level > level.max() * 10**-1.5]
    return wave / np.sqrt(np.mean(active**2)) * 10 ** (source.level_db / 20)


def write(scene: Scene) -> dict[str, object]:
    """Write a mixture and its stems; return its entry in examples.json."""
    stems = [render(scene, source) for source in scene.sources]
    gain = PEAK * FULL_SCALE / np.abs(np.sum(stems, axis=0)).max()
    whole = [np.round(stem * gain).astype(np.int32) for stem in stems]  # 16-bit steps, so sums are exact
    mixture = np.sum(whole, axis=0)
    (HERE / "examples" / "sources").mkdir(parents=True, exist_ok=True)
    entries = []
    for source, stem in zip(scene.sources, whole, strict=True):
        file = f"examples/sources/{scene.name}_{source.name}.flac"
        soundfile.write(HERE / file, stem.T.astype(np.int16), scene.rate_hz, subtype="PCM_16")
        spans = active_spans(stem / FULL_SCALE, scene.rate_hz)
        entries.append({"caption": source.caption, "file": file, "active_s": spans})
    file = f"examples/{scene.name}.flac"
    soundfile.write(HERE / file, mixture.T.astype(np.int16), scene.rate_hz, subtype="PCM_16")
    tools = dict.fromkeys(TOOLS[source.name] for source in scene.sources if source.name in TOOLS)
    return {
        "file": file,
        "title": scene.title,
        "instruction": scene.instruction,
        "operation": scene.operation,
        "described": scene.described,
        "sources": entries,
        "made_with": "; ".join([MADE_WITH, *tools]),
    }


def check(teacher: Path) -> bool:
    """Print the five best AudioSet classes of each written stem, and whether a fitting one is there."""
    from ai_edge_litert.interpreter import Interpreter

    with (teacher / "yamnet_class_map.csv").open() as file:
        names = [row["display_name"] for row in csv.DictReader(file)]
    tagger = Interpreter(str(teacher / "yamnet.tflite"), num_threads=1)
    tagger.allocate_tensors()
    entry, exit_ = tagger.get_input_details()[0]["index"], tagger.get_output_details()[0]["index"]
    good = True
    for scene in SCENES:
        for source in scene.sources:
            unknown = set(source.fitting) - set(names)
            assert not unknown, f"no such AudioSet class: {unknown}"
            path = HERE / "examples" / "sources" / f"{scene.name}_{source.name}.flac"
            wave, rate_hz = soundfile.read(path, always_2d=True)
            mono = signal.resample_poly(wave.mean(1), 160, rate_hz // 100).astype(np.float32)
            scores = []
            for start in range(0, len(mono) - 15_600 + 1, 7_800):
                tagger.set_tensor(entry, mono[None, start : start + 15_600])
                tagger.invoke()
                scores.append(tagger.get_tensor(exit_).reshape(-1))
            mean = np.mean(scores, axis=0)
            best = [names[k] for k in np.argsort(-mean)[:5]]
            fits = bool(set(best) & set(source.fitting))
            good &= fits
            listed = ", ".join(f"{name} {mean[names.index(name)]:.2f}" for name in best)
            print(f"{scene.name + '/' + source.name:22s} {'ok ' if fits else 'NO '} {listed}")
    return good


def main() -> int:
    """Write the examples, or check those written."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", type=Path, metavar="TEACHER_DIR", help="folder of the tagger")
    parser.add_argument("--only", metavar="NAME", help="write the sound files of one scene, not examples.json")
    arguments = parser.parse_args()
    if arguments.check:
        return 0 if check(arguments.check) else 1
    scenes = [scene for scene in SCENES if arguments.only in (None, scene.name)]
    listing = [write(scene) for scene in scenes]
    if not arguments.only:
        (HERE / "examples.json").write_text(json.dumps(listing, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
