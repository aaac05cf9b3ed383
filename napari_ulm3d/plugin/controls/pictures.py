"""Pictures of small arrays, made off the GUI thread as plain images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.filtering import Psf

__all__ = [
    "Panel",
    "Picture",
    "frames_picture",
    "m_mode_picture",
    "power_picture",
    "psf_picture",
]

_ZOOM = 11
_GAP = 10
_LABEL = 16
_POWER_WIDTH, _POWER_HEIGHT = 300, 170
_FRAME_WIDTH = 145
_M_MODE_HEIGHT = 120


@dataclass(frozen=True)
class Panel:
    """One image, (rows, columns, 3), and its size on the screen in pixels."""

    caption: str
    image: NDArray[np.uint8]
    width: int
    height: int


@dataclass(frozen=True)
class Picture:
    """Rows of panels for the GUI thread to draw."""

    rows: tuple[tuple[Panel, ...], ...]

    def pixmap(self, ink: Any) -> Any:
        """The picture for Qt, with captions in a colour (a QColor)."""
        from qtpy.QtCore import Qt
        from qtpy.QtGui import QImage, QPainter, QPixmap

        heights = [max(panel.height for panel in row) + _LABEL for row in self.rows]
        width = max(sum(panel.width + _GAP for panel in row) for row in self.rows)
        whole = QPixmap(max(width, 160), sum(heights) + _GAP * (len(heights) - 1))
        whole.fill(Qt.GlobalColor.transparent)
        painter = QPainter(whole)
        painter.setPen(ink)
        font = painter.font()
        font.setPixelSize(11)
        painter.setFont(font)
        top = 0
        for row, height in zip(self.rows, heights, strict=True):
            left = 0
            for panel in row:
                painter.drawText(left, top + _LABEL - 5, panel.caption)
                rows, columns, _ = panel.image.shape
                packed = np.ascontiguousarray(panel.image)
                drawn = QImage(
                    packed.data, columns, rows, 3 * columns, QImage.Format.Format_RGB888
                ).scaled(panel.width, panel.height)
                painter.drawImage(left, top + _LABEL, drawn)
                left += panel.width + _GAP
            top += height + _GAP
        painter.end()
        return whole


def power_picture(power_db: NDArray[np.float32], grid: Grid) -> Picture:
    """Power Doppler, depth against lateral position, maximum along y, true to scale."""
    seen = power_db.max(axis=1)
    low, high = float(np.percentile(seen, 5)), float(seen.max())
    level = np.clip((seen - low) / max(high - low, 1e-6), 0, 1)
    depth, _, lateral = grid.extent_um
    scale = min(_POWER_WIDTH / lateral, _POWER_HEIGHT / depth)
    size = (max(round(lateral * scale), 1), max(round(depth * scale), 1))
    panel = Panel(f"Power Doppler, z / x, {low:.0f} to {high:.0f} dB", _hot(level), *size)
    return Picture(((panel,),))


def frames_picture(before: NDArray[np.float32], after: NDArray[np.float32], grid: Grid) -> Picture:
    """One frame before and after the clutter filter, (z, x) magnitudes each, true to scale."""
    depth, _, lateral = grid.extent_um
    scale = min(_FRAME_WIDTH / lateral, _POWER_HEIGHT / depth)
    size = (max(round(lateral * scale), 1), max(round(depth * scale), 1))
    panels = []
    for name, values, span_db in (("before", before, 40.0), ("after", after, 25.0)):
        top = max(float(values.max()), 1e-30)
        decibels = 20 * np.log10(np.maximum(values / top, 1e-6))
        level = np.clip(1 + decibels / span_db, 0, 1)
        panels.append(Panel(f"{name}, {span_db:.0f} dB", _grey(level), *size))
    return Picture((tuple(panels),))


def m_mode_picture(before: NDArray[np.float32], after: NDArray[np.float32]) -> Picture:
    """The envelope along a line over time, (z, t), before and after motion correction."""
    top = max(float(before.max()), 1e-30)
    panels = []
    for name, values in (("before", before), ("after", after)):
        decibels = 20 * np.log10(np.maximum(values / top, 1e-6))
        level = np.clip(1 + decibels / 40.0, 0, 1)
        panels.append(Panel(f"{name}, z / t, 40 dB", _grey(level), _FRAME_WIDTH, _M_MODE_HEIGHT))
    return Picture((tuple(panels),))


def psf_picture(psf: Psf) -> Picture:
    """The three planes through the PSF's centre: magnitude and, for IQ data, the real part."""
    z, y, x = (n // 2 for n in psf.shape)
    planes = [
        (caption, part)
        for caption, part in (
            ("z / x", psf.array[:, y, :]),
            ("z / y", psf.array[:, :, x]),
            ("y / x", psf.array[z]),
        )
        if min(part.shape) > 1
    ] or [("z", psf.array[:, y, :])]
    rows = [tuple(_zoomed(caption, _grey(np.abs(part))) for caption, part in planes)]
    if np.abs(psf.array.imag).max() > 1e-6:
        rows.append(tuple(_zoomed(f"{name}, real", _signed(part.real)) for name, part in planes))
    return Picture(tuple(rows))


def _zoomed(caption: str, image: NDArray[np.uint8]) -> Panel:
    rows, columns, _ = image.shape
    return Panel(caption, image, columns * _ZOOM, rows * _ZOOM)


def _grey(values: NDArray[Any]) -> NDArray[np.uint8]:
    level = np.clip(255 * values / max(float(values.max()), 1e-30), 0, 255).astype(np.uint8)
    return np.repeat(level[..., None], 3, axis=-1)


def _hot(level: NDArray[Any]) -> NDArray[np.uint8]:
    """Black, red, yellow, white for 0 to 1."""
    out = np.stack([level * 3, level * 3 - 1, level * 3 - 2], axis=-1)
    return (255 * np.clip(out, 0, 1)).astype(np.uint8)


def _signed(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Blue below zero, red above, black at zero."""
    share = np.clip(values / max(float(np.abs(values).max()), 1e-30), -1, 1)
    red, blue = np.maximum(share, 0), np.maximum(-share, 0)
    out = np.stack([red, 0.35 * (red + blue), blue], axis=-1)
    return (255 * out).astype(np.uint8)
