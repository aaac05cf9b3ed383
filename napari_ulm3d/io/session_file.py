"""A saved session of the viewer: what was open, how it looked, and which settings were tried.

One small TOML file, in a results folder or beside the data. It names files and holds numbers and
words, never code or arrays, so that one from somebody else can be looked at in an editor first.
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
    """A shape that was drawn: napari's word for its kind, and its corners z, y, x in um."""

    kind: Word
    corners_um: tuple[Point, ...] = Field(min_length=2, max_length=20_000)


class SavedLayer(StageConfig):
    """A layer and its looks; None: as the layer comes.

    Attributes
    ----------
    role
        Which of the plugin's layers it is; empty for somebody else's.
    file
        Of somebody else's: the file to open it from, as `stored_path` says.
    shapes
        Of a layer that was drawn by hand.
    colour_by, colour_range, last_frames
        Of tracks: quantity, range of its colours, and how many frames are drawn (0: all).
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
    """Where the viewer looks: axes on the sliders, camera, and the canvas that its zoom is of."""

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
    """Which map is made, and of which tracks.

    Attributes
    ----------
    speed_mm_s, time_s, box_um
        Least and largest, infinite where there is no limit; the box along z, y, x.
    region
        Name of the layer whose shapes tracks must cross; empty: everywhere.
    slab_um
        Thickness of the region; None: all through.
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
    """All that is kept of a session.

    Attributes
    ----------
    results
        Results folder, as `stored_path` says; empty without one.
    acquisition
        Files or folder of the frames; empty where they were not open.
    config
        Settings of all stages, of reading files too.
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
    """A path as a session file names it: relative to its folder where both share a folder.

    Folder and files can then be moved together. Nothing in common but the root of a disk, or
    another disk: absolute.
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
    """The path that a session file names, as of now."""
    return Path(os.path.normpath(Path(session).absolute().parent / stored))


def write_session(session: SavedSession, path: str | PathLike[str]) -> None:
    """Write a session, whole or not at all.

    Raises
    ------
    ResultsError
        The name has another suffix, what was drawn is too much for such a file, or it cannot be
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
        It is no session, is damaged or larger than sessions are, or was saved by a newer version.
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
    """The text of a file of a session's size; a pipe or a device is not waited for."""
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
    """Whether a path is named as a session is."""
    return str(path).lower().endswith(SESSION_SUFFIX)
