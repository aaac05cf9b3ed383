"""A network with flow, arranged for transporting bubbles: every vessel runs downstream."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.errors import InputError
from napari_ulm3d.simulate.vasculature.network import VesselNetwork

__all__ = ["Channels", "channels_of"]

_STILL = 1e-9  # flows below this fraction of the largest are rounding errors
_LEAK = 0.01  # imbalances below this fraction of a node's throughput are rounding in a file


class Channels(NamedTuple):
    """Arrays for the compiled loops; segments without flow are left out.

    start, tangent, length, radius: (m, 3), (m, 3), (m,), (m,) of each segment, um, downstream.
    mean_speed: (m,) flow over area, um/s. widest: (m,) largest (r/R)^2 of a bubble's centre.
    end: (m, 3) um. flow: (m,) nl/min.
    first_out, out, out_share: the segments that continue from the end of segment s are
    ``out[first_out[s]:first_out[s + 1]]``, with cumulative fractions of its flow; the remainder
    up to 1 leaves the network there.
    inlet, inlet_share: segments at which blood enters, with cumulative fractions of the inflow.
    """

    start: NDArray[np.float64]
    end: NDArray[np.float64]
    tangent: NDArray[np.float64]
    length: NDArray[np.float64]
    radius: NDArray[np.float64]
    flow: NDArray[np.float64]
    mean_speed: NDArray[np.float64]
    widest: NDArray[np.float64]
    first_out: NDArray[np.int64]
    out: NDArray[np.int64]
    out_share: NDArray[np.float64]
    inlet: NDArray[np.int64]
    inlet_share: NDArray[np.float64]
    inflow: float


def channels_of(network: VesselNetwork, bubble_radius_um: float) -> Channels:
    """Arrange a network with flow for `transport`.

    Parameters
    ----------
    network
        With `flow_nl_min`.
    bubble_radius_um
        Minimum distance of a bubble's centre from the wall (in a vessel narrower than the
        bubble, it moves along the centreline).

    Raises
    ------
    InputError
        No blood enters.
    """
    speed = network.mean_speed_mm_s * 1000.0
    signed = np.asarray(network.flow_nl_min)
    flow = np.abs(signed)
    moving = np.flatnonzero((flow > _STILL * flow.max(initial=0.0)) & (network.length_um > 0))
    if not moving.size:
        raise InputError(None, f"The network '{network.name}' has no flow", "Solve its flow first.")
    ends = network.segments[moving]
    backward = signed[moving] < 0
    ends[backward] = ends[backward, ::-1]
    flow, upstream, downstream = flow[moving], ends[:, 0], ends[:, 1]

    n = network.n_nodes
    leaving = np.bincount(upstream, weights=flow, minlength=n)
    arriving = np.bincount(downstream, weights=flow, minlength=n)
    surplus = leaving - arriving
    surplus[np.abs(surplus) < _LEAK * np.maximum(leaving, arriving)] = 0.0

    by_node = np.argsort(upstream, kind="stable")
    first = np.searchsorted(upstream[by_node], np.arange(n + 1))
    count = first[downstream + 1] - first[downstream]
    first_out = np.concatenate([[0], np.cumsum(count)])
    owner = np.repeat(np.arange(moving.size), count)
    out = by_node[first[downstream[owner]] + np.arange(first_out[-1]) - first_out[owner]]
    goes_on = np.where(surplus < 0, leaving / np.where(arriving > 0, arriving, 1), 1.0)
    share = flow[out] / leaving[upstream[out]] * goes_on[upstream[out]]
    total = np.concatenate([[0.0], np.cumsum(share)])
    out_share = total[1:] - total[first_out[owner]]
    # Rounding must not let a bubble leave between the last fraction and 1.
    last = first_out[1:][count > 0] - 1
    out_share[last[goes_on[downstream[count > 0]] == 1.0]] = 2.0

    entering = np.maximum(surplus, 0.0)[upstream] * flow / leaving[upstream]
    inlet = np.flatnonzero(entering > 0)
    if not inlet.size:
        raise InputError(
            None, f"No blood enters the network '{network.name}'", "Solve its flow again."
        )
    inlet_share = np.cumsum(entering[inlet]) / entering[inlet].sum()
    inlet_share[-1] = 2.0
    radius = network.radius_um[moving]
    start, end = network.nodes_um[upstream], network.nodes_um[downstream]
    length = network.length_um[moving]
    return Channels(
        start=start,
        end=end,
        tangent=(end - start) / length[:, None],
        length=length,
        radius=radius,
        flow=flow,
        mean_speed=speed[moving],
        widest=np.maximum(1 - bubble_radius_um / radius, 0.0) ** 2,
        first_out=first_out.astype(np.int64),
        out=out.astype(np.int64),
        out_share=out_share,
        inlet=inlet.astype(np.int64),
        inlet_share=inlet_share,
        inflow=float(entering.sum()),
    )
