"""A part of a panel that folds away; folded content is hidden and computes nothing."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QSizePolicy, QToolButton, QVBoxLayout, QWidget

__all__ = ["Section"]


class Section(QWidget):
    """A title that unfolds one widget below it; folded at first."""

    def __init__(self, title: str, content: QWidget) -> None:
        super().__init__()
        self.title = QToolButton()
        self.title.setText(title)
        self.title.setCheckable(True)
        self.title.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.title.setArrowType(Qt.ArrowType.RightArrow)
        self.title.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.title.setStyleSheet(
            "QToolButton { font-weight: bold; text-align: left; padding: 4px; }"
        )
        self.title.toggled.connect(self._unfold)
        self.content = content
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.title)
        column.addWidget(content)
        content.hide()

    def expand(self, on: bool = True) -> None:
        """Unfold or fold the content."""
        self.title.setChecked(on)

    def _unfold(self, on: bool) -> None:
        arrow = Qt.ArrowType.DownArrow if on else Qt.ArrowType.RightArrow
        self.title.setArrowType(arrow)
        self.content.setVisible(on)
