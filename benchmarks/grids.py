"""Cost and accuracy on finely sampled and on large grids. `python -m benchmarks.grids`

One scene of the package's simulator (wavelength 100 um, widths 1.5 x 2 x 2 wavelengths, tissue, noise
of limited bandwidth, as after beamforming) is sampled at two voxels per width and
2 and 4 times as finely along each axis: the same bubbles, tissue and noise. Larger fields of two
voxels per width have as many bubbles per volume. Every run is a process of its own with the default
settings, warmed up on a small acquisition, and reads the frames from a file. CPU time includes the
calibration; the peak memory is that of the process.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.signal import resample

from benchmarks.machine import in_child, machine_line, markdown_table
from benchmarks.scenes import Scene, score
from napari_ulm3d.simulate import simulate
from napari_ulm3d.simulate.config import SimulationConfig

_WAVE_UM, _RATE_HZ = 100.0, 400.0
_WIDTHS_UM = (150.0, 200.0, 200.0)
_VOXEL_UM = (75.0, 100.0, 100.0)  # two per width
_SNR_DB = 18.0
_VOXELS_A_BUBBLE = 2500.0
_HEADER = [
    "grid", "voxels per width", "bubbles", "localizer", "wall ms a frame", "CPU ms a frame",
    "ns of CPU a voxel", "peak memory, MB", "of the data", "precision", "recall", "tracked Jaccard",
]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--base", type=int, nargs=3, default=[28, 24, 24], help="voxels z y x")
    parser.add_argument("--finer", type=int, nargs="*", default=[1, 2, 4])
    parser.add_argument("--fields", type=int, nargs="*", default=[96, 128], help="voxels a side")
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--localizers", nargs="+", default=["gaussian", "network"])
    parser.add_argument("--set", dest="settings", action="append", default=[])
    parser.add_argument("--child", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(_child(**json.loads(given.child))))
        return
    print(machine_line("scipy", "torch"), end="\n\n", flush=True)
    rows = []
    scenes = [(tuple(given.base), given.finer)] if given.finer else []
    for shape, finer in [*scenes, *(((n, n, n), [1]) for n in given.fields)]:
        with tempfile.TemporaryDirectory() as folder:
            make(Path(folder), shape, given.frames, finer)
            for factor in finer:
                for localizer in given.localizers:
                    settings = [*given.settings, f"localize.localizer={localizer}"]
                    done = in_child(
                        "benchmarks.grids", folder=folder, factor=factor, settings=settings
                    )
                    rows.append(_row(done, localizer, factor))
                    print(" ".join(rows[-1]), flush=True)
    print("\n" + markdown_table(_HEADER, rows))


def make(folder: Path, shape: tuple[int, ...], n_frames: int, finer: list[int]) -> None:
    """Write `frames-K.npy` for each factor, and `truth.csv`."""
    most = max(finer)
    voxel = tuple(v / most for v in _VOXEL_UM)
    settings = SimulationConfig(name="grids").replace(
        grid={
            "shape": tuple(n * most for n in shape),
            "voxel_um": voxel,
            "origin_um": (0.0, 0.0, 0.0),
        },
        wavelength_um=_WAVE_UM,
        rate_hz=_RATE_HZ,
        n_frames=n_frames,
        psf={"fwhm_um": _WIDTHS_UM},
        noise={"snr_db": 120.0},
        clutter={"level_db": 20.0},
        bubbles={"n_bubbles": max(1, round(np.prod(shape) / _VOXELS_A_BUBBLE))},
        seed=7100,
    )
    made = simulate(settings)
    made.truth.to_csv(folder / "truth.csv", index=False)
    files = {
        k: np.lib.format.open_memmap(
            folder / f"frames-{k}.npy", "w+", np.complex64, (n_frames, *(n * k for n in shape))
        )
        for k in finer
    }
    rng = np.random.default_rng(7100)
    for t in range(n_frames):
        frame = made.acquisition.read(t, t + 1)[0]
        frame += _noise(rng, shape, most)
        for k, into in files.items():
            into[t] = frame[(slice(None, None, most // k),) * 3]


def _noise(rng: np.random.Generator, shape: tuple[int, ...], finer: int) -> Any:
    """Complex noise, white at two voxels per width and interpolated in between."""
    noise = rng.standard_normal((2, *shape), np.float32)
    noise = (noise[0] + 1j * noise[1]) * np.float32(10 ** (-_SNR_DB / 20) / np.sqrt(2))
    for axis in range(3 if finer > 1 else 0):
        noise = resample(noise, finer * shape[axis], axis=axis)
    turn = np.exp(4j * np.pi * np.arange(len(noise)) * _VOXEL_UM[0] / finer / _WAVE_UM)
    return (noise * turn[:, None, None]).astype(np.complex64)


def _child(folder: str, factor: int, settings: list[str]) -> dict[str, Any]:
    from napari_ulm3d.config import LoadConfig, PipelineConfig
    from napari_ulm3d.evaluate import Truth
    from napari_ulm3d.io import open_acquisition
    from napari_ulm3d.pipeline import run
    from napari_ulm3d.system.machine import peak_memory

    config = PipelineConfig().with_settings(["maps.fsc=false", "device=cpu", *settings])
    with tempfile.TemporaryDirectory() as small:
        make(Path(small), (16, 16, 16), 40, [1])
        run(_opened(open_acquisition, LoadConfig, Path(small), 1), config)
    acquisition = _opened(open_acquisition, LoadConfig, Path(folder), factor)
    before, cpu = time.perf_counter(), time.process_time()
    result = run(acquisition, config)
    wall, cpu = time.perf_counter() - before, time.process_time() - cpu
    truth = Truth(pd.read_csv(Path(folder) / "truth.csv"))
    scores = score(Scene("", acquisition, truth), result.localizations, result.tracks)
    return {
        "shape": acquisition.grid.shape,
        "frames": acquisition.n_frames,
        "bubbles": len(truth.frames) / acquisition.n_frames,
        "wall": wall,
        "cpu": cpu,
        "peak": peak_memory() or 0,
        "precision": scores.localization.precision,
        "recall": scores.localization.recall,
        "tracked": scores.tracked.jaccard,
    }


def _opened(open_acquisition: Any, load: Any, folder: Path, factor: int) -> Any:
    facts = load(
        axes="tzyx",
        voxel_um=tuple(v / factor for v in _VOXEL_UM),
        rate_hz=_RATE_HZ,
        wavelength_um=_WAVE_UM,
        origin_um=(0.0, 0.0, 0.0),
    )
    return open_acquisition([str(folder / f"frames-{factor}.npy")], facts)


def _row(done: dict[str, Any], localizer: str, factor: int) -> list[str]:
    frames, voxels = done["frames"], int(np.prod(done["shape"]))
    return [
        " x ".join(str(n) for n in done["shape"]),
        str(2 * factor),
        f"{done['bubbles']:.0f}",
        localizer,
        f"{1000 * done['wall'] / frames:.1f}",
        f"{1000 * done['cpu'] / frames:.1f}",
        f"{1e9 * done['cpu'] / frames / voxels:.0f}",
        f"{done['peak'] / 1e6:.0f}",
        f"{done['peak'] / (8 * frames * voxels):.1f}",
        f"{done['precision']:.3f}",
        f"{done['recall']:.3f}",
        f"{done['tracked']:.3f}",
    ]


if __name__ == "__main__":
    main()
