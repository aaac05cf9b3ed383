"""The view as a picture of any size, showing the same part of the scene."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.plugin.jobs.job import Stop, Work, waits
from napari_ulm3d.plugin.napari_private import canvas_size
from napari_ulm3d.system.atomic import atomic_path

__all__ = ["picture_of", "picture_size", "png_work"]


def picture_size(viewer: Any, width: int) -> tuple[int, int]:
    """(height, width) of a picture as wide as asked, in the proportions of the canvas."""
    height, now = canvas_size(viewer)
    return max(round(width * height / now), 1), width


def picture_of(viewer: Any, size: tuple[int, int], canvas: tuple[int, int]) -> NDArray[np.uint8]:
    """The view as RGB, (height, width, 3).

    Parameters
    ----------
    size
        Height and width in pixels.
    canvas
        Height and width of the canvas on the screen, to which the zoom refers.
    """
    camera = viewer.scene.camera
    zoom = camera.zoom
    # napari keeps the number of pixels per micrometre, so a larger picture would show more.
    camera.zoom = zoom * min(size[0] / canvas[0], size[1] / canvas[1])
    try:
        picture = viewer.screenshot(size=size, canvas_only=True, flash=False)
    finally:
        camera.zoom = zoom
    return _of_size(picture, size)


def png_work(picture: NDArray[np.uint8], path: str) -> Work:
    """Compress a picture and write it atomically; returns the path."""

    def work(stop: Stop) -> str:
        from imageio.v3 import imwrite

        with atomic_path(Path(path)) as part:
            imwrite(part, picture, extension=".png")
        return path

    return waits(work)


def _of_size(picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """RGB of exactly this size: a high-resolution screen may deliver more pixels."""
    rgb = picture[..., :3]
    if rgb.shape[:2] != size:
        from scipy.ndimage import zoom

        rgb = zoom(rgb, (size[0] / rgb.shape[0], size[1] / rgb.shape[1], 1), order=1)
    return np.ascontiguousarray(rgb)
