"""The plugin's own fields as magicgui widgets."""

from __future__ import annotations

from typing import Any

from magicgui.backends._qtpy.widgets import QBaseValueWidget  # no public base class
from magicgui.widgets import protocols
from magicgui.widgets.bases import ValueWidget
from qtpy.QtWidgets import QWidget

from napari_ulm3d.plugin.controls.fields.number_box import NumberBox
from napari_ulm3d.plugin.controls.fields.number_row import NumberRow
from napari_ulm3d.plugin.controls.fields.sliders import NumberSlider
from napari_ulm3d.plugin.controls.fields.text_box import TextBox
from napari_ulm3d.plugin.controls.fields.weights import WeightsBox

__all__ = ["FieldWidget", "NumberEdit", "NumbersEdit", "SliderEdit", "TextEdit", "WeightsEdit"]


class _Backend(QBaseValueWidget):
    """Any Qt widget with `value`, `setValue` and `valueChanged`; `make` takes its parent."""

    def __init__(self, make: Any, parent: QWidget | None = None) -> None:
        super().__init__(make, "value", "setValue", "valueChanged", parent=parent)


class FieldWidget(ValueWidget[Any]):
    """A magicgui widget that wraps one of the plugin's Qt widgets; `None` is a valid value."""

    _widget: protocols.ValueWidgetProtocol
    kind: type[QWidget]

    def __init__(self, native: dict[str, Any] | None = None, **kwargs: Any) -> None:
        kind, options = self.kind, native or {}

        def make(parent: QWidget | None = None) -> QWidget:
            return kind(parent=parent, **options)

        super().__init__(widget_type=_Backend, backend_kwargs={"make": make}, **kwargs)

    def _on_value_change(self, value: Any = None) -> None:
        self.changed.emit(value)


class NumberEdit(FieldWidget):
    """One number."""

    kind = NumberBox


class SliderEdit(FieldWidget):
    """One number within a closed range."""

    kind = NumberSlider


class NumbersEdit(FieldWidget):
    """Several numbers side by side."""

    kind = NumberRow


class TextEdit(FieldWidget):
    """A line of text."""

    kind = TextBox


class WeightsEdit(FieldWidget):
    """Network weights."""

    kind = WeightsBox
