"""Write vessel graphs: tables, trees for neuron tools, graphs, and polylines for ParaView."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.errors import ConfigError
from napari_ulm3d.io.formats.vtk.polylines import Column, write_polylines
from napari_ulm3d.system.atomic import atomic_path

if TYPE_CHECKING:
    from napari_ulm3d.vasculature.graph import VesselGraph

__all__ = ["SUFFIXES", "SWC_HEADER", "UNKNOWN_RADIUS_UM", "junctions_path", "write_graph"]

#: First words of our ``.swc``.
SWC_HEADER = "# Vessel centrelines, micrometres"
#: Radius in ``.swc`` of a vessel whose diameter is not known.
UNKNOWN_RADIUS_UM = 1.0


def write_graph(graph: VesselGraph, path: str | PathLike[str]) -> None:
    """Write vessels in the format given by the suffix.

    ``.csv``: one row per vessel, and ``<name>_junctions.csv`` next to it. ``.swc``: points with
    radii, as trees (a loop is cut where it closes). ``.graphml``: nodes and vessels with all
    their columns. ``.vtp``: one polyline per vessel for ParaView, with all columns.

    Raises
    ------
    ConfigError
        The suffix is not supported.
    ResultsError
        The file cannot be written.
    """
    name = fspath(path)
    write = next((w for suffix, w in _WRITERS.items() if name.lower().endswith(suffix)), None)
    if write is None:
        raise ConfigError(f"{name}: vessels are written as one of {' '.join(SUFFIXES)}.")
    with atomic_path(path) as temporary:
        write(graph, temporary)
    if write is _write_csv:
        with atomic_path(junctions_path(path)) as temporary:
            graph.junctions.to_csv(temporary, index=False)


def junctions_path(path: str | PathLike[str]) -> Path:
    """Path of the junction table that belongs to a table of vessels."""
    table = Path(path)
    return table.with_name(f"{table.stem}_junctions{table.suffix}")


def _write_csv(graph: VesselGraph, path: Path) -> None:
    graph.table.to_csv(path, index=False)


def _write_swc(graph: VesselGraph, path: Path) -> None:
    lines = [
        f"{SWC_HEADER}. SWC holds trees: a loop is cut where it closes.",
        "# id type x y z radius parent",
    ]
    number = 0

    def point(place: NDArray[np.float64], radius: float, parent: int) -> int:
        nonlocal number
        number += 1
        z, y, x = place
        lines.append(f"{number} 0 {x:.3f} {y:.3f} {z:.3f} {radius:.3f} {parent}")
        return number

    radii = graph.table["diameter_um"].to_numpy() / 2
    radii = np.where(np.isfinite(radii) & (radii > 0), radii, UNKNOWN_RADIUS_UM)
    ends = graph.table[["node_a", "node_b"]].to_numpy()
    links = nx.MultiGraph()
    links.add_edges_from((int(a), int(b), k) for k, (a, b) in enumerate(ends))
    for piece in nx.connected_components(links):
        root = min(piece)
        widest = max(radii[k] for *_, k in links.edges(root, keys=True))
        place = {root: point(graph.nodes_um[root], float(widest), -1)}
        # Write each vessel from the end that already exists.
        for a, b, k in nx.edge_bfs(links, root):
            start, stop = (a, b) if a in place else (b, a)
            along = graph.paths[k] if ends[k, 0] == start else graph.paths[k][::-1]
            last = place[start]
            for position in along[1:]:
                last = point(position, float(radii[k]), last)
            place.setdefault(stop, last)
    path.write_text("\n".join(lines) + "\n", encoding="ascii")


def _write_graphml(graph: VesselGraph, path: Path) -> None:
    out = nx.MultiGraph()
    junctions = graph.junctions.set_index("node")
    for k, (z, y, x) in enumerate(graph.nodes_um):
        facts = junctions.loc[k].to_dict() if k in junctions.index else {}
        out.add_node(k, **_known({**facts, "z_um": z, "y_um": y, "x_um": x}))
    for row, line in zip(graph.table.to_dict("records"), graph.paths, strict=True):
        text = ";".join(",".join(f"{v:.2f}" for v in place) for place in line)
        out.add_edge(row["node_a"], row["node_b"], **_known(row), path_zyx_um=text)
    nx.write_graphml(out, path)


def _known(facts: dict[str, object]) -> dict[str, object]:
    """Plain values without NaN, which other programs may not read."""
    plain = {k: v.item() if isinstance(v, np.generic) else v for k, v in facts.items()}
    return {str(k): v for k, v in plain.items() if not (isinstance(v, float) and np.isnan(v))}


def _write_vtp(graph: VesselGraph, path: Path) -> None:
    points = np.concatenate(graph.paths) if graph.paths else np.zeros((0, 3))
    sizes = np.array([len(line) for line in graph.paths], np.int64)
    diameter = graph.table["diameter_um"].to_numpy()
    numbers = graph.table.drop(columns="kind")
    cells = [
        Column(str(name), column.to_numpy(), "<i8" if column.dtype.kind == "i" else "<f8")
        for name, column in numbers.items()
    ]
    kind = graph.table["kind"].map({"artery": 0, "vein": 2}).fillna(-1).to_numpy()
    write_polylines(
        path,
        points[:, ::-1],
        np.cumsum(sizes),
        [Column("diameter_um", np.repeat(diameter, sizes), "<f8")],
        [*cells, Column("kind (0 artery, 2 vein, -1 unknown)", kind, "<i8")],
        shown={"point": 'Scalars="diameter_um"', "cell": 'Scalars="vessel_id"'},
    )


_WRITERS: dict[str, Callable[[VesselGraph, Path], None]] = {
    ".csv": _write_csv,
    ".swc": _write_swc,
    ".graphml": _write_graphml,
    ".vtp": _write_vtp,
}
#: Supported suffixes.
SUFFIXES = tuple(_WRITERS)
