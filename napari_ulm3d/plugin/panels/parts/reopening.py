"""Opening a results folder in the background."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from qtpy.QtCore import QObject, Signal

from napari_ulm3d.plugin.jobs.job import Job, Problem
from napari_ulm3d.plugin.layers.place import Placer
from napari_ulm3d.plugin.session import Session

__all__ = ["Reopening"]


class Reopening(QObject):
    """Reads a results folder in a worker and makes it the session's current result.

    Parameters
    ----------
    failed
        Called with the problem if something goes wrong.

    Signals
    -------
    ended()
        The result is shown, or could not be read.
    """

    ended = Signal()

    def __init__(self, session: Session, failed: Callable[[Problem], Any]) -> None:
        super().__init__(session)
        self._session = session
        self._job = Job(self)
        self._job.finished.connect(self._on_read)
        self._job.failed.connect(failed)
        self._job.failed.connect(lambda _: self.ended.emit())
        self._placer = Placer(self)

    @property
    def busy(self) -> bool:
        """Whether a folder is being opened."""
        return self._job.running or self._placer.busy

    def open(self, folder: Path) -> None:
        """Start opening; ignored while another folder is being opened."""
        if not self.busy:
            from napari_ulm3d.plugin.jobs.run_series import reopen_work

            self._job.start(reopen_work(folder))

    def _on_read(self, outcome: Any) -> None:
        def done() -> None:
            self._session.reopen(outcome.result)
            self.ended.emit()

        self._placer.start(self._session.viewer, outcome.layers, outcome.stale_roles, done)
