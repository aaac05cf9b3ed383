"""What the documentation's pictures do with a viewer: open widgets, wait, run, look."""

from __future__ import annotations

import time
from typing import Any

from qtpy.QtWidgets import QApplication

from napari_ulm3d.acquisition import Acquisition
from napari_ulm3d.plugin.jobs.job import Job
from napari_ulm3d.plugin.layers.convert import value_of
from napari_ulm3d.plugin.layers.place import Placer, find_layer
from napari_ulm3d.plugin.layers.vessel_view import fit_view
from napari_ulm3d.plugin.session import session_of
from napari_ulm3d.plugin.tabs import open_panel

PLUGIN = "napari-ulm3d"
ACQUISITION = "mouse_brain_small"
FINISHED_RUN = "mouse_cortex"


def open_acquisition(viewer: Any) -> None:
    """Open the frames of the small sample, with the path a reader would see."""
    viewer.open_sample(PLUGIN, ACQUISITION)
    session_of(viewer).paths = [f"sample_data/{ACQUISITION}"]
    settle()


def open_finished_run(viewer: Any) -> None:
    """Open the finished run of the simulated cortex."""
    viewer.open_sample(PLUGIN, FINISHED_RUN)
    settle(2.0)


def settle(seconds: float = 0.5) -> None:
    """Let Qt draw."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.01)


def dock(viewer: Any, name: str) -> Any:
    """Open a widget; its panel, when it has come to rest."""
    panel = open_panel(viewer, name)
    settle()
    rest(panel)
    return panel


def rest(panel: Any) -> None:
    """Wait until neither a panel nor its session computes any more."""
    rest_all(panel, panel.session)


def rest_all(*owners: Any) -> None:
    """Wait until none of these computes any more."""

    def busy() -> bool:
        return any(job.running for owner in owners for job in owner.findChildren(Job)) or any(
            placer.busy for owner in owners for placer in owner.findChildren(Placer)
        )

    settle(0.5)
    while busy():
        settle(0.1)
    settle(0.5)


def scroll(panel: Any, widget: Any) -> None:
    """Bring a widget of a panel into view."""
    settle(0.2)
    panel.parent().parent().ensureWidgetVisible(widget, 0, 20)


def show_only(viewer: Any, *roles: str) -> None:
    """Show the layers of these roles and hide the others."""
    wanted = [find_layer(viewer, role) for role in roles]
    for layer in viewer.layers:
        layer.visible = layer in wanted


def look_at_frames(viewer: Any) -> None:
    """A plane of the frames, whole: opened docks have taken room from the canvas."""
    viewer.dims.ndisplay = 2
    settle(0.2)
    frames = next(la for la in viewer.layers if value_of(la, Acquisition) is not None)
    fit_view(viewer, frames)


def show_filtered_frames(viewer: Any) -> None:
    """Show the filtered frames, with the Clutter & PSF widget."""
    panel = dock(viewer, "Clutter & PSF")
    panel.show_filtered.click()
    rest(panel)
    close(panel)


def close(panel: Any) -> None:
    """Take a panel's dock away."""
    panel.window().removeDockWidget(panel.parent().parent().parent())


def run_series(viewer: Any) -> Any:
    """Localize the whole sample with the Localize & track widget."""
    panel = dock(viewer, "Localize & track")
    panel.series_button.click()
    rest(panel)
    return panel
