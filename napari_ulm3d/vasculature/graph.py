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

#: What a vessel's row says.
VESSEL_COLUMNS: dict[str, str] = {
    "vessel_id": "number, from 1",
    "node_a": "node where it begins; where the flow is known, upstream",
    "node_b": "node where it ends",
    "length_um": "along the centreline",
    "diameter_um": "from track positions about the centreline; without tracks, from the mask",
    "diameter_error_um": "its standard error",
    "tortuosity": "length over the distance between its ends",
    "n_tracks": "tracks that run along it",
    "mean_speed_mm_s": "mean of the blood over the cross section: a little less than that of the bubbles",
    "mean_speed_error_mm_s": "its standard error",
    "peak_speed_mm_s": "95th percentile over tracks",
    "flow_nl_min": "mean speed times area",
    "flow_error_nl_min": "its standard error",
    "direction_z": "mean direction of the flow, unit vector",
    "direction_y": "",
    "direction_x": "",
    "direction_agreement": "1: all tracks run one way; 0: as many each way",
    "kind": "artery, vein, or unknown: by how it branches along the flow",
}
JUNCTION_COLUMNS: dict[str, str] = {
    "node": "number of the node",
    "z_um": "position",
    "y_um": "",
    "x_um": "",
    "degree": "vessels that meet there",
    "inflow_nl_min": "sum of the flows that arrive",
    "outflow_nl_min": "sum of the flows that leave",
    "balance_nl_min": "inflow minus outflow",
    "balance_error_nl_min": "half width of its 95 % confidence interval",
    "balanced": "whether the balance is 0 within that",
}


@dataclass(frozen=True)
class VesselGraph:
    """Vessels of a map, measured.

    Parameters
    ----------
    nodes_um
        (n, 3) places z, y, x where vessels meet or end, micrometres.
    paths
        A centreline (k, 3) for each vessel, micrometres, from `node_a` to `node_b`.
    table
        One row a vessel, in the order of `paths`; columns as in `VESSEL_COLUMNS`. What is not
        known is NaN.
    junctions
        One row a node where three or more vessels meet; columns as in `JUNCTION_COLUMNS`.
    track_vessel
        (rows of the tracks,) the vessel_id that each tracked position lies in, 0 for none;
        None: measured without tracks.
    facts
        How it was measured: thresholds, localization error, gaps closed.
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
        """The tracks that it was measured with, with a column ``vessel_id`` (0: in none)."""
        if self.track_vessel is None or len(self.track_vessel) != len(tracks):
            raise ValueError("the vessels were not measured with these tracks")
        return Tracks(tracks.table.assign(vessel_id=self.track_vessel))

    def write(self, path: str | PathLike[str]) -> None:
        """Write the vessels; the suffix is the format: .csv, .swc, .graphml or .vtp.

        Raises
        ------
        ConfigError
            Another suffix.
        ResultsError
            The file cannot be written.
        """
        from napari_ulm3d.vasculature.formats import write_graph

        write_graph(self, path)
