"""The control of a weights setting: the shipped ones by name, or a file."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QComboBox, QFileDialog, QPushButton

from napari_ulm3d.networks import shipped_weights
from napari_ulm3d.plugin.controls.control import Control, calm

__all__ = ["WeightsControl"]

_DEFAULT = "as shipped"


class WeightsControl(Control):
    """A list of shipped weights, in which a file can be typed or chosen; None: the default."""

    def __init__(self) -> None:
        super().__init__()
        self.box = calm(QComboBox())
        self.box.setEditable(True)
        self.box.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.box.addItem(_DEFAULT)
        self.box.addItems(list(shipped_weights()))
        self.box.setMinimumContentsLength(10)
        self.box.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.box.activated.connect(self._tell)
        self.box.lineEdit().editingFinished.connect(self._tell)
        self._last = _DEFAULT
        browse = QPushButton("…")
        browse.setMaximumWidth(30)
        browse.setToolTip("Choose a weights file (.safetensors).")
        browse.clicked.connect(self._browse)
        self.row.addWidget(self.box, 1)
        self.row.addWidget(browse)

    def _browse(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Weights", "", "*.safetensors")
        if path:
            self.box.setEditText(path)
            self._tell()

    def _tell(self, *_: Any) -> None:
        text = self.box.currentText().strip() or _DEFAULT
        if text != self._last:
            self._last = text
            self.edited.emit(None if text == _DEFAULT else text)

    def show_value(self, value: Any) -> None:
        """Show a value without telling `edited`."""
        self._last = str(value) if value else _DEFAULT
        self.box.setEditText(self._last)
        self.box.lineEdit().setCursorPosition(0)
