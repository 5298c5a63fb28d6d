"""`hsm benchmark NAME`: speed and memory on this machine, each figure from a process of its own."""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from hsm.audio.writing import SoundWriter
from hsm.config import CONFIGS
from hsm.evaluation.__main__ import commit
from hsm.evaluation.baselines.audiosep import ResUNet, ResUNetConfig
from hsm.evaluation.report import markdown, write
from hsm.features import WINDOW_S, istft, stft
from hsm.records import Audio
from hsm.separator import HSM
from hsm.text import TextConfig

ASKED = "extract the dog barking"
MODELS = ("bundled", "small", "tiny")  # the last two untrained
REPORTS = Path("runs/evaluation")
Case = dict[str, Any]
Row = dict[str, str]  # cell by column


@dataclass(frozen=True)
class Benchmark:
    """What is measured, and of which cases: a row each."""

    about: str
    measure: Callable[..., Row]
    cases: tuple[Case, ...]


BENCHMARKS: dict[str, Benchmark] = {}


def benchmark(about: str, *cases: Case) -> Callable[[Callable[..., Row]], Callable[..., Row]]:
    """Register a measurement of one case under its function's name."""

    def register(measure: Callable[..., Row]) -> Callable[..., Row]:
        BENCHMARKS[measure.__name__] = Benchmark(about, measure, cases)
        return measure

    return register


@benchmark("44.1 kHz stereo from disk to disk", *({"seconds": s} for s in (1, 10, 60, 300, 3_600)))
def long_audio(model: str, seconds: float) -> Row:
    """A file of noise that comes and goes."""
    separator = load(model)
    with tempfile.TemporaryDirectory(prefix="hsm-benchmark-") as folder:
        mixture, target, residual = (Path(folder) / f"{name}.wav" for name in ("mixture", "target", "residual"))
        block = swelling_noise(1.0, 44_100, 2).samples
        with SoundWriter(mixture, 44_100, 2, "PCM_16", round(seconds * 44_100)) as writer:
            for _ in range(round(seconds)):
                writer.write(block)
        begin, cpu = time.perf_counter(), time.process_time()
        separator.separate_file(mixture, ASKED, target, residual)
        work_s, cpu_s = time.perf_counter() - begin, time.process_time() - cpu
    return {
        "sound s": f"{seconds:g}",
        "work s": f"{work_s:.1f}",
        "real-time factor": f"{work_s / seconds:.3f}",
        "CPU s": f"{cpu_s:.1f}",
        "peak memory MB": f"{peak_bytes() / 1e6:.0f}",
    }


@benchmark("10 s of 32 kHz mono against AudioSep's network, untrained", {"system": "HSM"}, {"system": "AudioSep"})
def audiosep(model: str, system: str, seconds: float = 10.0) -> Row:
    """Ours is the whole of a separation; theirs transform, network and inverse transform alone."""
    clip, before = swelling_noise(seconds, 32_000), peak_bytes()
    if system == "AudioSep":
        config = ResUNetConfig()
        network = ResUNet(config).eval().requires_grad_(False)
        weights = sum(p.nbytes for p in network.parameters())
        wave, description = torch.from_numpy(clip.samples), torch.randn(1, config.condition_width)

        def first() -> Any:
            with torch.inference_mode():
                target = network(stft(wave, config.n_fft, config.hop), description)
                return istft(target, wave.shape[1], config.n_fft, config.hop)

        first_s = second_s = fastest_s(first, 2)
    else:
        separator = load(model)
        networks = [*separator.model.modules.values(), separator.model.text.module]
        weights = sum(p.nbytes for module in networks for p in module.parameters())
        first_s = fastest_s(lambda: separator.separate(clip, ASKED), 5)
        encoded = separator.encode(clip)
        second_s = fastest_s(lambda: separator.separate(encoded, "remove the rain"), 5)
    above_mb = (peak_bytes() - before) / 1e6
    return {
        "system": system,
        "first instruction s": f"{first_s:.2f}",
        "second s": f"{second_s:.2f}",
        "real-time factor": f"{first_s / seconds:.3f}",
        "peak MB above the libraries'": f"{above_mb:.0f}",
        "and above the weights'": f"{above_mb - weights / 1e6:.0f}",
    }


CHOICES = (("float32", 1, ""), ("float32", 2, ""), ("float32", 4, ""), ("bfloat16", 2, ""), ("float32", 2, "inductor"))
CUDA_CHOICES = (("float32", 1, ""), ("bfloat16", 1, ""), ("bfloat16", 16, ""), ("bfloat16", 16, "inductor"))


@benchmark(
    "precision, windows at once and compilation, on the GPU where there is one",
    *(
        {"precision": precision, "windows": windows, "compiler": compiler}
        for precision, windows, compiler in (CUDA_CHOICES if torch.cuda.is_available() else CHOICES)
    ),
)
def choices(model: str, precision: str, windows: int, compiler: str, seconds: float = 120.0) -> Row:
    """A clip in memory with the bundled weights."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    separator = HSM.load(device=device, precision=precision, compiler=compiler)
    separator.windows_at_once = windows
    clip = swelling_noise(seconds, 44_100, 2)
    begin = time.perf_counter()
    separator.separate(clip, ASKED)  # its target is on the CPU, so a GPU's work is all in it
    first_s = time.perf_counter() - begin
    rtf = fastest_s(lambda: separator.separate(clip, ASKED), 3) / seconds
    peak = torch.cuda.max_memory_allocated() if device == "cuda" else peak_bytes()
    return {
        "precision": precision,
        "windows at once": str(windows),
        "compiled": "yes" if compiler else "no",
        f"first {seconds:g} s of sound s": f"{first_s:.1f}",
        "real-time factor after that": f"{rtf:.4f}",
        "peak memory MB": f"{peak / 1e6:.0f}",
    }


@benchmark("from a cold start to the first answer; the files are in the system's cache", {})
def start_up(model: str) -> Row:
    """Imports, weights, a separation of one second, and the next."""
    code = "import time; t = time.perf_counter(); import hsm; print(time.perf_counter() - t)"
    for _ in range(2):
        imports = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    clip, times = swelling_noise(1.0, 44_100, 2), [time.perf_counter()]
    separator = load(model)
    times.append(time.perf_counter())
    for _ in range(2):
        separator.separate(clip, ASKED)
        times.append(time.perf_counter())
    found = [float(imports), *(end - begin for begin, end in itertools.pairwise(times))]
    names = ("imports s", "weights s", "first separation of 1 s", "the next one")
    return {name: f"{seconds:.2f}" for name, seconds in zip(names, found, strict=True)}


@benchmark("cost of a second of sound against the machine's matrix product", {"config": "small"}, {"config": "paper"})
def compute(model: str, config: str) -> Row:
    """One window of a configuration, random weights and a small text encoder in the place of its own."""
    sizes = CONFIGS[config]
    separator = HSM.untrained(replace(sizes, text=TextConfig("tiny", sizes.text.width)))
    clip = swelling_noise(WINDOW_S, 16_000)
    with FlopCounterMode(display=False) as counter:
        separator.separate(clip, ASKED)
    work_s, flop = fastest_s(lambda: separator.separate(clip, ASKED), 3), counter.get_total_flops()
    a, b = torch.randn(2, 2_048, 2_048)
    product = 2 * 2_048**3 / fastest_s(lambda: a @ b, 3)
    parameters = sum(p.numel() for module in separator.model.modules.values() for p in module.parameters())
    return {
        "configuration": config,
        "parameters M": f"{parameters / 1e6:.0f}",
        "GFLOP a second of sound": f"{flop / WINDOW_S / 1e9:.1f}",
        "s a second of sound": f"{work_s / WINDOW_S:.3f}",
        "GFLOP/s": f"{flop / work_s / 1e9:.0f}",
        "matrix product GFLOP/s": f"{product / 1e9:.0f}",
        "share": f"{100 * flop / work_s / product:.0f} %",
    }


def load(model: str) -> HSM:
    """The model of a name: "bundled", or a configuration's, with random weights."""
    return HSM.load() if model == "bundled" else HSM.untrained(CONFIGS[model])


def swelling_noise(seconds: float, rate_hz: int, channels: int = 1) -> Audio:
    """Noise that comes and goes."""
    times = np.arange(round(seconds * rate_hz)) / rate_hz
    noise = np.random.default_rng(0).standard_normal((channels, times.size))
    return Audio((0.1 * noise * (1.2 + np.sin(5 * times))).astype(np.float32), rate_hz)


def fastest_s(work: Callable[[], object], times: int) -> float:
    """Seconds of the fastest of several runs, a first one not counted."""
    work()
    found = []
    for _ in range(times):
        begin = time.perf_counter()
        work()
        found.append(time.perf_counter() - begin)
    return min(found)


def peak_bytes() -> int:
    """Largest memory this process has had at once."""
    status = Path("/proc/self/status")
    if status.is_file():  # getrusage counts a child's memory from its parent's on Linux
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1_024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1_024)


def machine(threads: int) -> str:
    """The processor, in words."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.processor() or platform.machine()
    return f"{name}, {threads} of {os.cpu_count()} cores, PyTorch {torch.__version__}"


def alone(name: str, case: Case, model: str, threads: int) -> Row:
    """Measure one case in a process of its own."""
    command = [sys.executable, "-m", "hsm.benchmarks", name, "--model", model, "--threads", str(threads)]
    command += ["--case", json.dumps(case)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    row: Row = json.loads(done.stdout.splitlines()[-1])
    return row


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    about = "; ".join(f"{name}: {one.about}" for name, one in BENCHMARKS.items())
    parser = argparse.ArgumentParser(prog="hsm benchmark", description=__doc__)
    parser.add_argument("name", choices=BENCHMARKS, metavar="NAME", help=about)
    parser.add_argument("--model", choices=MODELS, default="bundled", help="the last two are untrained")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="CPU threads")
    parser.add_argument("--case", type=json.loads, help="measure this alone, here, and print JSON")
    parser.add_argument("--json", type=Path, metavar="OUT", help=f"the report; {REPORTS}/NAME.json where not given")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(chosen.threads)
    one = BENCHMARKS[chosen.name]
    if chosen.case is not None:
        print(json.dumps(one.measure(chosen.model, **chosen.case)))
        return 0
    rows = [alone(chosen.name, case, chosen.model, chosen.threads) for case in one.cases]
    found = {
        "benchmark": chosen.name,
        "about": one.about,
        "command": f"hsm benchmark {chosen.name}",
        "commit": commit(),
        "machine": machine(chosen.threads),
        "table": {"head": list(rows[0]), "rows": [list(row.values()) for row in rows]},
    }
    write(found, chosen.json or REPORTS / f"{chosen.name}.json")
    print(markdown(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
