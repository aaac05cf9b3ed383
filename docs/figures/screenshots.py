"""Screenshots of the napari widgets for the documentation.

``scripts/with-display.sh python docs/figures/screenshots.py`` operates a real viewer on the
samples of the package and writes ``plugin_*.png``; ``--help`` lists the options.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import napari
from qtpy.QtCore import Qt
from viewer_hands import (
    close,
    dock,
    look_at_frames,
    open_acquisition,
    open_finished_run,
    rest,
    rest_all,
    run_series,
    scroll,
    settle,
    show_filtered_frames,
    show_only,
)

from napari_ulm3d.io.session_file import SESSION_NAME, write_session
from napari_ulm3d.plugin.layers.place import find_layer
from napari_ulm3d.plugin.layers.vessel_view import show_vessel_map
from napari_ulm3d.plugin.saved_session.gather import gather
from napari_ulm3d.plugin.session import session_of
from napari_ulm3d.plugin.tour.seen import remember_tour

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "docs" / "images"
MOST_BYTES = 395_000
# The corners of the volume, which its projection leaves empty, may leave the view.
HERO_ZOOM = 1.25
# Of the network; None: those that are shipped.
WEIGHTS = os.environ.get("ULM3D_WEIGHTS")


def main() -> None:
    """Take the screenshots; that of the rat brain only if its movie is available."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=IMAGES, help="where to write")
    parser.add_argument("--movie", type=Path, help="the rat-brain movie of the guide (a TIFF)")
    parser.add_argument("--only", nargs="+", choices=PICTURES, default=list(PICTURES))
    options = parser.parse_args()
    folder = options.folder.absolute()
    movie = options.movie and str(options.movie.absolute())
    os.chdir(ROOT)
    os.environ["XDG_CONFIG_HOME"] = tempfile.mkdtemp()
    remember_tour()  # otherwise it would start
    if movie:
        picture(folder, "rat_brain", lambda viewer: rat_brain(viewer, movie))
    for name in options.only:
        picture(folder, name, PICTURES[name])


def picture(folder: Path, name: str, make: Callable[[Any], Any]) -> None:
    """One screenshot of a new viewer, without the user's own list of runs."""
    os.environ["XDG_DATA_HOME"] = tempfile.mkdtemp()
    viewer = new_viewer()
    viewer = make(viewer) or viewer
    settle(1.5)
    path = folder / f"plugin_{name}.png"
    viewer.window.screenshot(str(path), flash=False)
    small(path)
    viewer.close()
    settle()
    print(f"{path.name}: {path.stat().st_size // 1000} kB", flush=True)


def new_viewer() -> Any:
    """A viewer on the screen of a small laptop."""
    viewer = napari.Viewer()
    viewer.window.resize(1366, 768)
    return viewer


def small(path: Path) -> None:
    """Store a large picture in as many colours as fit into 395 kB, and narrower if need be."""
    from PIL import Image

    with Image.open(path) as image:
        shot = image.convert("RGB")
    narrow = shot.resize((1280, 1280 * shot.height // shot.width), Image.Resampling.LANCZOS)
    for picture in (shot, narrow):
        for n_colours in (256, 128, 96):
            if path.stat().st_size <= MOST_BYTES:
                return
            picture.quantize(n_colours, dither=Image.Dither.NONE).save(path, optimize=True)


def hero(viewer: Any) -> None:
    """What *Open the sample* shows: the vessel map of a finished run, with room for it."""
    viewer.window.resize(1600, 1000)
    panel = dock(viewer, "ULM workflow")
    panel.sample_button.click()
    rest(panel)
    panel.open("Vessel maps")
    rest(panel)
    for side in (
        viewer.window._qt_viewer.dockLayerList,
        viewer.window._qt_viewer.dockLayerControls,
    ):
        side.hide()
    settle()
    show_vessel_map(viewer)
    viewer.scene.camera.zoom *= HERO_ZOOM


def workflow(viewer: Any) -> None:
    """ULM workflow: all steps in one dock."""
    open_acquisition(viewer)
    panel = dock(viewer, "ULM workflow")
    panel.open("Clutter & PSF").show_filtered.click()
    rest(panel)
    panel.open("Sparsify")
    rest(panel)
    look_at_frames(viewer)


def load(viewer: Any) -> None:
    """Load: what was recognized, and the blocks."""
    open_acquisition(viewer)
    dock(viewer, "Load acquisition")
    look_at_frames(viewer)


def clutter(viewer: Any) -> None:
    """Clutter & PSF: the spectrum with its cuts, power Doppler and the PSF."""
    open_acquisition(viewer)
    panel = dock(viewer, "Clutter & PSF")
    panel.show_power.click()
    rest(panel)
    look_at_frames(viewer)


def sparsify(viewer: Any) -> None:
    """Sparsify: the histogram, and the kept voxels over the frame."""
    open_acquisition(viewer)
    show_filtered_frames(viewer)
    panel = dock(viewer, "Sparsify")
    session_of(viewer).change("sparsify", threshold=0.15)
    rest(panel)
    look_at_frames(viewer)


def localize(viewer: Any) -> None:
    """Localize & track: tracks and bubbles over the frames."""
    viewer.window.resize(1366, 880)
    open_acquisition(viewer)
    show_filtered_frames(viewer)
    panel = run_series(viewer)
    show_only(viewer, "filtered frames preview", "tracks", "localizations")
    look_at_frames(viewer)
    viewer.dims.set_point(2, 1050.0)  # napari took the plane through the camera
    scroll(panel, panel.relink_button)


def network(viewer: Any) -> None:
    """Localize & track by the network: its weights, the device, and tracks by direction."""
    viewer.window.resize(1366, 880)
    open_acquisition(viewer)
    session = session_of(viewer)
    if WEIGHTS is not None:
        session.change("network", weights=WEIGHTS)
    session.change("localize", localizer="network")
    panel = run_series(viewer)
    panel.colours.by.setCurrentIndex(panel.colours.by.findData("direction"))
    panel.colours.by.activated.emit(panel.colours.by.currentIndex())
    show_vessel_map(viewer)  # for its camera
    show_only(viewer, "tracks")
    viewer.layers.selection.active = find_layer(viewer, "tracks")


def maps(viewer: Any) -> None:
    """Vessel maps: speed in 3-D with colour bar and scale bar."""
    open_finished_run(viewer)
    panel = dock(viewer, "Vessel maps")
    panel.which.setCurrentIndex(panel.which.findData("speed"))
    rest(panel)
    show_vessel_map(viewer)


def region(viewer: Any) -> None:
    """Vessel maps: a drawn region chooses the tracks."""
    open_finished_run(viewer)
    draw_region(viewer)


def draw_region(viewer: Any) -> None:
    """Axial velocities of the tracks that cross a rectangle."""
    panel = dock(viewer, "Vessel maps")
    panel.which.setCurrentIndex(panel.which.findData("velocity_z"))
    rest(panel)
    panel.filters.rectangle.click()
    settle()
    layer = find_layer(viewer, "region")
    y = float(viewer.dims.point[-2])
    layer.add_rectangles(
        [
            [
                layer.world_to_data((z, y, x))
                for z, x in ((800, 1500), (800, 4500), (2200, 4500), (2200, 1500))
            ]
        ]
    )
    layer.mode = "pan_zoom"
    rest(panel)
    show_vessel_map(viewer)
    rest(panel)
    scroll(panel, panel.status)


def evidence(viewer: Any) -> None:
    """Vessel maps: standard error of the speed, false tracks, motion, extrapolated saturation."""
    open_acquisition(viewer)
    panel = dock(viewer, "Vessel maps")
    session_of(viewer).change("motion", method="rigid")
    close(run_series(viewer))
    rest(panel)
    panel.evidence_section.expand()
    panel.which.setCurrentIndex(panel.which.findData("speed_se"))
    rest(panel)
    show_vessel_map(viewer)
    scroll(panel, panel.saturation)


def curate(viewer: Any) -> None:
    """Curate tracks: a range of speeds chosen in its histogram, the tracks in table and view."""
    open_finished_run(viewer)
    panel = dock(viewer, "Curate tracks")
    show_vessel_map(viewer)
    histogram = panel.histograms.plots["speed"]
    histogram.set_brush((15.0, 20.0))
    histogram.brushed.emit()
    rest(panel)


def vessels(viewer: Any) -> None:
    """Vessels: the finished run measured, and its longest vessel chosen."""
    open_finished_run(viewer)
    panel = dock(viewer, "Vessels")
    show_vessel_map(viewer)
    panel.measure_button.click()
    rest(panel)
    panel.table.sortByColumn(1, Qt.SortOrder.DescendingOrder)
    settle()
    panel.choose(int(panel.model.order[0]))
    show_only(viewer, "vessels", "vessel chosen")


def compare(viewer: Any) -> None:
    """Compare & measure: a run against the truth, and a vessel's width."""
    viewer.window.resize(1366, 1000)
    open_acquisition(viewer)
    close(run_series(viewer))
    panel = dock(viewer, "Compare & measure")
    panel.second.setCurrentIndex(panel.second.findText("Ground truth"))
    rest(panel)
    panel.view.setCurrentIndex(panel.view.findData("overlay"))
    rest(panel)
    look_at_frames(viewer)
    viewer.dims.thickness = (0.0, 1800.0, 2400.0, 2400.0)
    panel.measuring.slab.setCurrentIndex(panel.measuring.slab.findData("volume"))
    panel.measuring.width_um.setValue(100)
    panel.measuring.line_button.click()
    layer = viewer.layers["measure"]
    y = viewer.dims.point[2]
    layer.add_lines([[layer.world_to_data((500.0, y, x)) for x in (600.0, 1300.0)]])
    layer.mode = "select"
    rest(panel)


def export(viewer: Any) -> None:
    """Export: formats, settings, and the same run without the viewer."""
    open_finished_run(viewer)
    dock(viewer, "Export")
    show_vessel_map(viewer)


def history(viewer: Any) -> None:
    """Run history: two runs, and the settings in which they differ."""
    open_acquisition(viewer)
    local = run_series(viewer)
    session_of(viewer).change("link", max_speed_mm_s=20.0)
    session_of(viewer).change("localize", localizer="radial")
    local.series_button.click()
    rest(local)
    close(local)
    panel = dock(viewer, "Run history")
    show_vessel_map(viewer)
    panel.runs.selectAll()
    settle()


def log(viewer: Any) -> None:
    """Log: what a run says."""
    open_acquisition(viewer)
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
    show_vessel_map(viewer)
    panel.lines.scrollToBottom()


def session(viewer: Any) -> Any:
    """A saved session, opened again in a new viewer; its picture beside that of the old one."""
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "mouse_cortex"
        shutil.copytree(ROOT / "sample_data" / "mouse_cortex", results)
        viewer.open(str(results), plugin="napari-ulm3d")
        settle(2.0)
        draw_region(viewer)
        kept, _ = gather(session_of(viewer), results / SESSION_NAME)
        write_session(kept, results / SESSION_NAME)
        viewer.close()
        settle()
        viewer = new_viewer()
        viewer.open(str(results), plugin="napari-ulm3d")
        rest_all(session_of(viewer))
        rest(dock(viewer, "Vessel maps"))
    return viewer


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
    panel.open("Vessel maps")
    rest(panel)
    show_vessel_map(viewer)


# Spacing, rate and dynamic range are assumed: the movie does not state them.
MOVIE = [
    "load.voxel_um=50,50,50", "load.rate_hz=30", "load.log_compressed_db=40",
    "clutter.method=none", "psf.fwhm_voxels=8,3,12", "psf.patch_voxels=15,7,25",
    "localize.localizer=radial", "localize.patch_voxels=15,7,25", "localize.min_snr_db=6",
    "localize.min_correlation=0.4", "localize.max_shift_voxels=5", "link.max_speed_mm_s=15",
    "link.max_gap_frames=1", "link.min_length_frames=5", "maps.resolution_factor=2",
]  # fmt: skip

PICTURES: dict[str, Callable[[Any], Any]] = {
    "hero": hero,
    "load": load,
    "clutter": clutter,
    "sparsify": sparsify,
    "localize": localize,
    "network": network,
    "maps": maps,
    "evidence": evidence,
    "region": region,
    "curate": curate,
    "vessels": vessels,
    "compare": compare,
    "export": export,
    "history": history,
    "log": log,
    "workflow": workflow,
    "session": session,
}


if __name__ == "__main__":
    main()
