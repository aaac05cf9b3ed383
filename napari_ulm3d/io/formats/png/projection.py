"""Maximum projections of a sparse map, pooled for drawing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.volumes import VesselMap

__all__ = ["Projection", "project"]


_AT_ONCE = 1 << 19


@dataclass(frozen=True)
class Projection:
    """Projection of a map along an axis.

    Attributes
    ----------
    image
        (down, across) float32.
    axes
        Axes (z 0, y 1, x 2) that run down and across the image.
    extent_mm
        Left, right, bottom and top borders in mm, as for `imshow`.
    """

    image: NDArray[np.float32]
    axes: tuple[int, int]
    extent_mm: tuple[float, float, float, float]

    @property
    def size_mm(self) -> tuple[float, float]:
        """Width and height, mm."""
        left, right, bottom, top = self.extent_mm
        return right - left, bottom - top


def project(map_: VesselMap, axis: int, longest: int) -> Projection:
    """Project the value furthest from zero along `axis`, pooling pixels if the image is too large.

    Parameters
    ----------
    map_
        The map.
    axis
        0 along depth, 1 along elevation, 2 along lateral.
    longest
        Maximum number of pixels along either side. Larger images are pooled by the maximum,
        never strided, so that thin vessels are preserved.
    """
    down, across = (k for k in range(3) if k != axis)
    factor = -(-max(map_.shape[down], map_.shape[across]) // longest)
    shape = (-(-map_.shape[down] // factor), -(-map_.shape[across] // factor))
    image = np.zeros(shape, np.float32)
    pixels = image.reshape(-1)
    for low in range(0, map_.index.size, _AT_ONCE):
        values = map_.values[low : low + _AT_ONCE]
        coordinates = np.unravel_index(map_.index[low : low + _AT_ONCE], map_.shape)
        flat = coordinates[down] // factor * shape[1] + coordinates[across] // factor
        # Of repeated pixels, the last assignment remains: the value furthest from zero.
        order = np.argsort(np.abs(values), kind="stable")
        order = order[np.abs(values[order]) >= np.abs(pixels[flat[order]])]
        pixels[flat[order]] = values[order]

    spacing, origin = map_.grid.spacing_um, map_.grid.origin_um

    def border(k: int, n: float) -> float:
        return (origin[k] + spacing[k] * (n - 0.5)) / 1000

    extent = (
        border(across, 0),
        border(across, shape[1] * factor),
        border(down, shape[0] * factor),
        border(down, 0),
    )
    return Projection(image, (down, across), extent)
