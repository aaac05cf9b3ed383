"""Movies of the view: key frames by napari-animation, frames drawn one by one.

napari-animation's own `animate` draws all frames in one go, at the size of the canvas; here
its key frames are walked through a frame a turn of the event loop, so that the window stays
alive, the movie can be stopped, and its size can be chosen.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
from qtpy.QtCore import QObject, QTimer, Signal

from napari_ulm3d.errors import BackendError, ConfigError, ResultsError, UlmError
from napari_ulm3d.plugin.napari_private import canvas_size
from napari_ulm3d.system.atomic import atomic_path

__all__ = ["INSTALL", "SUFFIXES", "MovieMaker", "key_frames", "missing", "sizes"]

MovieKind = Literal["turn", "time"]
#: The line that installs what movies need.
INSTALL = 'pip install "napari-ulm3d[movie]"'
SUFFIXES = (".mp4", ".gif", ".mov", ".avi", ".mkv")

_STRETCHES = 4
_FEWEST_FRAMES = 4
# Encoders of video want even numbers of pixels.
_EVEN = 2


def missing() -> str:
    """What to do to make movies; empty when they can be made."""
    if find_spec("napari_animation") is None:
        return f"Movies need napari-animation. Install it with: {INSTALL}"
    return ""


def sizes(width: int, canvas: tuple[int, int]) -> tuple[int, int]:
    """(height, width) of a movie as wide as asked, in the proportions of the canvas."""
    height = max(round(width * canvas[0] / canvas[1] / _EVEN) * _EVEN, _EVEN)
    return height, max(round(width / _EVEN) * _EVEN, _EVEN)


def key_frames(viewer: Any, kind: MovieKind, n_frames: int, span_s: tuple[float, float]) -> Any:
    """A napari-animation over one turn about the vertical, or over time.

    Parameters
    ----------
    kind
        "turn": the camera goes once round the vertical of the view, in 3-D. "time": from
        the first to the last frame of the acquisition.
    n_frames
        Of the movie, four or more.
    span_s
        First and last time of the acquisition, seconds, for "time".

    Raises
    ------
    BackendError
        napari-animation is not installed.
    ConfigError
        There is nothing that could move.
    """
    advice = missing()
    if advice:
        raise BackendError(advice)
    from napari_animation import Animation

    animation = Animation(viewer)
    if kind == "turn":
        if viewer.dims.ndisplay != 3:
            raise ConfigError(
                "A rotating movie needs the 3-D view: switch it on below the layer list."
            )
        view = np.asarray(viewer.scene.camera.view_direction, float)
        up = np.asarray(viewer.scene.camera.up_direction, float)
        # Three stretches at least: between half a turn either way there is no shortest way.
        stretches = min(_STRETCHES, n_frames - 1)
        at = np.round(np.linspace(0, n_frames - 1, stretches + 1)).astype(int)
        animation.capture_keyframe(steps=1, position=-1)
        for number in range(1, stretches + 1):
            _look(viewer, _turned(view, up, 360 * at[number] / at[-1]), up)
            n = int(at[number] - at[number - 1])
            animation.capture_keyframe(steps=n, position=number - 1)
        return animation
    if viewer.dims.ndim < 4:
        raise ConfigError("A movie through time needs frames or tracks in the viewer.")
    for number, time_s in enumerate(span_s):
        viewer.dims.set_point(viewer.dims.ndim - 4, time_s)
        animation.capture_keyframe(steps=n_frames - 1, position=number - 1)
    return animation


class MovieMaker(QObject):
    """Draws a movie, a frame a turn of the event loop.

    Signals
    -------
    progressed(int, int)
        Frames drawn, of how many.
    finished(str)
        The file is there.
    failed(str)
        It is not; one sentence.
    """

    progressed = Signal(int, int)
    finished = Signal(str)
    failed = Signal(str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._timer = QTimer(self)
        self._timer.setInterval(0)
        self._timer.timeout.connect(self._step)
        self._steps: Any = None
        self._stopped = False

    @property
    def running(self) -> bool:
        """Whether a movie is being drawn."""
        return self._steps is not None

    def start(
        self,
        viewer: Any,
        path: str,
        kind: MovieKind,
        *,
        seconds: float,
        fps: int,
        width: int,
        span_s: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        """Begin.

        Parameters
        ----------
        path
            File to write; its ending says the format.
        seconds, fps
            Length of the movie and frames a second of it.
        width
            Pixels; the height follows from the canvas.
        span_s
            First and last time of the acquisition, seconds, of a movie over time.
        """
        if self.running:
            raise RuntimeError("a movie is already being rendered")
        self._stopped = False
        self._steps = self._draw(
            viewer, Path(path), kind, max(round(seconds * fps), _FEWEST_FRAMES), fps, width, span_s
        )
        self._timer.start()

    def stop(self) -> None:
        """End soon; no file is left."""
        self._stopped = True

    def _step(self) -> None:
        try:
            next(self._steps)
        except StopIteration as end:
            path = str(end.value)
            self._end(lambda: self.finished.emit(path))
        except UlmError as error:
            said = str(error)
            self._end(lambda: self.failed.emit(said))
        except Exception as error:
            said = f"The movie could not be made ({type(error).__name__}: {error})."
            self._end(lambda: self.failed.emit(said))

    def _end(self, tell: Callable[[], Any]) -> None:
        self._timer.stop()
        self._steps = None
        tell()

    def _draw(
        self,
        viewer: Any,
        path: Path,
        kind: MovieKind,
        n_frames: int,
        fps: int,
        width: int,
        span_s: tuple[float, float],
    ) -> Any:
        if path.suffix.lower() not in SUFFIXES:
            raise ResultsError(f"{path}: not a movie format; use one of {', '.join(SUFFIXES)}.")
        before = (viewer.scene.camera.angles, viewer.dims.point)
        canvas = canvas_size(viewer)
        try:
            animation = key_frames(viewer, kind, n_frames, span_s)
            import imageio.v2

            get_writer: Any = imageio.v2.get_writer

            with atomic_path(path) as part:
                options = {"duration": 1000 / fps, "loop": 0} if path.suffix == ".gif" else {
                    "fps": fps, "macro_block_size": _EVEN, "quality": 8,
                }  # fmt: skip
                with get_writer(part, **options) as writer:
                    for number in range(n_frames):
                        if self._stopped:
                            raise ConfigError("The movie was stopped; no file was written.")
                        animation.set_movie_frame_index(number)
                        picture = viewer.screenshot(
                            size=sizes(width, canvas), canvas_only=True, flash=False
                        )
                        writer.append_data(_cut(picture, sizes(width, canvas)))
                        self.progressed.emit(number + 1, n_frames)
                        yield
        finally:
            viewer.scene.camera.angles, viewer.dims.point = before
        return path


def _cut(picture: Any, size: tuple[int, int]) -> Any:
    """RGB of the very size: a high-resolution screen may give more pixels."""
    from scipy.ndimage import zoom

    rgb = picture[..., :3]
    if rgb.shape[:2] != size:
        factors = (size[0] / rgb.shape[0], size[1] / rgb.shape[1], 1)
        rgb = zoom(rgb, factors, order=1)
    return np.ascontiguousarray(rgb)


def _turned(view: Any, up: Any, degrees: float) -> Any:
    """The viewing direction turned about the vertical (Rodrigues' formula)."""
    turn = np.deg2rad(degrees)
    along = up * np.dot(up, view)
    return along + (view - along) * np.cos(turn) + np.cross(up, view) * np.sin(turn)


def _look(viewer: Any, view: Any, up: Any) -> None:
    viewer.scene.camera.set_view_direction(view_direction=tuple(view), up_direction=tuple(up))
