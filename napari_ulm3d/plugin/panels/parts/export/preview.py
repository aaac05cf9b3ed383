"""A small picture of what will be saved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Qt
from qtpy.QtGui import QImage, QPainter, QPixmap
from qtpy.QtWidgets import QLabel

__all__ = ["PreviewLabel"]

_WIDTH, _GAP = 320, 4


class PreviewLabel(QLabel):
    """One picture as wide as the panel, or several in two columns; hidden if empty."""

    def __init__(self) -> None:
        super().__init__()
        self.pictures: list[NDArray[np.uint8]] = []
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.hide()

    def show_pictures(self, pictures: Sequence[NDArray[np.uint8]], tooltip: str) -> None:
        """Show these pictures reduced, with a tooltip."""
        self.pictures = list(pictures)
        columns = 1 if len(self.pictures) == 1 else 2
        width = (_WIDTH - _GAP * (columns - 1)) // columns
        drawn = [_reduced(picture, width) for picture in self.pictures]
        height = max((image.height() for image in drawn), default=0)
        n_rows = -(-len(drawn) // columns)
        whole = QPixmap(_WIDTH, max(n_rows * (height + _GAP) - _GAP, 1))
        whole.fill(Qt.GlobalColor.transparent)
        painter = QPainter(whole)
        for number, image in enumerate(drawn):
            row, column = divmod(number, columns)
            painter.drawImage(column * (width + _GAP), row * (height + _GAP), image)
        painter.end()
        self.setPixmap(whole)
        self.setToolTip(tooltip)
        self.setVisible(bool(drawn))


def _reduced(picture: NDArray[np.uint8], width: int) -> Any:
    rows, columns, _ = picture.shape
    image = QImage(picture.data, columns, rows, 3 * columns, QImage.Format.Format_RGB888)
    return image.scaledToWidth(width, Qt.TransformationMode.SmoothTransformation)
