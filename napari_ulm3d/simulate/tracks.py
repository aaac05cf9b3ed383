"""Simulate tracks of bubbles without images: localized with errors, some missed, some false."""

from __future__ import annotations

import numpy as np

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.config import LinkConfig
from napari_ulm3d.link import link
from napari_ulm3d.simulate.bubbles import stream_bubbles
from napari_ulm3d.simulate.vasculature import VesselNetwork
from napari_ulm3d.tables import Localizations, Tracks

__all__ = ["ERROR_UM", "observed_tracks"]

#: Standard deviations along z, y, x of single localizations: about those of the Gaussian fit at
#: 18 dB (docs/benchmarks.md).
ERROR_UM = (8.0, 12.0, 12.0)
_SEEN, _FALSE = 0.95, 0.02


def observed_tracks(
    network: VesselNetwork,
    grid: Grid,
    *,
    n_bubbles: float,
    n_frames: int,
    rate_hz: float,
    config: LinkConfig,
    seed: int = 0,
) -> Tracks:
    """Simulate tracks of bubbles, linked as in a run.

    In each frame, 5 % of the bubbles are missed, and 2 % of the localizations are false.

    Parameters
    ----------
    network
        The vessels, with flow.
    grid
        Field of view.
    n_bubbles
        Mean number of bubbles in the network.
    n_frames, rate_hz
        Number of frames, and frame rate.
    config
        Settings of the linking.
    seed
        The same seed gives the same tracks.
    """
    rng = np.random.default_rng(seed)
    low = np.asarray(grid.origin_um) - np.asarray(grid.spacing_um) / 2
    places, frames = [], []
    stream = stream_bubbles(
        network, n_bubbles=n_bubbles, rate_hz=rate_hz, n_frames=n_frames, seed=seed, grid=grid
    )
    for bubbles in stream:
        seen = bubbles.position_um[rng.random(len(bubbles)) < _SEEN]
        false = low + rng.random((rng.poisson(_FALSE * n_bubbles), 3)) * grid.extent_um
        places.append(np.concatenate([seen + rng.normal(size=seen.shape) * ERROR_UM, false]))
        frames.append(np.full(len(places[-1]), bubbles.frame))
    frame = np.concatenate(frames)
    ones = np.ones(len(frame))
    found = Localizations.from_arrays(frame, np.concatenate(places), 15 * ones, ones, rate_hz)
    return link(found, rate_hz, config)
