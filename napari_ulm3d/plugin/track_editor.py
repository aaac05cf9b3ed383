"""Edits of the tracks of a result, applied off the GUI thread, each of them an undo step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari.utils.notifications import show_info
from qtpy.QtCore import QObject, Signal

from napari_ulm3d.edits import Edit, apply_edits
from napari_ulm3d.maps import maps_of_tracks
from napari_ulm3d.pipeline import Curated, curated
from napari_ulm3d.plugin.jobs.job import Job, Problem, Stop, Work, waits
from napari_ulm3d.plugin.jobs.run_series import Outcome, outcome_of
from napari_ulm3d.plugin.layers.place import place
from napari_ulm3d.plugin.state.results import Result
from napari_ulm3d.plugin.state.saved_results import with_maps
from napari_ulm3d.tables import Tracks

if TYPE_CHECKING:
    from napari_ulm3d.plugin.session import Session

__all__ = ["TrackEditor"]

Edits = tuple[Edit, ...]
Settle = Callable[[bool], None]


@dataclass(frozen=True)
class _State:
    """The edits of a run, which is known by its folder or by its linked tracks."""

    edits: Edits
    name: str = field(compare=False)
    folder: Path | None = field(compare=False)
    linked: Tracks = field(compare=False)

    @classmethod
    def of(cls, run: Result, edits: Edits) -> _State:
        # Not the result itself: 200 steps would keep as many maps in memory.
        return cls(edits, run.name, run.folder if run.keeps_edits else None, _linked(run))

    def is_of(self, result: Result | None) -> bool:
        """Whether a result is this run, with whatever edits."""
        if result is None or self.folder is None:
            return result is not None and _linked(result) is self.linked
        return result.folder == self.folder


class TrackEditor(QObject):
    """Edits the tracks of the session's result, one edit at a time.

    An edit becomes an undo step once it has been applied; one that fails or is cancelled leaves
    result, results folder and undo steps unchanged.

    Signals
    -------
    changed()
        An edit began, is being cancelled, or ended.
    failed(Problem)
        An edit could not be applied.
    """

    changed = Signal()
    failed = Signal(object)

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self._settle: Settle = _ignore
        self._before: Result | None = None
        self._job = Job(self)
        self._job.finished.connect(self._on_edited)
        self._job.failed.connect(self._on_failed)
        self._job.stopped.connect(self._on_stopped)
        self._job.ended.connect(self.changed)

    @property
    def running(self) -> bool:
        """Whether an edit is being applied."""
        return self._job.running

    @property
    def cancelling(self) -> bool:
        """Whether it was cancelled and has not ended yet."""
        return self._job.stopping

    def edit(self, edit: Edit) -> None:
        """Apply one more edit.

        Raises
        ------
        ConfigError
            The edit cannot be made; nothing is changed.
        """
        result = self._session.result
        if result is None or self.running:
            return
        apply_edits(result.tracks, [edit])  # report impossible edits at once
        n = len(edit.tracks)
        self._make(result, (*result.edits, edit), f"{edit.kind} {n} track{'' if n == 1 else 's'}")

    def discard(self) -> None:
        """Restore the tracks as they were linked."""
        result = self._session.result
        if result is not None and result.edits and not self.running:
            self._make(result, (), "discard all edits")

    def cancel(self) -> None:
        """Leave everything as it was before the edit that is being applied."""
        if self.running:
            self._job.stop()
            self.changed.emit()

    def _make(self, result: Result, edits: Edits, text: str) -> None:
        before, after = _State.of(result, result.edits), _State.of(result, edits)

        def settle(succeeded: bool) -> None:
            if succeeded:
                undo = self._session.undo
                undo.push(text, before, after, self._restore, later=True)

        self._start(result, edits, settle)

    def _restore(self, state: _State, settle: Settle) -> None:
        """Undo or redo an edit, if the result is still that run."""
        result = self._session.result
        if self.running:
            settle(False)
        elif result is None or not state.is_of(result):
            settle(False)
            show_info(f"The last step edited the tracks of {state.name}: reopen that run first.")
        else:
            self._start(result, state.edits, settle)

    def _start(self, result: Result, edits: Edits, settle: Settle) -> None:
        self._before, self._settle = result, settle
        self._job.start(_edit_work(result, edits))
        self.changed.emit()

    def _on_edited(self, outcome: Outcome) -> None:
        session, settle = self._session, self._ended()
        if session.result is self._before:
            for layer in outcome.layers:
                if layer is not None and layer.metadata.get("ulm3d_role") in ("map", "tracks"):
                    place(session.viewer, layer)
            session.revise_result(outcome.result)
            settle(True)
        else:  # another run was opened meanwhile
            settle(outcome.result.keeps_edits)

    def _on_failed(self, problem: Problem) -> None:
        self._ended()(False)
        self.failed.emit(problem)

    def _on_stopped(self) -> None:
        self._ended()(False)

    def _ended(self) -> Settle:
        settle, self._settle = self._settle, _ignore
        return settle


def _edit_work(result: Result, edits: Edits) -> Work:
    """The result with these edits, and its layers; the last to change is the results folder."""

    def work(stop: Stop) -> Outcome:
        if result.folder is not None and result.keeps_edits:
            edited = curated(result.folder, edits, stop)
        else:
            tracks = apply_edits(_linked(result), edits)
            config, duration_s = result.config.maps, result.duration_s
            made = maps_of_tracks(tracks, result.grid, config, duration_s, stop)
            edited = Curated(tracks, made)
        changed = replace(result, tracks=edited.tracks, edits=edits, linked=_linked(result))
        return outcome_of(with_maps(changed, edited.made))

    return waits(work)


def _linked(result: Result) -> Tracks:
    """The tracks as they were linked."""
    return result.tracks if result.linked is None else result.linked


def _ignore(succeeded: bool) -> None:
    pass
