"""Movies of the view: key frames from napari-animation, frames drawn one by one.

napari-animation's own `animate` draws all frames in one go at the canvas size; here
one frame is drawn per turn of the event loop, so that the window stays
responsive, the movie can be stopped, and its size can be chosen. A thread encodes the frames.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import closing
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject, QTimer, Signal

from napari_ulm3d.errors import BackendError, ConfigError, ResultsError, UlmError
from napari_ulm3d.plugin.jobs.encoder import EVEN, Encoder
from napari_ulm3d.plugin.jobs.picture import picture_of
from napari_ulm3d.plugin.napari_private import canvas_size
from napari_ulm3d.system.atomic import atomic_path

__all__ = ["INSTALL", "SUFFIXES", "Movie", "MovieMaker", "key_frames", "missing", "sizes"]

MovieKind = Literal["turn", "time"]
#: The line that installs what movies need.
INSTALL = 'pip install "napari-ulm3d[movie]"'
SUFFIXES = (".mp4", ".gif", ".mov", ".avi", ".mkv")

_STRETCHES = 4
_FEWEST_FRAMES = 4
# Moments of the movie shown in a preview.
_PREVIEWED = (0.0, 0.25, 0.5, 0.75)


def missing() -> str:
    """What to install to make movies; empty if nothing is missing."""
    if find_spec("napari_animation") is None:
        return f"Movies need napari-animation. Install it with: {INSTALL}"
    return ""


def sizes(width: int, canvas: tuple[int, int]) -> tuple[int, int]:
    """(height, width) of a movie as wide as asked, in the proportions of the canvas."""
    height = max(round(width * canvas[0] / canvas[1] / EVEN) * EVEN, EVEN)
    return height, max(round(width / EVEN) * EVEN, EVEN)


def key_frames(viewer: Any, kind: MovieKind, n_frames: int, span_s: tuple[float, float]) -> Any:
    """A napari-animation of one turn about the vertical, or through time.

    Parameters
    ----------
    kind
        "turn": the camera rotates once about the vertical of the view, in 3-D. "time": from
        the first to the last frame of the acquisition.
    n_frames
        Number of frames, four or more.
    span_s
        First and last time of the acquisition, seconds, for "time".

    Raises
    ------
    BackendError
        napari-animation is not installed.
    ConfigError
        There is nothing to animate.
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
        # At least three segments: half a turn has no unique shortest path.
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


@dataclass(frozen=True)
class Movie:
    """Settings of a movie.

    Attributes
    ----------
    kind
        As in `key_frames`.
    seconds, fps
        Duration and frames per second.
    width
        Pixels; the height follows from the canvas.
    span_s
        First and last time of the acquisition, seconds, for a movie through time.
    """

    kind: MovieKind
    seconds: float
    fps: int
    width: int
    span_s: tuple[float, float] = (0.0, 0.0)

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return max(round(self.seconds * self.fps), _FEWEST_FRAMES)


class MovieMaker(QObject):
    """Draws a movie, one frame per turn of the event loop.

    Signals
    -------
    progressed(int, int)
        Frames drawn, total frames.
    finished(str)
        The file was written.
    previewed(list)
        A few frames, (height, width, 3) each.
    failed(str)
        It was not written; one sentence.
    ended()
        After any of these.
    """

    progressed = Signal(int, int)
    finished = Signal(str)
    previewed = Signal(list)
    failed = Signal(str)
    ended = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._timer = QTimer(self)
        self._timer.setInterval(1)
        self._timer.timeout.connect(self._step)
        self._steps: Any = None
        self._stopped = False

    @property
    def running(self) -> bool:
        """Whether a movie is being drawn."""
        return self._steps is not None

    def start(self, viewer: Any, path: str, movie: Movie) -> None:
        """Start writing a movie; the suffix of the path sets the format."""
        self._begin(self._draw(viewer, Path(path), movie))

    def preview(self, viewer: Any, movie: Movie) -> None:
        """Start drawing a few frames of a movie for `previewed`."""
        self._begin(self._draw_preview(viewer, movie))

    def _begin(self, steps: Any) -> None:
        if self.running:
            raise RuntimeError("a movie is already being rendered")
        self._stopped = False
        self._steps = steps
        self._timer.start()

    def stop(self) -> None:
        """Stop soon, leaving no file."""
        self._stopped = True

    def _step(self) -> None:
        try:
            next(self._steps)
        except StopIteration:
            self._end()
        except UlmError as error:
            self._end(str(error))
        except Exception as error:
            self._end(f"The movie could not be made ({type(error).__name__}: {error}).")

    def _end(self, problem: str = "") -> None:
        self._timer.stop()
        self._steps = None
        if problem:
            self.failed.emit(problem)
        self.ended.emit()

    def _draw(self, viewer: Any, path: Path, movie: Movie) -> Any:
        if path.suffix.lower() not in SUFFIXES:
            raise ResultsError(f"{path}: not a movie format; use one of {', '.join(SUFFIXES)}.")
        n = movie.n_frames
        with atomic_path(path) as part, Encoder(part, movie.fps) as encoder:
            with closing(_frames(viewer, movie, range(n))) as frames:
                for number, frame in enumerate(frames):
                    encoder.add(frame)
                    self.progressed.emit(number + 1, n)
                    yield
                    while encoder.behind:
                        yield
                    if self._stopped:
                        raise ConfigError("The movie was stopped; no file was written.")
            while encoder.n_waiting:
                yield
            ended = encoder.finish()
            while not ended.done():
                yield
            ended.result()
        self.finished.emit(str(path))

    def _draw_preview(self, viewer: Any, movie: Movie) -> Any:
        numbers = [round(share * (movie.n_frames - 1)) for share in _PREVIEWED]
        taken = []
        with closing(_frames(viewer, movie, numbers)) as frames:
            for frame in frames:
                if self._stopped:
                    raise ConfigError("The preview was stopped.")
                taken.append(frame)
                yield
        self.previewed.emit(taken)


def _frames(
    viewer: Any, movie: Movie, numbers: Iterable[int]
) -> Generator[NDArray[np.uint8], None, None]:
    """Draw the frames of a movie one by one, then restore the view."""
    camera = viewer.scene.camera
    before = (camera.angles, viewer.dims.point)
    canvas = canvas_size(viewer)
    size = sizes(movie.width, canvas)
    try:
        animation = key_frames(viewer, movie.kind, movie.n_frames, movie.span_s)
        for number in numbers:
            animation.set_movie_frame_index(number)
            yield picture_of(viewer, size, canvas)
    finally:
        camera.angles, viewer.dims.point = before


def _turned(view: Any, up: Any, degrees: float) -> Any:
    """The viewing direction rotated about the vertical (Rodrigues' formula)."""
    turn = np.deg2rad(degrees)
    along = up * np.dot(up, view)
    return along + (view - along) * np.cos(turn) + np.cross(up, view) * np.sin(turn)


def _look(viewer: Any, view: Any, up: Any) -> None:
    viewer.scene.camera.set_view_direction(view_direction=tuple(view), up_direction=tuple(up))
