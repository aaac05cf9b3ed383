"""The vessel graph: centrelines between nodes, a table of vessels, a table of junctions."""

from __future__ import annotations

from dataclasses import dataclass, field
from os import PathLike
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_ulm3d.tables import Tracks

__all__ = ["JUNCTION_COLUMNS", "VESSEL_COLUMNS", "VesselGraph"]

#: Columns of the vessel table and their meaning.
VESSEL_COLUMNS: dict[str, str] = {
    "vessel_id": "number, from 1",
    "node_a": "first node; upstream if the flow is known",
    "node_b": "last node",
    "length_um": "along the centreline",
    "diameter_um": "from track positions about the centreline; without tracks, from the mask",
    "diameter_error_um": "its standard error, of sampling alone",
    "tortuosity": "length over the distance between its ends",
    "n_tracks": "tracks that run along it",
    "mean_speed_mm_s": "mean blood speed over cross section and length: slightly below that of the bubbles",
    "mean_speed_error_mm_s": "its standard error, of sampling alone",
    "peak_speed_mm_s": "95th percentile over tracks",
    "flow_nl_min": "mean speed over the volume of the vessel times area",
    "flow_error_nl_min": "its standard error, including a systematic part of at least 20 %",
    "direction_z": "mean direction of the flow, unit vector",
    "direction_y": "",
    "direction_x": "",
    "direction_agreement": "1: all bubbles move one way; 0: equally in both directions",
    "kind": "artery, vein, or unknown: from the junctions along the flow",
}
JUNCTION_COLUMNS: dict[str, str] = {
    "node": "number of the node",
    "z_um": "position",
    "y_um": "",
    "x_um": "",
    "degree": "vessels that meet there",
    "inflow_nl_min": "sum of the incoming flows",
    "outflow_nl_min": "sum of the outgoing flows",
    "balance_nl_min": "inflow minus outflow",
    "balance_error_nl_min": "half width of its 95 % confidence interval",
    "balanced": "whether this interval contains 0",
}


@dataclass(frozen=True)
class VesselGraph:
    """Measured vessels of a map.

    Parameters
    ----------
    nodes_um
        (n, 3) positions z, y, x where vessels meet or end, micrometres.
    paths
        Centreline (k, 3) of each vessel, micrometres, from `node_a` to `node_b`.
    table
        One row per vessel, in the order of `paths`; columns as in `VESSEL_COLUMNS`. Unknown
        values are NaN.
    junctions
        One row per node where three or more vessels meet; columns as in `JUNCTION_COLUMNS`.
    track_vessel
        (track rows,) vessel_id of each tracked position, 0 for none; None: measured without
        tracks.
    facts
        Details of the measurement: thresholds, localization error, gaps closed.
    """

    nodes_um: NDArray[np.float64]
    paths: tuple[NDArray[np.float64], ...]
    table: pd.DataFrame
    junctions: pd.DataFrame
    track_vessel: NDArray[np.int64] | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.paths) != len(self.table):
            raise ValueError(
                f"{len(self.paths)} centrelines, but {len(self.table)} rows of vessels"
            )
        for table, columns in ((self.table, VESSEL_COLUMNS), (self.junctions, JUNCTION_COLUMNS)):
            missing = [name for name in columns if name not in table.columns]
            if missing:
                raise ValueError(f"a table of the vessel graph lacks {', '.join(missing)}")

    def __len__(self) -> int:
        return len(self.paths)

    def with_vessel(self, tracks: Tracks) -> Tracks:
        """Add a column ``vessel_id`` (0: none) to the tracks used for the measurement."""
        if self.track_vessel is None or len(self.track_vessel) != len(tracks):
            raise ValueError("the vessels were not measured with these tracks")
        return Tracks(tracks.table.assign(vessel_id=self.track_vessel))

    def write(self, path: str | PathLike[str]) -> None:
        """Write the vessels; the suffix is the format: .csv, .swc, .graphml or .vtp.

        Raises
        ------
        ConfigError
            The suffix is not supported.
        ResultsError
            The file cannot be written.
        """
        from napari_ulm3d.vasculature.formats import write_graph

        write_graph(self, path)
