"""Speed of accumulating and writing vessel maps. `python -m benchmarks.maps`

100,000 rows of smooth tracks in a map of about 400 x 600 x 640 voxels, its resolution, and the
writers for a map of 400 x 548 x 488 voxels with 1 % filled at random. Best of three.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.machine import machine_line, markdown_table
from napari_ulm3d.acquisition import Grid
from napari_ulm3d.config import MapConfig
from napari_ulm3d.io.writers import read_map, write
from napari_ulm3d.maps import MapAccumulator, resolution
from napari_ulm3d.tables import Tracks
from napari_ulm3d.volumes import VesselMap


def main() -> None:
    rows: list[list[str]] = []

    def row(what: str, function: Callable[[], object], size: Callable[[], str] = str) -> None:
        times = []
        for _ in range(4):  # the first compiles
            began = time.process_time()
            function()
            times.append(time.process_time() - began)
        rows.append([what, f"{min(times[1:]):.2f}", size()])

    grid, tracks = Grid((40, 60, 64), (100.0, 100.0, 100.0)), _tracks(100_000)
    accumulator = MapAccumulator(grid, MapConfig())
    accumulator.add(tracks)

    def accumulate() -> None:
        MapAccumulator(grid, MapConfig()).add(tracks)

    row("accumulate 100,000 track rows", accumulate)
    row("the four maps of them", accumulator.maps)
    row("Fourier shell correlation", lambda: resolution(*accumulator.halves()))
    vessel_map = _random_map()
    with tempfile.TemporaryDirectory() as folder:
        for suffix in (".ome.tif", ".nii", ".nii.gz", ".npy", ".png", ".mat", ".zarr"):
            path = Path(folder) / f"map{suffix}"
            row(f"write {suffix}", lambda p=path: write(vessel_map, p), lambda p=path: _size(p))  # type: ignore[misc]
        row("read .ome.tif", lambda: read_map(Path(folder) / "map.ome.tif"))
    print(machine_line("tifffile", "zarr"), end="\n\n")
    print(markdown_table(["what", "CPU s", "size"], rows))


def _tracks(n_rows: int, length: int = 50) -> Tracks:
    rng = np.random.default_rng(0)
    n = n_rows // length
    start = rng.uniform(0, 1, (n, 1, 3)) * (4000, 6000, 6400)
    step = rng.normal(0, 12, (n, 1, 3)) + rng.normal(0, 3, (n, length, 3))
    position = (start + np.cumsum(step, axis=1)).reshape(-1, 3)
    velocity = np.gradient(position, axis=0).astype(np.float32)
    table = {
        "track_id": np.repeat(np.arange(n), length),
        "frame": np.tile(np.arange(length), n),
        "time_s": np.tile(np.arange(length) / 260, n),
        **dict(zip(("z_um", "y_um", "x_um"), position.T, strict=True)),
        **dict(zip(("vz_mm_s", "vy_mm_s", "vx_mm_s"), velocity.T, strict=True)),
        "speed_mm_s": np.linalg.norm(velocity, axis=1),
        "score": np.ones(len(position), np.float32),
    }
    return Tracks(pd.DataFrame(table))


def _random_map() -> VesselMap:
    grid = Grid((400, 548, 488), (9.856, 9.856, 9.856))
    rng = np.random.default_rng(0)
    index = np.unique(rng.integers(0, grid.size, grid.size // 100))
    values = rng.integers(1, 9, index.size).astype(np.float32)
    return VesselMap("density", grid, index, values, "tracks")


def _size(path: Path) -> str:
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    return f"{sum(file.stat().st_size for file in files) / 1e6:.1f} MB"


if __name__ == "__main__":
    main()
