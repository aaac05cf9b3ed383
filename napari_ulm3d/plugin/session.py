"""The state shared by the widgets of one viewer: acquisition, settings, result.

Slow imports happen where they are used, so that the first widget opens at once.
"""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QObject, QTimer, Signal

from napari_ulm3d.acquisition import Acquisition
from napari_ulm3d.config import Device, LoadConfig, PipelineConfig, StageConfig
from napari_ulm3d.io.session_file import MapView
from napari_ulm3d.plugin.jobs.job import stop_all
from napari_ulm3d.plugin.napari_private import main_window
from napari_ulm3d.plugin.state.history import RunHistory
from napari_ulm3d.plugin.state.logbook import logbook
from napari_ulm3d.plugin.state.truth import find_truth
from napari_ulm3d.plugin.state.undo import UndoStack

if TYPE_CHECKING:
    from napari_ulm3d.plugin.state.preview import Preview
    from napari_ulm3d.plugin.state.results import Result
    from napari_ulm3d.plugin.track_editor import TrackEditor

__all__ = ["Session", "session_of"]

_sessions: dict[int, Session] = {}


def session_of(viewer: Any) -> Session:
    """The session of a viewer, created on first use."""
    viewer = getattr(viewer, "__wrapped__", viewer)  # plugins receive a proxy
    key = id(viewer)
    if key not in _sessions:
        _sessions[key] = Session(viewer)
        weakref.finalize(viewer, _sessions.pop, key, None)
    return _sessions[key]


class Session(QObject):
    """Acquisition, settings and result of one viewer, with signals for every change.

    Signals
    -------
    acquisition_changed()
        Another acquisition is open, or none.
    config_changed(str)
        Settings of this section changed.
    result_changed()
        There is another result.
    maps_wanted()
        The map and filters of `map_view` are requested.
    """

    acquisition_changed = Signal()
    config_changed = Signal(str)
    result_changed = Signal()
    maps_wanted = Signal()

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._viewer = weakref.ref(viewer)
        self.config = PipelineConfig()
        self.acquisition: Acquisition | None = None
        self.preview: Preview | None = None
        self.paths: list[str] = []
        # The previous acquisition, if settings were changed for it.
        self.tuned_for = ""
        self.result: Result | None = None
        # Result with the filters of the maps widget, as shown and exported.
        self.shown: Result | None = None
        # Map and track filters set in the maps widget, kept after it is closed.
        self.map_view = MapView()
        # All runs with their parameters, and the package's log from now on.
        self.history = RunHistory(self)
        self.logbook = logbook()
        self.undo = UndoStack(self)
        self._editor: TrackEditor | None = None
        self._expected: dict[int, tuple[list[str], LoadConfig]] = {}
        self._facing = QTimer(self)
        self._facing.setSingleShot(True)
        self._facing.timeout.connect(self._face)
        self._picturing = QTimer(self)
        self._picturing.setSingleShot(True)
        self._picturing.timeout.connect(self._picture)
        self._opened: tuple[Result, tuple[Any, ...]] | None = None
        viewer.layers.events.inserted.connect(self._on_inserted)
        viewer.dims.events.ndisplay.connect(self._on_display)
        window = main_window(viewer)
        if window is not None:
            window.installEventFilter(self)
        for layer in viewer.layers:
            self._take(layer)

    @property
    def viewer(self) -> Any:
        """The napari viewer."""
        return self._viewer()

    # --- settings -----------------------------------------------------------------------

    def section(self, name: str) -> StageConfig:
        """The settings of a stage."""
        section: StageConfig = getattr(self.config, name)
        return section

    def change(self, section: str, **changes: Any) -> None:
        """Set some settings of a stage.

        Raises
        ------
        ConfigError
            A value is out of range or contradicts another; nothing is changed then.
        """
        before = self.section(section)
        after = before.replace(**changes)
        if after != before:
            self.config = self.config.model_copy(update={section: after})
            self.config_changed.emit(section)

    def change_device(self, device: Device) -> None:
        """Set where networks run; emitted as a change of "device"."""
        if device != self.config.device:
            self.config = self.config.model_copy(update={"device": device})
            self.config_changed.emit("device")

    def set_config(self, config: PipelineConfig) -> None:
        """Replace all settings."""
        self.config = config
        for name, value in config:
            if isinstance(value, StageConfig):
                self.config_changed.emit(name)
        self.config_changed.emit("device")

    def load_config(self, path: Path) -> None:
        """Load settings from a TOML file, except those for reading files.

        Raises
        ------
        ConfigError
            The file cannot be read, or a setting in it is unknown or out of range.
        """
        self._replace_stages(PipelineConfig.from_toml(path))

    def reset_config(self) -> None:
        """Reset all settings to their defaults, except those for reading files."""
        self._replace_stages(PipelineConfig())

    def tuned_settings(self) -> list[str]:
        """Names of the processing settings that differ from their default."""
        changed = self.config.differences(PipelineConfig())
        return [name for name in changed if not name.startswith("load.")]

    def _replace_stages(self, config: PipelineConfig) -> None:
        # Values that a file lacks belong to that file, not to a preset.
        frames = config.load.frames_per_block
        load = self.config.load.replace(frames_per_block=frames)
        self.set_config(config.model_copy(update={"load": load}))

    # --- acquisition and result -----------------------------------------------------------

    def expect(
        self, acquisition: Acquisition, paths: list[str], load: LoadConfig | None = None
    ) -> None:
        """Remember the source of an acquisition until its layer appears."""
        self._expected = {id(acquisition): (paths, load or LoadConfig())}

    def set_acquisition(self, acquisition: Acquisition) -> None:
        """Make this the acquisition for all widgets."""
        if acquisition is self.acquisition:
            return
        from napari_ulm3d.plugin.state.preview import Preview

        before, self.acquisition = self.acquisition, acquisition
        self.tuned_for = before.name if before is not None and self.tuned_settings() else ""
        self.preview = Preview(acquisition)
        paths, load = self._expected.pop(id(acquisition), ([], None))
        self.paths = paths
        if before is not None or not self._is_of_result(acquisition):
            self.result = self.shown = None
        if load is not None:
            frames = self.config.load.frames_per_block
            self.config = self.config.model_copy(
                update={"load": load.replace(frames_per_block=frames)}
            )
            self.config_changed.emit("load")
        self.acquisition_changed.emit()
        self.result_changed.emit()

    def set_result(self, result: Result, computed: Result | None = None) -> None:
        """Make this the result for maps and export, and add the run to the history.

        `computed` is the result of the same run before relinking.
        """
        self.result = self.shown = result
        if computed is None:
            self.history.add(result)
        else:
            self.history.update(computed, result)
        self.result_changed.emit()
        if computed is None and result.is_series:
            self._picturing.start()

    def revise_result(self, result: Result) -> None:
        """Replace the result by the same run with edited tracks, and leave the view unchanged."""
        if self.result is not None:
            self.history.revise(self.result, result)
        self.result = self.shown = result
        self.result_changed.emit()

    def reopen(self, result: Result) -> None:
        """Return to an earlier result and its settings, and show its map."""
        frames = result.config.load.frames_per_block
        # Settings for reading files belong to the open acquisition, not to an older run.
        kept = self.config.load.replace(frames_per_block=frames)
        self.set_config(result.config.model_copy(update={"load": kept}))
        self.set_result(result)
        self._picturing.start()

    def expect_result(self, result: Result, more_layers: tuple[Any, ...]) -> None:
        """Reopen a result once napari has added its layers."""
        self._opened = (result, more_layers)
        self._picturing.start()

    def show_maps(self, wanted: MapView) -> None:
        """Request another map or other tracks."""
        self.map_view = wanted
        self.maps_wanted.emit()

    def keep_view(self) -> None:
        """Leave the view unchanged for the result that has just arrived."""
        self._facing.stop()
        self._picturing.stop()

    @property
    def editor(self) -> TrackEditor:
        """Edits of the tracks, which go on when their widget is closed."""
        from napari_ulm3d.plugin.track_editor import TrackEditor

        if self._editor is None:
            self._editor = TrackEditor(self)
        return self._editor

    @property
    def truth_path(self) -> Path | None:
        """The ground truth beside the acquisition's files; None without one."""
        return find_truth(self.files)

    @property
    def files(self) -> list[str]:
        """Source files of the acquisition or, for a reopened run, of that run."""
        if self.paths or self.acquisition is not None or self.result is None:
            return self.paths
        return list(self.result.files)

    @property
    def frame(self) -> int:
        """The frame under the viewer's time slider; 0 without one."""
        viewer, acquisition = self.viewer, self.acquisition
        if viewer is None or acquisition is None or viewer.dims.ndim < 4:
            return 0
        seconds = viewer.dims.point[-4]
        frame = round(float(seconds) * acquisition.rate_hz)
        return min(max(frame, 0), acquisition.n_frames - 1)

    # --- the viewer ------------------------------------------------------------------------

    def _on_inserted(self, event: Any) -> None:
        self._take(event.value)

    def _take(self, layer: Any) -> None:
        from napari_ulm3d.plugin.layers import keeping

        acquisition = keeping.take(self.viewer, layer)
        if acquisition is None or acquisition is self.acquisition:
            return
        if self.acquisition is not None:
            keeping.set_aside(self.viewer, layer, self.acquisition.name)
        elif self.result is not None and not self._is_of_result(acquisition):
            keeping.set_aside(self.viewer, layer, self.result.name)
        self.set_acquisition(acquisition)
        # Not now: the viewer is still adding the layer.
        self._facing.start()

    def _is_of_result(self, acquisition: Acquisition) -> bool:
        """Whether the result was made from these frames."""
        result = self.result
        return (
            result is not None
            and result.name == acquisition.name
            and result.grid == acquisition.grid
            and result.rate_hz == acquisition.rate_hz
        )

    def _on_display(self, event: Any) -> None:
        if self.viewer.layers:
            from napari_ulm3d.plugin.layers import keeping

            keeping.suit_tracks(self.viewer)

    def _face(self) -> None:
        from napari_ulm3d.plugin.layers import keeping

        if self.viewer is not None and self.acquisition is not None:
            keeping.face_frames(self.viewer, self.acquisition)

    def _picture(self) -> None:
        """Show the map of the result that has just arrived."""
        from napari_ulm3d.plugin.layers.place import place_opened
        from napari_ulm3d.plugin.layers.vessel_view import show_vessel_map

        opened, self._opened = self._opened, None
        if self.viewer is None:
            return
        if opened is not None:
            result, layers = opened
            place_opened(self.viewer, layers)
            self.reopen(result)
        show_vessel_map(self.viewer, keep_camera=True)

    def eventFilter(self, watched: Any, event: Any) -> bool:
        """Stop all work when the window closes."""
        if event.type() == QEvent.Type.Close:
            stop_all()
        return False
