"""Relinking existing localizations into tracks when a linking setting changes."""

from __future__ import annotations

from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_ulm3d.config.methods.networks import networks_with
from napari_ulm3d.plugin.panels.panel import button, note
from napari_ulm3d.plugin.session import Session
from napari_ulm3d.plugin.state.results import Result

__all__ = ["Relinking"]

# Up to this many localizations are relinked as soon as a setting changes.
_LINKED_AT_ONCE = 300_000
_SETTLED_MS = 150


class Relinking(QWidget):
    """The button, and a note about scores that a run did not keep.

    Attributes
    ----------
    computed
        The result as computed, before relinking; None without one.
    busy
        Whether something is running, which relinking waits for.

    Signals
    -------
    wanted(Result)
        `computed` is to be relinked with the current settings.
    """

    wanted = Signal(object)

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.computed: Result | None = None
        self.busy = False
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(_SETTLED_MS)
        self._soon.timeout.connect(self._when_idle)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        self.button = button(
            "Relink",
            "Rebuild the tracks and maps from the existing localizations, using the "
            "settings above and the minimum score; nothing is localized again. With up to "
            f"{_LINKED_AT_ONCE:,} localizations this happens automatically when a setting "
            "changes.",
            self._relink,
        )
        column.addWidget(self.button)
        self.note = note()
        self.note.hide()
        column.addWidget(self.note)
        session.config_changed.connect(self._on_config)
        session.result_changed.connect(self._on_result)

    def _on_config(self, section: str) -> None:
        if section in ("link", "network") and self.computed is not None:
            self._soon.start()

    def _on_result(self) -> None:
        result = self._session.result
        computed = None if result is None else self._session.history.computed_of(result)
        if computed is not self.computed:
            self.computed = computed
            self.note.hide()

    def _relink(self) -> None:
        if self.computed is not None:
            self.wanted.emit(self.computed)

    def _when_idle(self) -> None:
        computed, shown = self.computed, self._session.result
        if computed is None or shown is None:
            return
        if self.busy:
            self._soon.start()
            return
        if not self._differs(shown):
            return
        self._say_about_score(computed)
        if len(computed.localizations) <= _LINKED_AT_ONCE:
            self._relink()

    def _differs(self, shown: Result) -> bool:
        """Whether the settings would give different tracks from the same localizations."""
        config = self._session.config
        same = shown.config.link == config.link
        if shown.config.localize.localizer in networks_with("min_score"):
            same = same and shown.config.network.min_score == config.network.min_score
        return not same and len(shown.localizations) + len(shown.tracks) > 0

    def _say_about_score(self, computed: Result) -> None:
        low = computed.least_score(computed.config)
        least = computed.least_score(self._session.config)
        below = low is not None and least is not None and least < low
        self.note.setText(
            f"The run kept only bubbles with a score of {low:g} or more; run it again to "
            "use a lower score."
            if below
            else ""
        )
        self.note.setVisible(below)
