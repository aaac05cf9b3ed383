"""Files dropped on the viewer: acquisitions, tables, vessel maps, results folders, sessions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np

from napari_ulm3d.errors import MissingMetadataError, ResultsError, UlmError
from napari_ulm3d.io.session_file import SESSION_NAME, is_session
from napari_ulm3d.io.stored.content import Variable
from napari_ulm3d.plugin.layers.convert import (
    LayerData,
    acquisition_layer,
    localizations_layer,
    map_layer,
    rate_of,
    tracks_layer,
)
from napari_ulm3d.plugin.layers.place import ROLE
from napari_ulm3d.tables import Localizations, Tracks

__all__ = ["get_reader", "read"]

AnyPath = str | PathLike[str]
Paths = AnyPath | Sequence[AnyPath]

# What napari accepts as "read, but nothing to show".
_NOTHING: list[Any] = [(None,)]
_TABLES = (".parquet", ".csv")
_MAPS = (".tif", ".tiff", ".zarr", ".nii", ".nii.gz", ".vti", ".mat", ".npy")
# Of vessels; those of tracks end in .vtp, too.
_VESSELS = (".vtp", ".graphml", ".swc")
_VESSEL_TABLE = {"vessel_id", "node_a", "node_b", "length_um"}
_BUBBLE_UM = 100.0


def get_reader(path: Paths) -> Callable[[Paths], list[LayerData]] | None:
    """The function that reads these paths, or None if they are not ours."""
    from napari_ulm3d.io.formats.registry import reader_for
    from napari_ulm3d.io.open.files import find_files

    paths = _listed(path)
    first = Path(fspath(paths[0]))
    if (first / "run.toml").is_file() or is_session(first):
        return read
    if first.name.lower().endswith((".vti", *_VESSELS)):
        return read
    if first.name.lower().endswith(_TABLES):
        columns = _columns(first)
        ours = "x_um" in columns and columns & {"frame", "time_s"}
        return read if ours or columns >= _VESSEL_TABLE or _can_be_explained(first) else None
    try:
        file = find_files(paths)[0]
        if not _may_be_movie(reader_for(file).list(file)):
            return read if _map(paths) or _matlab_table(paths) else None
    except UlmError:
        # A damaged file with a name like ours is reported on reading; others are not ours.
        return read if _ours_by_name(first) or _map(paths) else None
    return read


def read(paths: Paths) -> list[LayerData]:
    """Read paths into layers; problems are reported in the viewer, not raised.

    Several paths are consecutive files of one acquisition, and so are files of one folder
    that were dropped or chosen together, although napari passes them one by one.
    """
    paths = _listed(paths)
    first = Path(fspath(paths[0]))
    try:
        if is_session(first):
            return _session_file(first)
        if (first / "run.toml").is_file():
            return _results(first)
        if first.name.lower().endswith(_VESSELS):
            return _lines(first)
        if first.name.lower().endswith(_TABLES):
            if _columns(first) >= _VESSEL_TABLE:
                raise ResultsError(
                    f"{first}: lists vessels without their courses, for a spreadsheet. Open the "
                    "same vessels exported as .graphml, .vtp or .swc."
                )
            if not {"x_um", "z_um", "time_s"} <= _columns(first) and _can_be_explained(first):
                return _ask_about_columns(first)
            return _table(first)
        if (found := _map(paths) or _matlab_table(paths)) is not None:
            return found
        paths = _with_its_series(paths)
        return _acquisition(paths) if paths else _NOTHING
    except MissingMetadataError as error:
        return _ask_for_metadata(paths, error)
    except UlmError as error:
        return _tell(error)


def _listed(paths: Paths) -> list[AnyPath]:
    return [paths] if isinstance(paths, str | PathLike) else list(paths)


def _columns(path: Path) -> set[str]:
    """The column names of a table; empty if it cannot be read as one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from napari_ulm3d.io.formats.tables.spreadsheet import header_of

    try:
        if path.name.lower().endswith(".parquet"):
            return set(pq.read_schema(path).names)
        return set(header_of(path))
    except (OSError, ValueError, pa.ArrowInvalid):
        return set()


def _can_be_explained(path: Path) -> bool:
    """Whether the columns of a CSV file could be assigned to x, z and the frame.

    Only for files named like ours, or with some column names that we know.
    """
    from napari_ulm3d.io.formats.tables.spreadsheet import guess_role, raw_header

    name = path.name.lower()
    if not name.endswith(".csv") or len(_columns(path)) < 3:
        return False
    named_as_ours = "tracks" in name or "localizations" in name
    return named_as_ours or len({*map(guess_role, raw_header(path))} - {None}) > 1


def _ask_about_columns(path: Path) -> list[Any]:
    """Ask for the meaning of the columns; the layer is added after the answer."""
    import napari

    viewer = napari.current_viewer()
    if viewer is None:
        return _table(path)  # raises an error that says what is missing
    from napari_ulm3d.plugin.panels.columns import ask_about_columns

    ask_about_columns(viewer, path)
    return _NOTHING


def _may_be_movie(variables: Sequence[Variable]) -> bool:
    """Whether an array has frames of at least one line each, unlike a photograph or a table."""

    def frames(variable: Variable) -> bool:
        colour = variable.shape[-1:] in ((3,), (4,)) and variable.dtype == np.uint8
        lengths = variable.shape[:-1] if colour else variable.shape
        return sum(length > 1 for length in lengths) >= 3

    return not variables or any(map(frames, variables))


def _ours_by_name(path: Path) -> bool:
    return path.name.lower().endswith((".mat", ".uff", ".h5", ".hdf5"))


def _map(paths: list[AnyPath]) -> list[LayerData] | None:
    """One of our vessel maps; None if it is something else."""
    from napari_ulm3d.io.writers import read_map

    if len(paths) == 1 and fspath(paths[0]).lower().endswith(_MAPS):
        try:
            return [map_layer(read_map(paths[0]))]
        except ResultsError:  # then it is an acquisition
            pass
    return None


def _matlab_table(paths: list[AnyPath]) -> list[LayerData] | None:
    """Our tracks or localizations in a MATLAB file; None if it is something else."""
    if len(paths) == 1 and fspath(paths[0]).lower().endswith(".mat"):
        try:
            return _table(Path(fspath(paths[0])))
        except ResultsError:
            pass
    return None


def _with_its_series(paths: list[AnyPath]) -> list[AnyPath]:
    """A file with those dropped together with it; empty if an earlier one included it."""
    from napari_ulm3d.io.stored.choosing import natural_key
    from napari_ulm3d.plugin.napari_private import files_being_opened

    if len(paths) > 1 or not (own := Path(fspath(paths[0]))).is_file():
        return paths

    def belongs(path: Path) -> bool:
        alike = path.parent == own.parent and path.suffix.lower() == own.suffix.lower()
        return alike and path.is_file() and _map([path]) is None

    series = [path for path in map(Path, files_being_opened()) if path == own or belongs(path)]
    if len(series) < 2:
        return paths
    if own != series[0]:
        return []
    return [*sorted({str(path) for path in series}, key=natural_key)]


def _acquisition(paths: list[AnyPath]) -> list[LayerData]:
    from napari_ulm3d.io import open_acquisition

    acquisition = open_acquisition(paths)
    session = _session()
    if session is not None:
        session.expect(acquisition, [fspath(path) for path in paths])
    return [acquisition_layer(acquisition)]


def _session() -> Any:
    """The session of the current viewer; None without a viewer."""
    import napari

    viewer = napari.current_viewer()
    if viewer is None:
        return None
    from napari_ulm3d.plugin.session import session_of

    return session_of(viewer)


def _table(path: Path) -> list[LayerData]:
    from napari_ulm3d.io.writers import read_table

    _session()  # gives the layer its colour bar
    try:
        return [tracks_layer(read_table(path, Tracks))]
    except ResultsError:
        found = read_table(path, Localizations)
        return [localizations_layer(found, rate_of(found.table), _BUBBLE_UM)]


def _lines(path: Path) -> list[LayerData]:
    """Tracks as polylines, or vessels."""
    from napari_ulm3d.vasculature import read_graph

    if path.name.lower().endswith(".vtp"):
        try:
            return _table(path)
        except ResultsError as error:
            try:
                graph = read_graph(path)
            except ResultsError:
                raise error from None
    else:
        graph = read_graph(path)
    from napari_ulm3d.plugin.layers.vessel_lines import vessels_layer

    _session()  # gives the layer its colour bar
    return [vessels_layer(graph)]


def _session_file(path: Path) -> list[Any]:
    """Restore a session, whose layers are added one by one."""
    session = _session()
    if session is None:
        raise ResultsError(f"{path}: this is a session of the viewer. Open it in napari.")
    from napari_ulm3d.plugin.saved_session.restore import restore_session

    restore_session(session, path)
    return _NOTHING


def _results(folder: Path) -> list[LayerData]:
    """Map and tracks of a run; in a viewer, reopen the run itself or its session."""
    if (folder / SESSION_NAME).is_file() and _session() is not None:
        return _session_file(folder / SESSION_NAME)
    from napari_ulm3d.plugin.jobs.run_series import outcome_of
    from napari_ulm3d.plugin.state.saved_results import result_of_folder

    result = result_of_folder(folder)
    made = {layer.metadata[ROLE]: layer for layer in outcome_of(result).layers}
    more = tuple(made.pop(role) for role in ("localizations",) if role in made)
    session = _session()
    if session is not None:
        session.expect_result(result, more)
    return [layer.as_layer_data_tuple() for layer in made.values()] or _NOTHING


def _ask_for_metadata(paths: list[AnyPath], error: MissingMetadataError) -> list[Any]:
    """Open the Load widget on the files, and mark the fields that must be filled in."""
    import napari

    viewer = napari.current_viewer()
    if viewer is None:
        raise error
    from napari_ulm3d.plugin.panels.show import show_load

    show_load(viewer, [fspath(path) for path in paths])
    return _NOTHING


def _tell(error: UlmError) -> list[Any]:
    import napari

    from napari_ulm3d.plugin.notices import show_error

    if napari.current_viewer() is None:
        raise error
    show_error(str(error))
    return _NOTHING
