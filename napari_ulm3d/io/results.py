"""The results folder: one run, whole, that says how it was made and can go on where it stopped.

::

    DIR/run.toml               settings, input and provenance; enough to run it again
    DIR/localizations.parquet  DIR/tracks.parquet
    DIR/maps/*.ome.tif         density, speed, velocity_z, direction, power_doppler
    DIR/saturation.csv         DIR/fsc.csv
    DIR/log.txt
    DIR/blocks/00000.npz ...   a finished block a file

Every file appears whole or not at all.
"""

from __future__ import annotations

import shutil
import tomllib
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
from numpy.typing import NDArray

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.errors import ConfigError, ResultsError
from napari_ulm3d.io.atomic import atomic_path
from napari_ulm3d.tables import Localizations, Tracks
from napari_ulm3d.volumes import VesselMap

__all__ = ["BlockResult", "ResultsFolder"]


@dataclass(frozen=True)
class BlockResult:
    """What a finished block left: its localizations and its share of the power Doppler.

    Attributes
    ----------
    localizations
        Rows of this block's frames.
    power_doppler
        (z, y, x) float32, mean over the block's frames.
    n_frames
        Number of frames in the block.
    facts
        Counts for the log: rejections, components kept, ...
    """

    localizations: Localizations
    power_doppler: NDArray[np.float32]
    n_frames: int
    facts: dict[str, float]


@dataclass(frozen=True)
class ResultsFolder:
    """A results folder on disk; reading a part of it reads only that part."""

    path: Path

    @classmethod
    def check_free(cls, path: str | PathLike[str], *, overwrite: bool = False) -> None:
        """Whether a new run may be written to a folder; nothing is changed.

        Raises
        ------
        ResultsError
            The folder holds a run already and `overwrite` is false, or it holds something
            that is no run of ours (which is never deleted), or is a file.
        """
        folder = Path(path)
        if folder.exists() and not folder.is_dir():
            raise ResultsError(f"{folder}: is a file; name a folder with --out.")
        if not folder.is_dir() or not any(folder.iterdir()):
            return
        if not (folder / "run.toml").is_file():
            raise ResultsError(
                f"{folder}: is not empty and not a results folder; name another with --out."
            )
        if not overwrite:
            raise ResultsError(
                f"{folder}: already holds a run; add --resume to finish it, --overwrite to "
                "replace it, or name another folder with --out."
            )

    @classmethod
    def create(cls, path: str | PathLike[str], *, overwrite: bool = False) -> ResultsFolder:
        """Make a new results folder; an older run in it is removed.

        Raises
        ------
        ResultsError
            As `check_free`, or the folder cannot be made.
        """
        cls.check_free(path, overwrite=overwrite)
        folder = cls(Path(path))
        if folder.path.is_dir():
            _clear(folder.path)
        folder.make_subfolders()
        return folder

    def make_subfolders(self) -> None:
        """Make the folders for maps and blocks, where they are missing."""
        try:
            for name in ("maps", "blocks"):
                (self.path / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ResultsError(
                f"{self.path}: cannot be made ({error.strerror}); name another folder with --out."
            ) from error

    @classmethod
    def open(cls, path: str | PathLike[str]) -> ResultsFolder:
        """An existing results folder.

        Raises
        ------
        ResultsError
            There is no run in it.
        """
        folder = Path(path)
        if not (folder / "run.toml").is_file():
            raise ResultsError(f"{folder}: is not a results folder (it has no run.toml).")
        return cls(folder)

    # --- what the run says of itself ----------------------------------------------------

    def facts(self) -> dict[str, Any]:
        """`run.toml` as plain values: config, acquisition, program, result."""
        path = self.path / "run.toml"
        try:
            return tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ResultsError(f"{path}: cannot be read ({error}).") from error

    def write_facts(self, facts: dict[str, Any]) -> None:
        """Replace `run.toml`."""
        with atomic_path(self.path / "run.toml") as path:
            path.write_text(tomli_w.dumps(facts), encoding="utf-8")

    @property
    def config(self) -> PipelineConfig:
        """The settings of the run."""
        try:
            return PipelineConfig.from_dict(self.facts().get("config", {}))
        except ConfigError as error:
            raise ResultsError(f"{self.path / 'run.toml'}: {error}") from error

    @property
    def grid(self) -> Grid:
        """The acquisition's grid."""
        facts = self.facts().get("acquisition", {})
        try:
            return Grid(tuple(facts["shape"]), tuple(facts["voxel_um"]), tuple(facts["origin_um"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ResultsError(
                f"{self.path / 'run.toml'}: does not describe the acquisition's grid ({error})."
            ) from error

    @property
    def complete(self) -> bool:
        """Whether the run went to its end."""
        return bool(self.facts().get("result", {}).get("complete", False))

    # --- tables and maps -----------------------------------------------------------------

    @property
    def localizations_path(self) -> Path:
        return self.path / "localizations.parquet"

    @property
    def tracks_path(self) -> Path:
        return self.path / "tracks.parquet"

    def localizations(self) -> Localizations:
        """All localizations."""
        from napari_ulm3d.io.writers import read_table

        return read_table(self.localizations_path, Localizations)

    def tracks(self) -> Tracks:
        """All tracks."""
        from napari_ulm3d.io.writers import read_table

        return read_table(self.tracks_path, Tracks)

    def map_names(self) -> list[str]:
        """Names of the maps that are there."""
        return sorted(
            path.name.removesuffix(".ome.tif") for path in (self.path / "maps").glob("*.ome.tif")
        )

    def map(self, name: str) -> VesselMap:
        """One vessel map by name."""
        from napari_ulm3d.io.writers import read_map

        if name not in self.map_names():
            raise ResultsError(
                f"{self.path}: has no map '{name}'; it has {', '.join(self.map_names()) or 'none'}."
            )
        return read_map(self.map_path(name))

    def map_path(self, name: str) -> Path:
        return self.path / "maps" / f"{name}.ome.tif"

    # --- finished blocks --------------------------------------------------------------------

    def block_path(self, index: int) -> Path:
        return self.path / "blocks" / f"{index:05d}.npz"

    def write_block(self, index: int, block: BlockResult, key: str) -> None:
        """Save a finished block; `key` names the input and settings that made it."""
        columns = {
            f"column_{name}": values.to_numpy()
            for name, values in block.localizations.table.items()
        }
        with atomic_path(self.block_path(index)) as path, open(path, "wb") as file:
            np.savez(
                file,
                key=np.array(key),
                n_frames=np.array(block.n_frames),
                power_doppler=block.power_doppler,
                fact_names=np.array(list(block.facts), dtype=str),
                fact_values=np.array(list(block.facts.values()), dtype=float),
                **columns,
            )

    def read_block(self, index: int, key: str) -> BlockResult | None:
        """A finished block, or None when it is not there or was made otherwise."""
        import pandas as pd

        path = self.block_path(index)
        if not path.is_file():
            return None
        try:
            with np.load(path, allow_pickle=False) as data:
                if str(data["key"]) != key:
                    return None
                columns = {
                    name.removeprefix("column_"): data[name]
                    for name in data
                    if name.startswith("column_")
                }
                facts = dict(
                    zip(data["fact_names"].tolist(), data["fact_values"].tolist(), strict=True)
                )
                return BlockResult(
                    Localizations(pd.DataFrame(columns)),
                    data["power_doppler"],
                    int(data["n_frames"]),
                    facts,
                )
        except (OSError, ValueError, KeyError) as error:
            raise ResultsError(
                f"{path}: a finished block cannot be read ({error}); delete it and resume."
            ) from error


def _clear(folder: Path) -> None:
    """Remove what a run writes, and nothing else."""
    for name in ("maps", "blocks"):
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in (
        "localizations.parquet",
        "tracks.parquet",
        "saturation.csv",
        "fsc.csv",
        "log.txt",
        "scores.json",
    ):
        (folder / name).unlink(missing_ok=True)
    (folder / "run.toml").unlink(missing_ok=True)
