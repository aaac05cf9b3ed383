"""The control for a setting: maps the setting's annotation to a magicgui widget."""

from __future__ import annotations

import html
import math
import types
from collections.abc import Sequence
from typing import Any, Literal, Union, get_args, get_origin

import annotated_types
from magicgui.widgets import CheckBox, ComboBox
from magicgui.widgets.bases import ValueWidget
from pydantic.fields import FieldInfo
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QCheckBox, QComboBox, QLabel, QVBoxLayout, QWidget

from napari_ulm3d.config import shown_unit
from napari_ulm3d.plugin.controls.calm import calm
from napari_ulm3d.plugin.controls.fields import magic
from napari_ulm3d.plugin.controls.fields.number_box import Bounds
from napari_ulm3d.plugin.controls.tint import tint

__all__ = ["Control", "control_for", "is_several", "widget_for"]

_AXES = ("z", "y", "x")
_ENDS = ("first", "last")
# A wider range is only a sanity limit: one pixel of its slider would be too coarse a step.
_SLIDER_SPAN = 100.0
_LEFT_BLANK = "<br>Left blank: "


def widget_for(field: FieldInfo, hint: str = "") -> ValueWidget[Any]:
    """The magicgui widget for a setting, with the type, range, unit and choices of the config.

    A choice becomes a drop-down list, a switch a check box, a number a box (with a slider if its
    range is narrow), a tuple one box per number, and text a line edit. An optional setting can be
    left blank, and then shows `hint`.

    Raises
    ------
    TypeError
        The setting has a type that no widget handles.
    """
    kind, optional = _without_none(field.annotation)
    native: dict[str, Any]
    if get_origin(kind) is Literal:
        choices = [(str(choice), choice) for choice in get_args(kind)]
        return ComboBox(choices=choices)
    if kind is bool:
        return CheckBox(text="")
    if kind is str and _extra(field, "of") == "weights":
        return magic.WeightsEdit()
    if kind is str:
        return magic.TextEdit(native={"hint": hint})
    if kind in (int, float):
        # An optional number shows its unit in the label, since the box may be empty.
        unit, size = shown_unit(field)
        native = {
            "unit": "" if optional else unit,
            "typed_unit": unit,
            "size": size,
            "optional": optional,
            "hint": hint,
            **_number(kind, field.metadata, size),
        }
        bounds = native["bounds"]
        if kind is float and bounds.high - bounds.low <= _SLIDER_SPAN:
            native.pop("whole")
            return magic.SliderEdit(native=native)
        return magic.NumberEdit(native=native)
    if get_origin(kind) is tuple:
        parts = get_args(kind)
        unit, _ = shown_unit(field)
        names = _AXES if len(parts) == len(_AXES) else _ENDS
        native = {
            "boxes": [
                {
                    "name": name,
                    "optional": optional,
                    "hint": name,
                    "typed_unit": unit,
                    **_number(*_annotated(part)),
                }
                for name, part in zip(names, parts, strict=True)
            ]
        }
        return magic.NumbersEdit(native=native)
    raise TypeError(f"no widget for a setting of type {kind}")


class Control(QWidget):
    """A setting's widget and its error message.

    Attributes
    ----------
    widget
        The magicgui widget.
    boxes, box
        The Qt widgets that take input: all of them, and the first.

    Signals
    -------
    edited(object)
        The user entered a new value.
    """

    edited = Signal(object)

    def __init__(self, widget: ValueWidget[Any]) -> None:
        super().__init__()
        # Prefixed to the widget's own message about a wrong value.
        self.label = ""
        self.widget = widget
        native = widget.native
        self.boxes: Sequence[Any] = getattr(native, "boxes", [getattr(native, "box", native)])
        self.box = self.boxes[0]
        self._fault: QLabel | None = None
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(1)
        if isinstance(native, QComboBox | QCheckBox):
            calm(native)
        self._column.addWidget(native)
        widget.changed.connect(self.edited.emit)
        if hasattr(native, "refused"):
            native.refused.connect(lambda fault: self.say(f"{self.label} {fault}" if fault else ""))

    def show_value(self, value: Any) -> None:
        """Show a value without emitting `edited`."""
        with self.widget.changed.blocked():
            self.widget.value = value

    def set_hints(self, *hints: str, whole: str = "") -> None:
        """Set the placeholders of blank boxes, all or only the first; `whole` is for the tooltip."""
        for box, hint in zip(self.boxes, hints, strict=False):
            box.set_hint(hint)
        tip = self.toolTip().partition(_LEFT_BLANK)[0].removesuffix("</qt>")
        more = f"{_LEFT_BLANK}{html.escape(whole)}" if whole else ""
        self.setToolTip(f"{tip}{more}</qt>")

    def take_back(self) -> None:
        """Discard input that was not accepted."""
        for box in self.boxes:
            if hasattr(box, "take_back"):
                box.take_back()
        self.say("")

    @property
    def fault(self) -> str:
        """The error message on display."""
        return self._fault.text() if self._fault is not None else ""

    def say(self, sentence: str) -> None:
        """Show an error message under the field; an empty one clears it."""
        if self._fault is None:
            if not sentence:
                return
            self._fault = QLabel()
            self._fault.setWordWrap(True)
            tint(self._fault, "fault")
            self._fault.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            self._column.addWidget(self._fault)
        text = sentence.strip().rstrip(".")
        self._fault.setText(f"{text[0].upper()}{text[1:]}." if text else "")
        self._fault.setVisible(bool(text))


def control_for(field: FieldInfo, hint: str = "") -> Control:
    """The control for a setting; an optional one left blank shows `hint`."""
    return Control(widget_for(field, hint))


def is_several(field: FieldInfo) -> bool:
    """Whether the unit has to go in the label: there are several numbers, or possibly none."""
    kind, optional = _without_none(field.annotation)
    return optional or get_origin(kind) is tuple


def _number(kind: Any, metadata: Sequence[Any], size: float = 1.0) -> dict[str, Any]:
    """Arguments of a `NumberBox` for a type, limits and step, in a unit of this size."""
    low, high, above, below = -math.inf, math.inf, False, False
    step = None
    for limit in metadata:
        if isinstance(limit, annotated_types.Ge):
            low = float(limit.ge)  # type: ignore[arg-type]
        elif isinstance(limit, annotated_types.Gt):
            low, above = float(limit.gt), True  # type: ignore[arg-type]
        elif isinstance(limit, annotated_types.Le):
            high = float(limit.le)  # type: ignore[arg-type]
        elif isinstance(limit, annotated_types.Lt):
            high, below = float(limit.lt), True  # type: ignore[arg-type]
        elif isinstance(limit, FieldInfo):
            step = _extra(limit, "step")
    return {
        "whole": kind is int,
        "bounds": Bounds(low / size, high / size, above, below),
        "step": step,
    }


def _annotated(annotation: Any) -> tuple[Any, list[Any]]:
    """The type and limits of one element of a tuple."""
    metadata: list[Any] = []
    for extra in getattr(annotation, "__metadata__", ()):
        metadata += [*extra.metadata, extra] if isinstance(extra, FieldInfo) else [extra]
    return getattr(annotation, "__origin__", annotation), metadata


def _without_none(annotation: Any) -> tuple[Any, bool]:
    if get_origin(annotation) in (Union, types.UnionType):
        rest = [part for part in get_args(annotation) if part is not type(None)]
        if len(rest) == 1:
            return rest[0], True
    return annotation, False


def _extra(field: FieldInfo, name: str) -> Any:
    extra = field.json_schema_extra
    return extra.get(name) if isinstance(extra, dict) else None
