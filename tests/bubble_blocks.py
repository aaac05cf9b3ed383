"""Random kept voxels, for tests of what reads them."""

from __future__ import annotations

import numpy as np

from napari_ulm3d.networks.bubblenet_input import BubbleInput


def random_block(
    shape: tuple[int, int, int, int],
    share: float,
    seed: int = 0,
    *,
    level: float = 4.0,
    fwhm_voxels: tuple[float, float, float] = (2.0, 2.5, 3.0),
    first_frame: int = 0,
) -> BubbleInput:
    """A share of the voxels of `shape` with complex normal values, amplitudes `level` times that."""
    rng = np.random.default_rng(seed)
    coordinates = np.argwhere(rng.random(shape) < share).astype(np.int32)
    values = (rng.normal(size=(2, len(coordinates), 2)) @ [1, 1j]).astype(np.complex64)
    return BubbleInput(
        coordinates, 0.3 * values[0], level * values[1], shape, fwhm_voxels, first_frame
    )
