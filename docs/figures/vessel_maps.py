"""The README's vessel maps: 4000 in-silico volumes through the conventional pipeline.

``python docs/figures/vessel_maps.py`` (two minutes on two cores)
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.io.writers import write
from napari_ulm3d.pipeline import run
from napari_ulm3d.simulate import simulate, standard_config

IMAGES = Path(__file__).resolve().parents[1] / "images"


def main() -> None:
    simulation = simulate(standard_config("standard-40").replace(n_frames=4000))
    with tempfile.TemporaryDirectory() as folder:
        result = run(simulation.acquisition, PipelineConfig(), Path(folder) / "results")
    print(result.report)
    write(result.maps["density"], IMAGES / "density.png")
    write(result.maps["velocity_z"], IMAGES / "velocity.png")


if __name__ == "__main__":
    main()
