"""A saved session of the viewer: open data, appearance of the layers, and settings.

A session is one small TOML file in a results folder or beside the data. It contains file names, numbers
and text, never code or arrays, so a session from someone else can be inspected in a text editor first.
"""

from __future__ import annotations

import os
import stat
import tomllib
from os import PathLike
from pathlib import Path
from typing import Annotated, Any

import tomli_w
from pydantic import Field, field_validator

from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.config.base import StageConfig
from napari_ulm3d.errors import ConfigError, ResultsError
from napari_ulm3d.system.atomic import atomic_path

__all__ = [
    "SESSION_NAME",
    "SESSION_SUFFIX",
    "MapView",
    "SavedLayer",
    "SavedSession",
    "SavedShape",
    "SavedView",
    "is_session",
    "read_session",
    "stored_path",
    "whole_path",
    "write_session",
]

SESSION_SUFFIX = ".ulm3d.toml"
#: Name of a session in a results folder, which is restored when the folder is opened.
SESSION_NAME = f"session{SESSION_SUFFIX}"

#: TOML truncated between two lines is still valid: the last line shows that the file is complete.
_FIRST_LINE, _LAST_LINE = "# A session of napari-ulm3d, whole to its last line.\n", "# The end.\n"
_MOST_BYTES = 2_000_000
_VERSION = 1

Word = Annotated[str, Field(max_length=300)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Limits = tuple[float, float]
Share = Annotated[float, Field(ge=0, le=1)]
Point = tuple[Number, Number, Number]


class SavedShape(StageConfig):
    """A drawn shape: its type in napari, and its vertices z, y, x in um."""

    kind: Word
    corners_um: tuple[Point, ...] = Field(min_length=2, max_length=20_000)


class SavedLayer(StageConfig):
    """A layer and its appearance; None: the default.

    Attributes
    ----------
    role
        Which of the plugin's layers it is; empty for any other layer.
    file
        For other layers: the file from which to open it (see `stored_path`).
    shapes
        For a layer drawn by hand.
    colour_by, colour_range, last_frames
        For tracks: quantity, its colour range, and the number of frames drawn (0: all).
    """

    name: Word
    role: Word = ""
    file: Annotated[str, Field(max_length=4000)] = ""
    visible: bool = True
    opacity: Share | None = None
    blending: Word | None = None
    colormap: Word | None = None
    contrast_limits: tuple[Number, Number] | None = None
    gamma: Annotated[float, Field(gt=0, le=100)] | None = None
    rendering: Word | None = None
    projection_mode: Word | None = None
    colour_bar: bool | None = None
    colour_by: Word | None = None
    colour_range: tuple[Number, Number] | None = None
    last_frames: Annotated[int, Field(ge=0, le=10**9)] | None = None
    edge_width_um: Annotated[float, Field(gt=0, le=1e6)] | None = None
    shapes: tuple[SavedShape, ...] = Field(default=(), max_length=5000)


class SavedView(StageConfig):
    """The view: slider axes, camera, and the canvas size to which the zoom refers."""

    ndisplay: Annotated[int, Field(ge=2, le=3)] = 3
    order: tuple[Annotated[int, Field(ge=0, le=20)], ...] = ()
    point: tuple[Number, ...] = Field(default=(), max_length=20)
    thickness: tuple[Number, ...] = Field(default=(), max_length=20)
    center: Point | None = None
    angles: Point | None = None
    zoom: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    canvas: tuple[Annotated[int, Field(gt=0, le=100_000)], ...] = Field(default=(), max_length=2)
    scale_bar: bool = True
    docks: tuple[Word, ...] = Field(default=(), max_length=50)

    @field_validator("order")
    @classmethod
    def _each_axis_once(cls, order: tuple[int, ...]) -> tuple[int, ...]:
        if sorted(order) != list(range(len(order))):
            raise ValueError("must name each axis once")
        return order


class MapView(StageConfig):
    """Which map is computed, and from which tracks.

    Attributes
    ----------
    speed_mm_s, time_s, box_um
        Minimum and maximum, infinite without a limit; the box along z, y, x.
    region
        Name of the layer whose shapes tracks must cross; empty: everywhere.
    slab_um
        Thickness of the region; None: unlimited.
    cut
        Whether only the parts inside are kept.
    """

    map: Word = "density"
    min_length_frames: Annotated[int, Field(ge=0)] = 0
    speed_mm_s: Limits = (float("-inf"), float("inf"))
    time_s: Limits = (float("-inf"), float("inf"))
    min_score: Share = 0.0
    box_um: tuple[Limits, Limits, Limits] = ((float("-inf"), float("inf")),) * 3
    region: Word = ""
    slab_um: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    cut: bool = False


class SavedSession(StageConfig):
    """Contents of a session.

    Attributes
    ----------
    results
        Results folder (see `stored_path`); empty without one.
    acquisition
        Files or folder of the frames; empty if they were not open.
    config
        Settings of all stages, including reading.
    """

    version: Annotated[int, Field(ge=1)] = _VERSION
    results: Annotated[str, Field(max_length=4000)] = ""
    acquisition: tuple[Annotated[str, Field(max_length=4000)], ...] = Field(
        default=(), max_length=100_000
    )
    config: PipelineConfig = PipelineConfig()
    maps: MapView = MapView()
    view: SavedView = SavedView()
    layers: tuple[SavedLayer, ...] = Field(default=(), max_length=1000)


def stored_path(path: str | PathLike[str], session: str | PathLike[str]) -> str:
    """A path as stored in a session file: relative to the session's folder if they have a common parent.

    Session and files can then be moved together. The path is absolute if they have only the root in
    common, or are on different disks.
    """
    path, base = Path(path).absolute(), Path(session).absolute().parent
    try:
        shared = Path(os.path.commonpath([path, base]))
    except ValueError:  # other disks
        return path.as_posix()
    if shared == Path(shared.anchor):
        return path.as_posix()
    return Path(os.path.relpath(path, base)).as_posix()


def whole_path(stored: str, session: str | PathLike[str]) -> Path:
    """The current path of a file named in a session."""
    return Path(os.path.normpath(Path(session).absolute().parent / stored))


def write_session(session: SavedSession, path: str | PathLike[str]) -> None:
    """Write a session atomically.

    Raises
    ------
    ResultsError
        The name has another suffix, the shapes are too large for a session, or the file cannot be
        written.
    """
    if not str(path).endswith(SESSION_SUFFIX):
        raise ResultsError(f"{path}: a session is named *{SESSION_SUFFIX}. Add this suffix.")
    text = _FIRST_LINE + tomli_w.dumps(session.to_dict()) + _LAST_LINE
    if len(text.encode()) > _MOST_BYTES:
        raise ResultsError(
            f"{path}: the shapes that were drawn have too many corners for a session file. Save "
            "the layers of shapes as files of their own and remove them."
        )
    with atomic_path(path) as part:
        part.write_text(text, encoding="utf-8")


def read_session(path: str | PathLike[str]) -> SavedSession:
    """Read a session file; nothing that it names is opened.

    Raises
    ------
    ResultsError
        It is not a session, is damaged or too large for one, or was saved by a newer version.
    """
    try:
        values = tomllib.loads(_text(Path(path)))
    except (OSError, ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else error
        raise ResultsError(
            f"{path}: not a readable session ({reason}). Save the session again, or open the "
            "results folder's run.toml instead."
        ) from error
    version = values.get("version")
    if isinstance(version, int) and version > _VERSION:
        raise ResultsError(
            f"{path}: was saved by a newer napari-ulm3d. Install that version to restore it."
        )
    try:
        return SavedSession.from_dict(values)
    except ConfigError as error:
        said = str(error)
        raise ResultsError(
            f"{path}: not a session ({said if len(said) < 300 else said[:300] + '…'}). Save the "
            "session again."
        ) from error


def _text(path: Path) -> str:
    """The text of a file no larger than a session; never waits for a pipe or device."""
    facts = path.stat()
    if not stat.S_ISREG(facts.st_mode):
        raise ValueError("not a file")
    if facts.st_size > _MOST_BYTES:
        raise ValueError(f"{facts.st_size:,} bytes, more than a session has")
    text = path.read_text(encoding="utf-8")
    if not text.startswith(_FIRST_LINE):
        raise ValueError("its first line is not that of a session")
    if not text.endswith(_LAST_LINE):
        raise ValueError("it is incomplete")
    return text


def is_session(path: str | PathLike[Any]) -> bool:
    """Whether a path has the name of a session."""
    return str(path).lower().endswith(SESSION_SUFFIX)
