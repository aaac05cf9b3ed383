"""Reader for network files of T. W. Secomb's programs (Network.dat)."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.errors import InputError
from napari_ulm3d.simulate.vasculature.boundary import BoundaryConditions
from napari_ulm3d.simulate.vasculature.network import VesselNetwork
from napari_ulm3d.simulate.vasculature.swc import read_lines
from napari_ulm3d.simulate.vasculature.tables import network_of

__all__ = ["read_secomb"]

_HEADER_LINES = 6


def read_secomb(path: str | PathLike[str]) -> tuple[VesselNetwork, BoundaryConditions]:
    """Read a ``Network.dat`` file: segments, flows, nodes and boundary conditions.

    The format of NetFlow, FlowEstimate and Greens (github.com/secomb): six header lines,
    the number of segments and a line of headings, one line per segment (name, type, from, to,
    diameter in um, flow in nl/min, hematocrit), the same for nodes (name, x, y, z in um) and
    for boundary nodes (node, type, pressure in mmHg or flow in nl/min into the network).
    Type 0 is a pressure; types 2 and 4 to 9 are flows (in- and outflow by vessel class, as
    written by FlowEstimate); other types impose no condition and are ignored.

    Raises
    ------
    InputError
        The file does not follow the format.
    """
    lines = read_lines(path)
    at = _HEADER_LINES
    segment, at = _table(path, lines, at, "segments", 6)
    node, at = _table(path, lines, at, "nodes", 4)
    known, at = _table(path, lines, at, "boundary nodes", 3)
    name = Path(path).name.removesuffix(".dat")
    network, ids = network_of(
        path,
        name=name,
        node_id=node[:, 0],
        position_um=node[:, [3, 2, 1]],
        ends=segment[:, 2:4],
        radius_um=segment[:, 4] / 2,
        flow_nl_min=segment[:, 5],
    )
    index = np.minimum(np.searchsorted(ids, known[:, 0]), max(len(ids) - 1, 0))
    if len(known) and (ids[index] != known[:, 0]).any():
        raise InputError(path, "has a boundary node that no segment touches", "Correct the file.")
    pressure = known[:, 1] == 0
    flow = np.isin(known[:, 1], (2, 4, 5, 6, 7, 8, 9))
    boundary = BoundaryConditions(
        index[pressure].astype(np.int64),
        known[pressure, 2],
        index[flow].astype(np.int64),
        known[flow, 2],
    )
    return network, boundary


def _table(
    path: str | PathLike[str], lines: list[str], at: int, what: str, columns: int
) -> tuple[NDArray[np.float64], int]:
    """Numbers (rows, columns) of a section that begins with its count, and where it ends."""
    while at < len(lines) and not lines[at].strip():
        at += 1
    words = lines[at].split() if at < len(lines) else []
    if not words or not words[0].isdecimal():
        raise InputError(
            path,
            f"does not state the number of {what} in line {at + 1}",
            "Give a Network.dat file.",
        )
    count, start = int(words[0]), at + 2
    if start + count > len(lines):
        raise InputError(path, f"ends within its {count} {what}", "Give the complete file.")
    rows = np.empty((count, columns))
    for k, line in enumerate(lines[start : start + count]):
        try:
            rows[k] = [float(word) for word in line.split()[:columns]]
        except ValueError as error:
            raise InputError(
                path,
                f"line {start + k + 1} does not contain the {columns} numbers of one of its {what}",
                "Correct the line.",
            ) from error
    return rows, start + count
