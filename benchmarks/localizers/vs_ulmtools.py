"""Our localizers and ulmtools on the same frames. `python -m benchmarks.localizers.vs_ulmtools`

Scenes: *clean*: bubbles at random positions with complex white noise 18 dB below the mean peak
(40 x 36 x 32 voxels of 98.56, 150, 150 um, full width at half maximum 3 voxels); *standard*: the
simulated sets with vessels and tissue, after the SVD filter 12..200 of 200 (sample 5).
A localization within lambda/4 of a bubble is a hit; pairs are within lambda/2, by optimal assignment
per frame, in the whole volume. ulmtools (Rust) takes the envelope and one absolute threshold per
frame. It is given the threshold with the best Jaccard index on these frames, found by a
search that a user could not perform. Our localizers use their defaults, which were chosen for the
resulting tracks and maps (`benchmarks.fit_threshold`), and `gaussian` also 18 dB, which is best for
the localizations alone. The single-bubble localizers are also
run at 12 dB, since noise maxima pass at 9 dB (see `localize.detect`).
ulmtools uses one thread and one frame per call; its speed is that of one core.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from benchmarks.machine import machine_line, markdown_table
from napari_ulm3d.acquisition import Grid
from napari_ulm3d.config import ClutterConfig, LocalizeConfig

WAVELENGTH_UM = 98.56
GRID = Grid((40, 36, 32), (98.56, 150.0, 150.0))
Positions = list[NDArray[np.float64]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=60, help="frames a clean scene")
    parser.add_argument("--repeats", type=int, default=3, help="timings, of which the best counts")
    arguments = parser.parse_args()
    print(machine_line("ulmtools"), end="\n\n")
    print(compare(arguments.frames, arguments.repeats))


def compare(n_frames: int = 60, repeats: int = 3) -> str:
    """The table, one row per scene and localizer."""
    scenes: list[tuple[str, Callable[[], tuple[NDArray[np.complex64], Positions]]]] = [
        *((f"clean, {n} bubbles", lambda n=n: _clean(n_frames, n)) for n in (10, 40, 100)),
        *((name, lambda name=name: _standard(name)) for name in ("standard-40", "standard-160")),
    ]
    rows = []
    for name, make in scenes:
        frames, truth = make()
        for label, run in (*_ours(), *_theirs(np.abs(frames), truth)):
            found, rate = _timed(run, frames, repeats)
            rows.append([name, label, *_scores(truth, found), f"{rate:,.0f}"])
    header = ["scene", "localizer", "precision", "recall", "Jaccard", "hit RMSE, um", "volumes/s"]
    return markdown_table(header, rows)


def _clean(n_frames: int, n_bubbles: int) -> tuple[NDArray[np.complex64], Positions]:
    rng = np.random.default_rng(n_bubbles)
    axes = [np.arange(n) for n in GRID.shape]
    sigma = 3.0 / np.sqrt(8.0 * np.log(2.0))
    level = 10 ** (-18 / 20) / np.sqrt(2)
    frames, truth = [], []
    for _ in range(n_frames):
        position = rng.uniform(-0.5, np.asarray(GRID.shape) - 0.5, (n_bubbles, 3))
        strength = rng.lognormal(-0.045, 0.3, n_bubbles) * np.exp(
            2j * np.pi * rng.random(n_bubbles)
        )
        z, y, x = (
            np.exp(-((axis - position[:, k, None]) ** 2) / (2 * sigma**2))
            for k, axis in enumerate(axes)
        )
        parts = rng.standard_normal((2, *GRID.shape)) * level
        frame = np.einsum("n,nz,ny,nx->zyx", strength, z, y, x, optimize=True)
        frames.append((frame + parts[0] + 1j * parts[1]).astype(np.complex64))
        truth.append(position * GRID.spacing_um)
    return np.stack(frames), truth


def _standard(name: str) -> tuple[NDArray[np.complex64], Positions]:
    from napari_ulm3d.filtering import clutter_filter
    from napari_ulm3d.simulate import simulate, standard_config

    simulation = simulate(standard_config(name, sample=5).replace(n_frames=200))
    block, table = next(simulation.blocks(200))
    filtered = clutter_filter(block, simulation.config.rate_hz, ClutterConfig()).frames
    some = range(0, 200, 5)  # consecutive frames are nearly the same
    columns = ["z_um", "y_um", "x_um"]
    origin = np.asarray(simulation.grid.origin_um)
    truth = [table.loc[table["frame"] == t, columns].to_numpy(float) - origin for t in some]
    return np.ascontiguousarray(filtered[list(some)]), truth


Runner = Callable[[NDArray[np.complex64]], Positions]


def _ours() -> list[tuple[str, Runner]]:
    from napari_ulm3d.localize import localize

    def runner(config: LocalizeConfig) -> Runner:
        def run(frames: NDArray[np.complex64]) -> Positions:
            table = localize(frames, GRID, config, rate_hz=260.0).localizations
            return np.split(
                table.positions_um, np.searchsorted(table.frames, np.arange(1, len(frames)))
            )

        return run

    rows = [
        ("gaussian", runner(LocalizeConfig())),
        ("gaussian, fit 18 dB", runner(LocalizeConfig(min_fit_snr_db=18.0))),
    ]
    for name in ("radial", "centroid", "parabolic"):
        for level in (9.0, 12.0):
            config = LocalizeConfig(localizer=name, min_snr_db=level)
            rows.append((f"{name}, {level:g} dB", runner(config)))
    return rows


def _theirs(envelope: NDArray[np.float32], truth: Positions) -> list[tuple[str, Runner]]:
    """The methods of ulmtools, each at the threshold and window with its best Jaccard index."""
    import ulmtools

    def runner(method: str, window: int, threshold: float) -> Runner:
        config = ulmtools.DetectionConfig3D(
            detection_threshold=threshold,
            localization_method=method,
            localization_window_size=window,
            max_n_peaks_per_frame=900,
        )

        def run(frames: NDArray[np.complex64]) -> Positions:
            return [
                ulmtools.detect_peaks_3d(np.abs(frame), config)[0] * GRID.spacing_um
                for frame in frames
            ]

        return run

    rows = []
    strong = float(np.quantile(envelope, 0.999))
    for method in ("gaussian_fitting", "radial_symmetry"):
        best, kept = -1.0, None
        for window in (5, 7):
            for share in np.arange(0.2, 1.3, 0.1):
                run = runner(method, window, share * strong)
                jaccard = _counts(truth, run(envelope.astype(np.complex64)))[2]
                if jaccard > best:
                    best, kept = jaccard, run
        assert kept is not None
        rows.append((f"ulmtools {method}, best threshold", kept))
    return rows


def _timed(run: Runner, frames: NDArray[np.complex64], repeats: int) -> tuple[Positions, float]:
    found = run(frames)  # compiles
    best = np.inf
    for _ in range(repeats):
        start = time.perf_counter()
        run(frames)
        best = min(best, time.perf_counter() - start)
    return found, len(frames) / best


def _counts(truth: Positions, found: Positions) -> tuple[float, float, float, float]:
    """Precision, recall, Jaccard index, and root mean square error of the hits."""
    n_truth, n_found = sum(map(len, truth)), sum(map(len, found))
    hits: list[float] = []
    for true, these in zip(truth, found, strict=True):
        if len(true) and len(these):
            distance = cdist(true, these)
            pairs = linear_sum_assignment(np.where(distance < WAVELENGTH_UM / 2, distance, 1e6))
            hits += [d for d in distance[pairs] if d < WAVELENGTH_UM / 4]
    n = len(hits)
    rmse = float(np.sqrt(np.mean(np.square(hits)))) if n else np.nan
    return n / max(n_found, 1), n / max(n_truth, 1), n / max(n_truth + n_found - n, 1), rmse


def _scores(truth: Positions, found: Positions) -> list[str]:
    precision, recall, jaccard, rmse = _counts(truth, found)
    return [f"{precision:.3f}", f"{recall:.3f}", f"{jaccard:.3f}", f"{rmse:.1f}"]


if __name__ == "__main__":
    main()
