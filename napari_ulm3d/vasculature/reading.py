"""Read vessel graphs back from the formats that hold their centrelines."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_ulm3d.errors import InputError, ResultsError
from napari_ulm3d.io.formats.vtk.appended import read_polylines
from napari_ulm3d.io.stored.content import readable
from napari_ulm3d.vasculature.formats import SWC_HEADER, UNKNOWN_RADIUS_UM
from napari_ulm3d.vasculature.graph import JUNCTION_COLUMNS, VESSEL_COLUMNS, VesselGraph

__all__ = ["SUFFIXES", "read_graph"]

_COUNTS = ("vessel_id", "node_a", "node_b", "n_tracks")
_KINDS = {0: "artery", 2: "vein"}
_KIND_OF_VTP = "kind (0 artery, 2 vein, -1 unknown)"
_HEAD_BYTES = 1 << 16

Places = NDArray[np.float64]


def read_graph(path: str | PathLike[str]) -> VesselGraph:
    """Read vessels from ``.graphml``, ``.vtp`` or ``.swc``.

    GraphML holds everything but the assignment of tracks; VTP lacks the flows at junctions. SWC
    holds trees of points with radii: lengths and diameters are taken from these, and a loop
    stays cut.

    Raises
    ------
    ResultsError
        The file is missing or damaged, or holds no vessels.
    """
    name, place = fspath(path), Path(path)
    read = next((r for suffix, r in _READERS.items() if name.lower().endswith(suffix)), None)
    if read is None or not place.is_file():
        raise ResultsError(f"{name}: is not a file of vessels. Those are {' '.join(SUFFIXES)}.")
    try:
        with readable(name, "vessels"):
            return read(place)
    except InputError as error:
        raise ResultsError(f"{name}: {error.problem}. Export it again.") from error


def _read_graphml(path: Path) -> VesselGraph:
    with open(path, "rb") as file:
        if b"<!DOCTYPE" in file.read(_HEAD_BYTES):  # entities may grow without bound
            raise _not_ours(path)
    try:
        graph = nx.read_graphml(path, node_type=int, force_multigraph=True)
    except (nx.NetworkXError, ValueError, SyntaxError) as error:
        raise _not_ours(path) from error
    facts = dict(graph.nodes(data=True))
    rows = [dict(row) for *_, row in graph.edges(data=True)]
    if set(facts) != set(range(len(facts))) or not all("path_zyx_um" in row for row in rows):
        raise _not_ours(path)
    rows.sort(key=lambda row: row.get("vessel_id", 0))
    lines = [_line_of(row.pop("path_zyx_um")) for row in rows]
    nodes = [
        [facts[k].get(axis, np.nan) for axis in ("z_um", "y_um", "x_um")] for k in sorted(facts)
    ]
    met = [{"node": k, **facts[k]} for k in sorted(facts) if "degree" in facts[k]]
    junctions = pd.DataFrame(met, columns=list(JUNCTION_COLUMNS))
    return _graph(np.array(nodes, float).reshape(-1, 3), lines, pd.DataFrame(rows), junctions)


def _line_of(text: str) -> Places:
    return np.array([[float(v) for v in place.split(",")] for place in text.split(";")])


def _read_vtp(path: Path) -> VesselGraph:
    points, ends, found = read_polylines(path, ["vessel_id", "node_a", "node_b", "length_um"])
    lines = np.split(points[:, ::-1], ends[:-1]) if len(ends) else []
    kinds = found.pop(_KIND_OF_VTP, np.full(len(ends), -1))
    table = pd.DataFrame({name: found[name] for name in VESSEL_COLUMNS if name in found})
    table["kind"] = [_KINDS.get(int(kind), "unknown") for kind in kinds]
    n_nodes = int(table[["node_a", "node_b"]].to_numpy().max(initial=-1)) + 1
    nodes = np.full((n_nodes, 3), np.nan)
    for line, first, last in zip(lines, table["node_a"], table["node_b"], strict=True):
        nodes[int(first)], nodes[int(last)] = line[0], line[-1]
    return _graph(nodes, lines, table)


def _read_swc(path: Path) -> VesselGraph:
    text = path.read_text(encoding="utf-8", errors="replace")
    rows = [line.split() for line in text.splitlines() if line.strip() and line.lstrip()[0] != "#"]
    try:
        points = {int(row[0]): (tuple(map(float, row[2:6])), int(row[6])) for row in rows}
    except (ValueError, IndexError) as error:
        raise _not_ours(path) from error
    tree = nx.DiGraph((parent, k) for k, (_, parent) in points.items() if parent in points)
    tree.add_nodes_from(points)
    if not points or not nx.is_forest(tree):
        raise _not_ours(path)
    ends = [k for k in points if tree.out_degree(k) != 1 or tree.in_degree(k) == 0]
    if text.startswith(
        SWC_HEADER
    ):  # a vessel has one radius, and a cut loop may leave no branching
        changes = (
            a for a, b in tree.edges if tree.in_degree(a) and points[a][0][3] != points[b][0][3]
        )
        ends = sorted({*ends, *changes})
    number = {k: at for at, k in enumerate(ends)}
    place = {k: np.array([z, y, x]) for k, ((x, y, z, _), _) in points.items()}
    lines, table = [], []
    for end in ends:
        if tree.in_degree(end) == 0:
            continue
        along = [end]
        while along[-1] not in number or len(along) == 1:
            along.append(points[along[-1]][1])
        line = np.array([place[k] for k in along[::-1]])
        radius = float(np.median([points[k][0][3] for k in along[:-1]]))
        length = float(np.linalg.norm(np.diff(line, axis=0), axis=1).sum())
        across = float(np.linalg.norm(line[-1] - line[0]))
        lines.append(line)
        table.append(
            {
                "node_a": number[along[-1]],
                "node_b": number[end],
                "length_um": length,
                "diameter_um": np.nan if radius == UNKNOWN_RADIUS_UM else 2 * radius,
                "tortuosity": length / across if across else np.nan,
            }
        )
    return _graph(np.array([place[k] for k in ends]), lines, pd.DataFrame(table))


def _graph(
    nodes_um: Places, lines: list[Places], table: pd.DataFrame, junctions: Any = None
) -> VesselGraph:
    """The graph, with unknown values where a file has none."""
    table = table.reindex(columns=list(VESSEL_COLUMNS))
    if len(table) and table["vessel_id"].isna().all():
        table["vessel_id"] = np.arange(1, len(table) + 1)
    for name in table.columns.drop("kind"):
        table[name] = pd.to_numeric(table[name])
    for name in _COUNTS:
        table[name] = table[name].fillna(0).astype(np.int64)
    table["kind"] = table["kind"].astype(object).fillna("unknown")
    if junctions is None:
        met = pd.Series(table[["node_a", "node_b"]].to_numpy().ravel()).value_counts()
        met = met[met > 2].sort_index()
        where = dict(zip(("z_um", "y_um", "x_um"), nodes_um[met.index].T, strict=True))
        junctions = pd.DataFrame({"node": met.index, **where, "degree": met.to_numpy()})
    return VesselGraph(
        nodes_um, tuple(lines), table, junctions.reindex(columns=list(JUNCTION_COLUMNS))
    )


def _not_ours(path: Path) -> ResultsError:
    return ResultsError(f"{path}: holds no vessels that can be read.")


_READERS: dict[str, Callable[[Path], VesselGraph]] = {
    ".graphml": _read_graphml,
    ".vtp": _read_vtp,
    ".swc": _read_swc,
}
#: Suffixes of the formats with centrelines.
SUFFIXES = tuple(_READERS)
