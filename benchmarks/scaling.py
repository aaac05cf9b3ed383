"""Scaling of a run with its length and number of workers. `python -m benchmarks.scaling`

The first 1, 2, 4, 8, ... files of a typical simulated acquisition (one .mat file per block, 200
frames of 40 x 36 x 32 voxels) are processed: in one process with all cores, and with
1, 2, ... workers that share the cores. Every run uses a new process, which is warmed up
with one block per worker, so that compilation and start-up are measured separately. Memory is
the sum of the peaks of all processes. Finished blocks are written.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import in_child, machine_line, markdown_table

FRAMES = 200
SHAPE = (40, 36, 32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=_numbers, default=[1, 2, 4, 8, 40], help="1,2,4,8,40")
    parser.add_argument("--workers", type=_numbers, default=[1, 2], help="1,2")
    parser.add_argument("--repeat", type=int, default=3, help="take the fastest of so many")
    parser.add_argument("--folder", type=Path, help="keep the acquisition here and use it again")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(_child(**json.loads(arguments.child))))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary) / "acquisition"
        _make(folder, max(arguments.blocks))
        print(machine_line("scipy", "h5py", "distributed"), end="\n\n")
        runs = {
            (workers, blocks): min(
                (_run(folder, blocks, workers) for _ in range(arguments.repeat)),
                key=lambda run: run["seconds"],
            )
            for workers in [0, *arguments.workers]
            for blocks in arguments.blocks
        }
        overhead = _overhead(Path(temporary))
    print(_table(runs, arguments.blocks, arguments.workers), end="\n\n")
    print(_growth(runs, arguments.blocks, arguments.workers), end="\n\n")
    print(_summary(runs, arguments.blocks, arguments.workers, overhead))


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def _make(folder: Path, n_blocks: int) -> None:
    from napari_ulm3d.simulate import simulate, standard_config, write_simulation

    if len(list(folder.glob("IQ*.mat"))) >= n_blocks:
        return
    config = standard_config("standard-40").replace(n_frames=FRAMES * n_blocks)
    write_simulation(simulate(config), folder, "open3dulm")


# --- one run, in a process of its own -------------------------------------------------------


def _run(folder: Path, blocks: int, workers: int) -> dict[str, float]:
    files = sorted(str(path) for path in folder.glob("IQ*.mat"))[:blocks]
    return in_child("benchmarks.scaling", files=files, workers=workers)


def _child(
    files: list[str], workers: int, settings: list[str] | None = None, load: Any = None
) -> dict[str, float | None]:
    from napari_ulm3d.config import LoadConfig, PipelineConfig
    from napari_ulm3d.config.execution import Execution
    from napari_ulm3d.io import open_acquisition
    from napari_ulm3d.io.results import ResultsFolder
    from napari_ulm3d.pipeline import process
    from napari_ulm3d.pipeline.executors import Executor, SerialExecutor

    config = PipelineConfig().with_settings(["device=cpu", *(settings or [])])
    acquisition = open_acquisition(files, LoadConfig.from_dict(load or {}))
    # One block per worker, so that each compiles (or loads compiled code).
    warm = open_acquisition(
        (files * max(1, workers))[: max(1, workers)], LoadConfig.from_dict(load or {})
    )
    with ExitStack() as stack:
        began = time.perf_counter()
        executor: Executor = SerialExecutor()
        if workers:
            from napari_ulm3d.pipeline.dask.executor import Cluster

            execution = Execution(workers=workers)
            executor = stack.enter_context(Cluster(acquisition, config, execution))
        for _ in process(warm, config, executor=executor):
            pass
        started = time.perf_counter() - began
        out = ResultsFolder(Path(stack.enter_context(tempfile.TemporaryDirectory())))
        out.make_subfolders()

        def timed() -> float:
            began = time.perf_counter()
            for _ in process(acquisition, config, store=out, executor=executor):
                pass
            return time.perf_counter() - began

        seconds = timed()
        peak = executor.peak_memory_bytes()
        # Again with all blocks finished: the time of this process alone.
        return {
            "seconds": seconds,
            "frames": acquisition.n_frames,
            "peak": peak,
            "started": started,
            "kept": timed(),
        }


def _overhead(folder: Path) -> float:
    """Overhead of a worker per block in seconds, measured with almost empty blocks."""
    rng = np.random.default_rng(0)
    n_blocks = 200
    frames = rng.normal(size=(2 * n_blocks, 8, 8, 8)) + 1j * rng.normal(
        size=(2 * n_blocks, 8, 8, 8)
    )
    np.save(folder / "tiny.npy", frames.astype(np.complex64))
    load = {"axes": "tzyx", "voxel_um": (100, 100, 100), "rate_hz": 100.0, "wavelength_um": 100.0}
    settings = ["load.frames_per_block=2", "clutter.method=none", "localize.min_snr_db=60"]
    alone, worker = (
        in_child(
            "benchmarks.scaling",
            files=[str(folder / "tiny.npy")],
            workers=n,
            settings=settings,
            load=load,
        )
        for n in (0, 1)
    )
    return (worker["seconds"] - alone["seconds"]) / n_blocks


# --- tables ---------------------------------------------------------------------------------

Runs = dict[tuple[int, int], dict[str, float]]


def _rate(run: dict[str, float]) -> float:
    return run["frames"] / run["seconds"]


def _name(workers: int) -> str:
    return f"{workers} worker{'s' * (workers > 1)}" if workers else "one process"


def _table(runs: Runs, blocks: list[int], workers: list[int]) -> str:
    rows = []
    for n in blocks:
        for w in [0, *workers]:
            run = runs[w, n]
            base = runs.get((1, n))
            ratio = f"{_rate(run) / _rate(base):.2f}" if base else ""
            memory = f"{run['peak'] / base['peak']:.2f}" if base else ""
            rows.append(
                [str(n), _name(w), f"{_rate(run):.0f}", ratio, f"{run['peak'] / 1e6:.0f}", memory]
            )
    header = ["blocks", "who", "volumes/s", "to one worker", "peak memory, MB", "to one worker"]
    return markdown_table(header, rows)


def _growth(runs: Runs, blocks: list[int], workers: list[int]) -> str:
    """Exponents of power laws of time and memory as functions of the number of blocks."""
    if len(blocks) < 2:
        return "One length alone: no growth can be told."

    def exponent(w: int, what: str) -> str:
        values = [runs[w, n][what] for n in blocks]
        return f"{np.polyfit(np.log(blocks), np.log(values), 1)[0]:.3f}"

    rows = [[_name(w), exponent(w, "seconds"), exponent(w, "peak")] for w in [0, *workers]]
    header = ["who", "time ~ blocks^ (1 is linear)", "memory ~ blocks^ (0 is bounded)"]
    return markdown_table(header, rows)


def _summary(runs: Runs, blocks: list[int], workers: list[int], overhead: float) -> str:
    longest = max(blocks)
    alone = runs[0, longest]
    lines = [
        f"- efficiency of {_name(w)} at {longest} blocks, of one process with all cores: "
        f"{_rate(runs[w, longest]) / _rate(alone):.2f}; starting them took "
        f"{runs[w, longest]['started']:.1f} s, first block included"
        for w in workers
    ]
    mine = alone["kept"] / longest
    frame_bytes = 8 * int(np.prod(SHAPE))
    frames = 1e12 / frame_bytes
    lines += [
        f"- overhead of the scheduler: {overhead * 1000:.0f} ms a block",
        f"- linking and mapping, which one process does for all: {mine * 1000:.0f} ms a block, "
        f"{FRAMES / mine:.0f} volumes/s at most",
        f"- 1 TB is {frames:,.0f} frames of {frame_bytes:,} bytes, {frames / FRAMES:,.0f} blocks",
    ]
    if 1 in workers:
        one = _rate(runs[1, longest])
        for n in (1, 64):
            rates = {
                "the blocks' work": n * one,
                "linking and mapping in one process": FRAMES / mine,
            }
            bottleneck = min(rates, key=lambda name: rates[name])
            hours = frames / rates[bottleneck] / 3600
            reading = rates[bottleneck] * frame_bytes / 1e6
            lines.append(
                f"- 1 TB on {_name(n)} like the one above: {hours:.1f} hours, held up by "
                f"{bottleneck}; files are read at {reading:.0f} MB/s"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
