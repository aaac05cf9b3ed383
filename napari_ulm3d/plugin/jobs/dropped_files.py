"""Files dropped together are one acquisition, though napari reads them one by one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtCore import QObject, QTimer

from napari_ulm3d.acquisition import Acquisition
from napari_ulm3d.io import open_acquisition
from napari_ulm3d.io.stored.choosing import natural_key
from napari_ulm3d.plugin.jobs.job import Job, Stop, waits
from napari_ulm3d.plugin.layers.convert import acquisition_layer, value_of
from napari_ulm3d.plugin.layers.place import make_layer

__all__ = ["DroppedSeries"]

_TOGETHER_MS = 400


class DroppedSeries(QObject):
    """Gathers files of one folder that come within a moment, then opens them as one series."""

    def __init__(self, session: Any) -> None:
        super().__init__(session)
        self._session = session
        self._paths: list[str] = []
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_TOGETHER_MS)
        self._timer.timeout.connect(self._join)
        self._job = Job(self)
        self._job.finished.connect(self._on_joined)
        self._job.failed.connect(self._on_failed)

    def begin(self, paths: list[str]) -> None:
        """The first file of what may be a series was opened."""
        single = len(paths) == 1 and Path(paths[0]).is_file()
        self._paths = list(paths) if single else []
        self._timer.start()

    def takes(self, paths: list[str]) -> bool:
        """Whether a file goes with those that came just before; it is then opened with them."""
        if not (self._paths and self._timer.isActive() and len(paths) == 1):
            return False
        first, path = Path(self._paths[0]), Path(paths[0])
        if path.parent != first.parent or path.suffixes != first.suffixes:
            return False
        if paths[0] not in self._paths:
            self._paths.append(paths[0])
        self._timer.start()
        return True

    def _join(self) -> None:
        paths, self._paths = self._paths, []
        if len(paths) < 2 or self._job.running:
            return
        paths = sorted(paths, key=natural_key)

        def work(stop: Stop) -> tuple[list[str], Acquisition, Any]:
            acquisition = open_acquisition(paths)
            return paths, acquisition, make_layer(acquisition_layer(acquisition), "acquisition")

        self._job.start(waits(work))

    def _on_joined(self, joined: tuple[list[str], Acquisition, Any]) -> None:
        paths, acquisition, layer = joined
        viewer, single = self._session.viewer, self._session.acquisition
        for old in [old for old in viewer.layers if value_of(old, Acquisition) is single]:
            viewer.layers.remove(old)
        self._session.expect(acquisition, paths)
        viewer.add_layer(layer)

    def _on_failed(self, problem: Any) -> None:
        from napari.utils.notifications import show_error

        show_error(problem.sentence)
