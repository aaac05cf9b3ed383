"""Pictures of the napari widgets at work, for the documentation.

``scripts/with-display.sh python docs/figures/screenshots.py`` drives a real viewer over the
small sample acquisition and writes ``plugin_*.png``; ``--help`` names the options.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import napari
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication

from napari_ulm3d.plugin.jobs.job import Job
from napari_ulm3d.plugin.layers.place import Placer, find_layer
from napari_ulm3d.plugin.session import session_of

PLUGIN = "napari-ulm3d"
ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "docs" / "images"
SAMPLE = "mouse_brain_small"
# Of the network; None: those that are shipped.
WEIGHTS = os.environ.get("ULM3D_WEIGHTS")


def main() -> None:
    """Make the pictures; that of the rat brain when its movie is at hand."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=IMAGES, help="where to write")
    parser.add_argument("--movie", type=Path, help="the rat-brain movie of the guide (a TIFF)")
    parser.add_argument("--only", nargs="+", choices=PICTURES, default=list(PICTURES))
    options = parser.parse_args()
    folder = options.folder.absolute()
    movie = options.movie and str(options.movie.absolute())
    os.chdir(ROOT)
    os.environ["XDG_DATA_HOME"] = tempfile.mkdtemp()  # not the person's own list of runs
    if movie:
        picture(folder, "rat_brain", lambda viewer: rat_brain(viewer, movie))
    for name in options.only:
        picture(folder, name, lambda viewer, make=PICTURES[name]: on_sample(viewer, make))


def on_sample(viewer: Any, make: Callable[[Any], None]) -> None:
    """Open the sample, then do what the picture shows."""
    viewer.open_sample(PLUGIN, SAMPLE)
    session_of(viewer).paths = [f"sample_data/{SAMPLE}"]  # as a reader would see it
    settle()
    make(viewer)


def picture(folder: Path, name: str, make: Callable[[Any], None]) -> None:
    """One picture of a new viewer."""
    viewer = napari.Viewer()
    viewer.window.resize(1366, 768)
    make(viewer)
    settle(1.0)
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
    while any(job.running for job in panel.findChildren(Job)) or any(
        placer.busy for placer in panel.findChildren(Placer)
    ):
        settle(0.1)
    settle(0.3)


def scroll(panel: Any, widget: Any) -> None:
    """Bring a widget of a panel into view."""
    settle(0.2)
    panel.parent().parent().ensureWidgetVisible(widget, 0, 20)


def hide(viewer: Any, *roles: str) -> None:
    """Hide layers by their role."""
    for role in roles:
        layer = find_layer(viewer, role)
        if layer is not None:
            layer.visible = False


def filtered(viewer: Any) -> None:
    """Show the filtered frames, by the Clutter & PSF widget."""
    panel = dock(viewer, "Clutter & PSF")
    panel.show_filtered.click()
    settle()
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
    filtered(viewer)
    panel = dock(viewer, "Sparsify")
    session_of(viewer).change("sparsify", threshold=0.15)
    rest(panel)


def localize(viewer: Any) -> None:
    """Localize & track: tracks and bubbles over the frames."""
    viewer.window.resize(1366, 880)
    filtered(viewer)
    panel = run_series(viewer)
    hide(viewer, "map")
    scroll(panel, panel.relink_button)


def network(viewer: Any) -> None:
    """Localize & track by the network: its weights, the device, and tracks by direction."""
    viewer.window.resize(1366, 880)
    filtered(viewer)
    session = session_of(viewer)
    if WEIGHTS is not None:
        session.change("network", weights=WEIGHTS)
    session.change("localize", localizer="network")
    panel = run_series(viewer)
    hide(viewer, "map", "localizations")
    panel.colours.by.setCurrentIndex(panel.colours.by.findData("direction"))
    panel.colours.by.activated.emit(panel.colours.by.currentIndex())
    viewer.dims.ndisplay = 3
    viewer.reset_view()
    viewer.scene.camera.angles = (10, -35, 60)
    viewer.scene.camera.zoom *= 0.8  # the longest tracks whole
    viewer.layers[0].visible = False
    hide(viewer, "filtered frames preview")
    find_layer(viewer, "tracks").tail_length = 400


def region(viewer: Any) -> None:
    """Vessel maps: a drawn region chooses the tracks."""
    panel = dock(viewer, "Vessel maps")
    local = run_series(viewer)
    rest(panel)
    close(local)
    viewer.layers[0].visible = False
    hide(viewer, "localizations", "tracks")
    session_of(viewer).change("maps", smoothing_um=10.0)
    panel.which.setCurrentIndex(panel.which.findData("velocity_z"))
    rest(panel)
    panel.filters.rectangle.click()
    settle()
    layer = find_layer(viewer, "region")
    y = float(viewer.dims.point[-2])
    layer.add_rectangles([[[300, y, 500], [300, y, 1600], [1300, y, 1600], [1300, y, 500]]])
    layer.mode = "pan_zoom"
    settle()
    viewer.dims.ndisplay = 3
    viewer.reset_view()
    viewer.scene.camera.angles = (10, -35, 60)
    rest(panel)
    scroll(panel, panel.status)


def maps(viewer: Any) -> None:
    """Vessel maps: density in 3-D with colour bar and scale bar."""
    panel = dock(viewer, "Vessel maps")
    local = run_series(viewer)
    rest(panel)
    close(local)
    viewer.layers[0].visible = False
    hide(viewer, "tracks", "localizations")
    viewer.dims.ndisplay = 3
    viewer.reset_view()
    viewer.scene.camera.angles = (10, -35, 60)


def evidence(viewer: Any) -> None:
    """Vessel maps: the speed's standard error, false tracks, motion and the saturation carried on."""
    panel = dock(viewer, "Vessel maps")
    session = session_of(viewer)
    session.change("motion", method="rigid")
    local = run_series(viewer)
    rest(panel)
    close(local)
    panel.evidence_section.expand()
    panel.which.setCurrentIndex(panel.which.findData("speed_se"))
    rest(panel)
    viewer.layers[0].visible = False
    hide(viewer, "tracks", "localizations")
    viewer.dims.ndisplay = 3
    viewer.reset_view()
    scroll(panel, panel.saturation)


def export(viewer: Any) -> None:
    """Export: formats, settings, and the same run without the viewer."""
    local = run_series(viewer)
    close(local)
    panel = dock(viewer, "Export")
    panel.target.setText("tracks.vtp")
    panel.format.setCurrentText(".vtp")
    hide(viewer, "acquisition")


def compare(viewer: Any) -> None:
    """Compare & measure: a run against the truth, and a vessel's width."""
    viewer.window.resize(1366, 1000)
    local = run_series(viewer)
    close(local)
    panel = dock(viewer, "Compare & measure")
    panel.second.setCurrentIndex(panel.second.findText("Ground truth"))
    rest(panel)
    panel.view.setCurrentIndex(panel.view.findData("overlay"))
    rest(panel)
    viewer.dims.thickness = (0.0, 1800.0, 2400.0, 2400.0)
    viewer.reset_view()
    panel.measuring.slab.setCurrentIndex(panel.measuring.slab.findData("volume"))
    panel.measuring.width_um.setValue(100)
    panel.measuring.line_button.click()
    layer = viewer.layers["measure"]
    y = viewer.dims.point[2]
    layer.add_lines([[500.0, y, 600.0], [500.0, y, 1300.0]])
    layer.mode = "select"
    rest(panel)


def history(viewer: Any) -> None:
    """Run history: two runs, and the settings in which they differ."""
    local = run_series(viewer)
    session_of(viewer).change("link", max_speed_mm_s=20.0)
    session_of(viewer).change("localize", localizer="radial")
    local.series_button.click()
    rest(local)
    close(local)
    panel = dock(viewer, "Run history")
    panel.runs.selectAll()
    settle()


def log(viewer: Any) -> None:
    """Log: what a run says."""
    panel = dock(viewer, "Log")
    local = dock(viewer, "Localize & track")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        local.folder.setText("results")
        local.series_button.click()
        rest(local)
        local.series_button.click()  # the folder is full: an error with its way out
        rest(local)
        os.chdir(ROOT)
    close(local)
    panel.lines.scrollToBottom()


def workflow(viewer: Any) -> None:
    """ULM workflow: all in one dock."""
    panel = dock(viewer, "ULM workflow")
    panel.sections["Load"].expand(False)
    panel.sections["Sparsify"].expand()
    rest(panel)
    panel.panels["Clutter & PSF"].show_filtered.click()
    settle()


def vessels(viewer: Any) -> None:
    """Vessels: the finished run of the simulated cortex, measured, and its longest vessel chosen."""
    viewer.layers.clear()
    viewer.open_sample(PLUGIN, "mouse_cortex")
    settle(2.0)
    panel = dock(viewer, "Vessels")
    panel.measure_button.click()
    rest(panel)
    panel.table.sortByColumn(1, Qt.SortOrder.DescendingOrder)
    settle()
    panel.choose(int(panel.model.order[0]))
    hide(viewer, "tracks", "map")
    settle()


def rat_brain(viewer: Any, movie: str) -> None:
    """A real movie of the rat brain, with the settings of the guide: load, localize, map."""
    panel = dock(viewer, "ULM workflow")
    loading = panel.panels["Load"]
    session = session_of(viewer)
    session.set_config(session.config.with_settings(MOVIE))
    loading.set_paths([movie])
    rest(loading)
    loading.open_button.click()
    rest(loading)
    panel.panels["Localize & track"].series_button.click()
    rest(panel)
    for title, section in panel.sections.items():
        section.expand(title == "Vessel maps")
    rest(panel)
    viewer.layers[0].visible = False
    hide(viewer, "tracks", "localizations", "kept voxels")


# Spacing, rate and dynamic range are assumed: the movie does not state them.
MOVIE = [
    "load.voxel_um=50,50,50", "load.rate_hz=30", "load.log_compressed_db=40",
    "clutter.method=none", "psf.fwhm_voxels=8,3,12", "psf.patch_voxels=15,7,25",
    "localize.localizer=radial", "localize.patch_voxels=15,7,25", "localize.min_snr_db=6",
    "localize.min_correlation=0.4", "localize.max_shift_voxels=5", "link.max_speed_mm_s=15",
    "link.max_gap_frames=1", "link.min_length_frames=5", "maps.resolution_factor=2",
]  # fmt: skip

PICTURES: dict[str, Callable[[Any], None]] = {
    "load": load,
    "clutter": clutter,
    "sparsify": sparsify,
    "localize": localize,
    "network": network,
    "maps": maps,
    "evidence": evidence,
    "region": region,
    "compare": compare,
    "export": export,
    "history": history,
    "log": log,
    "workflow": workflow,
    "vessels": vessels,
}


if __name__ == "__main__":
    main()
