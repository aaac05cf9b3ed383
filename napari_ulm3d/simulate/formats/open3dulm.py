"""The layout of Open-3DULM (Zenodo 14289690): ``IQ001.mat``, ``IQ002.mat``, ...

MATLAB v7.3 files of 200 frames, variable ``IQ`` [z, x, y, t] complex single. They contain
neither voxel size nor rate: ``acquisition.toml`` beside them does.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.simulate.formats.sidecar import truth_writer, write_sidecar

if TYPE_CHECKING:
    from napari_ulm3d.simulate.simulation import Simulation

__all__ = ["write_open3dulm"]

_USERBLOCK = 512
_COMPLEX = np.dtype([("real", "<f4"), ("imag", "<f4")])


def write_open3dulm(
    simulation: Simulation,
    folder: Path,
    frames_per_file: int = 200,
    mantissa_bits: int | None = None,
) -> Iterator[int]:
    """Write the frames, the sidecar and ``truth.parquet`` into a folder.

    Parameters
    ----------
    folder
        An existing, empty folder.
    frames_per_file
        Default 200, as in Open-3DULM's own files.
    mantissa_bits
        None: exact, uncompressed. A number (1..23): round to that many mantissa bits and
        compress; with 7 bits the error is below 0.4 % of each value.

    Yields
    ------
    int
        Number of frames just written.
    """
    import h5py

    write_sidecar(simulation.config, folder)
    with truth_writer(folder) as add_truth:
        for number, (frames, truth) in enumerate(simulation.blocks(frames_per_file), start=1):
            # MATLAB's [z, x, y, t] is (t, y, x, z) in C order.
            stored = np.ascontiguousarray(np.moveaxis(frames, 1, 3))
            how: dict[str, Any] = {}
            if mantissa_bits is not None:
                stored = round_mantissa(stored, mantissa_bits)
                how = {
                    "chunks": (min(50, len(stored)), *stored.shape[1:]),
                    "compression": "gzip",
                    "compression_opts": 9,
                    "shuffle": True,
                }
            path = folder / f"IQ{number:03d}.mat"
            with h5py.File(path, "w", userblock_size=_USERBLOCK) as file:
                dataset = file.create_dataset("IQ", data=stored.view(_COMPLEX), **how)
                dataset.attrs["MATLAB_class"] = np.bytes_("single")
            with open(path, "r+b") as raw:
                raw.write(_matlab_header())
            add_truth(truth)
            yield len(frames)


def round_mantissa(values: NDArray[np.complex64], bits: int) -> NDArray[np.complex64]:
    """Round both parts to the nearest value with `bits` (1..23) mantissa bits."""
    if not 1 <= bits <= 23:
        raise ValueError(f"a float32 has 1 to 23 bits of mantissa, not {bits}")
    drop = 23 - bits
    if drop == 0:
        return values
    words = np.ascontiguousarray(values).view(np.uint32)
    half = np.uint32(1 << (drop - 1))
    mask = np.uint32((0xFFFFFFFF << drop) & 0xFFFFFFFF)
    return ((words + half) & mask).view(np.complex64)


def _matlab_header() -> bytes:
    """The 128-byte header by which MATLAB recognizes a v7.3 file: text, version, byte order."""
    text = b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created by napari-ulm3d HDF5 schema 1.00 ."
    return text.ljust(116) + bytes(8) + b"\x00\x02IM"
