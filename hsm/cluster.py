"""Many files on many machines: a Ray Data job whose workers each hold a model.

    jobs ──one at a time──> worker: model, loaded once ──> target, residual, record ──> line

Files and results are read and written by the workers themselves, under the paths given here: they lie on a
file system that all machines share.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch

from hsm.batch import Job, job_line, load_model
from hsm.errors import HSMError

MOST_BLOCKS = 10_000  # of the list of jobs; up to so many jobs are handed out one by one


class Worker:
    """Does one job after another, in a process of its own.

    Args:
        jobs: all of them.
        chosen: the parsed command line.
    """

    def __init__(self, jobs: list[Job], chosen: argparse.Namespace) -> None:
        self.jobs, self.chosen = jobs, chosen
        self.model = load_model(chosen, chosen.device)

    def __call__(self, row: dict[str, Any]) -> dict[str, str]:
        """The line of the job whose number a row holds, as JSON."""
        return {"line": json.dumps(job_line(self.jobs[row["job"]], self.chosen, self.model))}


class Cluster:
    """A connection to a Ray cluster.

    Args:
        address: "auto", "HOST:PORT" of its head, or "local" to use this machine's cores.

    Raises:
        HSMError: Ray is not installed, or there is no cluster at the address.
    """

    def __init__(self, address: str) -> None:
        try:
            import ray.data
        except ImportError as error:
            raise HSMError("--ray: Ray is not installed; run: pip install -e '.[cluster]'") from error
        self.ray: Any = ray
        if not ray.is_initialized():
            try:
                ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
            except (ConnectionError, ValueError) as error:
                raise HSMError(
                    f"--ray: got {address!r}, where no cluster answers ({error}); wanted auto, HOST:PORT or local."
                ) from error

    def lines(self, jobs: list[Job], chosen: argparse.Namespace) -> Iterator[dict[str, Any]]:
        """Do jobs.

        Args:
            jobs: what is to be done.
            chosen: the parsed command line.

        Yields:
            The jobs' lines, as they are done.
        """
        gpus = self.ray.cluster_resources().get("GPU", 0)
        on_gpu = gpus > 0 if chosen.device == "auto" else torch.device(chosen.device).type == "cuda"
        kind = "GPU" if on_gpu else "CPU"
        workers = min(len(jobs), chosen.workers or int(self.ray.cluster_resources().get(kind, 0)))
        if workers < 1:
            raise HSMError(f"--ray: the cluster has no {kind}; choose another --device.")
        places = {"out": chosen.out.absolute(), "weights": chosen.weights and chosen.weights.absolute()}
        context = self.ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        rows = self.ray.data.from_items(
            [{"job": number} for number in range(len(jobs))], override_num_blocks=min(len(jobs), MOST_BLOCKS)
        )
        lines = rows.map(
            Worker,
            fn_constructor_args=(
                [replace(job, file=job.file.absolute()) for job in jobs],
                argparse.Namespace(**{**vars(chosen), **places}),
            ),
            concurrency=workers,
            num_cpus=1 if kind == "CPU" else 0,
            num_gpus=1 if kind == "GPU" else 0,
        )
        for row in lines.iter_rows():
            yield json.loads(row["line"])
