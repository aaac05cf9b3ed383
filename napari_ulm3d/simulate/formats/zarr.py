"""OME-Zarr 0.4: one complex array (t, z, y, x) with its axes, scale and origin."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_ulm3d.simulate.formats.sidecar import truth_writer, write_sidecar

if TYPE_CHECKING:
    from napari_ulm3d.simulate.config import SimulationConfig
    from napari_ulm3d.simulate.simulation import Simulation

__all__ = ["write_zarr"]

_FRAMES_PER_BLOCK = 200
_CHUNK_BYTES = 4 << 20


def write_zarr(simulation: Simulation, folder: Path) -> Iterator[int]:
    """Write ``acquisition.ome.zarr``, the sidecar (wavelength) and ``truth.parquet`` to a folder.

    Zarr format 2, which all current readers can open; complex64, uncompressed (noise does not
    compress).

    Yields
    ------
    int
        Number of frames just written.
    """
    import zarr

    config = simulation.config
    write_sidecar(config, folder)
    group = zarr.open_group(folder / "acquisition.ome.zarr", mode="w", zarr_format=2)
    frame_bytes = 8 * simulation.grid.size
    per_chunk = max(1, min(_CHUNK_BYTES // frame_bytes, _FRAMES_PER_BLOCK, config.n_frames))
    array = group.create_array(
        "0",
        shape=(config.n_frames, *config.grid.shape),
        chunks=(per_chunk, *config.grid.shape),
        dtype="<c8",
        compressors=None,
        chunk_key_encoding={"name": "v2", "separator": "/"},
    )
    group.attrs.update(_attributes(config))
    # Whole chunks per block, so that none is written twice.
    block = max(1, _FRAMES_PER_BLOCK // per_chunk) * per_chunk
    with truth_writer(folder) as add_truth:
        first = 0
        for frames, truth in simulation.blocks(block):
            array[first : first + len(frames)] = frames
            add_truth(truth)
            first += len(frames)
            yield len(frames)


def _attributes(config: SimulationConfig) -> dict[str, Any]:
    time = {"name": "t", "type": "time", "unit": "second"}
    space = [{"name": axis, "type": "space", "unit": "micrometer"} for axis in "zyx"]
    transforms = [
        {"type": "scale", "scale": [1 / config.rate_hz, *config.grid.voxel_um]},
        {"type": "translation", "translation": [0.0, *config.grid.origin_um]},
    ]
    return {
        "multiscales": [
            {
                "version": "0.4",
                "name": config.name,
                "axes": [time, *space],
                "datasets": [{"path": "0", "coordinateTransformations": transforms}],
            }
        ]
    }
