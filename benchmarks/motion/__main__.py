"""Accuracy of the estimated tissue motion: `python -m benchmarks.motion`

Scatterers are displaced and then imaged by the generator of `benchmarks.crowds`, which shares no code with
the package's simulator or motion estimate: breathing at 1.5 Hz with an overtone and a drift, 50 um rms, and jerks
in a tenth of the frames; and tissue that also swells around a point. Then whole runs with 40 bubbles in static,
in breathing and in deforming tissue.
"""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from benchmarks.crowds.scenes import RATE_HZ, SHAPE, SPACING_UM, _Image
from benchmarks.machine import machine_line, markdown_table
from benchmarks.motion.bending import bending_rows
from benchmarks.motion.maps import Displacement, map_rows
from napari_ulm3d.config import MotionConfig
from napari_ulm3d.motion import estimate_motion

_SPACING = (float(SPACING_UM[0]), float(SPACING_UM[1]), float(SPACING_UM[2]))
_TISSUE_DB = 25.0
_SCATTERERS = 700
_FRAMES = 260
_JERKS = {"none": (), "a tenth of the frames": ((40, 52, 250.0), (150, 164, -300.0))}


def path_um(rms_um: float, jerks: tuple[tuple[int, int, float], ...]) -> NDArray[np.float64]:
    """(frames, 3) displacement, zero at the first frame."""
    time_s = np.arange(_FRAMES) / RATE_HZ
    breath = np.sin(3 * np.pi * time_s + 0.3) + 0.3 * np.sin(6 * np.pi * time_s + 1)
    path = breath[:, None] * [0.8, 0.5, 0.33] + 0.2 * time_s[:, None] * [1, -0.5, 0.7]
    path -= path.mean(axis=0)
    path *= rms_um / np.sqrt((path**2).sum(axis=1).mean())
    for start, stop, far in jerks:
        inside = np.arange(start, stop)
        bump = np.sin(np.pi * (inside - start + 0.5) / (stop - start))
        path[inside] += far * bump[:, None] * [0.8, 0.45, 0.4]
    return np.asarray(path - path[0])


def along(path: NDArray[np.float64]) -> Displacement:
    """Displacement of the whole volume by a path."""
    return lambda places, k: np.broadcast_to(path[k], places.shape)


def frames_of(moved: Displacement, seed: int) -> NDArray[np.complex64]:
    """Speckle of displaced scatterers with noise of the generator."""
    rng = np.random.default_rng(seed)
    image = _Image(rng)
    place = rng.uniform(-0.1, 1.1, (_SCATTERERS, 3)) * np.array(SHAPE) * SPACING_UM
    weight = rng.normal(size=_SCATTERERS)
    level = 10 ** (_TISSUE_DB / 20) / np.sqrt((np.abs(image.bubbles(place, weight)) ** 2).mean())
    frames = [
        level * image.bubbles(place + moved(place, k), weight) + image.noise(rng)
        for k in range(_FRAMES)
    ]
    return np.array(frames, np.complex64)


def main() -> None:
    print(machine_line("scikit-image"), end="\n\n", flush=True)
    rows = []
    held: dict[float, NDArray[np.complex64]] = {}
    for rms_um in (0.0, 50.0):
        for name, jerks in _JERKS.items():
            for seed in (1, 2) if rms_um else (1,):
                path = path_um(rms_um, jerks)
                frames = frames_of(along(path), seed)
                if not jerks and seed == 1:
                    held[rms_um] = frames
                jerk = np.zeros(_FRAMES, bool)
                for start, stop, _ in jerks:
                    jerk[start:stop] = True
                began = time.perf_counter()
                found = estimate_motion(frames, _SPACING, RATE_HZ, MotionConfig(method="rigid"))
                seconds = time.perf_counter() - began
                good = ~jerk & ~found.broken
                error = (found.displacement_um - path)[good]
                residual = np.sqrt(((error - error.mean(axis=0)) ** 2).sum(axis=1).mean())
                hits = (found.broken & jerk).sum()
                scores = ["-", "-"]
                if jerk.any():
                    scores = [
                        f"{hits / max(found.broken.sum(), 1):.3f}",
                        f"{hits / jerk.sum():.3f}",
                    ]
                rows.append(
                    [f"{rms_um:g}", name, str(seed), f"{residual:.2f}", *scores,
                     f"{1000 * seconds / _FRAMES:.1f}"]
                )  # fmt: skip
                print(" | ".join(rows[-1]), flush=True)
    header = ["motion, um rms", "jerks", "seed", "residual, um rms", "precision", "recall"]
    print(f"\n{markdown_table([*header, 'ms a frame'], rows)}\n", flush=True)
    swollen, bent = bending_rows(frames_of, path_um)
    print(f"{bent}\n", flush=True)
    made, same = map_rows(
        {
            "still": (held[0.0], along(np.zeros((_FRAMES, 3)))),
            "breathing, drift": (held[50.0], along(path_um(50.0, ()))),
            "breathing, deformed": swollen,
        },
        1,
    )
    header = ["tissue", "motion.method", "Dice", "tracks", "mean length, frames", "processor s"]
    cells = [
        [row.tissue, row.method, f"{row.dice:.3f}", str(row.tracks), f"{row.length:.1f}",
         f"{row.seconds:.1f}"]
        for row in made
    ]  # fmt: skip
    print(markdown_table(header, cells))
    print(f"\nStill, auto and none: localizations {'equal' if same else 'DIFFER'} to the bit.")


if __name__ == "__main__":
    main()
