"""Vessels, bubbles in them, and the resulting tracks.

No ultrasound is simulated: bubbles flow through the network, are missed and displaced at random,
false ones are added, and the result is linked by the pipeline's linker.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_ulm3d.config import LinkConfig
from napari_ulm3d.link import link
from napari_ulm3d.simulate.bubbles import stream_bubbles
from napari_ulm3d.simulate.flow import FlowConfig, solve_flow
from napari_ulm3d.simulate.flow.bubbles import BubbleConfig
from napari_ulm3d.simulate.vasculature import VasculatureConfig, VesselNetwork, procedural_network
from napari_ulm3d.simulate.vessels import read_network
from napari_ulm3d.tables import POSITION_UM, VELOCITY_MM_S, Localizations, Tracks
from napari_ulm3d.train.volumes.config import VolumeDataConfig

__all__ = ["FlowScene", "draw_flow_scene", "turned", "turning"]

# A vessel without bubbles still belongs to the full acquisition's map if at least this many
# passages are expected.
_PASSAGES = 2.0
# Number of simulated frames, and of empty frames between two lanes, which no track bridges.
_FRAMES, _PAUSE = 500, 10
_SLOW_MISSED = 0.9


@dataclass(frozen=True)
class FlowScene:
    """An acquisition without ultrasound.

    Attributes
    ----------
    network
        The vessels visible in a full acquisition, with flow.
    tracks
        Linked tracks of the whole acquisition.
    paths
        The true positions as tracks, one per bubble.
    duration_s
        Duration of the acquisition.
    """

    network: VesselNetwork
    tracks: Tracks
    paths: Tracks
    duration_s: float

    def until(self, share: float) -> tuple[Tracks, Tracks]:
        """Tracks that end within the first share of the acquisition, and paths until then."""
        end = share * self.duration_s
        paths = self.paths.table
        return _ended(self.tracks, end), Tracks(paths[paths["time_s"] <= end])


def draw_flow_scene(seed: int, config: VolumeDataConfig, trees: Sequence[str] = ()) -> FlowScene:
    """Draw a scene; the same seed gives the same scene.

    Parameters
    ----------
    seed
        Seed of all random numbers.
    config
        Ranges of the parameters.
    trees
        Files of measured networks; if empty, networks are grown.

    Raises
    ------
    InputError
        A file cannot be read.
    """
    rng = np.random.default_rng((seed, 11))

    def log_between(limits: tuple[float, float]) -> float:
        return float(np.exp(rng.uniform(*np.log(limits))))

    network = _network(rng, config, trees)
    network = solve_flow(network, None, FlowConfig(max_speed_mm_s=log_between(config.max_speed)))
    bubbles, rate = max(1.0, round(rng.uniform(*config.bubbles))), log_between(config.rate)
    positions = log_between(config.positions)
    slowest = rng.uniform(*config.slowest_mm_s)
    lanes = max(4, round(positions / bubbles / _FRAMES))
    n_frames = max(40, int(positions / bubbles / lanes))
    stream = stream_bubbles(
        network,
        n_bubbles=bubbles * lanes,
        rate_hz=rate,
        n_frames=n_frames,
        seed=int(rng.integers(2**31)),
        config=BubbleConfig(min_speed_mm_s=max(0.3, slowest / 2)),
    )
    frames = list(stream)
    frame = np.repeat(np.arange(n_frames), [len(f) for f in frames])
    identity = np.concatenate([f.bubble_id for f in frames])
    position = np.concatenate([f.position_um for f in frames])
    velocity = np.concatenate([f.velocity_mm_s for f in frames])
    # The flow is steady, so consecutive lanes of a few bubbles each are equivalent to one long
    # acquisition, and a hundred bubbles cost little more to simulate than ten.
    frame = frame + (identity % lanes) * (n_frames + _PAUSE)
    n_frames = lanes * (n_frames + _PAUSE)
    seen = rng.random(frame.size) < rng.uniform(*config.detected)
    slow = np.linalg.norm(velocity, axis=1) < slowest
    seen &= ~slow | (rng.random(frame.size) > _SLOW_MISSED)
    n_false = rng.poisson(rng.uniform(*config.false_share) * bubbles * n_frames)
    low, high = network.bounds_um
    error = rng.uniform(*config.error_um) * np.array([1.0, *rng.uniform(1, 1.5, 1).repeat(2)])
    found = np.concatenate(
        [
            position[seen] + rng.normal(size=(int(seen.sum()), 3)) * error,
            rng.uniform(low, high, (n_false, 3)),
        ]
    )
    when = np.concatenate([frame[seen], rng.integers(0, n_frames, n_false)])
    order = np.argsort(when, kind="stable")
    ones = np.ones(order.size, np.float32)
    tracks = link(
        Localizations.from_arrays(when[order], found[order], ones, ones, rate),
        rate,
        LinkConfig(
            max_speed_mm_s=1.3 * max(8.0, float(np.linalg.norm(velocity, axis=1).max(initial=0))),
            max_gap_frames=int(rng.integers(0, 3)),
            min_length_frames=int(rng.integers(4, 12)),
            smoothing_frames=5,
        ),
    )
    shown = _shown(network, np.unique(identity).size, slowest, position[~slow])
    return FlowScene(
        network.selected(shown),
        tracks,
        _paths(identity, frame, position, velocity, rate),
        n_frames / rate,
    )


def turning(rng: np.random.Generator, upright: bool) -> NDArray[np.float64]:
    """(3, 3) random orthogonal matrix on z, y, x: a rotation, mirrored in half of the cases.

    If upright, the depth axis is unchanged.
    """
    if upright:
        angle = rng.uniform(0, 2 * math.pi)
        matrix = np.eye(3)
        matrix[1:, 1:] = [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    else:
        matrix, triangle = np.linalg.qr(rng.normal(size=(3, 3)))
        matrix = matrix * np.sign(np.diag(triangle))
    if rng.random() < 0.5:
        matrix[:, 2] *= -1
    return np.asarray(matrix, np.float64)


def turned(tracks: Tracks, matrix: NDArray[np.float64]) -> Tracks:
    """Rotate positions and velocities of tracks about the origin."""
    table = tracks.table.copy()
    table[POSITION_UM] = tracks.positions_um @ matrix.T
    table[VELOCITY_MM_S] = tracks.velocities_mm_s @ matrix.T
    return Tracks(table)


def _network(
    rng: np.random.Generator, config: VolumeDataConfig, trees: Sequence[str]
) -> VesselNetwork:
    side = rng.uniform(*config.field_um)
    if trees:
        network = _read(trees[int(rng.integers(len(trees)))])
        network = network.transformed(side / float(np.ptp(network.bounds_um, axis=0).max()))
        # Traced trees are in voxels, and a map shows only their larger vessels: thinner radii leave
        # space between vessels at any scale.
        share = rng.uniform(*config.tree_radius)
        network = replace(network, radius_um=np.asarray(network.radius_um) * share)
    else:
        spacing = rng.uniform(*config.spacing_um)
        grown = VasculatureConfig(
            capillary_spacing_um=max(spacing, side / 14), tortuosity=rng.uniform(0.02, 0.15)
        )
        network = procedural_network((side,) * 3, int(rng.integers(2**31)), grown)
    middle = network.bounds_um.mean(axis=0)
    return network.transformed(1.0, -middle).largest_component()


@lru_cache(maxsize=8)
def _read(path: str) -> VesselNetwork:
    return read_network(path)


def _shown(
    network: VesselNetwork, n_bubbles: int, slowest: float, fast_um: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """(m,) segments with a bubble fast enough to be seen, or expected to have one."""
    from scipy.spatial import cKDTree

    inflow = np.clip(network.net_inflow_nl_min, 0, None).sum()
    passages = np.abs(np.asarray(network.flow_nl_min)) / inflow * n_bubbles
    shown = (passages >= _PASSAGES) & (2 * network.mean_speed_mm_s >= slowest)
    if len(fast_um):
        middle = network.nodes_um[network.segments].mean(axis=1)
        shown[np.unique(cKDTree(middle).query(fast_um)[1])] = True
    return np.asarray(shown, bool)


def _paths(
    identity: NDArray[np.int64],
    frame: NDArray[np.int64],
    position: NDArray[np.float64],
    velocity: NDArray[np.float64],
    rate: float,
) -> Tracks:
    order = np.lexsort((frame, identity))
    columns = {
        "track_id": identity[order],
        "frame": frame[order],
        "time_s": frame[order] / rate,
        **{name: position[order, k] for k, name in enumerate(POSITION_UM)},
        **{name: velocity[order, k].astype(np.float32) for k, name in enumerate(VELOCITY_MM_S)},
        "speed_mm_s": np.linalg.norm(velocity[order], axis=1).astype(np.float32),
        "score": np.ones(order.size, np.float32),
    }
    return Tracks(pd.DataFrame(columns))


def _ended(tracks: Tracks, end_s: float) -> Tracks:
    table = tracks.table
    if not len(table):
        return tracks
    last = table.groupby("track_id")["time_s"].transform("max")
    return Tracks(table[last <= end_s].reset_index(drop=True))
