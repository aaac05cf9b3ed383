"""Read and write tables as Parquet and CSV."""

from __future__ import annotations

from contextlib import ExitStack
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Self, TypeVar

import pandas as pd

from napari_ulm3d.errors import InputError, ResultsError
from napari_ulm3d.io.formats.matlab.map_reader import read_mat_table
from napari_ulm3d.io.formats.tables.completed import completed
from napari_ulm3d.io.formats.tables.order import of_tracks_only
from napari_ulm3d.io.formats.tables.spreadsheet import read_csv
from napari_ulm3d.io.formats.vtk.appended import read_vtp
from napari_ulm3d.io.stored.content import readable
from napari_ulm3d.system.atomic import atomic_path
from napari_ulm3d.tables import Localizations, Tracks

__all__ = ["ParquetStream", "read_table", "unit_of", "write_csv", "write_parquet"]

_ROWS_A_GROUP = 20_000

Table = TypeVar("Table", Localizations, Tracks)

# The longest matching suffix wins: `speed_mm_s` is in mm/s, not s.
_UNITS = {"_mm_s": "mm/s", "_um": "um", "_s": "s", "_db": "dB", "_hz": "Hz"}


def unit_of(column: str) -> str:
    """Unit of a column, from the suffix of its name; empty if it has none."""
    return next((unit for ending, unit in _UNITS.items() if column.endswith(ending)), "")


def write_parquet(obj: Localizations | Tracks | pd.DataFrame, path: Path) -> None:
    """Write Zstandard-compressed Parquet; each column's metadata has its unit (``unit``)."""
    import pyarrow.parquet as pq

    pq.write_table(_arrow(obj), path, compression="zstd")


def write_csv(obj: Localizations | Tracks | pd.DataFrame, path: Path) -> None:
    """Write CSV with a header line; numbers are written so that they read back exactly."""
    _frame(obj).to_csv(path, index=False)


def read_table(path: str | PathLike[str], cls: type[Table]) -> Table:
    """Read localizations or tracks from ``.parquet``, ``.csv`` or ``.tsv``, rows in any order.

    CSV files may have semicolons or tabs, decimal commas, and headers with units (``x (mm)``).
    Without a column `frame`, frame numbers are derived from `time_s`. Without velocities, those of
    tracks are derived from positions and times (`with_velocities`). The result is sorted by track
    and frame, or, for localizations, by frame.

    Parameters
    ----------
    path
        The file.
    cls
        `Localizations` or `Tracks`.

    Raises
    ------
    ResultsError
        The file is missing, unreadable, has an unknown suffix, lacks columns, or lists a track
        twice in one frame.
    """
    name = fspath(path)
    if not Path(name).is_file():
        raise ResultsError(f"{name}: there is no such table. Check the path.")
    try:
        with readable(name, "a table"):
            if name.lower().endswith(".parquet"):
                frame = pd.read_parquet(name, engine="pyarrow")
                # Columns that a person has made the index in pandas.
                indexed = [n for n in frame.index.names if n and n not in frame.columns]
                frame = frame.reset_index(level=indexed) if indexed else frame
            elif name.lower().endswith((".csv", ".tsv", ".txt")):
                frame = read_csv(name)
                frame = of_tracks_only(frame, name) if cls is Tracks else frame
            elif name.lower().endswith(".vtp") and cls is Tracks:
                return cls(read_vtp(Path(name)).table)
            elif name.lower().endswith(".mat"):
                frame = read_mat_table(Path(name)).table
            else:
                raise ResultsError(f"{name}: {_unreadable(name)}")
            return completed(frame, name, cls)
    except ResultsError as error:
        raise error if str(error).startswith(name) else ResultsError(f"{name}: {error}") from error
    except InputError as error:
        raise ResultsError(f"{name}: {error.problem}. Create it again from its run.") from error


def _unreadable(name: str) -> str:
    if name.lower().endswith((".xlsx", ".xls", ".ods", ".numbers")):
        return "is a workbook. In the spreadsheet program, save the sheet as .csv, and give that."
    if name.lower().endswith((".gz", ".zip", ".bz2", ".xz")):
        return "is compressed. Unpack it first."
    return "unknown suffix for a table. Give a .parquet, .csv, .tsv, .txt, .vtp or .mat file."


class ParquetStream:
    """A Parquet file written in parts, which appears complete when the `with` block succeeds.

    Parameters
    ----------
    path
        Target; replaced if it exists.
    cls
        `Localizations` or `Tracks`; determines the columns of an empty file.

    Examples
    --------
    >>> with ParquetStream("tracks.parquet", Tracks) as stream:  # doctest: +SKIP
    ...     stream.append(tracks)
    """

    def __init__(self, path: str | PathLike[str], cls: type[Localizations] | type[Tracks]) -> None:
        self._path, self._cls = path, cls
        self._columns: list[str] = []
        self._waiting: list[Any] = []
        self._writer: Any = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._temporary = self._stack.enter_context(atomic_path(self._path))
        self._stack.push(self._finish)  # runs first, so that atomic_path sees its errors
        return self

    def __exit__(self, *error: Any) -> bool | None:
        return self._stack.__exit__(*error)

    def append(self, part: Localizations | Tracks) -> None:
        """Append rows; a part without rows may lack optional columns.

        Raises
        ------
        ResultsError
            The columns of the part differ from those of the first one.
        """
        if not len(part):
            return
        columns = [str(name) for name in part.table.columns]
        self._columns = self._columns or columns
        if set(columns) != set(self._columns):
            raise ResultsError(
                f"{fspath(self._path)}: rows with the columns {', '.join(columns)} do not match "
                f"those written before ({', '.join(self._columns)}). Write them to a separate "
                "file."
            )
        self._waiting.append(_arrow(type(part)(part.table[self._columns])))
        if sum(table.num_rows for table in self._waiting) >= _ROWS_A_GROUP:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.concat_tables(self._waiting)
        self._waiting = []
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._temporary, table.schema, compression="zstd")
        self._writer.write_table(table)
        del table
        pa.default_memory_pool().release_unused()

    def _finish(self, kind: type[BaseException] | None, *_: Any) -> None:
        try:
            if kind is None:
                if self._writer is None and not self._waiting:
                    self._waiting.append(_arrow(self._cls.empty()))
                if self._waiting:
                    self._flush()
        finally:
            if self._writer is not None:
                self._writer.close()


def _arrow(obj: Localizations | Tracks | pd.DataFrame) -> Any:
    """Convert to an Arrow table with a unit for each column."""
    import pyarrow as pa

    arrow = pa.Table.from_pandas(_frame(obj), preserve_index=False)
    fields = [
        field.with_metadata({"unit": unit_of(field.name)}) if unit_of(field.name) else field
        for field in arrow.schema
    ]
    metadata = dict(arrow.schema.metadata or {})
    if not isinstance(obj, pd.DataFrame):
        metadata[b"napari_ulm3d"] = type(obj).__name__.lower().encode()
    return arrow.cast(pa.schema(fields, metadata=metadata))


def _frame(obj: Localizations | Tracks | pd.DataFrame) -> pd.DataFrame:
    return obj if isinstance(obj, pd.DataFrame) else obj.table
