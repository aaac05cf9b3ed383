"""The field for network weights: included ones by name, or a file."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QFileDialog, QHBoxLayout, QPushButton, QWidget

from napari_ulm3d.networks import shipped_weights
from napari_ulm3d.plugin.controls.calm import calm

__all__ = ["WeightsBox"]

_DEFAULT = "included"


class WeightsBox(QWidget):
    """A list of the included weights; a file can be typed or chosen too. None: the default.

    Signals
    -------
    valueChanged(object)
        The user chose other weights, or None.
    """

    valueChanged = Signal(object)

    def __init__(self, *, parent: QWidget | None = None) -> None:
        super().__init__(parent)
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
        self._shown = _DEFAULT
        browse = QPushButton("…")
        browse.setMaximumWidth(30)
        browse.setToolTip("Choose a weights file (.safetensors).")
        browse.clicked.connect(self._browse)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        row.addWidget(self.box, 1)
        row.addWidget(browse)

    def _browse(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Weights", "", "*.safetensors")
        if path:
            self.box.setEditText(path)
            self._tell()

    def _tell(self, *_: Any) -> None:
        text = self.box.currentText().strip() or _DEFAULT
        if text != self._shown:
            self._shown = text
            self.valueChanged.emit(self.value())

    def value(self) -> Any:
        """The name or file of the weights; None: the default."""
        return None if self._shown == _DEFAULT else self._shown

    def setValue(self, value: Any) -> None:
        """Show a value without emitting a signal; text being typed is not overwritten."""
        edit = self.box.lineEdit()
        if edit.isModified() and edit.text() != self._shown:
            return
        self._shown = str(value) if value else _DEFAULT
        self.box.setEditText(self._shown)
        edit.setCursorPosition(0)
