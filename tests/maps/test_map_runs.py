"""Maps within a memory limit: bit-identical, bounded memory and disk, nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.config import MapConfig
from napari_ulm3d.errors import ResultsError
from napari_ulm3d.maps import MapAccumulator, MemoryBound
from napari_ulm3d.maps.disk_spill import row_dtype
from napari_ulm3d.tables import Tracks

GRID = Grid((20, 20, 20), (100.0, 100.0, 100.0))
CONFIG = MapConfig(resolution_factor=10.0)


def straight_tracks(n_tracks: int, seed: int = 0, n_rows: int = 10) -> Tracks:
    rng = np.random.default_rng(seed)
    start, step = rng.uniform(-100, 2000, (n_tracks, 1, 3)), rng.normal(0, 30, (n_tracks, 1, 3))
    position = (start + np.arange(n_rows)[:, None] * step).reshape(-1, 3)
    velocity = rng.normal(0, 10, position.shape)
    table = {
        "track_id": np.repeat(np.arange(n_tracks), n_rows),
        "frame": np.tile(np.arange(n_rows), n_tracks),
        "time_s": rng.uniform(0, 9) + np.tile(np.arange(n_rows) / 100, n_tracks),
        **dict(zip(("z_um", "y_um", "x_um"), position.T, strict=True)),
        **dict(zip(("vz_mm_s", "vy_mm_s", "vx_mm_s"), velocity.T, strict=True)),
        "speed_mm_s": np.linalg.norm(velocity, axis=1),
        "score": 1.0,
    }
    return Tracks(pd.DataFrame(table))


def filled(bound: MemoryBound | None, config: MapConfig = CONFIG) -> MapAccumulator:
    accumulator = MapAccumulator(GRID, config, bound)
    for seed in range(6):
        accumulator.add(straight_tracks(100, seed % 4))  # some of them repeated
    return accumulator


def bits(accumulator: MapAccumulator) -> dict[str, bytes]:
    halves = accumulator.halves() if accumulator.config.fsc else ()
    found = {"arrivals": accumulator.arrival_times_s().tobytes()}
    for vessel_map in (*accumulator.maps().values(), *halves):
        found[vessel_map.name] = vessel_map.index.tobytes() + vessel_map.values.tobytes()
    return found


# Room for the smallest table, for some tracks, for most of them, for all.
@pytest.mark.parametrize("n_bytes", [1, 100_000, 1_000_000, 100_000_000])
@pytest.mark.parametrize("fsc", [True, False])
def test_the_maps_are_the_same_to_the_bit_whatever_the_bound(
    n_bytes: int, fsc: bool, tmp_path: Path
) -> None:
    config = CONFIG.replace(fsc=fsc)
    free, bounded = filled(None, config), filled(MemoryBound(n_bytes, tmp_path), config)
    assert bits(bounded) == bits(free)
    assert bounded.n_voxels == free.n_voxels > 10_000
    for accumulator in (free, bounded):  # adding continues after maps were requested
        accumulator.add(straight_tracks(100, 9))
    assert bits(bounded) == bits(free)
    assert not any(tmp_path.iterdir())


@pytest.mark.slow
def test_memory_stays_within_the_bound(tmp_path: Path) -> None:
    def peak(bound: MemoryBound | None, repeats: int) -> int:
        accumulator = MapAccumulator(GRID, CONFIG, bound)
        tracemalloc.start()
        for seed in range(repeats):
            accumulator.add(straight_tracks(100, seed))
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(None, 1)  # warm up compilation and caches
    for_tables = peak(None, 1)
    assert peak(None, 120) > 10e6
    for repeats in (40, 120):
        assert peak(MemoryBound(3_000_000, tmp_path), repeats) < 3e6 + for_tables


def test_the_file_does_not_grow_with_the_acquisition(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, opened = tempfile.TemporaryFile, []
    monkeypatch.setattr(
        "napari_ulm3d.maps.disk_spill.tempfile.TemporaryFile",
        lambda **options: opened.append(made(**options)) or opened[-1],
    )
    accumulator = MapAccumulator(GRID, CONFIG, MemoryBound(500_000, tmp_path))
    sizes = []
    for _ in range(30):
        for seed in range(4):
            accumulator.add(straight_tracks(150, seed))
        sizes.append(sum(os.fstat(file.fileno()).st_size for file in opened if not file.closed))
    # Twice the voxels, a table that was written since, and what is being merged is not there.
    assert max(sizes) <= row_dtype().itemsize * (2 * accumulator.n_voxels + 500_000 // 100)
    assert sum(not file.closed for file in opened) == 1
    del accumulator
    assert all(file.closed for file in opened)


@pytest.mark.skipif(os.name != "posix", reason="no such signal")
def test_a_killed_process_leaves_nothing(tmp_path: Path) -> None:
    code = textwrap.dedent("""
        import os, signal, sys
        from pathlib import Path
        sys.path.insert(0, sys.argv[1])
        from test_map_runs import MemoryBound, filled
        accumulator = filled(MemoryBound(100_000, Path(sys.argv[2])))
        assert accumulator.n_voxels > 10_000
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    arguments = [sys.executable, "-c", code, str(Path(__file__).parent), str(tmp_path)]
    ended = subprocess.run(arguments, capture_output=True, timeout=300)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert not any(tmp_path.iterdir())


def test_no_room_on_the_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ResultsError, match=r"missing.*Free some space on this disk, or .*--memory"):
        filled(MemoryBound(100_000, tmp_path / "missing"))
    if not Path("/dev/full").exists():
        pytest.skip("this system has no disk that is always full")
    monkeypatch.setattr(
        "napari_ulm3d.maps.disk_spill.tempfile.TemporaryFile",
        lambda **_: open("/dev/full", "r+b"),  # noqa: SIM115
    )
    with pytest.raises(ResultsError, match=r"No space left.*Free some space"):
        filled(MemoryBound(100_000, tmp_path))
