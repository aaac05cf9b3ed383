"""Files next to the frames: metadata, settings and ground truth."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import tomli_w

from napari_ulm3d.simulate.config import SimulationConfig

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SIDECAR", "TRUTH", "truth_writer", "write_settings", "write_sidecar"]

SIDECAR = "acquisition.toml"
TRUTH = "truth.parquet"
_SETTINGS = "simulation.toml"


def write_sidecar(config: SimulationConfig, folder: Path) -> None:
    """Write ``acquisition.toml``: facts missing in the frames' file, with names of `LoadConfig`."""
    values = {
        "voxel_um": list(config.grid.voxel_um),
        "rate_hz": config.rate_hz,
        "wavelength_um": config.wavelength_um,
        "frequency_hz": config.frequency_hz,
        "sound_speed_m_s": config.sound_speed_m_s,
        "origin_um": list(config.grid.origin_um),
    }
    (folder / SIDECAR).write_text(tomli_w.dumps(values), encoding="utf-8")


def write_settings(config: SimulationConfig, folder: Path) -> None:
    """Write all settings to ``simulation.toml``, readable by `SimulationConfig.from_toml`."""
    config.to_toml(folder / _SETTINGS)


@contextmanager
def truth_writer(folder: Path) -> Iterator[Callable[[pd.DataFrame], None]]:
    """Write ``truth.parquet`` in parts; yields the function that appends a part."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    writer: Any = None

    def add(part: pd.DataFrame) -> None:
        nonlocal writer
        table = pa.Table.from_pandas(part, preserve_index=False)
        if writer is None:
            writer = pq.ParquetWriter(folder / TRUTH, table.schema, compression="zstd")
        writer.write_table(table)

    try:
        yield add
    finally:
        if writer is not None:
            writer.close()
