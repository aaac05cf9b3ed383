"""Curate tracks: select them in the view or in a table; delete, merge, split, verify."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QProgressBar

from napari_ulm3d.edits import Edit
from napari_ulm3d.errors import UlmError
from napari_ulm3d.plugin.controls.frame_follower import FrameFollower
from napari_ulm3d.plugin.controls.tracks.histograms import TrackHistograms
from napari_ulm3d.plugin.controls.tracks.track_table import TrackTable
from napari_ulm3d.plugin.jobs.job import Problem
from napari_ulm3d.plugin.layers.picking.clicks import ViewClicks
from napari_ulm3d.plugin.layers.picking.tracks import mark_tracks, plane_of, track_at
from napari_ulm3d.plugin.panels.panel import Panel, button, note
from napari_ulm3d.plugin.state.results import Result

__all__ = ["CuratePanel"]

_RESTED_MS = 40


class CuratePanel(Panel):
    """The tracks of the result in a table, with actions on the selected ones."""

    title = "Curate tracks"

    def build(self) -> None:
        self.editor = self.session.editor
        self.editor.changed.connect(self._refresh)
        self.editor.failed.connect(self._on_failed)
        self._shown: Result | None = None
        self.table = TrackTable()
        self.table.setToolTip(
            "Click a track here or in the view to select it, with Ctrl or Shift to add; click a "
            "heading to sort."
        )
        self.table.chosen_changed.connect(self._on_chosen)
        self.column.addWidget(self.table, 1)
        self.histograms = TrackHistograms()
        self.histograms.chosen_changed.connect(self._on_brushed)
        self.column.addWidget(self.histograms)
        # Dragging a range changes the selection repeatedly: the view follows once the mouse rests.
        self._marking = QTimer(self)
        self._marking.setSingleShot(True)
        self._marking.setInterval(_RESTED_MS)
        self._marking.timeout.connect(self._mark)
        self._plane: tuple[Any, ...] = ()
        FrameFollower(self, self._on_view, ("current_step", "ndisplay", "order"))
        self.delete_button = button(
            "Delete", "Remove these tracks from maps, measurements and exports.", self._delete
        )
        self.merge_button = button(
            "Merge", "Join tracks that follow each other in time into one.", self._merge
        )
        self.split_button = button(
            "Split here", "Cut the track before the frame under the time slider.", self._split
        )
        self.verify_button = button("Mark verified", "Mark these tracks as checked.", self._verify)
        self.row(self.delete_button, self.merge_button, self.split_button, self.verify_button)
        self.back_button = button(
            "Discard all edits", "Restore the tracks as they were linked.", self._take_back
        )
        self.cancel_button = button(
            "Cancel",
            "Stop applying the edit, and leave the tracks as they were.",
            self.editor.cancel,
        )
        self.row(self.back_button, self.cancel_button)
        self.busy = QProgressBar()
        self.busy.setRange(0, 0)
        self.busy.setTextVisible(False)
        self.busy.setFixedHeight(6)
        self.column.addWidget(self.busy)
        self.status = note()
        self.column.addWidget(self.status)
        self.session.result_changed.connect(self._on_result)
        self._clicks = ViewClicks(self.viewer, self._on_click)
        self.destroyed.connect(self._clicks.end)
        self._on_result()

    # --- what is there -------------------------------------------------------------------------

    def showEvent(self, event: Any) -> None:
        """Catch up with what happened behind another tab."""
        super().showEvent(event)
        self._on_result()
        self._on_view()

    def _on_result(self) -> None:
        result = self.session.result
        if result is not self._shown and self.isVisible():
            self._shown = result
            if result is not None:
                self.table.show_tracks(result.tracks)
                self.histograms.show_tracks(self.table.rows)
                self.histograms.show_chosen(self.table.chosen)
        self._refresh()

    def _refresh(self, *_: Any) -> None:
        result, chosen = self.session.result, self.table.chosen
        running = self.editor.running
        self.busy.setVisible(running)
        self.cancel_button.setVisible(running)
        self.cancel_button.setEnabled(not self.editor.cancelling)
        ready = result is not None and not running
        self.delete_button.setEnabled(ready and bool(chosen))
        self.verify_button.setEnabled(ready and bool(chosen))
        self.merge_button.setEnabled(ready and len(chosen) > 1)
        self.split_button.setEnabled(ready and len(chosen) == 1)
        self.back_button.setEnabled(ready and result is not None and bool(result.edits))
        if result is None:
            self.status.setText("No tracks yet: run Localize & track, or open a results folder.")
            return
        n = len(result.edits)
        edits = f"; {n} edit{'' if n == 1 else 's'}, {_kept(result)}" if n else ""
        doing = "Cancelling" if self.editor.cancelling else "Applying the edit to tracks and maps"
        working = f" {doing}…" if running else ""
        counts = f"{result.tracks.n_tracks:,} tracks, {len(chosen):,} selected"
        self.status.setText(f"{counts}{edits}.{working}")

    # --- selecting -----------------------------------------------------------------------------

    def _on_click(self, event: Any) -> None:
        """Select the track under the mouse."""
        result = self.session.result
        if result is None or not self.isVisible():
            return
        number = track_at(self.viewer, result.tracks, event.position, event.view_direction)
        more = {str(key) for key in event.modifiers} & {"Control", "Shift"}
        before = self.table.chosen if more else ()
        if number is None:
            self.table.choose(before)
        elif number in before:
            self.table.choose(tuple(k for k in before if k != number))
        else:
            self.table.choose((*before, number))

    def _on_chosen(self) -> None:
        self.histograms.show_chosen(self.table.chosen)
        self._marking.start()
        self._refresh()

    def _on_brushed(self, numbers: tuple[int, ...]) -> None:
        self.table.choose(numbers)

    def _on_view(self) -> None:
        """Bring the marks into the plane on display."""
        if self.table.chosen and plane_of(self.viewer) != self._plane:
            self._marking.start()

    def _mark(self) -> None:
        result = self.session.result
        if result is not None and self.isVisible():
            self._plane = plane_of(self.viewer)
            mark_tracks(self.viewer, result.tracks, self.table.chosen)

    # --- editing -------------------------------------------------------------------------------

    def _delete(self) -> None:
        self._edit(Edit("delete", self.table.chosen))

    def _verify(self) -> None:
        self._edit(Edit("verify", self.table.chosen))

    def _merge(self) -> None:
        self._edit(Edit("merge", self.table.chosen))

    def _split(self) -> None:
        self._edit(Edit("split", self.table.chosen, self._frame))

    @property
    def _frame(self) -> int:
        result, dims = self.session.result, self.viewer.dims
        seconds = float(dims.point[-4]) if dims.ndim > 3 else 0.0
        return round(seconds * result.rate_hz) if result is not None else 0

    def _edit(self, edit: Edit) -> None:
        self.problem.say(None)
        try:
            self.editor.edit(edit)
        except UlmError as error:
            self.problem.say(str(error))

    def _take_back(self) -> None:
        self.problem.say(None)
        self.editor.discard()

    def _on_failed(self, problem: Problem) -> None:
        self.problem.say(problem)


def _kept(result: Result) -> str:
    """How long edits of this result last."""
    return "kept in the results folder" if result.keeps_edits else "kept until napari is closed"
