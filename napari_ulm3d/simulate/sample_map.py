"""The finished run included in the package: a simulated cortex with a dense map.

``python scripts/sample_map.py FOLDER`` generates it.
"""

from __future__ import annotations

from pathlib import Path

from napari_ulm3d.errors import ResultsError
from napari_ulm3d.simulate.config import SimulationConfig

__all__ = ["SAMPLE_MAP_NAME", "SAMPLE_MAP_SETTINGS", "sample_map_config", "sample_map_path"]

SAMPLE_MAP_NAME = "mouse_cortex"

#: Settings of the run that differ from the defaults.
SAMPLE_MAP_SETTINGS = ("load.frames_per_block=200", "maps.resolution_factor=6")


def sample_map_config() -> SimulationConfig:
    """Cortex of 4.3 x 7.2 x 7.2 mm at 15.6 MHz, 200 bubbles in view, 2,400 volumes."""
    from napari_ulm3d.simulate.presets import preset

    base = preset("mouse-brain-15MHz")
    return base.replace(
        name=SAMPLE_MAP_NAME,
        grid=base.grid.replace(shape=(44, 48, 48)),
        bubbles=base.bubbles.replace(n_bubbles=200),
        n_frames=2_400,
        seed=20_261_128,
    )


def sample_map_path() -> Path:
    """The results folder of the run, in a checkout or in an installed wheel.

    Raises
    ------
    ResultsError
        It is not included in this installation.
    """
    package = Path(__file__).resolve().parents[1]
    for home in (package.parent, package):
        folder = home / "sample_data" / SAMPLE_MAP_NAME
        if (folder / "run.toml").is_file():
            return folder
    raise ResultsError(
        "The sample's results folder is not part of this installation. Reinstall napari-ulm3d, or "
        "open File > Open Sample > Mouse brain, small."
    )
