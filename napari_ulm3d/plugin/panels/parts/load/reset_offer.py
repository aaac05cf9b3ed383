"""A notice about settings tuned for another acquisition, with a button to reset them."""

from __future__ import annotations

from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_ulm3d.plugin.controls.tint import tint
from napari_ulm3d.plugin.panels.panel import button, note
from napari_ulm3d.plugin.session import Session

__all__ = ["ResetOffer"]

_MOST_NAMED = 4


class ResetOffer(QWidget):
    """Shown while the settings were changed for an earlier acquisition."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)
        self.text = note()
        tint(self.text, "caution")
        self.button = button(
            "Reset settings",
            "Reset all settings to their defaults; Ctrl+Z undoes it.",
            self._reset,
        )
        column.addWidget(self.text)
        column.addWidget(self.button)
        session.acquisition_changed.connect(self._refresh)
        session.config_changed.connect(self._refresh)
        self._refresh()

    def _refresh(self, *_: object) -> None:
        tuned = self._session.tuned_for
        names = self._session.tuned_settings() if tuned else []
        if names:
            more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
            self.text.setText(
                f"Settings kept from {tuned}: {', '.join(names[:_MOST_NAMED])}{more}."
            )
        self.setVisible(bool(names))

    def _reset(self) -> None:
        self._session.reset_config()
