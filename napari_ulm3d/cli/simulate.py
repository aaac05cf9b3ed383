"""`napari-ulm3d simulate`: write a simulated acquisition with its ground truth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_ulm3d.cli import options
from napari_ulm3d.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

    from napari_ulm3d.simulate.config import SimulationConfig

__all__ = ["simulate"]


@dataclass(frozen=True)
class Wanted:
    """The simulation requested on the command line."""

    preset: Annotated[str | None, typer.Option(help="Preset, such as mouse-brain-15MHz.")] = None
    test_set: Annotated[
        str | None, typer.Option("--set", help="Standard test set, such as standard-40.")
    ] = None
    config: Annotated[
        Path | None, typer.Option(help="Settings file (TOML), such as a simulation.toml.")
    ] = None
    sample: Annotated[int, typer.Option(min=0, help="With --set: number of the sample.")] = 0
    network: Annotated[
        Path | None, typer.Option(help="File with measured vessels, used instead of grown ones.")
    ] = None
    bubbles: Annotated[int | None, typer.Option(min=0, help="Mean number of bubbles in view.")] = (
        None
    )
    frames: Annotated[int | None, typer.Option(min=1, help="Number of frames.")] = None
    seed: Annotated[int | None, typer.Option(min=0, help="Random seed.")] = None
    snr: Annotated[float | None, typer.Option(help="Signal-to-noise ratio, dB.")] = None

    def resolve(self) -> SimulationConfig:
        """Convert the options to settings.

        Raises
        ------
        ConfigError
            The options conflict, or there is no such preset or set.
        """
        changed = (self.bubbles, self.frames, self.seed, self.snr)
        settings = self._chosen()
        if self.test_set is not None and changed != (None, None, None, None):
            raise ConfigError(
                "The settings of a standard test set are fixed. Leave out --bubbles, --frames, "
                "--seed and --snr, or use --preset."
            )
        if self.bubbles is not None:
            settings = settings.replace(bubbles=settings.bubbles.replace(n_bubbles=self.bubbles))
        if self.frames is not None:
            settings = settings.replace(n_frames=self.frames)
        if self.seed is not None:
            settings = settings.replace(seed=self.seed)
        if self.snr is not None:
            settings = settings.replace(noise=settings.noise.replace(snr_db=self.snr))
        return settings

    def _chosen(self) -> SimulationConfig:
        from napari_ulm3d.simulate.config import SimulationConfig
        from napari_ulm3d.simulate.presets import preset
        from napari_ulm3d.simulate.standard import standard_config

        chosen = (self.preset, self.test_set, self.config)
        if sum(choice is not None for choice in chosen) != 1:
            raise ConfigError("Give one of --preset, --set or --config (--list shows the names).")
        if self.test_set is not None:
            if self.network is not None and not self.test_set.startswith("cortex"):
                raise ConfigError("--network needs a cortex set, --preset or --config.")
            return standard_config(self.test_set, self.sample, self.network)
        if self.sample:
            raise ConfigError("--sample needs --set; use --seed instead.")
        settings = (
            SimulationConfig.from_toml(self.config) if self.config else preset(self.preset or "")
        )
        if self.network is not None:
            vessels = settings.vessels.replace(source="file", path=str(self.network))
            settings = settings.replace(vessels=vessels)
        return settings


@options.takes_group("wanted", Wanted)
def simulate(
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="DIR", help="Folder to create.")
    ] = None,
    wanted: Any = None,
    format: Annotated[
        str, typer.Option(help="File layout: open3dulm, sparsetensorulm or zarr.")
    ] = "open3dulm",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing simulation.")
    ] = False,
    list_: Annotated[
        bool, typer.Option("--list", help="List the presets and test sets, and exit.")
    ] = False,
) -> None:
    """Simulate an acquisition and write its frames and its ground truth (truth.parquet)."""
    from rich.console import Console

    console = Console()
    if list_:
        _list(console)
        return
    if out is None:
        raise ConfigError("Name the folder to write with --out DIR.")
    _write(console, wanted.resolve(), out, format, overwrite)


def _write(
    console: Console, settings: SimulationConfig, out: Path, format: str, overwrite: bool
) -> None:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    from napari_ulm3d.simulate.formats import write_simulation
    from napari_ulm3d.simulate.simulation import simulate as set_up

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    ) as bar:
        task = bar.add_task("growing vessels", total=settings.n_frames)
        simulation = set_up(settings)
        bar.update(task, description="making frames")
        folder = write_simulation(
            simulation,
            out,
            format,
            overwrite=overwrite,
            progress=lambda done, _: bar.update(task, completed=done),
        )
    z, y, x = settings.grid.shape
    console.print(
        f"{folder}: {settings.n_frames} frames of {z} x {y} x {x} voxels at "
        f"{settings.rate_hz:g} Hz, {settings.bubbles.n_bubbles} bubbles in view, with truth.parquet",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


def _list(console: Console) -> None:
    from rich.table import Table

    from napari_ulm3d.simulate.presets import PRESETS
    from napari_ulm3d.simulate.standard import STANDARD_SETS

    table = Table(box=None, pad_edge=False)
    table.add_column("preset", no_wrap=True)
    for heading in ("voxels", "voxel (um)", "Hz", "what"):
        table.add_column(heading)
    for name, item in PRESETS.items():
        grid = item.config.grid
        table.add_row(
            name,
            " x ".join(str(n) for n in grid.shape),
            ", ".join(f"{v:g}" for v in grid.voxel_um),
            f"{item.config.rate_hz:g}",
            item.description,
        )
    console.print(table)
    console.print("Test sets: " + ", ".join(STANDARD_SETS))
