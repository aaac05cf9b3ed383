"""A simulated acquisition with its ground truth, generated on demand."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_ulm3d.acquisition import Acquisition, Grid
from napari_ulm3d.simulate.config import SimulationConfig
from napari_ulm3d.simulate.flow.bubbles import BubbleFrame
from napari_ulm3d.simulate.imaging.motion import RigidMotion
from napari_ulm3d.simulate.imaging.render import Renderer
from napari_ulm3d.simulate.imaging.scene import SceneFrame, scene_frames, truth_table
from napari_ulm3d.simulate.vasculature.network import VesselNetwork

__all__ = ["SimulatedSource", "Simulation", "simulate"]


class SimulatedSource:
    """A `FrameSource` that renders frames when they are read, reproducibly.

    Reading on from the end of the last read costs only those frames; reading backwards moves the
    bubbles (but not the images) again from the start. Safe to read from several threads.
    """

    def __init__(
        self, scene: Callable[[], Iterator[SceneFrame]], renderer: Callable[[], Renderer],
        shape: tuple[int, int, int, int], name: str,
    ) -> None:  # fmt: skip
        self._scene = scene
        self._renderer = renderer
        self._lock = threading.Lock()
        self._stream: Iterator[SceneFrame] = iter(())
        self._next = shape[0]
        self.shape = shape
        self.name = name
        self.dtype: np.dtype[Any] = np.dtype(np.complex64)

    def read(self, start: int, stop: int) -> NDArray[np.complex64]:
        """Render frames start..stop-1, (t, z, y, x)."""
        if not 0 <= start < stop <= self.shape[0]:
            raise IndexError(f"frames {start}:{stop} of {self.shape[0]} in {self.name}")
        with self._lock:
            at = self._next
            # If this read fails, the next one must start again.
            self._next = self.shape[0]
            if start < at:
                self._stream, at = self._scene(), 0
            for _ in islice(self._stream, start - at):
                pass
            wanted = list(islice(self._stream, stop - start))
            self._next = stop
        return self._renderer().render(wanted)


@dataclass(frozen=True)
class Simulation:
    """A simulated acquisition; everything is generated on demand.

    Parameters
    ----------
    config
        All settings.
    network
        The vessels, with flow.
    bubbles
        Function that restarts the stream of bubbles from frame 0; None: bubbles carried through
        the network, as in `simulate.bubbles.stream_bubbles`.
    """

    config: SimulationConfig
    network: VesselNetwork | None
    bubbles: Callable[[], Iterator[BubbleFrame]] | None = field(default=None, repr=False)

    @property
    def grid(self) -> Grid:
        return self.config.grid.grid

    @cached_property
    def motion(self) -> RigidMotion:
        """The rigid motion of the scene, applied to the ground truth as well as the frames."""
        return RigidMotion(self.config.motion, self.config.seed)

    @cached_property
    def renderer(self) -> Renderer:
        return Renderer(self.config)

    def scene(self) -> Iterator[SceneFrame]:
        """The bubbles of all frames, without images."""
        config = self.config
        start = self.bubbles or self._carried
        stream = islice(start(), config.n_frames)
        return scene_frames(stream, config.bubbles, self.motion, config.rate_hz, config.seed)

    def _carried(self) -> Iterator[BubbleFrame]:
        if self.network is None:
            from napari_ulm3d.simulate.crowds import crowd_bubbles

            return crowd_bubbles(self.config)
        from napari_ulm3d.simulate.vessels import carried_bubbles

        return carried_bubbles(self.network, self.config)

    @cached_property
    def acquisition(self) -> Acquisition:
        """The frames as an acquisition, rendered when read."""
        config = self.config
        source = SimulatedSource(
            scene=self.scene,
            renderer=lambda: self.renderer,
            shape=(config.n_frames, *config.grid.shape),
            name=config.name,
        )
        return Acquisition(
            sources=(source,),
            grid=self.grid,
            rate_hz=config.rate_hz,
            kind="iq",
            wavelength_um=config.wavelength_um,
            frequency_hz=config.frequency_hz,
            sound_speed_m_s=config.sound_speed_m_s,
            name=config.name,
            notes=("Simulated.",),
            metadata={"probe": config.probe, "seed": config.seed},
        )

    @cached_property
    def truth(self) -> pd.DataFrame:
        """The bubbles in the field of view, one row per bubble and frame.

        Columns frame, bubble_id, z_um, y_um, x_um, vz_mm_s, vy_mm_s, vx_mm_s, radius_um (of
        the vessel), snr_db. Positions are those in the image, including rigid motion; the
        velocity is that of the flow alone.
        """
        return truth_table(self.scene(), self.config)

    def blocks(
        self, frames_per_block: int = 200
    ) -> Iterator[tuple[NDArray[np.complex64], pd.DataFrame]]:
        """Iterate over blocks of frames (t, z, y, x) with their ground truth.

        Memory use does not grow with the length of the acquisition. `frame` in the ground truth
        counts over the whole acquisition; the frames do not depend on `frames_per_block`.
        """
        if frames_per_block < 1:
            raise ValueError(f"a block needs at least one frame, not {frames_per_block}")
        scene = self.scene()
        while seen := list(islice(scene, frames_per_block)):
            yield self.renderer.render(seen), truth_table(seen, self.config)


def simulate(config: SimulationConfig, network: VesselNetwork | None = None) -> Simulation:
    """Set up a simulated acquisition.

    Parameters
    ----------
    config
        All settings; the same settings give the same acquisition.
    network
        Vessels with flow that replace those of `config.vessels` and any `config.crowd`.

    Returns
    -------
    Simulation
        Lazy: `.acquisition`, `.truth` and `.blocks()` generate their results on demand.
    """
    if network is None and config.crowd is None:
        from napari_ulm3d.simulate.vessels import make_network

        network = make_network(config)
    return Simulation(config, network)
