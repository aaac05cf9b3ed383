"""Methods that need no training here, on the paper's scenes: `python -m benchmarks.paper.shipped`

Conventional ULM, and tracks of the shipped BubbleNet, both also with the refinement
(``localize.refine=window``), and with tracks smoothed over a quarter of the wavelength
(``link.smoothing_distance_um``). Localizations are linked, tracks are drawn as lines on the fine grid, and the Dice
coefficient is that of `benchmarks.paper`. PSF widths are given to all of them but the first, which is that of
`benchmarks.paper`, with the default patch.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import machine_line
from benchmarks.paper.scores import Predict, TestScene, conventional, drawn, pooled, scene_of
from benchmarks.paper.tables import Row, concentration_table
from benchmarks.paper.variants import SCALES
from napari_ulm3d.acquisition import Acquisition
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.pipeline import run

_UPSAMPLING = 4  # of the small networks of `benchmarks.paper`
_USUAL = "conventional ULM"
_SMOOTHED = "link.smoothing_distance_um=24.64"  # a quarter of the wavelength of these sets
_METHODS: dict[str, tuple[str, ...]] = {
    "conventional ULM, widths given": ("gaussian", "none"),
    "conventional ULM, widths given, smoothed": ("gaussian", "none", _SMOOTHED),
    "conventional ULM, refined": ("gaussian", "window"),
    "conventional ULM, refined, smoothed": ("gaussian", "window", _SMOOTHED),
    "BubbleNet": ("network", "none"),
    "BubbleNet, refined": ("network", "window"),
    "BubbleNet, refined, smoothed": ("network", "window", _SMOOTHED),
}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--axes", type=int, choices=(2, 3), default=3, help="dimensions of space")
    parser.add_argument("--scenes", type=int, default=5, help="vasculatures per concentration")
    names = [_USUAL, *_METHODS]
    parser.add_argument("--methods", nargs="+", choices=names, default=names, metavar="NAME")
    parser.add_argument("--quick", action="store_true", help="tiny scenes, to try everything")
    options = parser.parse_args(arguments)
    scale = SCALES["quick" if options.quick else "small"]
    scale = replace(scale, test_scenes=options.scenes)
    axes: int = options.axes
    print(machine_line("torch"), end="\n\n", flush=True)
    methods: dict[str, Predict] = {_USUAL: conventional(axes, _UPSAMPLING)}
    methods |= {title: tracks_of(axes, *how) for title, how in _METHODS.items()}
    methods = {title: methods[title] for title in names if title in options.methods}
    rows = {title: Row(title, {}) for title in methods}
    for n in scale.bubbles_3d if axes == 3 else scale.bubbles_2d:
        scenes = [scene_of(axes, n, k, scale, _UPSAMPLING) for k in range(scale.test_scenes)]
        for title, predict in methods.items():
            score = pooled(predict, scenes)
            rows[title].scores[n] = score
            print(f"{title}, {n} bubbles: Dice {score.dice:.3f}", flush=True)
    print(f"\n{concentration_table(list(rows.values()))}")


def tracks_of(axes: int, localizer: str, refine: str, *more: str) -> Predict:
    """Tracks of a run with this localizer, refinement and other settings, on the fine grid."""

    def predict(test: TestScene) -> list[tuple[NDArray[np.bool_], float]]:
        scene = test.scene
        acquisition = Acquisition.from_array(
            scene.frames,
            scene.grid.spacing_um,
            scene.config.rate_hz,
            origin_um=scene.grid.origin_um,
            wavelength_um=scene.config.wavelength_um,
        )
        widths = ",".join(f"{width:.4g}" for width in scene.psf.fwhm_voxels)
        settings = [
            "clutter.method=none", f"psf.fwhm_voxels={widths}", f"localize.localizer={localizer}",
            f"localize.refine={refine}", "maps.fsc=false", "maps.confidence=none",
            *more,
        ]  # fmt: skip
        tracks = run(acquisition, PipelineConfig(device="cpu").with_settings(settings)).tracks
        return drawn(tracks, test, _UPSAMPLING, axes == 2)

    return predict


if __name__ == "__main__":
    main()
