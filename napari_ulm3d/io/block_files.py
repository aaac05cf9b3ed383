"""Finished blocks, one file each, from which an interrupted run resumes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.errors import InputError, ResultsError
from napari_ulm3d.io.stored.content import readable
from napari_ulm3d.system.atomic import atomic_path
from napari_ulm3d.tables import Localizations
from napari_ulm3d.volumes import VesselMap

__all__ = [
    "AMPLITUDE_LOG2",
    "BlockResult",
    "localizations_of",
    "read_block_file",
    "write_block_file",
]

_COLUMN, _MOTION = "column_", "motion_"

#: Fact that gives the power of two by which a block's frames were multiplied.
AMPLITUDE_LOG2 = "amplitude_log2"


@dataclass(frozen=True)
class BlockResult:
    """Result of one block: its localizations and its share of the power Doppler.

    Attributes
    ----------
    localizations
        Localizations in the frames of this block.
    power_doppler
        (z, y, x) float32, mean over the block's frames, which were multiplied by
        2**facts["amplitude_log2"] if that fact exists.
    n_frames
        Number of frames in the block.
    facts
        Counts for the log: rejections, components kept, ...
    trajectory
        For the localizer ``trajectory``: number of windows of the block in which a trajectory
        crossed each voxel; None for others.
    motion
        One row per frame, as in `BlockMotion.to_table`; None without motion correction.
    """

    localizations: Localizations
    power_doppler: NDArray[np.float32]
    n_frames: int
    facts: dict[str, float]
    trajectory: VesselMap | None = None
    motion: pd.DataFrame | None = None

    @property
    def power(self) -> NDArray[np.float64]:
        """Power Doppler in the squared unit of the data, (z, y, x); may span 1e-76 to 1e76."""
        exponent = int(self.facts.get(AMPLITUDE_LOG2, 0))
        return np.ldexp(self.power_doppler.astype(np.float64), -2 * exponent)


def write_block_file(path: Path, block: BlockResult, key: str) -> None:
    """Save a finished block; `key` identifies the input and settings that produced it."""
    columns = {
        f"{_COLUMN}{name}": values.to_numpy() for name, values in block.localizations.table.items()
    }
    if block.trajectory is not None:
        columns |= _as_arrays(block.trajectory)
    if block.motion is not None:
        columns |= {f"{_MOTION}{name}": v.to_numpy() for name, v in block.motion.items()}
    with atomic_path(path) as partial, open(partial, "wb") as file:
        np.savez(
            file,
            key=np.array(key),
            n_frames=np.array(block.n_frames),
            power_doppler=block.power_doppler,
            fact_names=np.array(list(block.facts), dtype=str),
            fact_values=np.array(list(block.facts.values()), dtype=float),
            **columns,
        )


def read_block_file(path: Path, key: str) -> BlockResult | None:
    """Read a finished block; None if it comes from another input or other settings.

    Raises
    ------
    ResultsError
        The file is damaged.
    """
    try:
        with readable(path, "a finished block"), np.load(path, allow_pickle=False) as data:
            if str(data["key"]) != key:
                return None
            facts = dict(
                zip(data["fact_names"].tolist(), data["fact_values"].tolist(), strict=True)
            )
            return BlockResult(
                _localizations(data),
                data["power_doppler"],
                int(data["n_frames"]),
                facts,
                _from_arrays(data) if "map_index" in data else None,
                _table(data, _MOTION) if f"{_MOTION}frame" in data else None,
            )
    except InputError as error:
        raise ResultsError(
            f"{path}: {error.problem}. Delete this file and resume the run."
        ) from error


def localizations_of(paths: Iterable[Path]) -> Localizations:
    """Read the localizations of finished blocks, whatever settings produced them.

    Raises
    ------
    ResultsError
        A file is damaged.
    """
    parts = []
    for path in paths:
        try:
            with readable(path, "a finished block"), np.load(path, allow_pickle=False) as data:
                parts.append(_localizations(data))
        except InputError as error:
            raise ResultsError(
                f"{path}: {error.problem}. Delete this file and resume the run."
            ) from error
    return Localizations.concat(parts)


def _localizations(data: Any) -> Localizations:
    return Localizations(_table(data, _COLUMN))


def _table(data: Any, prefix: str) -> pd.DataFrame:
    names = [name for name in data if name.startswith(prefix)]
    return pd.DataFrame({name.removeprefix(prefix): data[name] for name in names})


def _as_arrays(counts: VesselMap) -> dict[str, NDArray[Any]]:
    grid = counts.grid
    return {
        "map_name": np.array([counts.name, counts.unit]),
        "map_grid": np.array([grid.shape, grid.spacing_um, grid.origin_um], np.float64),
        "map_index": counts.index,
        "map_values": counts.values,
    }


def _from_arrays(data: Any) -> VesselMap:
    shape, spacing_um, origin_um = data["map_grid"].tolist()
    name, unit = data["map_name"].tolist()
    grid = Grid(tuple(shape), tuple(spacing_um), tuple(origin_um))
    return VesselMap(name, grid, data["map_index"], data["map_values"], unit)
