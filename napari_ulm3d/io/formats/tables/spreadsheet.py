"""CSV files from spreadsheets and other programs, read with our column names and units.

Supports semicolons or tabs instead of commas, decimal commas, byte-order marks and other
encodings, lines before the header, headers such as ``X (mm)`` or ``Track ID``, and TrackMate's
three rows of names and units below its header.
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from napari_ulm3d.errors import ResultsError
from napari_ulm3d.io.facts.units import to_seconds, to_um
from napari_ulm3d.io.formats.tables.csv_layout import COMMENT, CsvLayout, first_lines, layout_of

__all__ = ["first_rows", "guess_role", "header_of", "raw_header", "read_csv", "read_raw"]

#: Names of our columns in other programs; compared without case, spaces and underscores.
_ALIASES = {
    "track_id": ("trackid", "track", "particle", "trajectory", "trajectoryid"),
    "frame": ("frame", "frames", "framenumber", "frameno"),
    "time_s": ("time", "t", "positiont"),
    "score": ("score", "quality"),
    "snr_db": ("snr",),
    "z_um": ("z", "positionz", "depth"),
    "y_um": ("y", "positiony"),
    "x_um": ("x", "positionx"),
    "vz_mm_s": ("vz", "velocityz"),
    "vy_mm_s": ("vy", "velocityy"),
    "vx_mm_s": ("vx", "velocityx"),
    "speed_mm_s": ("speed",),
}
#: Header cells with a unit: ``x (mm)``, ``x [mm]``, ``x / mm``, ``x_mm``.
_WITH_UNIT = re.compile(
    r"^(.*?)\s*(?:[\(\[](.+)[\)\]]|/\s*(\S+)|[_ ]([a-zA-Z\u00b5\u03bc]+(?:[_/]s)?))$"
)


def header_of(path: str | Path) -> list[str]:
    """Column names of a CSV file, translated to ours if known."""
    layout = layout_of(Path(path))
    return [name for name, _ in _named(layout)]


def read_csv(path: str | Path) -> pd.DataFrame:
    """Read a CSV file; numbers are read exactly, known columns are converted to our units.

    Raises
    ------
    ResultsError
        The header has repeated columns.
    """
    layout = layout_of(Path(path))
    table = _read(path, layout)
    named = _named(layout)
    names = [name for name, _ in named]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ResultsError(f"{path}: has the column {', '.join(repeated)} twice. Keep one of them.")
    if len(names) == len(table.columns):
        table.columns = pd.Index(names)
        table = _without_blank_rows(table)
        for name in {*names} & {*_ALIASES}:
            if table[name].dtype.kind not in "iufb":
                table[name] = _without_grouping(table[name], layout.decimal)
        for name, factor in named:
            if factor != 1 and table[name].dtype.kind in "iuf":
                table[name] = table[name] * factor
    return table


def raw_header(path: str | Path) -> list[str]:
    """Column names of a CSV file as they are written; a repeated name gets a number."""
    return _told_apart(layout_of(Path(path)).header)


def first_rows(path: str | Path, n: int) -> list[list[str]]:
    """The cells of the first rows below the header, as they are written; the rest is not read."""
    layout = layout_of(Path(path))
    return first_lines(Path(path), layout, n)


def read_raw(path: str | Path) -> pd.DataFrame:
    """Read a CSV file with the names of `raw_header`, in its own units; cells as `read_csv`."""
    layout = layout_of(Path(path))
    table = _read(path, layout)
    names = _told_apart(layout.header)
    if len(names) == len(table.columns):
        table.columns = pd.Index(names)
    table = _without_blank_rows(table)
    for name in table.columns:
        if table[name].dtype.kind not in "iufb":
            table[name] = _without_grouping(table[name], layout.decimal)
    return table


def _told_apart(header: tuple[str, ...]) -> list[str]:
    names: list[str] = []
    for cell in header:
        cell, number = cell.lstrip("\ufeff"), 2
        name = cell
        while name in names:
            name, number = f"{cell} ({number})", number + 1
        names.append(name)
    return names


def guess_role(cell: str) -> str | None:
    """Our name for a header cell, regardless of its unit; None if unknown."""
    split = _WITH_UNIT.match(cell)
    return _column(cell) or (_column(split[1]) if split else None)


def _read(path: str | Path, layout: CsvLayout) -> pd.DataFrame:
    from pyarrow import csv

    if layout.header and all(_is_value(cell) for cell in layout.header if cell):
        raise ResultsError(
            f"{path}: has no line of column names above its numbers. Add one, such as "
            "track_id,frame,time_s,z_um,y_um,x_um."
        )
    uneven: list[tuple[int, int]] = []

    def skipped(row: csv.InvalidRow) -> str:
        if row.text.lstrip().startswith(COMMENT):
            return "skip"
        uneven.append((row.actual_columns, row.expected_columns))
        return "error"

    try:
        return csv.read_csv(
            path,
            read_options=csv.ReadOptions(
                encoding=layout.encoding,
                skip_rows=layout.skip,
                skip_rows_after_names=len(layout.name_rows),
                column_names=_told_apart(layout.header) if layout.commented else None,
            ),
            parse_options=csv.ParseOptions(delimiter=layout.separator, invalid_row_handler=skipped),
            convert_options=csv.ConvertOptions(decimal_point=layout.decimal),
        ).to_pandas()
    except ValueError as error:
        if not uneven:
            raise
        has, needs = uneven[0]
        raise ResultsError(
            f"{path}: has a row of {has} cells below a header of {needs}. Put cells that contain "
            f"the separator '{layout.separator}' into quotes, and complete a row that was cut off."
        ) from error


def _is_value(cell: str) -> bool:
    try:
        float(cell.replace(",", "."))
    except ValueError:
        return False
    return True


def _without_blank_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Drop rows that contain only separators, which spreadsheets write for cleared rows."""
    blank = (table.isna() | (table == "")).all(axis=1)
    return table[~blank].reset_index(drop=True) if blank.any() else table


def _without_grouping(column: pd.Series, decimal: str) -> pd.Series:
    """Convert texts such as 1.234,5 or 1,234.5 to numbers; unchanged if that fails for some."""
    group = "," if decimal == "." else "."
    texts = column.dropna().astype(str).str.strip().str.replace("\u2212", "-")
    spaces = texts.str.replace(r"(?<=\d)[\s'\u2019](?=\d{3})", "", regex=True)
    whole = rf"[+-]?(?:\d{{1,3}}(?:{re.escape(group)}\d{{3}})+|\d+)"
    number = rf"(?:{whole})(?:{re.escape(decimal)}\d*)?(?:[eE][+-]?\d+)?"
    if not spaces.str.fullmatch(number).all():
        return column
    plain = spaces.str.replace(group, "", regex=False).str.replace(decimal, ".", regex=False)
    return plain.astype(float).reindex(column.index)


def _named(layout: CsvLayout) -> list[tuple[str, float]]:
    """Our name and the factor to our unit for each column; original name and 1 for others."""
    stripped = [cell.lstrip("\ufeff") for cell in layout.header]
    units = layout.name_rows[-1] if layout.name_rows else ("",) * len(stripped)
    ours = set(stripped) & set(_ALIASES)
    found = []
    for cell, unit in zip(stripped, units, strict=True):
        name, factor = _known(cell, unit.strip("()[] ")) or (cell, 1.0)
        if name != cell and name in ours:
            name, factor = cell, 1.0  # a column that already has our name takes precedence
        found.append((name, factor))
    # Two columns with the same meaning are ambiguous: both keep their original names.
    counts = {name: sum(name == other for other, _ in found) for name, _ in found}
    return [
        pair if counts[pair[0]] == 1 else (cell, 1.0)
        for pair, cell in zip(found, stripped, strict=True)
    ]


def _known(cell: str, unit: str) -> tuple[str, float] | None:
    """Our name for a header cell and the factor to our unit; None if the column is unknown."""
    if cell in _ALIASES:
        return cell, 1.0
    plain = cell
    split = _WITH_UNIT.match(cell)
    if split and not unit and _column(cell) is None:
        plain, unit = split[1], next(part for part in split.groups()[1:] if part)
    name = _column(plain)
    if name is None:
        return None
    if _key(plain) == name.replace("_", ""):
        return name, 1.0
    factor = _factor(name, unit)
    return None if factor is None else (name, factor)


def _column(cell: str) -> str | None:
    key = _key(cell)
    for name, others in _ALIASES.items():
        if key in others or key == name.replace("_", ""):
            return name
    return None


def _key(cell: str) -> str:
    return re.sub(r"[\s_\-]", "", cell).lower()


def _factor(name: str, unit: str) -> float | None:
    """Factor from the unit in a header to our unit; None if the unit does not fit."""
    if name in ("track_id", "frame", "score"):
        return 1.0
    if name == "snr_db":
        return 1.0 if unit.lower() == "db" else None
    if name == "time_s":
        return to_seconds(unit)
    if name.endswith("_um"):
        return to_um(unit)
    length, _, time = unit.replace("_", "/").replace("\u00b7s\u207b\u00b9", "/s").partition("/")
    um, seconds = to_um(length), to_seconds(time)
    return None if um is None or seconds is None else um / 1e3 / seconds
