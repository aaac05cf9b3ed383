"""Sample acquisitions in the File menu: one included, three simulated."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

import numpy as np

from napari_ulm3d.errors import Cancelled
from napari_ulm3d.plugin.jobs.job import Job, Problem, Stop
from napari_ulm3d.plugin.jobs.simulate import lazy_work
from napari_ulm3d.plugin.layers.convert import LABELS, UNITS, LayerData, acquisition_layer
from napari_ulm3d.plugin.layers.place import make_layer
from napari_ulm3d.plugin.notices import show_error
from napari_ulm3d.simulate.config import SimulationConfig

__all__ = [
    "concentration",
    "cortex",
    "cortex_anew",
    "high",
    "low",
    "middle",
    "simulate_work",
    "small",
]

_FRAMES = 600


def small() -> list[LayerData]:
    """The small simulated mouse brain included in the package."""
    from napari_ulm3d.plugin.readers import read
    from napari_ulm3d.simulate import sample_data_path

    return read([str(sample_data_path())])


def cortex() -> list[LayerData]:
    """The finished run of a simulated mouse cortex included in the package."""
    from napari_ulm3d.plugin.readers import read
    from napari_ulm3d.simulate.sample_map import sample_map_path

    return read([str(sample_map_path())])


def cortex_anew() -> list[Any]:
    """The acquisition of that run, whose frames are simulated when they are read."""
    from napari_ulm3d.simulate.sample_map import SAMPLE_MAP_SETTINGS, sample_map_config

    return _later(sample_map_config(), None, SAMPLE_MAP_SETTINGS)


def low() -> list[Any]:
    """In-silico mouse brain with 10 bubbles in view."""
    return _simulated(10)


def middle() -> list[Any]:
    """In-silico mouse brain with 40 bubbles in view."""
    return _simulated(40)


def high() -> list[Any]:
    """In-silico mouse brain with 120 bubbles in view."""
    return _simulated(120)


def concentration(n_bubbles: int) -> SimulationConfig:
    """Settings of the in-silico mouse brain with this many bubbles in view."""
    from napari_ulm3d.simulate.sample import sample_config

    base = sample_config()
    return base.replace(
        name=f"mouse_brain_{n_bubbles}_bubbles",
        grid=base.grid.replace(shape=(28, 24, 24)),
        n_frames=_FRAMES,
        bubbles=base.bubbles.replace(n_bubbles=n_bubbles),
        seed=2027,
    )


def cache_folder(config: SimulationConfig) -> Path:
    """Where simulated samples are stored."""
    home = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    base = Path(home) if home else Path.home() / ".cache"
    return base / "napari-ulm3d" / f"{config.name}-{_FRAMES}"


def simulate_work(config: SimulationConfig, folder: Path) -> Any:
    """Simulate into a folder unless it exists; yields the fraction done, returns a layer."""

    def work(stop: Stop) -> Generator[float, None, tuple[Any, Path]]:
        if not (folder / "truth.parquet").is_file():
            yield from _write(config, folder, stop)
        from napari_ulm3d.io import open_acquisition

        acquisition = open_acquisition(folder)
        return acquisition, make_layer(acquisition_layer(acquisition), "acquisition")

    return work


def _write(config: SimulationConfig, folder: Path, stop: Stop) -> Generator[float, None, None]:
    """Write in a thread, so that progress can be yielded between its callbacks."""
    from napari_ulm3d.simulate import simulate, write_simulation

    told: SimpleQueue[float | BaseException | None] = SimpleQueue()

    def progress(done: int, total: int) -> None:
        if stop():
            raise Cancelled("Simulation stopped.")
        told.put(done / total)

    def write() -> None:
        try:
            write_simulation(simulate(config), folder, progress=progress)
        except BaseException as error:
            told.put(error)
        else:
            told.put(None)

    thread = Thread(target=write, daemon=True)
    thread.start()
    while True:
        try:
            news = told.get(timeout=0.2)
        except Empty:
            continue
        if news is None:
            break
        if isinstance(news, BaseException):
            raise news
        yield news
    thread.join()


def _simulated(n_bubbles: int) -> list[Any]:
    config = concentration(n_bubbles)
    return _later(config, cache_folder(config))


def _later(
    config: SimulationConfig, folder: Path | None, settings: Sequence[str] = ()
) -> list[Any]:
    """Start a simulation in a worker with a progress bar; the layer is added when it is done.

    Parameters
    ----------
    folder
        Where to store it; None: not stored, frames are simulated when they are read.
    settings
        Suitable run settings.
    """
    import napari
    from napari.utils.progress import progress

    from napari_ulm3d.plugin.session import session_of

    viewer = napari.current_viewer()
    if viewer is None:
        return [acquisition_layer(_at_once(config, folder))]
    session = session_of(viewer)
    job = Job(session)
    name = f"{config.name} (simulating)"
    bar = progress(total=100, desc=f"Simulating {config.name.replace('_', ' ')}")

    def take_blank_away() -> None:
        if name in viewer.layers:
            viewer.layers.remove(name)

    def on_progress(share: float) -> None:
        bar.update(round(100 * share) - bar.n)
        if name in viewer.layers:
            viewer.layers[name].help = f"simulating: {share:.0%}"

    def on_finished(made: tuple[Any, Any]) -> None:
        acquisition, layer = made
        take_blank_away()
        session.expect(acquisition, [] if folder is None else [str(folder)])
        viewer.add_layer(layer)
        if settings:
            session.set_config(session.config.with_settings(list(settings)))

    def on_failed(problem: Problem) -> None:
        take_blank_away()
        show_error(problem.sentence)

    job.progressed.connect(on_progress)
    job.finished.connect(on_finished)
    job.failed.connect(on_failed)
    job.ended.connect(bar.close)
    job.ended.connect(job.deleteLater)
    job.start(lazy_work(config) if folder is None else simulate_work(config, folder))
    # napari needs a layer at once: an empty one of the same extent is the placeholder.
    blank = np.broadcast_to(np.float32(0), (config.n_frames, *config.grid.shape))
    scale = (1 / config.rate_hz, *config.grid.voxel_um)
    return [(blank, {"name": name, "scale": scale, "units": UNITS, "axis_labels": LABELS}, "image")]


def _at_once(config: SimulationConfig, folder: Path | None) -> Any:
    from napari_ulm3d.io import open_acquisition
    from napari_ulm3d.simulate import simulate, write_simulation

    if folder is None:
        return simulate(config).acquisition
    if not (folder / "truth.parquet").is_file():
        write_simulation(simulate(config), folder)
    return open_acquisition(folder)
