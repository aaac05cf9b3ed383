"""Sums over the blocks of a run, and the final maps."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.acquisition import Acquisition, Block, Grid
from napari_ulm3d.io.results import BlockResult
from napari_ulm3d.link import ChanceTracks
from napari_ulm3d.maps import (
    MapAccumulator,
    forecast_saturation,
    saturation_curve,
)
from napari_ulm3d.maps.resolved import resolved
from napari_ulm3d.pipeline.events import MapsFinished
from napari_ulm3d.pipeline.trajectories import TrajectorySum
from napari_ulm3d.tables import Tracks
from napari_ulm3d.volumes import VesselMap

__all__ = ["BlockSums"]

_MOST_EXPONENT = 100


class BlockSums:
    """Sums over the blocks of a run: tracks on maps, power Doppler, trajectories."""

    def __init__(self, acquisition: Acquisition, accumulator: MapAccumulator) -> None:
        self._acquisition = acquisition
        self.accumulator = accumulator
        self._power = np.zeros(acquisition.grid.shape, np.float64)
        self._n_frames = 0
        self._trajectories = TrajectorySum()

    def add(self, block: Block, result: BlockResult) -> None:
        """Add a finished block."""
        self._power += result.power * result.n_frames
        self._n_frames += result.n_frames
        end = block.first_frame + block.n_frames
        self._trajectories.add(result, end / self._acquisition.rate_hz)

    def maps(self, tracks: Tracks, chance: ChanceTracks) -> MapsFinished:
        """All maps, with the tracks not yet reported."""
        accumulator, duration_s = self.accumulator, self._acquisition.duration_s
        fsc, places = resolved(accumulator)
        maps = accumulator.maps() | places
        maps["power_doppler"] = _power_map(self._power / self._n_frames, self._acquisition.grid)
        saturation = self._trajectories.saturation(duration_s)
        if saturation is None:
            saturation = saturation_curve(accumulator, duration_s=duration_s)
        return MapsFinished(
            tracks=tracks,
            maps=maps | self._trajectories.maps(),
            saturation=saturation,
            resolution=fsc,
            chance=chance,
            forecast=forecast_saturation(saturation),
        )


def _power_map(power: NDArray[np.float64], grid: Grid) -> VesselMap:
    """Power Doppler as a map; values beyond single precision are scaled by a power of two."""
    exponent = math.frexp(float(power.max()))[1]
    unit = "a.u."
    if abs(exponent) > _MOST_EXPONENT:
        power, unit = np.ldexp(power, -exponent), f"a.u. (2^{exponent})"
    return VesselMap.from_dense("power_doppler", power.astype(np.float32), grid, unit)
