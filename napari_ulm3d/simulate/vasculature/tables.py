"""Reader for a vessel network from a table of nodes and a table of segments (CSV)."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_ulm3d.errors import InputError
from napari_ulm3d.simulate.vasculature.network import (
    ARTERY,
    CAPILLARY,
    UNKNOWN,
    VEIN,
    VesselNetwork,
)

__all__ = ["network_of", "read_network_tables"]

_KINDS = {"artery": ARTERY, "capillary": CAPILLARY, "vein": VEIN, "unknown": UNKNOWN}


def read_network_tables(
    nodes_csv: str | PathLike[str], segments_csv: str | PathLike[str]
) -> VesselNetwork:
    """Read a network from two CSV files.

    Parameters
    ----------
    nodes_csv
        Columns ``node, x_um, y_um, z_um``.
    segments_csv
        Columns ``node_from, node_to`` and ``radius_um`` or ``diam_um``; optionally
        ``flow_nl_min`` (positive from `node_from` to `node_to`) and ``kind`` (``artery``,
        ``capillary``, ``vein``, ``unknown`` or 0, 1, 2, -1). Other columns are ignored.

    Returns
    -------
    VesselNetwork
        Nodes that belong to a segment, in ascending order of their number.

    Raises
    ------
    InputError
        A file cannot be read, a column is missing or contains something other than numbers, or
        a segment refers to a node that does not exist.
    """
    nodes = _read(nodes_csv, ("node", "x_um", "y_um", "z_um"))
    table = _read(segments_csv, ("node_from", "node_to"))
    if "radius_um" in table:
        radius = _numbers(segments_csv, table, "radius_um")
    elif "diam_um" in table:
        radius = _numbers(segments_csv, table, "diam_um") / 2
    else:
        raise InputError(
            segments_csv, "has neither a column radius_um nor a column diam_um", "Add one of them."
        )
    network, _ = network_of(
        segments_csv,
        name=Path(segments_csv).stem.removesuffix("_segments"),
        node_id=_numbers(nodes_csv, nodes, "node"),
        position_um=np.stack(
            [_numbers(nodes_csv, nodes, c) for c in ("z_um", "y_um", "x_um")], axis=1
        ),
        ends=np.stack([_numbers(segments_csv, table, c) for c in ("node_from", "node_to")], axis=1),
        radius_um=radius,
        flow_nl_min=(
            _numbers(segments_csv, table, "flow_nl_min") if "flow_nl_min" in table else None
        ),
        kind=_kinds(segments_csv, table["kind"]) if "kind" in table else None,
    )
    return network


def network_of(
    path: str | PathLike[str],
    *,
    name: str,
    node_id: NDArray[np.float64],
    position_um: NDArray[np.float64],
    ends: NDArray[np.float64],
    radius_um: NDArray[np.float64],
    flow_nl_min: NDArray[np.float64] | None = None,
    kind: NDArray[np.int8] | None = None,
) -> tuple[VesselNetwork, NDArray[np.float64]]:
    """Build a network from nodes by number; also return the node numbers, ascending.

    Segments from a node to itself, or between nodes at the same position, have no volume.
    They are refused, because they indicate an error in the file.
    """
    order = np.argsort(node_id, kind="stable")
    ids = node_id[order]
    if (ids[1:] == ids[:-1]).any():
        twice = ids[1:][ids[1:] == ids[:-1]][0]
        raise InputError(path, f"uses the node number {twice:g} twice", "Number each node once.")
    if not len(ends):
        raise InputError(path, "has no segments", "Give a network with vessels.")
    at = np.minimum(np.searchsorted(ids, ends), max(len(ids) - 1, 0))
    missing = np.ones(ends.shape, bool) if not len(ids) else ids[at] != ends
    if missing.any():
        raise InputError(
            path, f"names the node {ends[missing][0]:g}, which does not exist", "Add the node."
        )
    try:
        whole = VesselNetwork(
            position_um[order], at.astype(np.int64), radius_um, flow_nl_min, kind, name
        )
    except InputError as error:
        raise InputError(path, error.problem, "Correct the file.") from error
    if not (whole.length_um > 0).all():
        raise InputError(path, "has a segment of zero length", "Merge its two nodes.")
    used = np.unique(whole.segments)
    return whole.selected(np.ones(whole.n_segments, bool)), ids[used]


def _read(path: str | PathLike[str], columns: tuple[str, ...]) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, skipinitialspace=True)
    except (OSError, ValueError, pd.errors.ParserError) as error:
        raise InputError(path, f"cannot be read as CSV ({error})", "Check the file.") from error
    table.columns = [str(column).strip() for column in table.columns]
    missing = [column for column in columns if column not in table]
    if missing:
        raise InputError(
            path, f"lacks the column(s) {', '.join(missing)}", f"It needs {', '.join(columns)}."
        )
    return table


def _numbers(path: str | PathLike[str], table: pd.DataFrame, column: str) -> NDArray[np.float64]:
    values = pd.to_numeric(table[column], errors="coerce").to_numpy(np.float64)
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        raise InputError(
            path, f"has no number in column {column}, row {bad[0] + 1}", "Correct the table."
        )
    return values


def _kinds(path: str | PathLike[str], column: pd.Series) -> NDArray[np.int8]:
    names = column.astype(str).str.strip().str.lower().map(_KINDS)
    codes = names.fillna(pd.to_numeric(column, errors="coerce")).to_numpy(np.float64)
    bad = np.flatnonzero(~np.isin(codes, list(_KINDS.values())))
    if bad.size:
        raise InputError(
            path,
            f"has an unknown vessel kind in row {bad[0] + 1}",
            f"Use {', '.join(_KINDS)}.",
        )
    return codes.astype(np.int8)
