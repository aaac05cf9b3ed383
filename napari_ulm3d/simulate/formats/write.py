"""Write a simulated acquisition to a folder that appears complete or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from napari_ulm3d.errors import ConfigError, ResultsError
from napari_ulm3d.simulate.formats.open3dulm import write_open3dulm
from napari_ulm3d.simulate.formats.sidecar import write_settings
from napari_ulm3d.simulate.formats.sparsetensorulm import write_sparsetensorulm
from napari_ulm3d.simulate.formats.zarr import write_zarr
from napari_ulm3d.system.atomic import atomic_path

if TYPE_CHECKING:
    from napari_ulm3d.simulate.simulation import Simulation

__all__ = ["FORMATS", "write_simulation"]

FORMATS: dict[str, Callable[..., Iterator[int]]] = {
    "open3dulm": write_open3dulm,
    "sparsetensorulm": write_sparsetensorulm,
    "zarr": write_zarr,
}


def write_simulation(
    simulation: Simulation,
    folder: str | PathLike[str],
    format: str = "open3dulm",
    *,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
    **options: int | None,
) -> Path:
    """Write frames, metadata, ``truth.parquet`` and ``simulation.toml`` to a new folder.

    Parameters
    ----------
    simulation
        The simulation; one block of it is in memory at a time.
    folder
        Target; its parent folder is created if necessary.
    format
        One of `FORMATS`.
    overwrite
        Replace a folder written by an earlier call; other folders are never replaced.
    progress
        Called with the number of frames written and the total number.
    **options
        Passed to the writer of the format.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ConfigError
        The format is unknown or does not fit the settings.
    ResultsError
        The folder exists and must not be replaced, or cannot be written.
    """
    if format not in FORMATS:
        raise ConfigError(f"There is no format '{format}'. Formats: {', '.join(FORMATS)}.")
    target = Path(folder)
    if target.exists():
        if not overwrite:
            raise ResultsError(
                f"{target}: already exists. Choose another folder, or add --overwrite."
            )
        ours = (target / "simulation.toml").is_file()
        if not ours and (not target.is_dir() or any(target.iterdir())):
            raise ResultsError(f"{target}: does not contain a simulation. Choose another folder.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ResultsError(
            f"{target.parent}: cannot be created ({error.strerror}). Choose another folder."
        ) from error
    total, done = simulation.config.n_frames, 0
    with atomic_path(target) as temporary:
        temporary.mkdir()
        write_settings(simulation.config, temporary)
        for count in FORMATS[format](simulation, temporary, **options):
            done += count
            if progress is not None:
                progress(done, total)
    return target
