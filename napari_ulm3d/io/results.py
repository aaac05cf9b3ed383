"""The results folder: one complete run, with its provenance, that can be resumed.

::

    DIR/run.toml               settings, input and provenance; enough to repeat the run
    DIR/localizations.parquet  DIR/tracks.parquet
    DIR/maps/*.ome.tif         density, speed, velocity_z, direction, power_doppler
    DIR/saturation.csv         DIR/saturation_forecast.csv  DIR/fsc.csv
    DIR/motion.csv             displacement of the tissue, one row per frame, if corrected
    DIR/chance_tracks.csv      tracks by length, and how many are expected by chance
    DIR/log.txt                DIR/report.html, if requested
    DIR/session.ulm3d.toml     saved session of the viewer, if any
    DIR/blocks/00000.npz ...   one file per finished block
    DIR/calibration.npz        what was measured before the first block, for resuming

Every file appears complete or not at all.
"""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import tomli_w
from numpy.typing import NDArray

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.edits import EDITS_NAME, apply_edits, edited_result, read_edits
from napari_ulm3d.errors import ConfigError, ResultsError
from napari_ulm3d.io.block_files import (
    AMPLITUDE_LOG2,
    BlockResult,
    localizations_of,
    read_block_file,
    write_block_file,
)
from napari_ulm3d.io.session_file import SESSION_NAME
from napari_ulm3d.system.atomic import atomic_path, is_workplace, refuse_unprintable
from napari_ulm3d.tables import Localizations, Tracks
from napari_ulm3d.volumes import VesselMap

__all__ = ["AMPLITUDE_LOG2", "LOCK_NAME", "MUTEX_NAME", "BlockResult", "ResultsFolder"]

#: File that names the process writing to the folder, and the file it keeps locked meanwhile.
LOCK_NAME, MUTEX_NAME = ".run.lock", ".run.mutex"

#: TOML truncated between two lines is still valid: these lines show that `run.toml` is complete.
_FIRST_LINE, _LAST_LINE = "# A run of napari-ulm3d, whole to its last line.\n", "# The end.\n"

#: What was measured before the first block.
MEASURED_NAME = "calibration.npz"

_SUBFOLDERS = ("maps", "blocks")


@dataclass(frozen=True)
class ResultsFolder:
    """A results folder on disk; parts are read individually, when requested."""

    path: Path

    @classmethod
    def check_free(cls, path: str | PathLike[str], *, overwrite: bool = False) -> None:
        """Check that a new run may be written to a folder; nothing is changed.

        Raises
        ------
        ResultsError
            The folder already contains a run and `overwrite` is false, it contains something
            other than a run (which is never deleted), or it is a file.
        """
        folder = Path(path)
        refuse_unprintable(folder)
        if folder.exists() and not folder.is_dir():
            raise ResultsError(f"{folder}: is a file. Name a folder with --out.")
        if cls.is_untouched(folder):
            return
        if not (folder / "run.toml").is_file():
            raise ResultsError(
                f"{folder}: contains files but is not a results folder. Name another folder with "
                "--out."
            )
        if not overwrite:
            raise ResultsError(
                f"{folder}: already contains a run. Add --resume to finish it or --overwrite to "
                "replace it, or name another folder with --out."
            )

    @staticmethod
    def is_untouched(path: str | PathLike[str]) -> bool:
        """Whether a folder is absent, empty, or contains only a run's initial files.

        A run that was killed before it had any results leaves such a folder.
        """
        folder = Path(path)
        if not folder.exists():
            return True
        return folder.is_dir() and all(
            entry.name in (LOCK_NAME, MUTEX_NAME)
            or is_workplace(entry)
            or (entry.name in _SUBFOLDERS and entry.is_dir() and not any(entry.iterdir()))
            for entry in folder.iterdir()
        )

    @classmethod
    def create(cls, path: str | PathLike[str], *, overwrite: bool = False) -> ResultsFolder:
        """Create a results folder; a previous run in it is removed.

        Raises
        ------
        ResultsError
            As in `check_free`, or the folder cannot be created.
        """
        cls.check_free(path, overwrite=overwrite)
        folder = cls(Path(path))
        folder.clear()
        (folder.path / "run.toml").unlink(missing_ok=True)
        folder.make_subfolders()
        return folder

    def clear(self) -> None:
        """Remove the files written by a run, except `run.toml`, and nothing else."""
        for name in (*_SUBFOLDERS, "unedited"):
            shutil.rmtree(self.path / name, ignore_errors=True)
        for name in (
            "localizations.parquet",
            "tracks.parquet",
            "saturation.csv",
            "fsc.csv",
            "saturation_forecast.csv",
            "chance_tracks.csv",
            "motion.csv",
            "log.txt",
            "scores.json",
            "report.html",
            MEASURED_NAME,
            EDITS_NAME,
            SESSION_NAME,
        ):
            (self.path / name).unlink(missing_ok=True)

    def make_subfolders(self) -> None:
        """Create the folders for maps and blocks if they are missing."""
        try:
            for name in _SUBFOLDERS:
                (self.path / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ResultsError(
                f"{self.path}: cannot be created ({error.strerror}). Name another folder with "
                "--out."
            ) from error

    @classmethod
    def open(cls, path: str | PathLike[str]) -> ResultsFolder:
        """Open an existing results folder.

        Raises
        ------
        ResultsError
            The folder contains no run.
        """
        folder = Path(path)
        if not (folder / "run.toml").is_file():
            raise ResultsError(f"{folder}: is not a results folder (it has no run.toml).")
        return cls(folder)

    # --- facts about the run ------------------------------------------------------------

    def facts(self) -> dict[str, Any]:
        """`run.toml` as plain values: config, acquisition, program, result."""
        path = self.path / "run.toml"
        try:
            text = path.read_text(encoding="utf-8")
            facts = tomllib.loads(text)
        except (OSError, ValueError) as error:
            raise ResultsError(f"{path}: cannot be read ({error}). Copy it again.") from error
        if _FIRST_LINE.startswith(text) or (
            text.startswith(_FIRST_LINE) and _LAST_LINE not in text
        ):
            raise ResultsError(f"{path}: is incomplete. Copy it again.")
        if changed := edited_result(self.path):
            merged = {**facts.get("result", {}), **changed}
            facts["result"] = {name: value for name, value in merged.items() if value is not None}
        return facts

    def write_facts(self, facts: dict[str, Any]) -> None:
        """Replace `run.toml`."""
        with atomic_path(self.path / "run.toml") as path:
            text = f"{_FIRST_LINE}{tomli_w.dumps(facts)}{_LAST_LINE}"
            # File names that are not UTF-8 (from another system) must not end a run.
            path.write_bytes(
                text.encode("utf-8", "surrogateescape").decode("utf-8", "replace").encode()
            )

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
        """Whether the run finished."""
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
        """All tracks, including manual edits (`pipeline.curate`)."""
        return apply_edits(self.linked_tracks(), read_edits(self.path))

    def linked_tracks(self) -> Tracks:
        """All tracks as they were linked, without edits."""
        from napari_ulm3d.io.writers import read_table

        return read_table(self.tracks_path, Tracks)

    def map_names(self) -> list[str]:
        """Names of the available maps."""
        return sorted(
            path.name.removesuffix(".ome.tif") for path in (self.path / "maps").glob("*.ome.tif")
        )

    def map(self, name: str) -> VesselMap:
        """One vessel map by name."""
        from napari_ulm3d.io.writers import read_map

        if name not in self.map_names():
            raise ResultsError(
                f"{self.path}: has no map '{name}'. Available maps: "
                f"{', '.join(self.map_names()) or 'none'}."
            )
        return read_map(self.map_path(name))

    def map_path(self, name: str) -> Path:
        return self.path / "maps" / f"{name}.ome.tif"

    # --- finished blocks --------------------------------------------------------------------

    def block_path(self, index: int) -> Path:
        return self.path / "blocks" / f"{index:05d}.npz"

    def write_block(self, index: int, block: BlockResult, key: str) -> None:
        """Save a finished block; `key` identifies the input and settings that produced it."""
        write_block_file(self.block_path(index), block, key)

    def read_block(self, index: int, key: str) -> BlockResult | None:
        """Read a finished block; None if it is missing or comes from other input or settings."""
        path = self.block_path(index)
        return read_block_file(path, key) if path.is_file() else None

    def write_measured(self, arrays: Mapping[str, NDArray[Any]], key: str) -> None:
        """Save what was measured before the first block; `key` identifies its input and settings."""
        named: dict[str, Any] = {"key": np.array(key), **arrays}
        with atomic_path(self.path / MEASURED_NAME) as partial, open(partial, "wb") as file:
            np.savez(file, **named)

    def read_measured(self, key: str) -> dict[str, NDArray[Any]] | None:
        """Read what `write_measured` saved; None if missing, damaged or of another key.

        It can always be measured again, so this never raises.
        """
        try:
            with np.load(self.path / MEASURED_NAME, allow_pickle=False) as data:
                arrays = {name: data[name] for name in data}
        except (OSError, ValueError, EOFError, KeyError, BadZipFile):
            return None
        return arrays if str(arrays.pop("key", "")) == key else None

    def localizations_so_far(self) -> Localizations:
        """Localizations of the finished blocks, for a stopped run, which has no table yet."""
        return localizations_of(sorted((self.path / "blocks").glob("*.npz")))
