"""Writing results: one file in the format of the target's suffix.

Every writer writes to a temporary file beside the target first, so that a file appears
complete or not at all. Existing files are replaced; asking first is up to the caller.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import pandas as pd

from napari_ulm3d.errors import ConfigError
from napari_ulm3d.io.formats.tables.files import ParquetStream, read_table
from napari_ulm3d.io.map_files import read_map
from napari_ulm3d.system.atomic import atomic_path
from napari_ulm3d.tables import Localizations, Tracks
from napari_ulm3d.volumes import VesselMap

__all__ = ["ParquetStream", "Writable", "read_map", "read_table", "suffixes_for", "write"]


class WritesItself(Protocol):
    """An object that handles its own formats, such as a vessel graph."""

    def write(self, path: str | PathLike[str]) -> None:
        """Write to a file in the format of its suffix."""


Writable: TypeAlias = Localizations | Tracks | VesselMap | pd.DataFrame | WritesItself


@dataclass(frozen=True)
class _Format:
    """Suffixes, types that can be written, and the function, given by name for lazy import."""

    suffixes: tuple[str, ...]
    kinds: tuple[type, ...]
    module: str
    function: str

    def load(self) -> Callable[..., None]:
        function: Callable[..., None] = getattr(
            import_module(f"napari_ulm3d.io.formats.{self.module}"), self.function
        )
        return function


_TABLES = (Localizations, Tracks, pd.DataFrame)
_FORMATS = (
    _Format((".parquet",), _TABLES, "tables.files", "write_parquet"),
    _Format((".csv",), _TABLES, "tables.files", "write_csv"),
    _Format((".vtp",), (Tracks,), "vtk.tracks", "write_vtp"),
    _Format(
        (".ome.tif", ".ome.tiff", ".tif", ".tiff"),
        (VesselMap,),
        "tiff.ome_writer",
        "write_ome_tiff",
    ),
    _Format((".nii", ".nii.gz"), (VesselMap,), "nifti.writer", "write_nifti"),
    _Format((".vti",), (VesselMap,), "vtk.volume", "write_vti"),
    _Format((".zarr",), (VesselMap,), "zarr.ome_writer", "write_ome_zarr"),
    _Format((".mat",), (Localizations, Tracks, VesselMap), "matlab.writer", "write_mat"),
    _Format((".npy",), (VesselMap,), "numpy.writer", "write_npy"),
    _Format((".png",), (VesselMap,), "png.writer", "write_png"),
)


def suffixes_for(kind: type) -> tuple[str, ...]:
    """Suffixes with which an object of this type can be written."""
    return tuple(s for f in _FORMATS if issubclass(kind, f.kinds) for s in f.suffixes)


def write(obj: Writable, path: str | PathLike[str], **options: Any) -> None:
    """Write a table or a map in the format of the path's suffix.

    Parameters
    ----------
    obj
        Localizations or tracks, a vessel map, a plain table (a saturation curve), or a vessel
        graph.
    path
        Target file, or folder for ``.zarr``; replaced if it exists.
    **options
        Passed to the writer of the format, e.g. ``axis=0`` for ``.png``.

    Raises
    ------
    ConfigError
        No writer has this suffix, or none supports this kind of object.
    ResultsError
        The target cannot be written.
    """
    if callable(itself := getattr(obj, "write", None)):
        itself(path, **options)
        return
    name = fspath(path).lower()
    fitting = [f for f in _FORMATS if name.endswith(f.suffixes)]
    for form in fitting:
        if isinstance(obj, form.kinds):
            with atomic_path(path) as temporary:
                form.load()(obj, temporary, **options)
            return
    kind = "table" if isinstance(obj, pd.DataFrame) else type(obj).__name__
    suffix = "".join(Path(name).suffixes[-2:]) or "(none)"
    problem = f"{suffix} is not a format for a {kind}" if fitting else f"unknown suffix {suffix}"
    raise ConfigError(f"{fspath(path)}: {problem}. Use one of {' '.join(suffixes_for(type(obj)))}.")
