"""ulmtools and trackpy on the scenes of the zoo, with more help than a user could give them.

Both receive the envelope after this package's clutter filter, with each of a few cuts, on the
acquisition's grid and on the working grid, and the best threshold, window and method from a search
with the ground truth. Their localizations are linked by this package's linker with the best speed
limit, so that localizations are compared rather than linkers.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.scenes import Scene
from benchmarks.zoo.figures import Radii, tracked_jaccard
from benchmarks.zoo.prepared import Prepared
from napari_ulm3d.acquisition import Grid
from napari_ulm3d.calibrate import with_cut
from napari_ulm3d.config import LinkConfig
from napari_ulm3d.link import link
from napari_ulm3d.tables import Localizations, Tracks

__all__ = ["RIVALS", "RivalResult", "best_of"]

_SPEEDS_MM_S = (10.0, 30.0, 60.0, 120.0)
_SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.65, 0.8, 1.0)
_MOST_PEAKS = 900
_FRAMES_AT_FIRST = 30
"""Number of frames for comparing thresholds and windows; the best is run on all frames."""

Places = NDArray[np.float64]
Detect = Callable[[NDArray[np.float32]], Places]
"""An envelope (z, y, x) to positions in voxels, (n, 3)."""


@dataclass(frozen=True)
class RivalResult:
    """Result of the best settings of a rival."""

    found: Localizations
    tracks: Tracks
    seconds: float
    settings: str


def ulmtools(
    strong: float, flat: bool, widths: NDArray[np.float64]
) -> Iterator[tuple[str, Detect]]:
    """Both methods of ulmtools, in 2-D or 3-D, with all windows and thresholds."""
    import ulmtools as theirs

    def detect(method: str, window: int, threshold: float) -> Detect:
        def in_plane(image: NDArray[np.float32]) -> Places:
            at = theirs.detect_peaks(
                np.ascontiguousarray(image[:, 0]),
                threshold=threshold,
                localization_method=method,
                localization_window_size=window,
                max_n_peaks_per_frame=_MOST_PEAKS,
            )[0]
            at = np.asarray(at, np.float64).reshape(-1, 2)
            return np.stack([at[:, 0], np.zeros(len(at)), at[:, 1]], axis=1)

        def in_volume(image: NDArray[np.float32]) -> Places:
            config = theirs.DetectionConfig3D(
                detection_threshold=threshold,
                localization_method=method,
                localization_window_size=window,
                max_n_peaks_per_frame=_MOST_PEAKS,
            )
            at = theirs.detect_peaks_3d(np.ascontiguousarray(image), config)[0]
            return np.asarray(at, np.float64).reshape(-1, 3)

        return in_plane if flat else in_volume

    wide = 2 * round(1.4 * float(widths.max()) / 2) + 1
    for method in ("gaussian_fitting", "radial_symmetry"):
        for window in sorted({5, 7, min(max(wide, 5), 15)}):
            for share in _SHARES:
                label = f"{method}, window {window}, {share:g} of the strongest"
                yield label, detect(method, window, share * strong)


def trackpy(strong: float, flat: bool, widths: NDArray[np.float64]) -> Iterator[tuple[str, Detect]]:
    """trackpy's centroid with its own band-pass, with all diameters and mass thresholds."""
    import trackpy as theirs

    theirs.quiet()

    def detect(diameter: tuple[int, ...], mass: float) -> Detect:
        def run(image: NDArray[np.float32]) -> Places:
            seen = image[:, 0] if flat else image
            # It uses integers; 255 is the strongest.
            counts = np.clip(seen / strong * 255, 0, 255).astype(np.uint8)
            if not counts.any():
                return np.empty((0, 3))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # it warns of every frame without a bubble
                table = theirs.locate(
                    counts, diameter, minmass=mass, topn=_MOST_PEAKS, characterize=False
                )
            if flat:
                table = table.assign(z=table["y"], y=0.0)
            return table[["z", "y", "x"]].to_numpy(np.float64)

        return run

    for scale in (1.0, 1.6):
        odd = [2 * round(scale * w / 2) + 1 for w in widths]
        diameter = tuple(max(3, n) for k, n in enumerate(odd) if not (flat and k == 1))
        one = 255 * np.prod(np.asarray(diameter)) / 8
        for share in _SHARES[:6]:
            label = f"diameter {'x'.join(map(str, diameter))}, mass {share:g}"
            yield label, detect(diameter, share * one)


RIVALS = {"ulmtools": ulmtools, "trackpy": trackpy}


def best_of(
    rival: str, scene: Scene, prepared: Prepared, radii: Radii, cuts: Sequence[int]
) -> RivalResult:
    """The best result of a rival over cuts, grids, methods, thresholds and speed limits."""
    best: tuple[float, str, int, bool, Detect] | None = None
    for cut in cuts:
        for whole in dict.fromkeys((True, _is_full(prepared))):
            envelope, grid = _envelope(prepared, cut, whole)
            some = envelope[:_FRAMES_AT_FIRST]
            for label, detect in _methods(rival, envelope, prepared, whole):
                found = _found(some, grid, detect, scene)
                value = _best_speed(scene, found, prepared.plan.config.link, radii)[0]
                if best is None or value > best[0]:
                    best = value, label, cut, whole, detect
    assert best is not None
    _, label, cut, whole, detect = best
    began = time.perf_counter()
    envelope, grid = _envelope(prepared, cut, whole)
    found = _found(envelope, grid, detect, scene)
    seconds = time.perf_counter() - began
    _, tracks, speed = _best_speed(scene, found, prepared.plan.config.link, radii)
    grid_said = "full grid" if whole else "working grid"
    said = f"cut {cut}, {grid_said}, {label}, {speed:g} mm/s"
    return RivalResult(found, tracks, seconds, said)


def _is_full(prepared: Prepared) -> bool:
    assert prepared.plan.calibration is not None
    return prepared.plan.calibration.working.is_full


def _envelope(prepared: Prepared, cut: int, whole: bool) -> tuple[NDArray[np.float32], Grid]:
    plan = prepared.plan
    config = with_cut(plan.config, cut, plan.config.load.block_frames)
    other = Prepared(prepared.scene, replace(plan, config=config))
    frames = other.frames if whole else other.working_frames
    return np.abs(frames).astype(np.float32), plan.acquisition.grid if whole else plan.grid


def _methods(
    rival: str, envelope: NDArray[np.float32], prepared: Prepared, whole: bool
) -> Iterator[tuple[str, Detect]]:
    calibration = prepared.plan.calibration
    assert calibration is not None
    grid = prepared.plan.acquisition.grid if whole else prepared.plan.grid
    widths = np.asarray(calibration.fwhm_um) / grid.spacing_um
    some = envelope[:: max(1, len(envelope) // 20)]
    return RIVALS[rival](float(np.quantile(some, 0.999)), grid.shape[1] == 1, widths)


def _found(
    envelope: NDArray[np.float32], grid: Grid, detect: Detect, scene: Scene
) -> Localizations:
    each = [detect(frame) for frame in envelope]
    frame = np.repeat(np.arange(len(each)), [len(at) for at in each])
    at = np.concatenate(each) if each else np.empty((0, 3))
    inside = np.isfinite(at).all(axis=1)
    frame, at = frame[inside].astype(np.int64), at[inside]
    return Localizations.from_arrays(
        frame,
        grid.to_um(at),
        np.zeros(len(at), np.float32),
        np.ones(len(at), np.float32),
        scene.acquisition.rate_hz,
    )


def _best_speed(
    scene: Scene, found: Localizations, config: LinkConfig, radii: Radii
) -> tuple[float, Tracks, float]:
    results = []
    for speed in _SPEEDS_MM_S:
        linking = config.replace(max_speed_mm_s=speed)
        tracks = link(found, scene.acquisition.rate_hz, linking)
        results.append((tracked_jaccard(scene, tracks, radii), tracks, speed))
    return max(results, key=lambda one: one[0])
