"""Restoring a session: read the files in a worker, add the layers one by one, then set the view."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject
from qtpy.QtWidgets import QWidget

from napari_ulm3d.acquisition import Acquisition
from napari_ulm3d.errors import ResultsError, UlmError
from napari_ulm3d.io.session_file import MapView, SavedLayer, SavedSession, SavedView, read_session
from napari_ulm3d.io.session_file import whole_path as whole
from napari_ulm3d.plugin.jobs.job import Job, Stop, Work, waits
from napari_ulm3d.plugin.layers.convert import acquisition_layer, map_layer, value_of
from napari_ulm3d.plugin.layers.place import ROLE, Placer, find_layer, make_layer, place
from napari_ulm3d.plugin.napari_private import main_window
from napari_ulm3d.plugin.notices import show_error, show_warning
from napari_ulm3d.plugin.saved_session.gather import OF_RESULT, open_docks
from napari_ulm3d.plugin.saved_session.looks import drawn_layer, dress
from napari_ulm3d.plugin.tabs import open_panel

if TYPE_CHECKING:
    from napari_ulm3d.plugin.jobs.run_series import Outcome
    from napari_ulm3d.plugin.session import Session

__all__ = ["MAPS_WIDGET", "restore_session"]

#: Qt object name of the widget that sets which map is made.
MAPS_WIDGET = "ulm3d_maps"

_PLUGIN, _MAPS, _WORKFLOW = "napari-ulm3d", "Vessel maps", "ULM workflow"
_DRAWN_ROLES = ("", "region", "measure")


def restore_session(session: Session, path: Path) -> None:
    """Start restoring a session file; one warning lists what cannot be restored."""
    _Restoring(session, path).start()


@dataclass(frozen=True)
class _Opened:
    """The contents of a session file as far as they exist, and sentences about the rest."""

    saved: SavedSession
    acquisition: Acquisition | None
    frames: Any
    outcome: Outcome | None
    lost: tuple[str, ...]


def _open_work(path: Path) -> Work:
    def work(stop: Stop) -> _Opened:
        saved = read_session(path)
        lost: list[str] = []
        outcome = None
        if saved.results:
            try:
                outcome = _outcome(whole(saved.results, path), saved)
            except UlmError as error:
                lost.append(str(error))
        acquisition = frames = None
        if saved.acquisition:
            try:
                acquisition, frames = _frames(saved, path)
            except UlmError as error:
                lost.append(str(error))
        if lost and outcome is None and acquisition is None:
            raise ResultsError(
                f"{path}: none of the files in this session can be opened. {' '.join(lost)} Put "
                "them back, or correct their paths in the session file."
            )
        return _Opened(saved, acquisition, frames, outcome, tuple(lost))

    return waits(work)


def _outcome(folder: Path, saved: SavedSession) -> Outcome:
    """The results folder with its layers, including the map that was on display."""
    from napari_ulm3d.plugin.jobs.run_series import outcome_of
    from napari_ulm3d.plugin.state.saved_results import result_of_folder

    result = result_of_folder(folder)
    outcome = outcome_of(result)
    wanted = saved.maps.map
    if wanted == "density" or wanted not in result.maps:
        return outcome
    layers = [layer for layer in outcome.layers if layer.metadata[ROLE] != "map"]
    return replace(outcome, layers=(make_layer(map_layer(result.maps[wanted]), "map"), *layers))


def _frames(saved: SavedSession, path: Path) -> tuple[Acquisition, Any]:
    from napari_ulm3d.io import open_acquisition

    paths = [whole(one, path) for one in saved.acquisition]
    for one in paths:
        if not (one.is_file() or one.is_dir()):
            raise ResultsError(f"{one}: not found, so its frames are not shown.")
    acquisition = open_acquisition(paths, saved.config.load)
    return acquisition, make_layer(acquisition_layer(acquisition), "acquisition")


class _Restoring(QObject):
    def __init__(self, session: Session, path: Path) -> None:
        super().__init__(session)
        self._session, self._path = session, path
        self._job = Job(self)
        self._job.finished.connect(self._on_opened)
        self._job.failed.connect(self._on_failed)
        self._placer = Placer(self)
        self._lost: list[str] = []

    def start(self) -> None:
        self._job.start(_open_work(self._path))

    def _on_failed(self, problem: Any) -> None:
        show_error(problem.sentence)
        self.deleteLater()

    def _on_opened(self, opened: _Opened) -> None:
        session, saved, viewer = self._session, opened.saved, self._session.viewer
        self._lost = list(opened.lost)
        steps: list[Callable[[], Any]] = []
        if opened.acquisition is not None:
            paths = [str(whole(one, self._path)) for one in saved.acquisition]
            session.expect(opened.acquisition, paths, saved.config.load)
            steps.append(partial(viewer.add_layer, opened.frames))
        if opened.outcome is not None:
            steps += [partial(place, viewer, layer) for layer in opened.outcome.layers]
        drawn = [one for one in saved.layers if not one.file and one.role in _DRAWN_ROLES]
        steps += [partial(self._draw, one) for one in drawn]
        steps += [partial(self._add_file, one) for one in saved.layers if one.file]
        if opened.outcome is not None:
            steps.append(partial(session.reopen, opened.outcome.result))
        steps += [
            partial(session.set_config, saved.config),
            # The maps widget, existing or just opened, takes over the layer's appearance.
            partial(self._dress, saved.layers),
            partial(session.show_maps, saved.maps),
            partial(self._show_docks, saved.view.docks, saved.maps),
            # Again, because the docks resize the canvas one turn later.
            *[partial(self._look, saved.view)] * 2,
            self._end,
        ]
        self._placer.take_turns(*steps)

    # --- steps ---------------------------------------------------------------------------------

    def _draw(self, saved: SavedLayer) -> None:
        data, unknown = drawn_layer(saved)
        viewer = self._session.viewer
        self._note(saved, unknown)
        if saved.role:
            layer = place(viewer, make_layer(data, saved.role))
        else:
            from napari.layers import Layer

            layer = viewer.add_layer(Layer.create(*data))
        layer.name = saved.name

    def _add_file(self, saved: SavedLayer) -> None:
        """A layer not made by the plugin, read only by napari's own readers or ours."""
        path = whole(saved.file, self._path)
        viewer = self._session.viewer
        if not path.exists():
            self._lost.append(f"{path}: not found, so the layer '{saved.name}' is missing.")
            return
        for plugin in ("napari", _PLUGIN):
            try:
                made = viewer.open(str(path), plugin=plugin)
            except (ValueError, OSError, UlmError):
                continue
            for layer in made:
                layer.name = saved.name
            return
        self._lost.append(f"{path}: was read by another plugin; open it yourself.")

    def _show_docks(self, docks: tuple[str, ...], maps: MapView) -> None:
        """Open the widgets that were open, and *Vessel maps* if a filter must be shown."""
        viewer, known = self._session.viewer, _widget_names()
        for dock in docks:
            name, _, step = dock.partition("/")
            if name in known:
                panel = open_panel(viewer, name)
                if step and step in getattr(panel, "sections", {}):
                    panel.open(step)
        if maps != MapView() and main_window(viewer).findChild(QWidget, MAPS_WIDGET) is None:
            workflow = dict(_of_name(viewer)).get(_WORKFLOW)
            if workflow is not None:
                workflow.panel.open(_MAPS)
            else:
                open_panel(viewer, _MAPS)

    def _dress(self, layers: tuple[SavedLayer, ...]) -> None:
        viewer = self._session.viewer
        for saved in layers:
            for layer in _layers_of(viewer, saved):
                self._note(saved, dress(layer, saved))

    def _look(self, view: SavedView) -> None:
        self._session.keep_view()
        viewer = self._session.viewer
        dims, camera = viewer.dims, viewer.scene.camera
        dims.ndisplay = view.ndisplay
        if len(view.order) == dims.ndim:
            dims.order = view.order
        # Axes are counted from the last, since the frames may be missing this time.
        for name, values in (("thickness", view.thickness), ("point", view.point)):
            own = list(getattr(dims, name))
            n = min(len(own), len(values))
            if n:
                own[-n:] = values[-n:]
                setattr(dims, name, tuple(own))
        viewer.canvas.overlays.scale_bar.visible = view.scale_bar
        if view.angles is not None:
            camera.angles = view.angles
        if view.center is not None:
            camera.center = view.center
        if view.zoom is not None and len(view.canvas) == 2:
            now = viewer.canvas.size
            camera.zoom = view.zoom * min(now[0] / view.canvas[0], now[1] / view.canvas[1])

    def _note(self, saved: SavedLayer, unknown: list[str]) -> None:
        if unknown:
            self._lost.append(
                f"Layer '{saved.name}': {', '.join(unknown)} is not known to this version of napari."
            )

    def _end(self) -> None:
        if self._lost:
            show_warning(f"The session was restored, except: {' '.join(self._lost)}")
        self.deleteLater()


def _widget_names() -> set[str]:
    import npe2

    manifest = npe2.PluginManager.instance().get_manifest(_PLUGIN)
    return {widget.display_name for widget in manifest.contributions.widgets or ()}


def _of_name(viewer: Any) -> list[tuple[str, Any]]:
    return [(name.partition("/")[0], dock) for name, dock in open_docks(viewer)]


def _layers_of(viewer: Any, saved: SavedLayer) -> list[Any]:
    if saved.role == "acquisition":
        shown = [layer for layer in viewer.layers if value_of(layer, Acquisition) is not None]
        return [layer for layer in shown if layer.metadata.get(ROLE) == "acquisition"]
    if saved.role in (*OF_RESULT, *_DRAWN_ROLES[1:]):
        layer = find_layer(viewer, saved.role)
        return [] if layer is None else [layer]
    return [layer for layer in viewer.layers if layer.name == saved.name]
