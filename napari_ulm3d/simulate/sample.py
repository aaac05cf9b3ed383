"""The small acquisition used in demonstrations, tutorials and tests.

It is in ``sample_data/`` of the repository, but not in a wheel. There it is generated from its
seed in a few seconds and kept in the user's cache.

``python -m napari_ulm3d.simulate.sample FOLDER`` generates it.
"""

from __future__ import annotations

import os
import sys
from os import PathLike
from pathlib import Path

from napari_ulm3d.simulate.config import SimulationConfig

__all__ = ["SAMPLE_NAME", "sample_config", "sample_data_path", "write_sample"]

SAMPLE_NAME = "mouse_brain_small"
# Part of the cache folder's name; increase it when `sample_config` changes.
_VERSION = 1
# With 7 bits, the rounding error is 20 dB below the noise and files shrink to a quarter.
_MANTISSA_BITS = 7


def sample_config() -> SimulationConfig:
    """Settings of the sample: the mouse brain at 15 MHz in a small field of view."""
    from napari_ulm3d.simulate.presets import preset

    base = preset("mouse-brain-15MHz")
    vessels = base.vessels.replace(
        growth=base.vessels.growth.replace(capillary_spacing_um=250.0),
        flow=base.vessels.flow.replace(max_speed_mm_s=30.0),
    )
    return base.replace(
        name=SAMPLE_NAME,
        grid=base.grid.replace(shape=(18, 16, 16)),
        n_frames=400,
        noise=base.noise.replace(snr_db=22.0),
        clutter=base.clutter.replace(level_db=15.0),
        bubbles=base.bubbles.replace(n_bubbles=10),
        vessels=vessels,
        seed=2026,
    )


def write_sample(folder: str | PathLike[str], overwrite: bool = False) -> Path:
    """Write the sample acquisition in the layout of Open-3DULM, rounded and compressed."""
    from napari_ulm3d.simulate.formats import write_simulation
    from napari_ulm3d.simulate.simulation import simulate

    return write_simulation(
        simulate(sample_config()), folder, overwrite=overwrite, mantissa_bits=_MANTISSA_BITS
    )


def sample_data_path() -> Path:
    """Folder of the sample acquisition; generated in the user's cache if it is not available.

    Returns
    -------
    Path
        Contains ``IQ001.mat``, ``IQ002.mat``, ``acquisition.toml``, ``truth.parquet``.

    Raises
    ------
    ResultsError
        The sample has to be generated, and the cache is not writable.
    """
    shipped = Path(__file__).resolve().parents[2] / "sample_data" / SAMPLE_NAME
    if (shipped / "truth.parquet").is_file():
        return shipped
    cached = _cache() / "napari-ulm3d" / f"{SAMPLE_NAME}-v{_VERSION}"
    return cached if cached.is_dir() else write_sample(cached)


def _cache() -> Path:
    """The user's folder for files that can be regenerated."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m napari_ulm3d.simulate.sample FOLDER")
    print(write_sample(sys.argv[1], overwrite=True))
