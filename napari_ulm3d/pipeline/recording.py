"""Keeping a run in its results folder while it goes on.

Nothing is touched before the first block is finished: a run that fails at once (a bad
file, a setting that does not fit) leaves the disk as it was, an older run included.
"""

from __future__ import annotations

import logging
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from napari_ulm3d.errors import ResultsError
from napari_ulm3d.io.results import BlockResult, ResultsFolder
from napari_ulm3d.io.writers import ParquetStream, write
from napari_ulm3d.pipeline.events import BlockFinished, MapsFinished, RunReport
from napari_ulm3d.pipeline.ordering import TrackSorter
from napari_ulm3d.tables import Localizations, Tracks

__all__ = ["Recording"]

log = logging.getLogger("napari_ulm3d")


class Recording:
    """Writes what a run tells; a context manager, and the run's `BlockStore`.

    Parameters
    ----------
    path
        The results folder.
    facts
        What `run.toml` says before the result.
    resume, overwrite
        Go on with the run that is there, or replace it.
    opening
        Lines for the top of the log.

    Raises
    ------
    ResultsError
        The folder cannot be used so.
    """

    def __init__(
        self,
        path: Path,
        facts: dict[str, Any],
        *,
        resume: bool = False,
        overwrite: bool = False,
        opening: tuple[str, ...] = (),
    ) -> None:
        if resume and overwrite:
            raise ResultsError("Choose either --resume or --overwrite, not both.")
        if resume:
            ResultsFolder.open(path)
        else:
            ResultsFolder.check_free(path, overwrite=overwrite)
        self._path, self._facts, self._opening = path, facts, opening
        self._resume, self._overwrite = resume, overwrite
        self._folder: ResultsFolder | None = None
        self._files = ExitStack()
        self._n_blocks = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        if error is not None and self._folder is not None:
            said = error or type(error).__name__
            log.warning("run ended early after %d blocks: %s", self._n_blocks, said)
        return self._files.__exit__(kind, error, traceback)

    def read_block(self, index: int, key: str) -> BlockResult | None:
        """A block of the run that is resumed."""
        return ResultsFolder(self._path).read_block(index, key) if self._resume else None

    def write_block(self, index: int, block: BlockResult, key: str) -> None:
        """Keep a finished block."""
        self._begun().write_block(index, block, key)

    def block(self, event: BlockFinished) -> None:
        """Add a block's rows to the tables."""
        self._begun()
        self._n_blocks += 1
        self._localizations.append(event.result.localizations)
        self._tracks.append(self._sorter.push(event.tracks))
        facts = ", ".join(
            f"{name} {value:g}" for name, value in event.result.facts.items() if value
        )
        log.info(
            "block %d of %d: %d frames, %d localizations%s, %.2f s%s",
            event.index + 1,
            event.n_blocks,
            event.n_frames,
            len(event.result.localizations),
            ", reused" if event.reused else "",
            event.seconds,
            f" ({facts})" if facts else "",
        )

    def maps(self, event: MapsFinished) -> None:
        """Write the maps and curves."""
        folder = self._begun()
        self._tracks.append(self._sorter.push(event.tracks))
        for name, vessel_map in event.maps.items():
            write(vessel_map, folder.map_path(name))
        write(event.saturation, folder.path / "saturation.csv")
        if event.resolution is not None:
            write(event.resolution.to_table(), folder.path / "fsc.csv")

    def finish(self, report: RunReport) -> None:
        """The tables appear, and `run.toml` says that the run is complete."""
        for name, value in report.rows():
            log.info("%s: %s", name, value)
        folder = self._begun()
        self._files.close()
        folder.write_facts({**self._facts, "result": {"complete": True, **report.to_dict()}})

    def _begun(self) -> ResultsFolder:
        """The folder, made or taken over when first needed."""
        if self._folder is not None:
            return self._folder
        if self._resume:
            folder = ResultsFolder.open(self._path)
            folder.make_subfolders()
        else:
            folder = ResultsFolder.create(self._path, overwrite=self._overwrite)
        folder.write_facts({**self._facts, "result": {"complete": False}})
        self._log_to(folder.path / "log.txt")
        for line in self._opening:
            log.info(line)
        streams = (
            ParquetStream(folder.localizations_path, Localizations),
            ParquetStream(folder.tracks_path, Tracks),
        )
        self._localizations, self._tracks = (self._files.enter_context(s) for s in streams)
        self._sorter = TrackSorter()
        self._folder = folder
        return folder

    def _log_to(self, path: Path) -> None:
        """Append what the package logs to a file, a line an event, while the run lasts."""
        handler = logging.FileHandler(path, encoding="utf-8")
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        level = log.level
        self._files.callback(handler.close)
        self._files.callback(log.setLevel, level)
        self._files.callback(log.removeHandler, handler)
        log.addHandler(handler)
        log.setLevel(min(level or logging.INFO, logging.INFO))
