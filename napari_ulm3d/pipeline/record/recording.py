"""Write a run to its results folder as it proceeds.

Nothing is changed before the first block is finished: a run that fails at once (a bad
file, an unsuitable setting) leaves the disk unchanged, including an older run. Until
then there is only the lock against other runs, which is removed with the run.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pandas as pd
from numpy.typing import NDArray

from napari_ulm3d.errors import ResultsError
from napari_ulm3d.io.results import LOCK_NAME, BlockResult, ResultsFolder
from napari_ulm3d.io.writers import ParquetStream, write
from napari_ulm3d.pipeline.events import (
    BlockFailed,
    BlockFinished,
    MapsFinished,
    RunPrepared,
    RunReport,
)
from napari_ulm3d.pipeline.ordering import TrackSorter
from napari_ulm3d.pipeline.record.lock import FolderLock
from napari_ulm3d.system.atomic import remove_leftovers
from napari_ulm3d.tables import Localizations, Tracks

__all__ = ["Recording"]

log = logging.getLogger("napari_ulm3d")


class Recording:
    """Writes the events of a run; a context manager, and the run's `BlockStore`.

    Parameters
    ----------
    path
        The results folder.
    facts
        Contents of `run.toml` before the result.
    resume, overwrite
        Continue an existing run (or start one), or replace it.
    opening
        First lines of the log.

    Raises
    ------
    ResultsError
        The folder cannot be used in this way; on entering, also if another run is writing to it.
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
        if not (path / LOCK_NAME).exists():  # otherwise the lock reports the other run
            _check(path, resume, overwrite)
        self._path, self._facts, self._opening = path, facts, opening
        self._resume, self._overwrite = resume, overwrite
        self._folder: ResultsFolder | None = None
        self._files = ExitStack()
        self._n_blocks = 0
        self._motion: list[pd.DataFrame] = []
        self._measured: tuple[Mapping[str, NDArray[Any]], str] | None = None

    def __enter__(self) -> Self:
        with ExitStack() as until_ready:
            until_ready.callback(FolderLock(self._path).release)
            # Another run may have used the folder until now.
            _check(self._path, self._resume, self._overwrite)
            self._files = until_ready.pop_all()
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
        """A block of the resumed run; None if it must be processed."""
        if not self._resume:
            return None
        try:
            return ResultsFolder(self._path).read_block(index, key)
        except ResultsError as error:  # damaged: process it again
            log.warning("%s", error)
            return None

    def write_block(self, index: int, block: BlockResult, key: str) -> None:
        """Keep a finished block."""
        self._begun().write_block(index, block, key)

    def read_measured(self, key: str) -> dict[str, NDArray[Any]] | None:
        """The calibration of the resumed run."""
        return ResultsFolder(self._path).read_measured(key) if self._resume else None

    def write_measured(self, arrays: Mapping[str, NDArray[Any]], key: str) -> None:
        """Store the calibration, as soon as the first block is finished."""
        self._measured = (arrays, key)

    def prepared(self, event: RunPrepared) -> None:
        """Keep the results of the calibration for `run.toml` and the log."""
        self._facts = {**self._facts, **event.facts}
        self._opening = (*self._opening, *event.notes)

    def block(self, event: BlockFinished) -> None:
        """Add a block's rows to the tables."""
        self._begun()
        self._n_blocks += 1
        if event.result.motion is not None:
            self._motion.append(event.result.motion)
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

    def failure(self, event: BlockFailed) -> None:
        """Log which block is missing, and why."""
        last = event.first_frame + event.n_frames - 1
        said = (
            f"skipped block {event.index + 1} of {event.n_blocks} (frames {event.first_frame} "
            f"to {last}): {event.reason}"
        )
        if self._folder is None:  # there is no log yet
            self._opening = (*self._opening, said)
        else:
            log.warning("%s", said)

    def maps(self, event: MapsFinished) -> None:
        """Write the maps and curves."""
        folder = self._begun()
        self._tracks.append(self._sorter.push(event.tracks))
        for name, vessel_map in event.maps.items():
            write(vessel_map, folder.map_path(name))
        write(event.saturation, folder.path / "saturation.csv")
        write(event.forecast.curve, folder.path / "saturation_forecast.csv")
        write(event.chance.to_table(), folder.path / "chance_tracks.csv")
        if self._motion:
            write(pd.concat(self._motion, ignore_index=True), folder.path / "motion.csv")
        if event.resolution is not None:
            write(event.resolution.to_table(), folder.path / "fsc.csv")

    def finish(self, report: RunReport) -> None:
        """Publish the tables, and mark the run as complete in `run.toml`."""
        for name, value in report.rows():
            log.info("%s: %s", name, value)
        if report.verdict:
            log.warning("%s", report.verdict)
        for hint in report.hints:
            log.info("what next: %s", hint)
        folder = self._begun()
        self._tables.close()
        folder.write_facts({**self._facts, "result": {"complete": True, **report.to_dict()}})

    def _begun(self) -> ResultsFolder:
        """The folder, created or taken over on first use."""
        if self._folder is not None:
            return self._folder
        folder = ResultsFolder(self._path)
        # First, so that --resume finds the run whenever it is killed.
        folder.write_facts({**self._facts, "result": {"complete": False}})
        if not self._resume:
            folder.clear()
        folder.make_subfolders()
        if self._measured is not None:
            folder.write_measured(*self._measured)
        for place in (folder.path, folder.path / "maps", folder.path / "blocks"):
            remove_leftovers(place)
        self._log_to(folder.path / "log.txt")
        for line in self._opening:
            log.info(line)
        streams = (
            ParquetStream(folder.localizations_path, Localizations),
            ParquetStream(folder.tracks_path, Tracks),
        )
        self._tables = self._files.enter_context(ExitStack())
        self._localizations, self._tracks = (self._tables.enter_context(s) for s in streams)
        self._sorter = TrackSorter()
        self._folder = folder
        return folder

    def _log_to(self, path: Path) -> None:
        """Append the package's log to a file during the run."""
        handler = _LogFile(path, encoding="utf-8", errors="backslashreplace")
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        level = log.level
        self._files.callback(handler.close)
        self._files.callback(log.setLevel, level)
        self._files.callback(log.removeHandler, handler)
        log.addHandler(handler)
        log.setLevel(min(level or logging.INFO, logging.INFO))


class _LogFile(logging.FileHandler):
    """A log that ignores a full disk, which the first result that cannot be written reports."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Skip a line that cannot be written."""

    def close(self) -> None:
        """Close the file, even if there is no space for the remaining lines."""
        with suppress(OSError):
            super().close()


def _check(path: Path, resume: bool, overwrite: bool) -> None:
    """Check that the folder can be used in this way."""
    if not resume:
        ResultsFolder.check_free(path, overwrite=overwrite)
    elif not ResultsFolder.is_untouched(path):
        ResultsFolder.open(path)
