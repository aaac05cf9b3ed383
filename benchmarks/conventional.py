"""Speed by stage and memory of the conventional pipeline. `python -m benchmarks.conventional`

A typical simulated acquisition (Open-3DULM's layout: 40 x 36 x 32 voxels of 98.56,
150, 150 um, 200 frames per file at 260 Hz, 40 bubbles, tissue 25 dB above and noise 18 dB
below them) is processed from .mat files to maps. Memory is measured in a separate process.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.localizers.vs_ulmtools import compare
from benchmarks.machine import machine_line, markdown_table

BLOCK_BYTES = 200 * 40 * 36 * 32 * 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--blocks", type=int, default=20, help="length of the long run, blocks of 200 frames"
    )
    parser.add_argument("--folder", type=Path, help="keep the acquisition here and use it again")
    parser.add_argument(
        "--child", type=Path, nargs=2, metavar=("IN", "OUT"), help=argparse.SUPPRESS
    )
    parser.add_argument("--files", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--frames", type=int, default=60, help="frames of a clean scene")
    arguments = parser.parse_args()
    if arguments.child:
        _child(*arguments.child, arguments.files)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary) / "acquisition"
        if not folder.exists():
            _make(folder, arguments.blocks)
        print(machine_line("scipy", "h5py"), end="\n\n")
        _stages(folder)
        _runs(folder, Path(temporary), arguments.blocks)
    print("Localizers against ulmtools on the same frames:\n")
    print(compare(arguments.frames))


def _make(folder: Path, n_blocks: int) -> None:
    from napari_ulm3d.simulate import simulate, standard_config, write_simulation

    config = standard_config("standard-40").replace(n_frames=200 * n_blocks)
    write_simulation(simulate(config), folder, "open3dulm")


def _files(folder: Path, n: int) -> list[Path]:
    return sorted(folder.glob("IQ*.mat"))[: n or None]


def _stages(folder: Path) -> None:
    """Time of each stage on one block: best of three, after a first round for compilation."""
    from napari_ulm3d.config import PipelineConfig
    from napari_ulm3d.filtering import clutter_filter, correlation_map
    from napari_ulm3d.io import open_acquisition
    from napari_ulm3d.link import link
    from napari_ulm3d.localize import localize
    from napari_ulm3d.maps import MapAccumulator
    from napari_ulm3d.pipeline.blocks import acquisition_psf

    config = PipelineConfig()
    acquisition = open_acquisition(_files(folder, 1))
    block = acquisition.blocks()[0]
    psf, _ = acquisition_psf(acquisition, config, block)
    grid, rate = acquisition.grid, acquisition.rate_hz
    raw = block.read()
    rows: list[list[str]] = []

    def row(name: str, function: Callable[[], Any]) -> Any:
        times = []
        for _ in range(4):
            began = time.perf_counter()
            out = function()
            times.append(time.perf_counter() - began)
        best = min(times[1:])
        rows.append([name, f"{1e3 * best:.0f}", f"{block.n_frames / best:,.0f}"])
        return out

    row("read IQ001.mat (v7.3)", block.read)
    row("copy (not part of a run)", raw.copy)
    filtered = row(
        "SVD clutter filter (with the copy)",
        lambda: clutter_filter(raw.copy(), rate, config.clutter),
    ).frames
    correlation = row("correlation map", lambda: correlation_map(filtered, psf))
    for name in ("gaussian", "radial", "centroid", "parabolic"):
        settings = config.localize.replace(localizer=name)
        found = row(
            f"detect and localize, {name}",
            lambda s=settings: localize(filtered, grid, s, rate_hz=rate, correlation=correlation),  # type: ignore[misc]
        )
        if name == "gaussian":
            localizations = found.localizations
    tracks = row("link", lambda: link(localizations, rate, config.link))

    def accumulate() -> Any:
        accumulator = MapAccumulator(grid, config.maps)
        accumulator.add(tracks)
        return accumulator.maps()

    row("maps", accumulate)
    print("One block of 200 frames, all in memory:\n")
    print(markdown_table(["stage", "ms a block", "volumes/s"], rows), end="\n\n")


def _runs(folder: Path, temporary: Path, n_blocks: int) -> None:
    rows = []
    baseline = 0
    # The very first run compiles, which takes more memory than running; it is not counted.
    for files in (-1, 0, 1, 2, n_blocks):
        figures = []
        for attempt in range(1 if files in (-1, 0, n_blocks) else 3):
            out = temporary / f"results-{files}-{attempt}"
            n_files = 1 if files == -1 else files
            command = [
                sys.executable,
                "-m",
                "benchmarks.conventional",
                "--child",
                str(folder),
                str(out),
                "--files",
                str(n_files),
            ]
            figures.append(
                json.loads(
                    subprocess.run(command, capture_output=True, text=True, check=True).stdout
                )
            )
        best = min(figures, key=lambda figure: figure["seconds"])
        if files == -1:
            continue
        if files == 0:
            baseline = best["peak"]
            rows.append(
                ["imports and a run on 20 frames of 8^3", "", "", f"{baseline / 1e6:.0f}", ""]
            )
            continue
        over = best["peak"] - baseline
        rows.append(
            [
                f"{files} block(s), {200 * files} frames",
                f"{best['seconds']:.2f}",
                f"{200 * files / best['seconds']:.0f}",
                f"{best['peak'] / 1e6:.0f}",
                f"{over / BLOCK_BYTES:.2f}",
            ]
        )
    print(
        f"From .mat files to the results folder, gaussian, each in a process of its own; a block is {BLOCK_BYTES / 1e6:.0f} MB:\n"
    )
    print(
        markdown_table(["run", "s", "volumes/s", "peak MB", "over the first row, in blocks"], rows),
        end="\n\n",
    )


def _child(folder: Path, out: Path, n_files: int) -> None:
    """One run; prints its time (without imports and compilation) and peak memory."""
    import numpy as np

    from napari_ulm3d.acquisition import Acquisition
    from napari_ulm3d.config import PipelineConfig
    from napari_ulm3d.io import open_acquisition
    from napari_ulm3d.pipeline import run_events
    from napari_ulm3d.system.machine import peak_memory

    rng = np.random.default_rng(0)
    tiny = (rng.normal(size=(20, 8, 8, 8)) + 1j * rng.normal(size=(20, 8, 8, 8))).astype(
        np.complex64
    )
    warm = Acquisition.from_array(tiny, (98.56, 150, 150), 260.0, wavelength_um=98.56)
    for _ in run_events(warm, PipelineConfig(), out.with_name(out.name + "-warm")):
        pass
    began = time.perf_counter()
    if n_files:
        for _ in run_events(open_acquisition(_files(folder, n_files)), PipelineConfig(), out):
            pass
    print(json.dumps({"seconds": time.perf_counter() - began, "peak": peak_memory()}))


if __name__ == "__main__":
    main()
