"""Format of a CSV file, found from its first lines: encoding, separator, header, decimal sign."""

from __future__ import annotations

import codecs
import csv
import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["COMMENT", "CsvLayout", "first_lines", "layout_of"]

_HEAD_BYTES = 1 << 16
_MOST_NAME_ROWS = 3
_MOST_TITLES = 64
_SEPARATORS = ",;\t|"
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
#: Signs that begin a comment in the files of NumPy, MATLAB and others.
COMMENT = ("#", "%", "//")


@dataclass(frozen=True)
class CsvLayout:
    """Format of a CSV file.

    Attributes
    ----------
    skip
        Lines before the header, or before the first row if the header is a comment.
    name_rows
        Rows of names and units below the header.
    header
        Cells of the header.
    commented
        The header is the comment above the first row, as NumPy's savetxt writes it.
    """

    encoding: str
    separator: str
    decimal: str
    skip: int
    name_rows: tuple[tuple[str, ...], ...]
    header: tuple[str, ...]
    commented: bool = False

    @property
    def first_row(self) -> int:
        """Number of lines above the first row of values."""
        return self.skip + (not self.commented) + len(self.name_rows)


def first_lines(path: Path, layout: CsvLayout, n: int) -> list[list[str]]:
    """The cells of the first rows of values, as they are written; the rest is not read."""
    with path.open("rb") as file:
        lines = file.read(_HEAD_BYTES).decode(layout.encoding, "replace").splitlines()
    start = layout.first_row
    return [_cells(line, layout.separator) for line in lines[start : start + n]]


def layout_of(path: Path) -> CsvLayout:
    """Find the format of a CSV file."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
        complete = not file.read(1)
    encoding = _encoding(head)
    text = head.decode(encoding, "replace")
    lines = text.splitlines()
    if not complete and len(lines) > 1:
        lines = lines[:-1]  # the last line may be truncated
    skip, comment = 0, ""
    while skip < len(lines) and (not lines[skip].strip(" ,;\t") or _is_comment(lines[skip])):
        comment = lines[skip] if lines[skip].strip() else comment
        skip += 1
    separator = ""
    if skip < len(lines) and re.match(r"^sep=.$", lines[skip].strip(), re.IGNORECASE):
        separator, skip = lines[skip].strip()[-1], skip + 1  # Excel's "sep=" line
    titles, separator = _titles(lines[skip : skip + _MOST_TITLES], separator)
    skip += titles
    lines = lines[skip:]
    rows = [tuple(_cells(line, separator)) for line in lines]
    header = rows[0] if rows else ()
    if header and all(map(_is_number, filter(None, header))):
        above = tuple(_cells(comment.lstrip(" #%/"), separator))
        if comment and len(above) == len(header) and not any(map(_is_number, above)):
            decimal = _decimal(lines, separator)
            return CsvLayout(encoding, separator, decimal, skip, (), above, commented=True)
    names = [row for row in rows[1 : 1 + _MOST_NAME_ROWS + 1] if not any(map(_is_number, row))]
    below = tuple(names) if 0 < len(names) <= _MOST_NAME_ROWS and len(rows) > len(names) + 1 else ()
    if any(len(row) != len(header) for row in below):
        below = ()
    decimal = _decimal(lines[1 + len(below) :], separator)
    return CsvLayout(encoding, separator, decimal, skip, below, header)


def _is_comment(line: str) -> bool:
    return line.lstrip("\ufeff ").startswith(COMMENT)


def _titles(lines: list[str], separator: str) -> tuple[int, str]:
    """Number of lines of free text above the header, and the separator.

    A header below such lines is known by the rows under it, which have as many cells.
    """
    first = lines[0] if lines else ""
    usual = separator or _separator(first)
    for i in range(len(lines) - 1):
        found = separator or _separator(lines[i])
        cells = _cells(lines[i], found)
        below = [_cells(line, found) for line in lines[i + 1 : i + 4] if line.strip()]
        if len(cells) < 2 or not below or any(map(_is_number, cells)):
            continue
        if all(len(row) == len(cells) for row in below):
            return i, found
    return 0, usual


def _separator(line: str) -> str:
    """The most frequent separator; a single space if there is no other."""
    best = max(_SEPARATORS, key=line.count)
    return best if best in line or not re.fullmatch(r"\S+( \S+){2,}", line.strip()) else " "


def _encoding(head: bytes) -> str:
    for mark, name in _BOMS:
        if head.startswith(mark):
            return name
    if len(head) > 1:  # UTF-16 without a mark: every other byte of Latin text is zero
        for start, name in ((1, "utf-16-le"), (0, "utf-16-be")):
            half = head[start::2]
            if half.count(0) > 0.4 * len(half) and head[1 - start :: 2].count(0) == 0:
                return name
    try:
        # The last character may be truncated.
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return "cp1252" if not set(head) & {0x81, 0x8D, 0x8F, 0x90, 0x9D} else "latin-1"
    return "utf-8"


def _cells(line: str, separator: str) -> list[str]:
    """Cells of a line; a separator inside quotes belongs to its cell."""
    if '"' not in line:
        return [cell.strip() for cell in line.split(separator)]
    row = next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])
    return [cell.strip() for cell in row]


def _is_number(cell: str) -> bool:
    return bool(re.match(r"^[+\-\u2212]?(\d|[.,]\d|nan\b|inf)", cell, re.IGNORECASE))


def _decimal(lines: list[str], separator: str) -> str:
    commas = points = 0
    for line in lines[:200]:
        for cell in _cells(line, separator):
            # Between separating commas, only a quoted cell has one, and "1,234" counts thousands.
            if separator == "," and re.fullmatch(r"[+-]?\d{1,3}(?:,\d{3})+", cell):
                continue
            commas += bool(
                re.fullmatch(r"[+-]?(?:\d{1,3}(?:\.\d{3})+|\d*),\d+([eE][+-]?\d+)?", cell)
            )
            points += bool(
                re.fullmatch(r"[+-]?(?:\d{1,3}(?:,\d{3})+|\d*)\.\d+([eE][+-]?\d+)?", cell)
            )
    return "," if commas > points else "."
