"""The workers of a whole-series run, and their memory."""

from __future__ import annotations

from qtpy.QtWidgets import QLineEdit, QWidget

from napari_ulm3d.config.execution import Execution
from napari_ulm3d.plugin.controls.rows import form

__all__ = ["WorkersBox"]

_HINTS = {"workers": "this process", "scheduler": "none", "memory": "automatic"}


class WorkersBox(QWidget):
    """The fields of `Execution` that the user sets in the viewer."""

    def __init__(self) -> None:
        super().__init__()
        rows = form()
        self.setLayout(rows)
        self.fields: dict[str, QLineEdit] = {}
        for name, hint in _HINTS.items():
            edit = QLineEdit()
            edit.setPlaceholderText(hint)
            edit.setToolTip(Execution.model_fields[name].description or "")
            edit.setClearButtonEnabled(True)
            rows.addRow(name.capitalize(), edit)
            self.fields[name] = edit

    def execution(self) -> Execution:
        """What the fields say.

        Raises
        ------
        ConfigError
            A field cannot be understood, or two contradict each other.
        """
        asked = {name: edit.text().strip() or None for name, edit in self.fields.items()}
        return Execution.from_dict(asked)
