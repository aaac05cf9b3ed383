"""Vessel measurement off the GUI thread, on the current result or any image or labels layer."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

from napari_ulm3d.config import VesselConfig
from napari_ulm3d.errors import Cancelled, ResultsError
from napari_ulm3d.maps.resolved import LOCAL_RESOLUTION
from napari_ulm3d.plugin.jobs.job import Stop, Work
from napari_ulm3d.plugin.jobs.rebuild_maps import ERRORS, OF_TRACKS
from napari_ulm3d.plugin.layers.convert import value_of
from napari_ulm3d.plugin.layers.place import EARLIER, ROLE
from napari_ulm3d.plugin.layers.volume_of import volume_of
from napari_ulm3d.plugin.state.results import Result
from napari_ulm3d.tables import Tracks
from napari_ulm3d.vasculature import VesselGraph
from napari_ulm3d.volumes import VesselMap

__all__ = ["Measured", "measurable", "measure_work"]

# Maps with values of what flows in the vessels, or of errors.
_NO_VESSELS = {*OF_TRACKS, *ERRORS, LOCAL_RESOLUTION} - {"density"}


@dataclass(frozen=True)
class Measured:
    """Vessels, and the tracks they were measured with (None: without tracks)."""

    graph: VesselGraph
    tracks: Tracks | None
    name: str


def measurable(viewer: Any, shown: Result | None) -> list[tuple[str, Any]]:
    """The possible sources of vessels: name, and a `Result` or a layer.

    The current result comes first, then layers of vessel maps and any other images and
    labels with three axes.
    """
    from napari.layers import Image, Labels

    found: list[tuple[str, Any]] = []
    if shown is not None and "density" in shown.maps:
        found.append(("current result", shown))
    for layer in viewer.layers:
        ours = layer.metadata.get(ROLE) or layer.metadata.get(EARLIER)
        mapped = value_of(layer, VesselMap) is not None
        if isinstance(layer, Labels) or (isinstance(layer, Image) and not layer.rgb):
            fits = mapped if ours else layer.ndim == 3 and not layer.multiscale
            if fits and not (ours and found and found[0][0] == "current result" and ours == "map"):
                found.append((layer.name, layer))
    return found


def measure_work(
    source: Any,
    shown: Result | None,
    config: VesselConfig,
    tell: Callable[[str], None],
) -> Work:
    """The measurement as work for a job; layer data are read now, on the GUI thread.

    Parameters
    ----------
    source
        One of `measurable`.
    shown
        The current result, whose tracks are used for maps made by this program.
    config
        Vessel settings.
    tell
        Called with each step, from the worker's thread.
    """
    from napari.layers import Labels

    tracks, smoothing, labels = None, 5, False
    taken: tuple[Any, ...] = ()
    if isinstance(source, Result):
        name, map_ = source.title, source.maps["density"]
    else:
        name, labels = source.name, isinstance(source, Labels)
        map_ = value_of(source, VesselMap)
        if map_ is None:
            taken = (name, source.data, source.scale, source.translate, source.units)
        source = shown if map_ is not None else None
    if isinstance(source, Result):
        tracks, smoothing = source.tracks, source.config.link.averaged_frames

    def work(stop: Stop) -> Generator[Any, None, Measured]:
        from napari_ulm3d.vasculature import vessels

        yield from ()

        def told(step: str) -> None:
            if stop():
                raise Cancelled("Measuring the vessels was cancelled.")
            tell(step)

        told("reading the layer")
        if map_ is not None and map_.name in _NO_VESSELS:
            raise ResultsError(
                f"The layer '{name}' is a map of {map_.name.replace('_', ' ')}, which does not show "
                "where the vessels are. Choose a density map, a power Doppler image or a segmentation."
            )
        graph = vessels(
            map_ if map_ is not None else volume_of(*taken),
            tracks,
            config,
            smoothing_frames=smoothing,
            labels=labels,
            progress=told,
        )
        return Measured(graph, tracks, name)

    return work
