"""An acquisition of moving scatterers, written for tests: no code of the package makes it.

A plane is the product of what scatterers do along z and along x, since a bubble's image is: (z, n)
times (n, x) for n scatterers.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_ulm3d.acquisition import Acquisition
from napari_ulm3d.evaluate import Truth

WAVE_UM = 100.0
WIDTH_UM = (120.0, 220.0)  # full widths at half maximum along z and x
RATE_HZ = 400.0


def _image(
    z: NDArray[np.float64], x: NDArray[np.float64], strength: NDArray[np.complex128],
    zs: NDArray[np.float64], xs: NDArray[np.float64],
) -> NDArray[np.complex128]:  # fmt: skip
    dz, dx = zs[:, None] - z, xs[:, None] - x
    # Demodulated: the phase of a scatterer is that of its depth, so tissue decorrelates as it moves.
    along_z = np.exp(-4 * np.log(2) * (dz / WIDTH_UM[0]) ** 2 - 4j * np.pi * z / WAVE_UM)
    along_x = np.exp(-4 * np.log(2) * (dx / WIDTH_UM[1]) ** 2)
    return np.asarray((along_z * strength) @ along_x.T)


def moving_speckle(
    step_um: float,
    *,
    n_frames: int = 120,
    tissue_db: float | None = 20.0,
    noise_db: float = -20.0,
    n_bubbles: int = 5,
    max_speed_mm_s: float = 15.0,
    breathing_um: float = 12.0,
    side_um: float = 2400.0,
    seed: int = 0,
) -> tuple[Acquisition, Truth]:
    """Speckle that breathes and beats under bubbles that cross it, sampled every `step_um`.

    Tissue and noise are rms over a bubble's peak, dB.
    """
    rng = np.random.default_rng(seed)
    zs = xs = np.arange(0, side_um, step_um)
    frames = np.zeros((n_frames, zs.size, 1, xs.size), np.complex64)
    n_tissue = int(12 * side_um**2 / (WIDTH_UM[0] * WIDTH_UM[1]))
    place = rng.uniform(-300, side_um + 300, (2, n_tissue))
    strength = rng.standard_normal((2, n_tissue)).T @ [1, 1j]
    start = rng.uniform(150, side_um - 150, (2, n_bubbles))
    angle = rng.uniform(0, 2 * np.pi, n_bubbles)
    speed = rng.uniform(0.2, 1, n_bubbles) * max_speed_mm_s * 1e3  # um/s
    rows = []
    for t in range(n_frames):
        seconds = t / RATE_HZ
        if tissue_db is not None:
            # Deeper tissue moves less, and beats later than what is shallow.
            depth = place[0] / side_um
            shift = breathing_um * np.sin(2 * np.pi * 1.3 * seconds) * (1.3 - depth)
            shift = shift + 2.0 * np.sin(2 * np.pi * 8 * seconds - 2 * depth)
            frames[t, :, 0] = _image(place[0] + shift, place[1], strength, zs, xs)
        now = start + np.array([np.sin(angle), np.cos(angle)]) * speed * seconds
        now = np.abs(np.mod(now, 2 * side_um) - side_um) * -1 + side_um  # turned back at the sides
        rows += [(t, k, now[0, k], 0.0, now[1, k]) for k in range(n_bubbles)]
        if t == 0 and tissue_db is not None:
            level = 10 ** (tissue_db / 20) / np.sqrt(np.mean(np.abs(frames[0]) ** 2))
            strength = strength * level
            frames[0] *= np.float32(level)
        phase = np.exp(1j * np.arange(n_bubbles))
        frames[t, :, 0] += _image(now[0], now[1], phase, zs, xs)
    noise = rng.standard_normal((2, *frames.shape)) * 10 ** (noise_db / 20) / np.sqrt(2)
    frames += (noise[0] + 1j * noise[1]).astype(np.complex64)
    acquisition = Acquisition.from_array(
        frames, (step_um, step_um, step_um), RATE_HZ, wavelength_um=WAVE_UM, name="moving speckle"
    )
    truth = pd.DataFrame(rows, columns=["frame", "bubble_id", "z_um", "y_um", "x_um"])
    return acquisition, Truth(truth)
