"""The vessel network: nodes, straight segments between them, radii and flows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.errors import InputError

__all__ = ["ARTERY", "CAPILLARY", "UNKNOWN", "VEIN", "VesselNetwork", "grid_box"]

ARTERY, CAPILLARY, VEIN, UNKNOWN = 0, 1, 2, -1

# 1 nl/min through 1 um^2, as a speed in mm/s: 1 nl = 1e6 um^3.
_MM_S_UM2_PER_NL_MIN = 1e6 / 60 / 1000


@dataclass(frozen=True)
class VesselNetwork:
    """Vessels as straight cylinders between nodes.

    Parameters
    ----------
    nodes_um
        (n, 3) positions z, y, x, micrometres.
    segments
        (m, 2) indices of the nodes that each segment joins.
    radius_um
        (m,) inner radius of each segment, micrometres.
    flow_nl_min
        (m,) volume flow, nl/min, positive from ``segments[:, 0]`` to ``segments[:, 1]``;
        None if unknown (see `simulate.flow.solve_flow`).
    kind
        (m,) 0 artery, 1 capillary, 2 vein, -1 unknown; None: unknown for all.
    name
        Name used in messages.
    """

    nodes_um: NDArray[np.float64]
    segments: NDArray[np.int64]
    radius_um: NDArray[np.float64]
    flow_nl_min: NDArray[np.float64] | None = None
    kind: NDArray[np.int8] | None = None
    name: str = "network"

    def __post_init__(self) -> None:
        nodes = np.ascontiguousarray(self.nodes_um, np.float64).reshape(-1, 3)
        segments = np.ascontiguousarray(self.segments, np.int64).reshape(-1, 2)
        radius = np.ascontiguousarray(self.radius_um, np.float64)
        flow = self.flow_nl_min
        flow = None if flow is None else np.ascontiguousarray(flow, np.float64)
        kind = None if self.kind is None else np.ascontiguousarray(self.kind, np.int8)
        for label, array in (("radius_um", radius), ("flow_nl_min", flow), ("kind", kind)):
            if array is not None and array.shape != (len(segments),):
                self._refuse(f"has {len(segments)} segments but {label} of shape {array.shape}")
        if segments.size and (segments.min() < 0 or segments.max() >= len(nodes)):
            self._refuse("has a segment with a node that does not exist")
        if (segments[:, 0] == segments[:, 1]).any():
            self._refuse("has a segment that joins a node to itself")
        if not np.isfinite(nodes).all():
            self._refuse("has a node without a finite position")
        if not (np.isfinite(radius).all() and (radius > 0).all()):
            self._refuse("has a segment without a positive radius")
        if flow is not None and not np.isfinite(flow).all():
            self._refuse("has a segment without a finite flow")
        object.__setattr__(self, "nodes_um", nodes)
        object.__setattr__(self, "segments", segments)
        object.__setattr__(self, "radius_um", radius)
        object.__setattr__(self, "flow_nl_min", flow)
        object.__setattr__(self, "kind", kind)

    def _refuse(self, problem: str) -> None:
        raise InputError(
            None, f"The vessel network '{self.name}' {problem}", "Correct the network."
        )

    @property
    def n_nodes(self) -> int:
        return len(self.nodes_um)

    @property
    def n_segments(self) -> int:
        return len(self.segments)

    @property
    def vector_um(self) -> NDArray[np.float64]:
        """Vector from the first to the second node of each segment, (m, 3), micrometres."""
        return self.nodes_um[self.segments[:, 1]] - self.nodes_um[self.segments[:, 0]]

    @property
    def length_um(self) -> NDArray[np.float64]:
        """Length of each segment, (m,), micrometres."""
        return np.sqrt((self.vector_um**2).sum(axis=1))

    @property
    def volume_um3(self) -> NDArray[np.float64]:
        """Lumen of each segment as a cylinder, (m,), cubic micrometres."""
        return np.pi * self.radius_um**2 * self.length_um

    @property
    def mean_speed_mm_s(self) -> NDArray[np.float64]:
        """|flow| over cross-section, (m,); the centre of the parabolic profile has twice this."""
        return np.abs(self._known_flow()) * _MM_S_UM2_PER_NL_MIN / (np.pi * self.radius_um**2)

    @property
    def bounds_um(self) -> NDArray[np.float64]:
        """Lowest and highest node positions z, y, x, (2, 3), micrometres."""
        if not self.n_nodes:
            return np.zeros((2, 3))
        return np.stack([self.nodes_um.min(axis=0), self.nodes_um.max(axis=0)])

    @property
    def degree(self) -> NDArray[np.int64]:
        """Number of segments that meet at each node, (n,)."""
        return np.bincount(self.segments.ravel(), minlength=self.n_nodes)

    @property
    def net_inflow_nl_min(self) -> NDArray[np.float64]:
        """Flow into the network at each node, (n,), nl/min; negative where it leaves."""
        flow = self._known_flow()
        leaving, arriving = (
            np.bincount(self.segments[:, k], weights=flow, minlength=self.n_nodes) for k in (0, 1)
        )
        return np.subtract(leaving, arriving, dtype=np.float64)

    def _known_flow(self) -> NDArray[np.float64]:
        if self.flow_nl_min is None:
            raise InputError(
                None,
                f"The vessel network '{self.name}' has no flow yet",
                "Solve it with simulate.flow.solve_flow.",
            )
        return self.flow_nl_min

    def with_flow(self, flow_nl_min: NDArray[np.float64] | None) -> VesselNetwork:
        """The same vessels with another flow (m,), nl/min."""
        return replace(self, flow_nl_min=flow_nl_min)

    def scaled_to_speed(self, max_speed_mm_s: float, share: float = 1.0) -> VesselNetwork:
        """Scale all flows by one factor to the given maximum centreline speed (mm/s).

        With `share` below 1, only this fraction of the moving blood's volume is at or below that
        speed: traced networks have a few vessels that are much too narrow for their flow.
        """
        speed = 2 * self.mean_speed_mm_s
        moving = np.flatnonzero(speed > 0)
        if not moving.size:
            self._refuse("carries no flow")
        order = moving[np.argsort(speed[moving], kind="stable")]
        volume = np.cumsum(self.volume_um3[order])
        at = min(int(np.searchsorted(volume, share * volume[-1])), order.size - 1)
        at = order.size - 1 if share >= 1 else at
        return self.with_flow(self._known_flow() * (max_speed_mm_s / speed[order[at]]))

    def reversed(self) -> VesselNetwork:
        """Reverse the flow; arteries and veins exchange their labels."""
        flow = None if self.flow_nl_min is None else -self.flow_nl_min
        kind = self.kind
        if kind is not None:
            kind = np.where(kind == ARTERY, VEIN, np.where(kind == VEIN, ARTERY, kind))
        return replace(self, flow_nl_min=flow, kind=kind)

    def transformed(
        self, matrix: ArrayLike | float = 1.0, offset_um: ArrayLike = (0.0, 0.0, 0.0)
    ) -> VesselNetwork:
        """Transform positions p (z, y, x) to ``matrix @ p + offset_um``; speeds do not change.

        Parameters
        ----------
        matrix
            (3, 3), (3,) for one scale per axis, or one number. Radii are multiplied by the cube
            root of the magnitude of its determinant, and flows by the square of that factor.
        offset_um
            (3,) micrometres, added last.
        """
        array = np.asarray(matrix, np.float64)
        array = np.eye(3) * array if array.ndim < 2 else array
        factor = abs(float(np.linalg.det(array))) ** (1 / 3)
        if not (np.isfinite(factor) and factor > 0):
            raise ValueError("the transform must be finite and must not flatten the network")
        flow = self.flow_nl_min
        return replace(
            self,
            nodes_um=self.nodes_um @ array.T + np.asarray(offset_um, np.float64),
            radius_um=self.radius_um * factor,
            flow_nl_min=None if flow is None else flow * factor**2,
        )

    def selected(self, mask: NDArray[np.bool_]) -> VesselNetwork:
        """Keep only the segments where `mask` (m,) is True, and their nodes."""
        used, inverse = np.unique(self.segments[mask], return_inverse=True)
        return replace(
            self,
            nodes_um=self.nodes_um[used],
            segments=inverse.reshape(-1, 2),
            radius_um=self.radius_um[mask],
            flow_nl_min=None if self.flow_nl_min is None else self.flow_nl_min[mask],
            kind=None if self.kind is None else self.kind[mask],
        )

    def components(self) -> tuple[int, NDArray[np.int64]]:
        """Number of connected components, and the component of each node, (n,)."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        shape = (self.n_nodes, self.n_nodes)
        graph = coo_array((np.ones(self.n_segments), tuple(self.segments.T)), shape=shape)
        count, label = connected_components(graph, directed=False)
        return int(count), label.astype(np.int64)

    def largest_component(self) -> VesselNetwork:
        """The connected component with the greatest total vessel length."""
        if not self.n_segments:
            return self
        _, label = self.components()
        of_segment = label[self.segments[:, 0]]
        total = np.bincount(of_segment, weights=self.length_um)
        return self.selected(of_segment == int(np.argmax(total)))

    def cropped(self, box: Grid | ArrayLike) -> VesselNetwork:
        """The part inside a box; segments that cross a face are cut there.

        Parameters
        ----------
        box
            A grid (with the outer borders of its voxels), or (2, 3) lowest and highest z, y, x, um.
        """
        low, high = grid_box(box) if isinstance(box, Grid) else np.asarray(box, np.float64)
        start = self.nodes_um[self.segments[:, 0]]
        vector = self.vector_um
        with np.errstate(divide="ignore", invalid="ignore"):
            a, b = (low - start) / vector, (high - start) / vector
        flat = vector == 0
        inside = (start >= low) & (start <= high)
        enter = np.where(flat, np.where(inside, -np.inf, np.inf), np.minimum(a, b)).max(axis=1)
        leave = np.where(flat, np.where(inside, np.inf, -np.inf), np.maximum(a, b)).min(axis=1)
        enter, leave = np.maximum(enter, 0.0), np.minimum(leave, 1.0)
        # Pieces shorter than a nanometre are dropped.
        keep = (leave - enter) * self.length_um > 1e-3
        nodes, segments = [self.nodes_um], self.segments.copy()
        count = self.n_nodes
        for side, at in ((0, enter), (1, leave)):
            cut = np.flatnonzero(keep & (at > 0.0 if side == 0 else at < 1.0))
            nodes.append(start[cut] + at[cut, None] * vector[cut])
            segments[cut, side] = count + np.arange(cut.size)
            count += cut.size
        return replace(self, nodes_um=np.concatenate(nodes), segments=segments).selected(keep)

    def fitted_to(
        self,
        grid: Grid,
        scale: Literal["cover", "inside", "as-is"] = "cover",
        flatten: bool | None = None,
    ) -> VesselNetwork:
        """Centre the network on a grid, scale it uniformly and crop it to the grid.

        Parameters
        ----------
        grid
            The field of view.
        scale
            ``cover``: the network's bounds cover the whole grid; ``inside``: they just fit
            in; ``as-is``: no scaling, so that the network keeps its own radii.
        flatten
            Project all vessels onto the grid's middle plane in y. None: only if the grid has one
            voxel along y (a 2-D acquisition).
        """
        flatten = grid.shape[1] == 1 if flatten is None else flatten
        low, high = grid_box(grid)
        bounds = self.bounds_um
        size = bounds[1] - bounds[0]
        axes = [k for k in range(3) if not (flatten and k == 1) and size[k] > 0]
        ratios = [(high - low)[k] / size[k] for k in axes] or [1.0]
        factor = {"cover": max(ratios), "inside": min(ratios), "as-is": 1.0}[scale]
        middle = (low + high) / 2
        fitted = self.transformed(factor, middle - factor * bounds.mean(axis=0))
        if flatten:
            nodes = fitted.nodes_um.copy()
            nodes[:, 1] = middle[1]
            fitted = replace(fitted, nodes_um=nodes)
        return fitted.cropped(grid)


def grid_box(grid: Grid) -> NDArray[np.float64]:
    """Outer borders of a grid's voxels, lowest and highest z, y, x, (2, 3), micrometres."""
    low = np.asarray(grid.origin_um) - np.asarray(grid.spacing_um) / 2
    return np.stack([low, low + np.asarray(grid.extent_um)])
