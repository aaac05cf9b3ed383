"""A stack of steps with one open at a time; its content scrolls, the titles stay put."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QFrame, QScrollArea, QSizePolicy, QToolButton, QVBoxLayout, QWidget

__all__ = ["Accordion", "Step"]


class Step(QWidget):
    """A title that unfolds its content, which is created on first use.

    Signals
    -------
    toggled(bool)
        The step was unfolded or folded.
    """

    toggled = Signal(bool)

    def __init__(self, title: str, make: Callable[[], QWidget]) -> None:
        super().__init__()
        self._make = make
        self._content: QWidget | None = None
        self.title = QToolButton()
        self.title.setText(title.replace("&", "&&"))
        self.title.setCheckable(True)
        self.title.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.title.setArrowType(Qt.ArrowType.RightArrow)
        self.title.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.title.setStyleSheet(
            "QToolButton { font-weight: bold; text-align: left; padding: 3px; }"
        )
        self.title.toggled.connect(self._unfold)
        self.area = QScrollArea()
        self.area.setWidgetResizable(True)
        self.area.setFrameShape(QFrame.Shape.NoFrame)
        self.area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.area.hide()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.title)
        column.addWidget(self.area, 1)

    @property
    def content(self) -> QWidget:
        """The content under the title."""
        if self._content is None:
            self._content = self._make()
            self.area.setWidget(self._content)
        return self._content

    @property
    def made(self) -> bool:
        """Whether the content has been created."""
        return self._content is not None

    @property
    def expanded(self) -> bool:
        """Whether the content is visible."""
        return bool(self.title.isChecked())

    def expand(self, on: bool = True) -> None:
        """Unfold or fold the content."""
        self.title.setChecked(on)

    def _unfold(self, on: bool) -> None:
        arrow = Qt.ArrowType.DownArrow if on else Qt.ArrowType.RightArrow
        self.title.setArrowType(arrow)
        if on:
            wanted = self.content.minimumSizeHint().width()
            self.area.setMinimumWidth(wanted + self.area.verticalScrollBar().sizeHint().width())
            self.area.verticalScrollBar().setValue(0)
        self.area.setVisible(on)
        self.toggled.emit(on)


class Accordion(QWidget):
    """Steps with one open at a time, which takes all the available space."""

    def __init__(self, steps: dict[str, Step]) -> None:
        super().__init__()
        self.steps = steps
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(1)
        for step in steps.values():
            self._column.addWidget(step)
            step.toggled.connect(lambda on, step=step: self._on_toggled(step, on))
        self._column.addStretch()

    @property
    def opened(self) -> str | None:
        """The key of the open step."""
        return next((key for key, step in self.steps.items() if step.expanded), None)

    def _on_toggled(self, step: Step, on: bool) -> None:
        self._column.setStretchFactor(step, 100 if on else 0)
        if not on:
            return
        for other in self.steps.values():
            if other is not step:
                other.expand(False)
