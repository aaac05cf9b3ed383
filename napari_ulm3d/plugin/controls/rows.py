"""Building blocks for forms of numbers that are not settings."""

from __future__ import annotations

from qtpy.QtWidgets import QFormLayout, QHBoxLayout, QWidget

from napari_ulm3d.plugin.controls.fields.number_box import Bounds, NumberBox

__all__ = ["form", "number", "side_by_side", "whole_number"]


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
    value: float | None,
    tooltip: str,
    *,
    unit: str = "",
    step: float | None = None,
    blank: str = "",
) -> NumberBox:
    """A number; if `blank` is given, the box may be left blank and then shows it."""
    box = NumberBox(
        bounds=Bounds(low, high), unit=unit, step=step, optional=bool(blank), hint=blank
    )
    return _ready(box, value, tooltip)


def whole_number(low: int, high: int, value: int, tooltip: str, unit: str = "") -> NumberBox:
    """A whole number."""
    return _ready(NumberBox(whole=True, bounds=Bounds(low, high), unit=unit), value, tooltip)


def _ready(box: NumberBox, value: float | None, tooltip: str) -> NumberBox:
    box.setValue(value)
    box.setToolTip(tooltip)
    box.setMinimumWidth(56)
    # These boxes have no line below them: errors go to their tooltips.
    box.refused.connect(
        lambda fault: box.setToolTip(f"{fault[0].upper()}{fault[1:]}." if fault else tooltip)
    )
    return box


def side_by_side(*widgets: QWidget) -> QWidget:
    """Widgets in a row, as one."""
    both = QWidget()
    row = QHBoxLayout(both)
    row.setContentsMargins(0, 0, 0, 0)
    row.setSpacing(4)
    for widget in widgets:
        row.addWidget(widget)
    return both
