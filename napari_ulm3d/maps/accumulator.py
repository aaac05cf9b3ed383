"""Accumulation of tracks into vessel maps: density, speed, axial velocity, direction.

The maps are those of PALA (Heiles et al., Nat. Biomed. Eng. 6:605-616, 2022,
`ULM_Track2MatOut`): a track counts once in every voxel that it crosses. `direction`
is PALA's `MatOut_zdir` as a signed density: tracks going deeper minus tracks coming up.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.config import MapConfig
from napari_ulm3d.errors import ConfigError, ResultsError
from napari_ulm3d.maps import traverse
from napari_ulm3d.maps.confidence import RESAMPLES, confidence_maps, intervals, resample_weights
from napari_ulm3d.maps.disk_spill import MemoryBound, SortedRuns, row_dtype
from napari_ulm3d.maps.smoothing import smooth_maps
from napari_ulm3d.tables import Tracks
from napari_ulm3d.volumes import VesselMap

__all__ = ["MapAccumulator", "accumulate"]

_ROWS_AT_ONCE = 100_000
_VOXELS_AT_ONCE = 1 << 19
# Largest measured value, for a full table and for merging rows written to disk.
_BYTES_A_VOXEL, _BYTES_A_RESAMPLE = 100, 25
_FEWEST_VOXELS = 512
_COLUMNS = ["z_um", "y_um", "x_um", "time_s", "vz_mm_s", "speed_mm_s"]


class MapAccumulator:
    """Accumulates tracks into maps in any number of steps; memory grows with occupied voxels.

    Memory is about 70 bytes per occupied voxel (450 if maps are smoothed and their errors
    wanted), or limited by `bound`. The maps are bit-identical whatever the bound, the division
    of tracks over calls of `add`, and their order; the two half sets depend only on the order.

    Parameters
    ----------
    grid
        Grid of the acquisition.
    config
        `resolution_factor` defines the grid of the maps, ``grid.isotropic(factor)``; `fsc`
        selects whether the two half sets are kept; `smoothing_um` is the width of the smoothing;
        `confidence` selects whether standard errors are computed.
    bound
        Memory limit for accumulation, beyond which a temporary file is used; None:
        unlimited. The finished maps need additional memory.
    """

    def __init__(self, grid: Grid, config: MapConfig, bound: MemoryBound | None = None) -> None:
        self.config = config
        self.grid = grid.isotropic(config.resolution_factor)
        if self.grid.size >= 2**62:
            raise ConfigError(
                f"With maps.resolution_factor={config.resolution_factor} the map would have "
                f"{self.grid.shape} voxels, which is too many. Lower maps.resolution_factor."
            )
        self.n_tracks = 0
        self.last_time_s = 0.0
        # The error of a smoothed map depends on the tracks shared by voxels, so it needs resamples.
        confident = config.confidence != "none"
        self._resamples = RESAMPLES if confident and config.smoothing_um > 0 else 0
        # Sums that are not stored; their columns are empty.
        self._off = {
            name
            for name, kept in (
                ("even", config.fsc), ("square", confident),
                ("drawn", self._resamples), ("drawn_speed", self._resamples),
            ) if not kept
        }  # fmt: skip
        self._row = row_dtype(self._resamples)
        self._bound = bound
        a_voxel = _BYTES_A_VOXEL + _BYTES_A_RESAMPLE * self._resamples
        self._most_rows = None if bound is None else max(_FEWEST_VOXELS, bound.n_bytes // a_voxel)
        self._runs: SortedRuns | None = None
        self._empty_table()

    def _empty_table(self) -> None:
        self._rows = 0
        self._slots = np.zeros(1 << 13, np.int32)
        capacity = self._slots.size // 2
        capacity = min(capacity, self._most_rows or capacity)
        self._index = np.zeros(capacity, np.int64)
        self._count = np.zeros(capacity, np.int32)
        self._even = np.zeros(0 if "even" in self._off else capacity, np.int32)
        self._direction = np.zeros(capacity, np.int32)
        self._speed = np.zeros(capacity, np.int64)
        self._axial = np.zeros(capacity, np.int64)
        self._square = np.zeros(0 if "square" in self._off else capacity, np.int64)
        drawn = (capacity if self._resamples else 0, self._resamples)
        self._drawn, self._drawn_speed = np.zeros(drawn, np.int32), np.zeros(drawn, np.int64)
        self._reached = np.zeros(capacity, np.float32)
        self._mark = np.zeros(capacity, np.int32)

    @property
    def n_voxels(self) -> int:
        """Number of voxels crossed by a track."""
        return self._settled()

    def add(self, tracks: Tracks) -> None:
        """Add tracks; each track must be complete in one call.

        Positions outside the grid are ignored, with the segments that lead there.

        Raises
        ------
        ResultsError
            A position, time or velocity is not finite.
        """
        if not len(tracks):
            return
        table = _in_order(tracks.table)
        for name in _COLUMNS:
            if not np.isfinite(table[name].to_numpy()).all():
                raise ResultsError(
                    f"The tracks have NaN or infinite values in column {name}. Remove those rows "
                    "before you make maps."
                )
        identity = table["track_id"].to_numpy()
        borders = np.flatnonzero(np.diff(identity)) + 1
        starts = np.concatenate(([0], borders, [len(table)])).astype(np.int64)
        first = 0
        while first < starts.size - 1:
            stop = int(np.searchsorted(starts, starts[first] + _ROWS_AT_ONCE, side="right")) - 1
            stop = max(stop, first + 1)
            low, high = starts[first], starts[stop]
            self._add_rows(table.iloc[low:high], starts[first : stop + 1] - low)
            first = stop

    def _add_rows(self, table: pd.DataFrame, starts: NDArray[np.int64]) -> None:
        points = self.grid.to_index(table[["z_um", "y_um", "x_um"]].to_numpy(np.float64)) + 0.5
        shape = np.asarray(self.grid.shape, np.int64)
        bounds = traverse.voxel_bounds(points, starts, shape)
        paths = traverse.Paths(
            points=points,
            speed=table["speed_mm_s"].to_numpy(np.float64),
            axial=table["vz_mm_s"].to_numpy(np.float64),
            time_s=table["time_s"].to_numpy(np.float64),
            starts=starts,
            bounds=bounds,
            spacing_um=np.asarray(self.grid.spacing_um),
            weights=resample_weights(table, starts, self._resamples),
        )
        track = 0
        while track < bounds.size:
            most = self._most_rows
            if most is not None and self._rows and self._rows + int(bounds[track]) > most:
                self._write_out()
            self._reserve(self._rows + int(bounds[track]))
            voxels = traverse.VoxelTable(
                self._slots, self._index, self._count, self._even, self._direction,
                self._speed, self._axial, self._reached, self._mark,
                self._square, self._drawn, self._drawn_speed,
            )  # fmt: skip
            track, self._rows = traverse.deposit(
                paths, shape, track, self.n_tracks + track, voxels, self._rows
            )
        self.n_tracks += bounds.size
        self.last_time_s = max(self.last_time_s, float(paths.time_s.max()))

    def _reserve(self, rows: int) -> None:
        """Make room for `rows` voxels: columns grow by a half, the hash table doubles."""
        if rows > self._index.size:
            capacity = self._index.size * 3 // 2
            capacity = max(rows, min(capacity, self._most_rows or capacity))
            for name in {*(self._row.names or ()), "mark"} - self._off:
                column = getattr(self, f"_{name}")
                grown = np.zeros((capacity, *column.shape[1:]), column.dtype)
                grown[: self._rows] = column[: self._rows]
                setattr(self, f"_{name}", grown)
        if 2 * rows > self._slots.size:
            size = 1 << int(2 * rows - 1).bit_length()
            self._slots = traverse.rehash(self._index, self._rows, size)

    def _write_out(self) -> None:
        """Move the rows of the table to disk."""
        assert self._bound is not None
        at_once = max(1024, (self._most_rows or 0) // 16)
        if self._runs is None:
            self._runs = SortedRuns(self._bound.folder, at_once, self._row)
        names = [name for name in self._row.names or () if name not in self._off]

        def rows() -> Iterator[NDArray[np.void]]:
            for part in self._table(*names, at_once=at_once):
                records = np.zeros(part["index"].size, self._row)
                for name, column in part.items():
                    records[name] = column
                yield records

        self._runs.append(rows())
        self._rows = 0
        self._slots[:] = 0
        for name in set(names) - {"index", "reached"}:
            getattr(self, f"_{name}")[:] = 0

    def _settled(self) -> int:
        """Number of voxels; if some are on disk, all are there afterwards."""
        if self._runs is None:
            return self._rows
        if self._rows:
            self._write_out()
        self._empty_table()
        return self._runs.settle()

    def _table(
        self, *names: str, at_once: int = _VOXELS_AT_ONCE
    ) -> Iterator[dict[str, NDArray[Any]]]:
        """Columns of the table in the order of voxels, in parts."""
        order = np.argsort(self._index[: self._rows])
        for low in range(0, order.size, at_once):
            part = order[low : low + at_once]
            yield {name: getattr(self, f"_{name}")[part] for name in names}

    def _gathered(self, *names: str) -> Iterator[tuple[slice, Any]]:
        """Columns of all voxels, like `_table`, each part with its position."""
        start = 0
        for part in self._table(*names) if self._runs is None else self._runs.portions():
            stop = start + part[names[0]].size
            yield slice(start, stop), part
            start = stop

    def maps(self) -> dict[str, VesselMap]:
        """The current maps, all on the fine grid.

        ``density``
            Number of tracks through each voxel.
        ``speed``
            Mean speed of each track in the voxel, averaged over its tracks, mm/s.
        ``velocity_z``
            The same for the axial velocity, positive away from the probe, mm/s.
        ``direction``
            Tracks going deeper minus tracks coming up, by the sign of each track's mean
            axial velocity in the voxel.
        ``density_se``, ``speed_se``
            With `config.confidence`: their standard errors (see `confidence_maps`); with
            ``interval`` also the bounds of their 90 % intervals, ``density_low`` and so on.

        With `config.smoothing_um`, these maps are smoothed (see `smooth_maps`), but not the
        halves and arrival times.
        """
        n = self._settled()
        index = np.empty(n, np.int64)
        density, speed, axial, direction = (np.empty(n, np.float32) for _ in range(4))
        spread = np.empty(0 if "square" in self._off else n, np.float32)
        names = ["index", "count", "speed", "axial", "direction", "square"]
        for at, part in self._gathered(*(name for name in names if name not in self._off)):
            index[at], density[at], direction[at] = part["index"], part["count"], part["direction"]
            scale = traverse.FIXED_POINT * part["count"]
            speed[at], axial[at] = part["speed"] / scale, part["axial"] / scale
            if spread.size:
                spread[at] = _standard_error(part["count"], part["speed"], part["square"])
        maps = {
            "density": self._map("density", index, density, "tracks"),
            "speed": self._map("speed", index, speed, "mm/s"),
            "velocity_z": self._map("velocity_z", index, axial, "mm/s", signed=True),
            "direction": self._map("direction", index, direction, "tracks", signed=True),
        }
        smooth = smooth_maps(maps, self.config.smoothing_um)
        if self.config.confidence == "none":
            return smooth
        if self._resamples:
            smooth |= confidence_maps(smooth, self._resampled(), self.config.smoothing_um)
        else:
            smooth["density_se"] = self._map("density_se", index, np.sqrt(density), "tracks")
            smooth["speed_se"] = self._map("speed_se", index, spread, "mm/s")
        return smooth | (intervals(smooth) if self.config.confidence == "interval" else {})

    def _resampled(self) -> Iterator[tuple[VesselMap, VesselMap]]:
        """Density and speed of each resample, before smoothing."""
        n = self._settled()
        for b in range(self._resamples):
            index, count = np.empty(n, np.int64), np.empty(n, np.float32)
            speed = np.empty(n, np.float32)
            for at, part in self._gathered("index", "drawn", "drawn_speed"):
                drawn = part["drawn"][:, b]
                index[at], count[at] = part["index"], drawn
                speed[at] = part["drawn_speed"][:, b] / traverse.FIXED_POINT / np.maximum(drawn, 1)
            yield (
                self._map("density", index, count, "tracks"),
                self._map("speed", index, speed, "mm/s"),
            )

    def halves(self) -> tuple[VesselMap, VesselMap]:
        """Densities of two half sets: tracks with even and odd rank, in the order added.

        Raises
        ------
        ConfigError
            `config.fsc` is off, so they were not stored.
        """
        if not self.config.fsc:
            raise ConfigError("The half data sets were not kept. Set maps.fsc=true.")
        n = self._settled()
        index = np.empty(n, np.int64)
        even, odd = np.empty(n, np.float32), np.empty(n, np.float32)
        for at, part in self._gathered("index", "even", "count"):
            index[at], even[at], odd[at] = part["index"], part["even"], part["count"] - part["even"]
        return (
            self._map("density_even", index, even, "tracks"),
            self._map("density_odd", index, odd, "tracks"),
        )

    def arrival_times_s(self) -> NDArray[np.float32]:
        """Time at which each occupied voxel was first reached, (n_voxels,), seconds, ascending."""
        if self._runs is None:
            return np.sort(self._reached[: self._rows])
        times_s = np.empty(self._settled(), np.float32)
        for at, part in self._gathered("reached"):
            times_s[at] = part["reached"]
        times_s.sort()
        return times_s

    def _map(
        self,
        name: str,
        index: NDArray[np.int64],
        values: NDArray[np.float32],
        unit: str,
        signed: bool = False,
    ) -> VesselMap:
        held = values != 0
        if not held.all():
            index, values = index[held], values[held]
        return VesselMap(name, self.grid, index, values, unit, signed)


def accumulate(tracks: Tracks, grid: Grid, config: MapConfig) -> dict[str, VesselMap]:
    """Compute the maps of all tracks at once; see `MapAccumulator.maps`.

    Parameters
    ----------
    tracks
        Rows sorted by track and frame (otherwise they are sorted here).
    grid
        Grid of the acquisition, not of the maps.
    """
    accumulator = MapAccumulator(grid, config)
    accumulator.add(tracks)
    return accumulator.maps()


def _standard_error(
    count: NDArray[np.int32], speed: NDArray[np.int64], square: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Standard error of the mean speed over each voxel's tracks, mm/s; 0 for a single track."""
    mean = speed / (traverse.FIXED_POINT * count)
    variance = square / (traverse.SQUARED_POINT * count) - mean**2
    return np.where(count > 1, np.sqrt(np.maximum(variance, 0) / np.maximum(count - 1, 1)), 0)


def _in_order(table: pd.DataFrame) -> pd.DataFrame:
    identity, frame = table["track_id"].to_numpy(), table["frame"].to_numpy()
    same, later = identity[1:] == identity[:-1], frame[1:] > frame[:-1]
    if ((identity[1:] > identity[:-1]) | (same & later)).all():
        return table
    return table.sort_values(["track_id", "frame"], kind="stable")
