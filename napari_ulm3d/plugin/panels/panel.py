"""Base of all panels: a column of controls, a line for errors, and layers to show."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_ulm3d.plugin.controls.tint import tint
from napari_ulm3d.plugin.controls.words import in_the_widgets_words
from napari_ulm3d.plugin.jobs.job import Problem
from napari_ulm3d.plugin.session import Session
from napari_ulm3d.system.shown_units import in_display_units

__all__ = ["Panel", "ProblemLine", "button", "heading", "note"]


class ProblemLine(QWidget):
    """One sentence about what went wrong, with details on a click."""

    def __init__(self) -> None:
        super().__init__()
        self._details = ""
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        self.label = QLabel()
        self.label.setWordWrap(True)
        tint(self.label, "fault")
        self.label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.more = QPushButton("Details…")
        self.more.setToolTip("Where in the program it happened; include this when you report it.")
        self.more.clicked.connect(self._show_details)
        row.addWidget(self.label, 1)
        row.addWidget(self.more, 0, Qt.AlignmentFlag.AlignTop)
        self.hide()

    def say(self, problem: Problem | str | None) -> None:
        """Show a problem, or nothing."""
        if isinstance(problem, str):
            problem = Problem(problem) if problem else None
        self.label.setText(
            in_display_units(in_the_widgets_words(problem.sentence)) if problem else ""
        )
        self._details = problem.details if problem else ""
        self.more.setVisible(bool(self._details))
        self.setVisible(problem is not None)

    def text(self) -> str:
        """The sentence shown; empty when there is none."""
        return str(self.label.text())

    def _show_details(self) -> None:
        from qtpy.QtWidgets import QMessageBox

        box = QMessageBox(self)
        box.setWindowTitle("What went wrong")
        box.setText(self.text())
        box.setDetailedText(self._details)
        box.setModal(False)
        box.show()


class Panel(QWidget):
    """A column of controls that work on one session."""

    title = ""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self.column = QVBoxLayout(self)
        self.column.setContentsMargins(8, 8, 8, 8)
        self.column.setSpacing(6)
        self.problem = ProblemLine()
        self.build()
        if self.column.indexOf(self.problem) < 0:
            self.column.addWidget(self.problem)
        self.column.addStretch()

    def build(self) -> None:
        """Create the controls in `column`, `problem` among them unless it belongs at the end."""
        raise NotImplementedError

    @property
    def viewer(self) -> Any:
        """The napari viewer."""
        return self.session.viewer

    def row(self, *widgets: QWidget) -> QHBoxLayout:
        """Add widgets side by side."""
        row = QHBoxLayout()
        row.setSpacing(6)
        for widget in widgets:
            row.addWidget(widget)
        self.column.addLayout(row)
        return row


def heading(text: str) -> QLabel:
    """Add a heading above a group of controls."""
    label = QLabel(text)
    label.setStyleSheet("font-weight: bold; padding-top: 4px;")
    label.setWordWrap(True)
    return label


def note(text: str = "") -> QLabel:
    """Add one or more lines of running text."""
    label = QLabel(text)
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return label


def button(text: str, tooltip: str, action: Any) -> QPushButton:
    """A push button."""
    push = QPushButton(text)
    push.setToolTip(tooltip)
    push.clicked.connect(lambda *_: action())
    return push
