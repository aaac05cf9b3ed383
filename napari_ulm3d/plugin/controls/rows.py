"""Small pieces that forms are put together from."""

from __future__ import annotations

from typing import Any

import numpy as np
from qtpy.QtWidgets import QFormLayout, QHBoxLayout, QWidget

from napari_ulm3d.plugin.controls.control import PlainSpinBox, calm

__all__ = ["form", "limit", "number", "side_by_side"]


def form() -> QFormLayout:
    """A narrow form of labels and fields."""
    made = QFormLayout()
    made.setContentsMargins(0, 0, 0, 0)
    made.setVerticalSpacing(3)
    made.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    return made


def number(
    low: float,
    high: float,
    value: float,
    step: float,
    tooltip: str,
    *,
    at_top: str = "",
    at_bottom: str = "",
) -> Any:
    """A number; its largest or smallest value may stand for "no limit"."""
    box = PlainSpinBox()
    box.at_top = at_top
    box.at_bottom = at_bottom
    box.setRange(low, high)
    box.setDecimals(3)
    box.setSingleStep(step)
    box.setValue(value)
    box.setToolTip(tooltip)
    box.setMinimumWidth(56)
    box.setKeyboardTracking(False)
    return calm(box)


def limit(box: Any) -> float:
    """The number of a box; infinite where it stands for no limit."""
    value = float(box.value())
    if box.at_top and value >= box.maximum():
        return np.inf
    if box.at_bottom and value <= box.minimum():
        return -np.inf
    return value


def side_by_side(*widgets: QWidget) -> QWidget:
    """Widgets in a row, as one."""
    both = QWidget()
    row = QHBoxLayout(both)
    row.setContentsMargins(0, 0, 0, 0)
    row.setSpacing(4)
    for widget in widgets:
        row.addWidget(widget)
    return both
