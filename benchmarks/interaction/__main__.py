"""Response times of the viewer. `python -m benchmarks.interaction [--quick]`

Measured in a real napari window (`scripts/with-display.sh` provides a display if there is
none), with volumes of 32^3 to 192^3 voxels and series of 100 to 10,000 frames. Frames
are generated on demand from a few stored ones, so that the longest series takes
no more memory than the shortest. Medians of several tries in milliseconds:

* frame: from moving the time slider until the frame is drawn;
* overlay: from moving the threshold in Sparsify until the kept voxels of the frame are drawn;
* follow: from moving the time slider within a block until the kept voxels of that frame are drawn
  (which requires its correlation map);
* next: the same for the following frame, as when the slider is dragged, a tenth of a second later;
* jump: the same for another block of 50 frames or 256 MB, which must be read and filtered;
* map: from changing a filter of Vessel maps until the map of 100,000 track points is redrawn.

The heartbeat is a timer of 5 ms in the window's thread while a whole series is localized; late
beats indicate blocking. Reported are its maximum and 99th percentile; the part of the maximum
computed by the window's thread itself ("own"; the rest is waiting for a core or the interpreter);
and the same in a second run, in which existing layers only receive new data.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.interaction.scenes import RATE_HZ, MadeFrames, many_tracks, wandering_series
from benchmarks.machine import machine_line, markdown_table
from napari_ulm3d.acquisition import Acquisition, Grid
from napari_ulm3d.config import PipelineConfig

EDGES = (32, 64, 128, 192)
LENGTHS = (100, 1_000, 10_000)
_SPACING_UM = (100.0, 100.0, 100.0)
_BLOCK_BYTES = 256 << 20
_WAIT_S = 60.0
_BEAT_MS = 5
_PACE_S = 0.1  # between two frames of a dragged slider


@dataclass(frozen=True)
class _Times:
    """Times of several tries in milliseconds."""

    tries: list[float]

    def __str__(self) -> str:
        return f"{np.median(self.tries):.0f}" if self.tries else "-"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two volumes, short series, few tries")
    parser.add_argument("--tries", type=int, default=7)
    arguments = parser.parse_args()
    if sys.platform.startswith("linux") and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        parser.exit(2, "There is no display. Run: scripts/with-display.sh python -m ...\n")
    edges = (32, 64) if arguments.quick else EDGES
    lengths = (100, 1_000) if arguments.quick else LENGTHS
    tries = 3 if arguments.quick else arguments.tries
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_DATA_HOME"] = folder  # not the user's own list of runs
        print(machine_line("napari", "PySide6-Essentials"), end="\n\n", flush=True)
        rows = [_looking(edge, n, tries) for edge in edges for n in lengths]
        header = ["voxels", "frames", "frame", "overlay", "follow", "next", "jump"]
        print("Looking, median ms:\n" + markdown_table(header, rows), end="\n\n", flush=True)
        rows = [_mapping(edge, tries) for edge in edges]
        print("Map of 100,000 track points, median ms:")
        print(markdown_table(["voxels", "map voxels", "map"], rows), end="\n\n", flush=True)
        rows = _running(300 if arguments.quick else 2_000)
        print("Heartbeat of 5 ms while a series of 24 x 20 x 20 voxels is localized:")
        header = [
            "layers", "beats", "median ms", "99 % ms", "worst ms", "worst own ms",
            "over 100 ms: all / own",
        ]  # fmt: skip
        print(markdown_table(header, rows), flush=True)


# --- looking ------------------------------------------------------------------------------------


def _looking(edge: int, n_frames: int, tries: int) -> list[str]:
    """Times of one volume size and series length."""
    source = MadeFrames((n_frames, edge, edge, edge))
    grid = Grid((edge, edge, edge), _SPACING_UM)
    acquisition = Acquisition((source,), grid, RATE_HZ, wavelength_um=100.0, name="made frames")
    block = int(min(max(_BLOCK_BYTES // (grid.size * 8), 2), 50, n_frames // 2))
    with _Window() as window:
        window.open(acquisition, block)
        rng = np.random.default_rng(0)

        def go(number: int, seen: Callable[[], bool]) -> float:
            return window.timed(lambda: window.go_to(number), seen)

        frame = [go(k, window.drawn) for k in _others(rng, n_frames, tries)]
        window.dock("Sparsify")
        window.rest()
        bars = rng.uniform(0.05, 0.6, tries + 1)
        overlay = [window.timed(lambda b=b: window.threshold(b), window.overlaid) for b in bars]  # type: ignore[misc]
        go(n_frames - 1, window.overlaid)
        follow = [go(k, window.overlaid) for k in _others(rng, block, tries)]
        in_a_row = []
        for k in range(tries + 1):
            window.wait(_PACE_S)
            in_a_row.append(go(k % block, window.overlaid))
        blocks = _others(rng, n_frames // block, tries)
        jump = [go(k * block, window.overlaid) for k in blocks]
    # The first of each is a warm-up.
    cells = [str(_Times(times[1:])) for times in (frame, overlay, follow, in_a_row, jump)]
    print(f"  {edge}^3, {n_frames} frames: {', '.join(cells)}", file=sys.stderr, flush=True)
    return [f"{edge}^3", f"{n_frames:,}", *cells]


def _others(rng: np.random.Generator, n: int, tries: int) -> list[int]:
    """Random numbers below n, without repeating the previous one."""
    return (np.cumsum(rng.integers(1, n, tries + 1)) % n).tolist()


def _mapping(edge: int, tries: int) -> list[str]:
    """Time to rebuild a map after a filter has changed."""
    from napari_ulm3d.plugin.state.results import Result
    from napari_ulm3d.tables import Localizations

    grid = Grid((edge, edge, edge), _SPACING_UM)
    tracks = many_tracks(100_000, grid)
    config = PipelineConfig().with_settings(["maps.resolution_factor=5", "maps.fsc=false"])
    with _Window() as window:
        panel = window.dock("Vessel maps")
        window.session.set_config(config)
        window.session.set_result(
            Result(grid, RATE_HZ, 1.0, config, Localizations.empty(), tracks, name="made tracks")
        )
        window.rest()
        lengths = [k % 2 + 1 for k in range(tries + 1)]
        times = []
        for least in lengths:
            change = lambda k=least: window.filter_length(panel, k)  # noqa: E731
            times.append(window.timed(change, window.mapped))
            window.rest()
        shape = window.session.shown.maps["density"].grid.shape
    return [f"{edge}^3", " x ".join(map(str, shape)), str(_Times(times[1:]))]


def _running(n_frames: int) -> list[list[str]]:
    """Timer beats while a whole series is localized, twice."""
    from qtpy.QtCore import QTimer

    rows = []
    with _Window() as window:
        window.open(wandering_series(n_frames), 50)
        panel = window.dock("Localize & track")
        panel.frame_button.click()  # triggers compilation
        window.rest()
        for what in ("made", "renewed"):
            beats: list[tuple[float, float]] = []
            timer = QTimer()
            timer.setInterval(_BEAT_MS)
            timer.timeout.connect(
                lambda b=beats: b.append((time.perf_counter(), time.thread_time()))
            )
            timer.start()
            panel.series_button.click()
            window.rest()
            timer.stop()
            wall, own = 1000 * np.diff(np.array(beats), axis=0).T
            late = f"{(wall > 100).sum()} / {(own > 100).sum()}"
            numbers = [np.median(wall), np.percentile(wall, 99), wall.max(), own.max()]
            rows.append([what, f"{len(wall):,}", *(f"{number:.0f}" for number in numbers), late])
    return rows


# --- the window ---------------------------------------------------------------------------------


class _Window:
    """A real viewer, with detection of what has been drawn."""

    def __enter__(self) -> _Window:
        import napari
        from qtpy.QtWidgets import QApplication

        from napari_ulm3d.plugin.session import session_of

        self.viewer: Any = napari.Viewer()
        self.viewer.window.resize(1300, 760)
        self._app = QApplication.instance()
        self.session: Any = session_of(self.viewer)
        self._panels: list[Any] = []
        self._draws = 0
        self._marks: dict[str, Any] = {}
        self._new: set[str] = set()
        canvas = self.viewer.window._qt_viewer.canvas._scene_canvas
        canvas.events.draw.connect(self._on_draw)
        return self

    def __exit__(self, *_: object) -> None:
        self.viewer.close()
        self._spin(0.2)

    def open(self, acquisition: Acquisition, frames_per_block: int) -> None:
        """Show an acquisition, without a clutter filter, whose time does not count here."""
        from napari_ulm3d.plugin.layers.convert import acquisition_layer
        from napari_ulm3d.plugin.layers.place import make_layer

        self.session.change("load", frames_per_block=frames_per_block)
        self.session.change("clutter", method="none")
        carrier = "none" if acquisition.wavelength_um is None else "wavelength"
        self.session.change("psf", source="analytic", carrier=carrier)
        self.viewer.add_layer(make_layer(acquisition_layer(acquisition), "acquisition"))
        self._spin(0.5)

    def dock(self, name: str) -> Any:
        """Open a widget and return its panel."""
        _, widget = self.viewer.window.add_plugin_dock_widget("napari-ulm3d", name)
        self._panels.append(widget.panel)
        self._spin(0.3)
        return widget.panel

    # --- user actions ---

    def go_to(self, frame: int) -> None:
        """Move the time slider."""
        self._mark()
        self.viewer.dims.set_point(0, frame / RATE_HZ)

    def threshold(self, value: float) -> None:
        """Move the threshold."""
        self._mark()
        self.session.change("sparsify", threshold=float(round(value, 3)))

    def filter_length(self, panel: Any, frames: int) -> None:
        """Filter out short tracks."""
        self._mark()
        panel.filters.length.setValue(frames)

    # --- detection of the response ---

    def drawn(self) -> bool:
        """Whether the canvas has been drawn since."""
        return self._draws > 0

    def overlaid(self) -> bool:
        """Whether the kept voxels have been updated and drawn since."""
        return self._renewed("kept voxels")

    def mapped(self) -> bool:
        """Whether the map has been updated and drawn since."""
        return self._renewed("map")

    def timed(self, act: Callable[[], None], seen: Callable[[], bool]) -> float:
        """Milliseconds from an action until its result is seen."""
        began = time.perf_counter()
        act()
        while not seen():
            self._app.processEvents()
            if time.perf_counter() - began > _WAIT_S:
                raise TimeoutError(f"nothing to see after {_WAIT_S:.0f} s")
        took = 1000 * (time.perf_counter() - began)
        self._spin(0.05)
        return took

    def wait(self, seconds: float) -> None:
        """Let the window run."""
        self._spin(seconds)

    def rest(self) -> None:
        """Wait until no panel is computing."""
        from napari_ulm3d.plugin.jobs.job import Job
        from napari_ulm3d.plugin.layers.place import Placer

        self._spin(0.2)
        while any(job.running for panel in self._panels for job in panel.findChildren(Job)) or any(
            placer.busy for panel in self._panels for placer in panel.findChildren(Placer)
        ):
            self._app.processEvents()
            time.sleep(0.001)
        self._spin(0.2)
        for panel in self._panels:
            if panel.problem.text():
                raise RuntimeError(panel.problem.text())

    def _mark(self) -> None:
        self._draws = 0
        self._marks = {role: self._data(role) for role in ("kept voxels", "map")}
        self._new = set()

    def _renewed(self, role: str) -> bool:
        return role in self._new

    def _data(self, role: str) -> NDArray[Any] | None:
        from napari_ulm3d.plugin.layers.place import find_layer

        layer = find_layer(self.viewer, role)
        return None if layer is None else layer.data

    def _on_draw(self, event: object = None) -> None:
        self._draws += 1
        self._new |= {role for role, data in self._marks.items() if self._data(role) is not data}

    def _spin(self, seconds: float) -> None:
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            self._app.processEvents()
            time.sleep(0.001)


if __name__ == "__main__":
    main()
