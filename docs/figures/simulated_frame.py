"""Show a simulated plane next to a real rat-brain plane, both after a clutter filter.

    python docs/figures/simulated_frame.py MOVIE.tif docs/images/simulated_beside_real.png

MOVIE.tif: frames (t, y, x) uint8, log-compressed, of the movie ``examples/VSXMB.mp4`` of
https://github.com/qyNut/cubf (Apache-2.0), cropped to its axes box.
"""

from __future__ import annotations

import argparse

import matplotlib
import numpy as np
import tifffile

from napari_ulm3d.config import ClutterConfig
from napari_ulm3d.filtering.clutter import clutter_filter
from napari_ulm3d.simulate import preset, simulate

DYNAMIC_RANGE_DB = 40.0


def simulated_frame() -> tuple[np.ndarray, tuple[float, float]]:
    """Envelope (z, x) in dB relative to its maximum, and its extent (z, x) in mm."""
    base = preset("rat-brain-2d-15MHz")
    config = base.replace(
        grid=base.grid.replace(shape=(90, 1, 130)),
        n_frames=200,
        noise=base.noise.replace(snr_db=14.0, grain_um=250.0),
        bubbles=base.bubbles.replace(n_bubbles=700, amplitude_sd_db=4.0),
        seed=11,
    )
    simulation = simulate(config)
    frames, _ = next(simulation.blocks(200))
    settings = ClutterConfig(svd_range=(8, 200))
    filtered = clutter_filter(frames, config.rate_hz, settings).frames
    envelope = np.abs(filtered[100, :, 0, :])
    z, _, x = simulation.grid.extent_um
    return 20 * np.log10(envelope / np.quantile(envelope, 0.9995)), (z / 1000, x / 1000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("movie")
    parser.add_argument("output")
    arguments = parser.parse_args()
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    level, (z_mm, x_mm) = simulated_frame()
    real = tifffile.imread(arguments.movie)[10]
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    shown = left.imshow(
        level, cmap="gray", vmin=-DYNAMIC_RANGE_DB, vmax=0, extent=(0, x_mm, z_mm, 0)
    )  # fmt: skip
    left.set(title="simulated (rat-brain-2d-15MHz, 700 bubbles)", xlabel="x (mm)", ylabel="z (mm)")
    figure.colorbar(shown, ax=left, label="dB", shrink=0.8)
    right.imshow(real[90:450, 60:590], cmap="gray")
    right.set(title="real rat brain (cubf, Apache-2.0)", xticks=[], yticks=[])
    figure.savefig(arguments.output, dpi=110)


if __name__ == "__main__":
    main()
