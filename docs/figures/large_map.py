"""The README's picture: a large in-silico cortex through the pipeline, as a map in napari.

``scripts/with-display.sh python docs/figures/large_map.py --results FOLDER`` simulates and
runs what is not in FOLDER yet (8,000 volumes, a quarter of an hour on two cores), then opens the
map in napari and takes ``plugin_hero.png``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.pipeline import run
from napari_ulm3d.simulate import preset, simulate
from napari_ulm3d.simulate.config import SimulationConfig

IMAGES = Path(__file__).resolve().parents[1] / "images"


def scene(n_frames: int) -> SimulationConfig:
    """Cortex of 4.9 x 8.4 x 8.4 mm, 250 bubbles in view."""
    base = preset("mouse-brain-15MHz")
    return base.replace(
        name="mouse cortex, in silico",
        grid=base.grid.replace(shape=(50, 56, 56)),
        bubbles=base.bubbles.replace(n_bubbles=250),
        n_frames=n_frames,
        seed=20_261_128,
    )


def main() -> None:
    """Run the scene, or take the results that are there; then the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, required=True, help="results folder, made or used")
    parser.add_argument("--frames", type=int, default=8_000)
    parser.add_argument("--no-picture", action="store_true", help="only run the pipeline")
    options = parser.parse_args()
    if not (options.results / "maps" / "density.ome.tif").exists():
        compute(options.results, options.frames)
    if not options.no_picture:
        take(options.results)


def compute(results: Path, n_frames: int) -> None:
    """Simulate and run; an interrupted run goes on where it stopped."""
    simulation = simulate(scene(n_frames))
    config = PipelineConfig().with_settings(
        ["clutter.svd_range=8,200", "load.frames_per_block=200", "maps.resolution_factor=8"]
    )
    result = run(simulation.acquisition, config, results, resume=True)
    print(result.report)


def take(results: Path, target: Path = IMAGES / "plugin_hero.png") -> None:
    """The density map in napari, finer than it is drawn by default, seen from the side."""
    import napari
    from qtpy.QtTest import QTest

    from napari_ulm3d.io.results import ResultsFolder
    from napari_ulm3d.plugin.layers.convert import map_layer
    from napari_ulm3d.plugin.layers.place import make_layer, place

    density = ResultsFolder.open(results).map("density")
    viewer = napari.Viewer()
    viewer.window.resize(1600, 1000)
    place(viewer, make_layer(map_layer(density, max_voxels=30_000_000), "map"))
    layer = viewer.layers[0]
    layer.colormap, layer.contrast_limits, layer.gamma = "inferno", (0.0, 24.0), 0.55
    viewer.dims.ndisplay = 3
    viewer.canvas.overlays.scale_bar.visible = True
    viewer.reset_view()
    viewer.camera.angles = (0.0, 11.0, 82.0)
    viewer.camera.zoom *= 1.2
    QTest.qWait(3000)  # until the volume is drawn
    viewer.window.screenshot(str(target), flash=False)
    viewer.close()


if __name__ == "__main__":
    main()
