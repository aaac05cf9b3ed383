"""Pictures of the napari widgets at work, for the documentation.

``scripts/with-display.sh python docs/figures/screenshots.py [FOLDER]`` drives a real viewer
over the small sample acquisition and writes ``plugin_*.png`` into FOLDER (docs/images).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import napari
from qtpy.QtWidgets import QApplication

from napari_ulm3d.plugin.job import Job
from napari_ulm3d.plugin.placing import find_layer
from napari_ulm3d.plugin.session import session_of

PLUGIN = "napari-ulm3d"
IMAGES = Path(__file__).resolve().parents[1] / "images"
SAMPLE = "mouse_brain_small"


def main(folder: Path) -> None:
    """Make all pictures."""
    for name, make in PICTURES.items():
        viewer = napari.Viewer()
        viewer.window.resize(1366, 768)
        viewer.open_sample(PLUGIN, SAMPLE)
        settle()
        make(viewer)
        settle(1.0)
        viewer.layers.selection.clear()
        settle(0.3)
        viewer.window.screenshot(str(folder / f"plugin_{name}.png"), flash=False)
        viewer.close()
        settle()
        print(f"plugin_{name}.png", flush=True)


def settle(seconds: float = 0.5) -> None:
    """Let Qt draw."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.01)


def dock(viewer: Any, name: str) -> Any:
    """Open a widget; its panel, when it has come to rest."""
    _, widget = viewer.window.add_plugin_dock_widget(PLUGIN, name)
    settle()
    rest(widget.panel)
    return widget.panel


def rest(panel: Any) -> None:
    """Wait until a panel computes no more."""
    settle(0.2)
    while any(job.running for job in panel.findChildren(Job)):
        settle(0.1)
    settle(0.3)


def hide(viewer: Any, *roles: str) -> None:
    """Hide layers by their role."""
    for role in roles:
        layer = find_layer(viewer, role)
        if layer is not None:
            layer.visible = False


def run_series(viewer: Any) -> Any:
    """Localize the whole sample with the Localize & track widget."""
    panel = dock(viewer, "Localize & track")
    panel.series_button.click()
    rest(panel)
    return panel


def load(viewer: Any) -> None:
    """Load: what was recognized, and the blocks."""
    dock(viewer, "Load acquisition")


def clutter(viewer: Any) -> None:
    """Clutter & PSF: the spectrum with its cuts, power Doppler and the PSF."""
    panel = dock(viewer, "Clutter & PSF")
    panel.show_power.click()
    settle()


def sparsify(viewer: Any) -> None:
    """Sparsify: the histogram, and the kept voxels over the frame."""
    panel = dock(viewer, "Sparsify")
    session_of(viewer).change("sparsify", threshold=0.15)
    rest(panel)


def localize(viewer: Any) -> None:
    """Localize & track: tracks and bubbles over the frames."""
    panel = run_series(viewer)
    hide(viewer, "map")
    panel.bar.setValue(panel.bar.maximum())


def maps(viewer: Any) -> None:
    """Vessel maps: density in 3-D with colour bar and scale bar."""
    panel = dock(viewer, "Vessel maps")
    local = run_series(viewer)
    rest(panel)
    local.window().removeDockWidget(local.parent().parent().parent())
    viewer.layers[0].visible = False
    hide(viewer, "tracks", "localizations")
    viewer.dims.ndisplay = 3
    viewer.reset_view()
    viewer.camera.angles = (10, -35, 60)


def export(viewer: Any) -> None:
    """Export: formats, settings, and the same run without the viewer."""
    local = run_series(viewer)
    local.window().removeDockWidget(local.parent().parent().parent())
    panel = dock(viewer, "Export")
    panel.target.setText("tracks.vtp")
    panel.format.setCurrentText(".vtp")
    hide(viewer, "map")


def workflow(viewer: Any) -> None:
    """ULM workflow: all in one dock."""
    panel = dock(viewer, "ULM workflow")
    for title in ("Clutter & PSF", "Sparsify"):
        panel.sections[title].expand(animate=False)
    rest(panel)


PICTURES: dict[str, Callable[[Any], None]] = {
    "load": load,
    "clutter": clutter,
    "sparsify": sparsify,
    "localize": localize,
    "maps": maps,
    "export": export,
    "workflow": workflow,
}


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES)
