"""Tracks and maps within a region: number of crossing tracks, speeds, and filling."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_ulm3d.errors import ConfigError
from napari_ulm3d.evaluate.localization import ratio
from napari_ulm3d.tables import Tracks
from napari_ulm3d.volumes import VesselMap, refuse_predicted

__all__ = ["Region", "RegionNumbers", "region_numbers", "tracks_crossing"]

_PAIRS_AT_ONCE = 4_000_000  # segment-edge pairs compared at once, to limit memory


@dataclass(frozen=True)
class Region:
    """A polygon in a plane, extended over a range perpendicular to it.

    Attributes
    ----------
    axis
        The axis perpendicular to the plane: 0 z, 1 y, 2 x.
    corners_um
        (n, 2) corners along the two other axes, in their order; the last is joined to the first.
        Stored as tuples, so that regions can be compared.
    range_um
        Range along `axis`; infinite: everything.
    """

    axis: int
    corners_um: ArrayLike
    range_um: tuple[float, float] = (-np.inf, np.inf)

    def __post_init__(self) -> None:
        corners = np.asarray(self.corners_um, np.float64)
        if self.axis not in (0, 1, 2):
            raise ConfigError(
                f"A region is drawn perpendicular to axis 0 (z), 1 (y) or 2 (x), not {self.axis}."
            )
        if corners.ndim != 2 or corners.shape[1] != 2 or len(corners) < 3:
            raise ConfigError("A region needs at least three corners with two coordinates each.")
        if not _area(corners) > 0:
            raise ConfigError("The region has no area. Draw a larger one.")
        object.__setattr__(self, "corners_um", tuple(map(tuple, corners.tolist())))

    @classmethod
    def box(
        cls, axis: int, low_um: ArrayLike, high_um: ArrayLike, range_um: tuple[float, float]
    ) -> Region:
        """An axis-aligned rectangle."""
        (a, b), (c, d) = np.asarray(low_um, float), np.asarray(high_um, float)
        return cls(axis, np.array([[a, b], [a, d], [c, d], [c, b]]), range_um)

    @property
    def area_um2(self) -> float:
        """Area of the polygon."""
        return _area(self._corners)

    def contains(self, position_um: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Whether positions (n, 3), z, y, x, lie inside; borders belong to one side."""
        position = np.asarray(position_um, np.float64).reshape(-1, 3)
        low, high = self.range_um
        across, plane = position[:, self.axis], self._flat(position)
        corners = self._corners
        inside = (across >= low) & (across <= high)
        # Of millions of points, test only those in the bounding box of the polygon.
        inside &= (plane >= corners.min(axis=0)).all(axis=1)
        inside &= (plane <= corners.max(axis=0)).all(axis=1)
        rows = np.flatnonzero(inside)
        inside[rows] = self._in_polygon(plane[rows])
        return inside

    def crossed(
        self, start_um: NDArray[np.floating], stop_um: NDArray[np.floating]
    ) -> NDArray[np.bool_]:
        """Whether straight lines from start to stop, (n, 3) each, are partly inside."""
        start, stop = np.asarray(start_um, np.float64), np.asarray(stop_um, np.float64)
        first, last = self._within_range(start[:, self.axis], stop[:, self.axis])
        out = np.zeros(len(start), bool)
        met = np.flatnonzero(first <= last)
        step = max(_PAIRS_AT_ONCE // len(self._corners), 1)
        for begin in range(0, met.size, step):
            part = met[begin : begin + step]
            a, b = self._flat(start[part]), self._flat(stop[part])
            p = a + first[part, None] * (b - a)
            q = a + last[part, None] * (b - a)
            out[part] = self._in_polygon(p) | self._in_polygon(q) | self._edge_met(p, q)
        return out

    @property
    def _corners(self) -> NDArray[np.float64]:
        return np.asarray(self.corners_um, np.float64)

    def _flat(self, position: NDArray[np.float64]) -> NDArray[np.float64]:
        return position[:, [k for k in range(3) if k != self.axis]]

    def _within_range(
        self, a: NDArray[np.float64], b: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Fractions along lines from a to b between which they lie in the range."""
        low, high = self.range_um
        slope = b - a
        with np.errstate(divide="ignore", invalid="ignore"):
            enter, leave = (low - a) / slope, (high - a) / slope
        level = slope == 0
        inside = (a >= low) & (a <= high)
        first = np.where(level, np.where(inside, 0.0, 1.0), np.minimum(enter, leave))
        last = np.where(level, np.where(inside, 1.0, 0.0), np.maximum(enter, leave))
        return np.clip(first, 0.0, None), np.clip(last, None, 1.0)

    def _in_polygon(self, point: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Even-odd rule: a ray along the second axis crosses the border an odd number of times."""
        inside = np.zeros(len(point), bool)
        for (a, b), (c, d) in self._edges():
            spans = (a > point[:, 0]) != (c > point[:, 0])
            if a != c:
                inside ^= spans & (point[:, 1] < b + (point[:, 0] - a) * (d - b) / (c - a))
        return inside

    def _edge_met(self, p: NDArray[np.float64], q: NDArray[np.float64]) -> NDArray[np.bool_]:
        met = np.zeros(len(p), bool)
        for a, b in self._edges():
            parted = (_side(p, q, a) > 0) != (_side(p, q, b) > 0)
            met |= parted & ((_turn(b - a, p - a) > 0) != (_turn(b - a, q - a) > 0))
        return met

    def _edges(self) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
        return list(zip(self._corners, np.roll(self._corners, -1, axis=0), strict=True))


@dataclass(frozen=True)
class RegionNumbers:
    """Measurements in a region; NaN if it is empty.

    Attributes
    ----------
    area_um2
        Area of the polygon.
    n_tracks
        Tracks that are partly inside, including between two of their points.
    n_points
        Track points inside.
    mean_speed_mm_s, sd_speed_mm_s, mean_velocity_z_mm_s
        Over the track points inside; positive velocities point deeper.
    tracks_a_voxel
        Mean of the density map over the region's voxels, including empty ones.
    filled
        Fraction of the region's voxels crossed by a track.
    """

    area_um2: float
    n_tracks: int
    n_points: int
    mean_speed_mm_s: float
    sd_speed_mm_s: float
    mean_velocity_z_mm_s: float
    tracks_a_voxel: float
    filled: float

    def rows(self) -> list[tuple[str, str]]:
        """Name and value with unit, for display."""
        return [
            ("area", f"{self.area_um2 / 1e6:.4g} mm²"),
            ("tracks crossing", f"{self.n_tracks:,}"),
            ("track points", f"{self.n_points:,}"),
            ("mean speed", _number(self.mean_speed_mm_s, "mm/s", self.sd_speed_mm_s)),
            ("mean axial velocity", _number(self.mean_velocity_z_mm_s, "mm/s")),
            ("density", _number(self.tracks_a_voxel, "tracks per voxel")),
            ("filled", _number(100 * self.filled, "% of voxels")),
        ]


def region_numbers(tracks: Tracks, region: Region, density: VesselMap | None) -> RegionNumbers:
    """Measure the tracks and the density map within a region.

    Parameters
    ----------
    tracks
        Rows sorted by track and frame, as returned by linking.
    region
        The region.
    density
        Density map of the tracks; None: the two numbers from it are NaN.

    Raises
    ------
    InputError
        The density is a prediction, not a count of tracks.
    """
    refuse_predicted(density, what="density of tracks")
    inside = region.contains(tracks.positions_um) if len(tracks) else np.zeros(0, bool)
    speed = tracks.table["speed_mm_s"].to_numpy(np.float64)[inside]
    axial = tracks.table["vz_mm_s"].to_numpy(np.float64)[inside]
    n = int(inside.sum())
    held, n_filled, n_voxels = (0.0, 0, 0) if density is None else _held(density, region)
    return RegionNumbers(
        area_um2=region.area_um2,
        n_tracks=int(_crossing(tracks, region, inside).size),
        n_points=n,
        mean_speed_mm_s=ratio(float(speed.sum()), n),
        sd_speed_mm_s=float(speed.std()) if n else float("nan"),
        mean_velocity_z_mm_s=ratio(float(axial.sum()), n),
        tracks_a_voxel=ratio(held, n_voxels),
        filled=ratio(n_filled, n_voxels),
    )


def tracks_crossing(tracks: Tracks, region: Region) -> NDArray[np.int64]:
    """Identities, ascending, of the tracks that are partly in a region.

    A track also counts if only the line between two of its points crosses the region.

    Parameters
    ----------
    tracks
        Rows sorted by track and frame, as returned by linking.
    region
        The region.
    """
    inside = region.contains(tracks.positions_um) if len(tracks) else np.zeros(0, bool)
    return _crossing(tracks, region, inside)


def _crossing(tracks: Tracks, region: Region, inside: NDArray[np.bool_]) -> NDArray[np.int64]:
    identity = tracks.table["track_id"].to_numpy(np.int64)
    crossing = identity[inside]
    if len(tracks) > 1:
        positions = tracks.positions_um
        joined = np.flatnonzero(identity[1:] == identity[:-1])
        # Lines with an end inside are already counted.
        joined = joined[~(inside[joined] | inside[joined + 1])]
        met = region.crossed(positions[joined], positions[joined + 1])
        crossing = np.concatenate([crossing, identity[joined[met]]])
    return np.unique(crossing)


def _held(density: VesselMap, region: Region) -> tuple[float, int, int]:
    """Sum, number of non-empty voxels and number of voxels with their centre in the region."""
    grid = density.grid
    centres = [grid.origin_um[k] + grid.spacing_um[k] * np.arange(grid.shape[k]) for k in range(3)]
    low, high = region.range_um
    across = centres[region.axis]
    depth = (across >= low) & (across <= high)
    if grid.shape[region.axis] == 1:
        depth[:] = True  # 2-D data: use the single plane
    elif not depth.any() and low <= high:
        # Thinner than a voxel: use the plane that contains it.
        depth[int(np.argmin(np.abs(across - (low + high) / 2)))] = True
    rows, columns = (k for k in range(3) if k != region.axis)
    n_rows, n_columns = grid.shape[rows], grid.shape[columns]
    points = np.zeros((n_rows * n_columns, 3))
    points[:, rows] = np.repeat(centres[rows], n_columns)
    points[:, columns] = np.tile(centres[columns], n_rows)
    mask = region._in_polygon(region._flat(points)).reshape(n_rows, n_columns)
    index = np.unravel_index(density.index, density.shape)
    held = depth[index[region.axis]] & mask[index[rows], index[columns]]
    values = density.values[held]
    n_voxels = int(depth.sum()) * int(mask.sum())
    return float(values.sum(dtype=np.float64)), int(np.count_nonzero(values)), n_voxels


def _area(corners: NDArray[np.float64]) -> float:
    a, b = corners.T
    return float(abs(np.dot(a, np.roll(b, -1)) - np.dot(b, np.roll(a, -1))) / 2)


def _turn(edge: NDArray[np.float64], to: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cross product of one edge with many vectors; the sign tells the side."""
    return np.asarray(edge[0] * to[:, 1] - edge[1] * to[:, 0])


def _side(
    p: NDArray[np.float64], q: NDArray[np.float64], point: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Side of the lines from p to q on which a point lies."""
    along, to = q - p, point - p
    return np.asarray(along[:, 0] * to[:, 1] - along[:, 1] * to[:, 0])


def _number(value: float, unit: str, spread: float | None = None) -> str:
    if not np.isfinite(value):
        return "none within"
    more = f" ± {spread:.3g}" if spread is not None and np.isfinite(spread) else ""
    return f"{value:.4g}{more} {unit}"
