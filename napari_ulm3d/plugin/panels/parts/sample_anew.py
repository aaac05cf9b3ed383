"""Recomputing the finished sample: simulate its frames, then run the whole series."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QObject

from napari_ulm3d.errors import ResultsError
from napari_ulm3d.plugin.jobs.job import Job, Problem
from napari_ulm3d.plugin.jobs.simulate import lazy_work
from napari_ulm3d.plugin.session import Session

__all__ = ["SampleAnew"]


class SampleAnew(QObject):
    """Opens the acquisition of the sample with the settings of its run.

    Parameters
    ----------
    ready
        Called when its frames and settings are ready.
    failed
        Called with the problem if something goes wrong.
    """

    def __init__(
        self, session: Session, ready: Callable[[], Any], failed: Callable[[Problem], Any]
    ) -> None:
        super().__init__(session)
        self._session = session
        self._ready = ready
        self.job = Job(self)
        self.job.finished.connect(self._on_made)
        self.job.failed.connect(failed)

    @property
    def is_shown(self) -> bool:
        """Whether the current result is the sample included in the package."""
        from napari_ulm3d.simulate.sample_map import sample_map_path

        result = self._session.result
        if result is None or result.folder is None:
            return False
        try:
            return bool(result.folder.resolve() == sample_map_path().resolve())
        except ResultsError:  # not included in this installation
            return False

    def start(self) -> None:
        """Start, unless already started."""
        from napari_ulm3d.simulate.sample_map import sample_map_config

        if not self.job.running:
            self.job.start(lazy_work(sample_map_config()))

    def _on_made(self, made: tuple[Any, Any]) -> None:
        from napari_ulm3d.simulate.sample_map import SAMPLE_MAP_SETTINGS

        acquisition, layer = made
        session = self._session
        session.expect(acquisition, [])
        session.viewer.add_layer(layer)
        session.set_config(session.config.with_settings(list(SAMPLE_MAP_SETTINGS)))
        self._ready()
