"""Measure vessels from their centrelines and tracks, or from the mask alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_ulm3d.config import VesselConfig
from napari_ulm3d.tables import Tracks
from napari_ulm3d.vasculature.graph import VESSEL_COLUMNS
from napari_ulm3d.vasculature.measures.assign import Assignment, assign, rows_of_each
from napari_ulm3d.vasculature.measures.centreline import arc_length, tangents
from napari_ulm3d.vasculature.measures.flow import (
    blood_over_bubbles,
    flow_with_error,
    speeds_of,
)
from napari_ulm3d.vasculature.measures.lines import (
    Centrelines,
    averaging_points,
    followed_share,
    recentre,
)
from napari_ulm3d.vasculature.measures.positions import Positions, independent
from napari_ulm3d.vasculature.measures.profile import fit_radius

__all__ = ["measure_with_tracks", "measure_without_tracks"]

_REACH = 1.5  # of the radius, plus
_REACH_SIGMA = 2.5  # standard deviations of a position
_KEPT_SHARE = 0.4  # least share of a vessel that remains without its ends at junctions
_MOST_FOLLOWED = 0.5  # of the variance; it is undefined for fewer than two tracks
# Rows used for centring; the measurement uses all.
_ROWS_FOR_LINES = 300_000


def measure_without_tracks(
    lines: Centrelines, voxels_um: NDArray[np.float64], volume_um3: float, thick_um: float | None
) -> pd.DataFrame:
    """Measure lengths and diameters from the mask alone, without speeds.

    The cross section of a vessel is the volume of the voxels nearest to its centreline
    divided by the length of the centreline, and its diameter is that of a disk of this area.
    (The distance to the nearest voxel outside is up to one voxel too short.)

    Parameters
    ----------
    lines
        Centrelines.
    voxels_um
        (n, 3) centres of evenly subsampled vessel voxels.
    volume_um3
        Volume that each of them represents.
    thick_um
        For a plane: its thickness, by which the cross section is divided to give the diameter.
    """
    found = assign(voxels_um, np.zeros_like(voxels_um), lines.paths, 3 * lines.radius_um)
    size = np.array([len(path) for path in lines.paths])
    clear = np.array([_clear_of_ends(lines, k) for k in range(len(lines))])
    held = found.vessel >= 0
    vessel, point = found.vessel[held], found.point[held]
    inner = (point >= clear[vessel]) & (point < (size - clear)[vessel])
    count = np.bincount(vessel[inner], minlength=len(lines))
    rows = []
    for k, path in enumerate(lines.paths):
        length = (size[k] - 2 * clear[k]) * _step(path)
        area = count[k] * volume_um3 / length if length > 0 else 0.0
        width = 2 * np.sqrt(area / np.pi) if thick_um is None else area / thick_um
        rows.append(lines.facts(k) | {"diameter_um": width or np.nan})
    return _table(rows)


def _step(path: NDArray[np.float64]) -> float:
    """Distance between the points of an evenly sampled polyline."""
    return float(arc_length(path)[-1]) / (len(path) - 1)


def _clear_of_ends(lines: Centrelines, k: int) -> int:
    """Number of points at either end of a centreline that lie in a junction with other vessels."""
    n = len(lines.paths[k])
    about = int(np.ceil(lines.radius_um[k] * 1.5 / lines.step_um))
    return min(about, int((1 - _KEPT_SHARE) / 2 * n))


def measure_with_tracks(
    lines: Centrelines,
    tracks: Tracks,
    error_um: NDArray[np.float64],
    config: VesselConfig,
    smoothing_frames: int,
    *,
    planar: bool,
) -> tuple[pd.DataFrame, NDArray[np.int64]]:
    """Measure vessels with tracks: the table, and (rows,) vessel index of each row, -1 for none.

    Centres the centrelines on the tracks and orients them along the flow.

    Parameters
    ----------
    lines
        Centrelines, changed in place.
    tracks
        Tracks sorted by track and frame.
    error_um
        (3,) standard deviation of a position along z, y, x.
    config
        Bubble radius and minimum number of tracks.
    smoothing_frames
        Window of the moving average of the tracks.
    planar
        The acquisition is one plane.
    """
    sigma = float(np.sqrt(np.mean(error_um[error_um > 0] ** 2))) if error_um.any() else 0.0
    rows = Positions.of(tracks, sigma, smoothing_frames)
    inner = np.flatnonzero(rows.inner)
    some = rows.selected(inner[:: max(1, len(inner) // _ROWS_FOR_LINES)])
    reach = _REACH * lines.radius_um + _REACH_SIGMA * sigma
    for _ in range(2):
        found = assign(some.position_um, some.heading, lines.paths, reach)
        recentre(lines, found, some.track)
    found = assign(some.position_um, some.heading, lines.paths, reach)
    each = rows_of_each(found, len(lines))
    fits = [
        _Vessel(lines, k, found, some, mine).fit(error_um, reach[k], config, planar)
        for k, mine in enumerate(each)
    ]
    # Repeat with the measured radius, since a mask may be much wider than its vessel.
    radius = np.array([fit[0] for fit in fits])
    narrow = np.where(np.isfinite(radius), _REACH * radius + _REACH_SIGMA * sigma, reach)
    reach = np.clip(narrow, 0.5 * reach, 1.5 * reach)
    recentre(lines, assign(some.position_um, some.heading, lines.paths, reach), some.track)
    found = assign(rows.position_um, rows.heading, lines.paths, reach)
    table = []
    for k, mine in enumerate(rows_of_each(found, len(lines))):
        vessel = _Vessel(lines, k, found, rows, mine)
        n_tracks = len(np.unique(rows.track[mine]))
        known = vessel.flow(vessel.fit(error_um, reach[k], config, planar), sigma, config)
        table.append(lines.facts(k) | {"n_tracks": n_tracks} | known)
    return _table(table), found.vessel


class _Vessel:
    """The rows of one vessel away from junctions.

    The radius is fitted to those away from track ends. Speeds use all of them: a fast bubble
    spends few frames in the vessel, and without the ends of its track it would count for too
    little.
    """

    def __init__(
        self, lines: Centrelines, k: int, found: Assignment, rows: Positions,
        mine: NDArray[np.int64],
    ) -> None:  # fmt: skip
        n = len(lines.paths[k])
        clear = _clear_of_ends(lines, k)
        point = found.point[mine]
        mine = mine[(point >= clear) & (point < n - clear)]
        self._lines, self._k = lines, k
        self._distance = np.sqrt((found.offset_um[mine] ** 2).sum(axis=1))
        self._point = found.point[mine]
        self._along = (rows.velocity_mm_s[mine] * found.tangent[mine]).sum(axis=1)
        self._track, self._block = rows.track[mine], rows.block[mine]
        self._inner = rows.inner[mine]

    def fit(
        self, error_um: NDArray[np.float64], reach_um: float, config: VesselConfig, planar: bool
    ) -> tuple[float, float]:
        """Radius that the bubbles' centres fill, and its error, um; NaN with too few tracks."""
        inner = self._inner
        track, distance = self._track[inner], self._distance[inner]
        if len(np.unique(track)) < config.min_tracks:
            return np.nan, np.nan
        along = (tangents(self._lines.paths[self._k]) ** 2).mean(axis=0)
        variance = max(float(((1 - along) * error_um**2).sum()), 0.0)
        across = np.sqrt(variance if planar else variance / 2)
        worth = independent(distance**2, track, self._block[inner])
        followed = followed_share(self._lines, self._k, self._point[inner], track)
        about_middle = distance / np.sqrt(1 - min(followed, _MOST_FOLLOWED))
        fit = fit_radius(about_middle, across, float(reach_um), worth, planar=planar)
        return fit.radius_um, fit.error_um

    def flow(self, fit: tuple[float, float], sigma: float, config: VesselConfig) -> dict[str, Any]:
        """Diameter, speeds and flow; orients the centreline along the flow."""
        inside = self._distance <= fit[0] + 2 * sigma
        if not inside.any():  # without a fit the radius is NaN, and nothing lies within it
            return {}
        lines, k = self._lines, self._k
        point, track = self._point[inside], self._track[inside]
        window = averaging_points(point, track, len(lines.paths[k]))
        speeds = speeds_of(self._along[inside], track, self._block[inside], point, window)
        if speeds.by_volume < 0:
            lines.turn(k)
        radius = fit[0] + config.bubble_radius_um
        slower = blood_over_bubbles(fit[0], radius)
        flow, flow_error = flow_with_error(
            speeds.by_volume * slower, speeds.by_volume_error * slower, radius, fit[1], sigma
        )
        direction = tangents(lines.paths[k]).mean(axis=0)
        norm = float(np.linalg.norm(direction))
        direction = direction / norm if norm > 1e-9 else np.full(3, np.nan)
        return {
            "node_a": int(lines.ends[k, 0]),
            "node_b": int(lines.ends[k, 1]),
            "diameter_um": 2 * radius,
            "diameter_error_um": 2 * fit[1],
            "mean_speed_mm_s": abs(speeds.mean) * slower,
            "mean_speed_error_mm_s": speeds.mean_error * slower,
            "peak_speed_mm_s": speeds.peak,
            "flow_nl_min": flow,
            "flow_error_nl_min": flow_error,
            "direction_z": direction[0],
            "direction_y": direction[1],
            "direction_x": direction[2],
            "direction_agreement": speeds.agreement,
        }


def _table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=list(VESSEL_COLUMNS))
    whole = ["vessel_id", "node_a", "node_b", "n_tracks"]
    table["n_tracks"] = table["n_tracks"].astype("float64").fillna(0)
    numbers = [name for name in VESSEL_COLUMNS if name not in (*whole, "kind")]
    table = table.astype(dict.fromkeys(whole, "int64") | dict.fromkeys(numbers, "float64"))
    return table.assign(kind="unknown")
