"""The layout of SparseTensorULM: correlation maps with the trajectories of their bubbles.

One HDF5 file with one group per sample, named ``1``, ``2``, ...: ``CorrMap`` float32 in h5 order
(t, z, y, x, 2), real and imaginary part last, without y in 2-D; and ``ground_truth/coords``
float64 (tracks, 4, t): x, y, z in voxels, with 0 at the centre of the first voxel, and t in
seconds; NaN while the bubble is out of view.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.errors import ConfigError
from napari_ulm3d.simulate.formats.sidecar import truth_writer, write_sidecar

if TYPE_CHECKING:
    import h5py

    from napari_ulm3d.filtering.psf import Psf
    from napari_ulm3d.simulate.simulation import Simulation

__all__ = ["FRAMES_PER_SAMPLE", "write_sparsetensorulm"]

FRAMES_PER_SAMPLE = 512


def write_sparsetensorulm(
    simulation: Simulation, folder: Path, frames_per_sample: int = FRAMES_PER_SAMPLE
) -> Iterator[int]:
    """Write ``samples.h5``, the sidecar and ``truth.parquet`` into a folder.

    The maps are the normalized correlation with a Gaussian PSF of the simulation's widths at
    the centre of the grid (no side lobes), as a localizer would compute them.

    Parameters
    ----------
    folder
        An existing, empty folder.
    frames_per_sample
        Frames per group; an incomplete last sample is left out.

    Yields
    ------
    int
        Number of frames just written.

    Raises
    ------
    ConfigError
        The frames contain tissue, which would hide the bubbles in the correlation map, or
        are too few for one sample.
    """
    import h5py

    config = simulation.config
    if config.clutter.level_db is not None:
        raise ConfigError(
            "The SparseTensorULM layout stores correlation maps of filtered frames. Simulate "
            "without tissue: clutter.level_db = none."
        )
    if config.n_frames < frames_per_sample:
        raise ConfigError(
            f"A sample of the SparseTensorULM layout has {frames_per_sample} frames, more "
            f"than the {config.n_frames} of this simulation. Set n_frames to a multiple."
        )
    write_sidecar(config, folder)
    psf = _gaussian_psf(simulation)
    with h5py.File(folder / "samples.h5", "w") as file, truth_writer(folder) as add_truth:
        for number, (frames, truth) in enumerate(simulation.blocks(frames_per_sample), start=1):
            if len(frames) == frames_per_sample:
                group = file.create_group(str(number))
                _write_map(group, frames, psf)
                first = (number - 1) * frames_per_sample
                coords = track_coordinates(
                    truth, simulation.grid, first, len(frames), config.rate_hz
                )
                group.create_group("ground_truth").create_dataset("coords", data=coords)
                add_truth(truth)
            yield len(frames)


def track_coordinates(
    truth: pd.DataFrame, grid: Grid, first_frame: int, n_frames: int, rate_hz: float
) -> NDArray[np.float64]:
    """Ground truth as (tracks, 4, t): x, y, z in voxels, t in seconds from the first frame.

    Parameters
    ----------
    truth
        Columns frame, bubble_id, z_um, y_um, x_um.
    first_frame, n_frames
        Range of frames; rows outside are ignored.
    """
    frame = truth["frame"].to_numpy() - first_frame
    inside = (frame >= 0) & (frame < n_frames)
    frame = frame[inside]
    bubble, track = np.unique(truth["bubble_id"].to_numpy()[inside], return_inverse=True)
    index = grid.to_index(truth[["z_um", "y_um", "x_um"]].to_numpy()[inside])
    coords = np.full((bubble.size, 4, n_frames), np.nan)
    coords[track, :3, frame] = index[:, ::-1]
    coords[track, 3, frame] = frame / rate_hz
    return coords


def _gaussian_psf(simulation: Simulation) -> Psf:
    from napari_ulm3d.config import PsfConfig
    from napari_ulm3d.filtering.psf import analytic_psf

    grid = simulation.grid
    middle = grid.origin_um[0] + grid.spacing_um[0] * (grid.shape[0] - 1) / 2
    fwhm = simulation.renderer.psf.fwhm_voxels(middle)[0]
    # Odd patches that extend about one FWHM to either side.
    pz, py, px = (
        1 if n == 1 else 2 * int(np.ceil(w)) + 1 for n, w in zip(grid.shape, fwhm, strict=True)
    )
    wz, wy, wx = fwhm.tolist()
    config = PsfConfig(fwhm_voxels=(wz, wy, wx), patch_voxels=(pz, py, px))
    return analytic_psf(config, grid, carrier_rad=simulation.renderer.psf.phase_per_voxel)


def _write_map(group: h5py.Group, frames: NDArray[np.complex64], psf: Psf) -> None:
    from napari_ulm3d.filtering.correlation import correlation_map

    t, z, y, x = frames.shape
    shape = (t, z, x, 2) if y == 1 else (t, z, y, x, 2)
    dataset = group.create_dataset("CorrMap", shape, "<f4")
    correlation_map(frames, psf, out=frames)
    dataset[...] = frames.view(np.float32).reshape(shape)
