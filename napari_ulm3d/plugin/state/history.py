"""All runs with their parameters: those of this session, and earlier results folders."""

from __future__ import annotations

import json
import logging
import os
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from qtpy.QtCore import QObject, Signal

from napari_ulm3d.errors import ResultsError
from napari_ulm3d.plugin.state.results import Result
from napari_ulm3d.plugin.state.setting_texts import settings_of, with_unset_texts
from napari_ulm3d.system.atomic import atomic_path

__all__ = ["RunEntry", "RunHistory", "differing_settings", "history_file"]

log = logging.getLogger("napari_ulm3d")

_MOST_ENTRIES = 200
# Number of full results of this session kept in memory; older ones keep only their parameters.
_MOST_RESULTS = 12
_MOST_BYTES = 1 << 30
_STORED = ("key", "name", "created", "scope", "folder", "rows", "settings")


@dataclass(frozen=True)
class RunEntry:
    """A run: its data, time, summary and settings.

    Attributes
    ----------
    rows
        Names and values of its summary, for display.
    settings
        All settings as text, keyed by dotted name.
    folder
        Results folder; empty if there is none.
    result
        The result itself, while it is held in memory.
    computed
        The result before relinking; None if it was not relinked.
    """

    key: str
    name: str
    created: str
    scope: str
    folder: str = ""
    rows: tuple[tuple[str, str], ...] = ()
    settings: dict[str, str] = field(default_factory=dict)
    result: Result | None = None
    computed: Result | None = None

    @property
    def reopens(self) -> bool:
        """Whether the run can be reopened."""
        return self.result is not None or bool(self.folder)

    @property
    def label(self) -> str:
        """Label in a list."""
        method = self.settings.get("localize.localizer", "")
        parts = [self.created[11:16], self.name, self.scope, method]
        return " · ".join(part for part in parts if part)


class RunHistory(QObject):
    """The runs, newest first; those with a results folder are kept for later sessions.

    Signals
    -------
    changed()
        A run was added or removed.
    """

    changed = Signal()

    def __init__(self, parent: QObject | None = None, file: Path | None = None) -> None:
        super().__init__(parent)
        self._file = file or history_file()
        self.entries: list[RunEntry] = _read(self._file)

    def add(self, result: Result) -> RunEntry:
        """Add a result; the newest come first, and a reopened one keeps its time."""
        known = self.entry_of(result)
        if known is not None:
            return known
        entry = self._entry(result, result.title)
        folder = entry.folder
        same = next((e for e in self.entries if folder and e.folder == folder), None)
        if same is not None and result.created:  # reopened: keep its time
            entry = replace(entry, created=same.created)
        rest = [e for e in self.entries if e is not same]
        self.entries = _bounded(sorted([entry, *rest], key=_age))
        if folder:
            self._save()
        self.changed.emit()
        return entry

    def update(self, computed: Result, result: Result) -> None:
        """Update the entry of a relinked run, which keeps the result as computed.

        The entry of a results folder stays as it is; one more entry holds what
        was made of it in memory.
        """
        of_run = next((e for e in self.entries if e.computed is computed), None)
        of_run = of_run or self.entry_of(computed)
        if of_run is None or of_run.folder:
            of_run = self._entry(result, f"{result.title}, relinked")
            self.entries = [of_run, *self.entries]
        new = replace(
            of_run,
            rows=tuple(result.rows()),
            settings=settings_of(result.config),
            result=result,
            computed=computed,
        )
        self.entries = _bounded([new if e.key == new.key else e for e in self.entries])
        self.changed.emit()

    def revise(self, before: Result, after: Result) -> None:
        """Update the entry of a run whose tracks were edited."""
        self.entries = _bounded(
            [
                replace(e, rows=tuple(after.rows()), result=after) if e.result is before else e
                for e in self.entries
            ]
        )
        self.changed.emit()

    def computed_of(self, result: Result) -> Result:
        """The result as computed, before relinking."""
        entry = self.entry_of(result)
        return result if entry is None or entry.computed is None else entry.computed

    def remove(self, keys: Sequence[str]) -> None:
        """Remove runs from the list; their results folders are kept."""
        self.restore([entry for entry in self.entries if entry.key not in keys])

    def restore(self, entries: Sequence[RunEntry]) -> None:
        """Restore an earlier list of runs."""
        gone = {entry.folder for entry in self.entries} - {entry.folder for entry in entries}
        self.entries = [*entries]
        self._save(gone)
        self.changed.emit()

    def entry_of(self, result: Result) -> RunEntry | None:
        """The entry of a result in memory."""
        return next((entry for entry in self.entries if entry.result is result), None)

    def of_key(self, key: str) -> RunEntry | None:
        """The entry with this key."""
        return next((entry for entry in self.entries if entry.key == key), None)

    @staticmethod
    def _entry(result: Result, scope: str) -> RunEntry:
        return RunEntry(
            key=uuid.uuid4().hex,
            name=result.name,
            created=result.created or _now(),
            scope=scope,
            folder="" if result.folder is None else str(Path(result.folder).absolute()),
            rows=tuple(result.rows()),
            settings=settings_of(result.config),
            result=result,
        )

    def _save(self, gone: Collection[str] = ()) -> None:
        # Keep what other windows have added to the same list.
        mine = [entry for entry in self.entries if entry.folder]
        known = {entry.folder for entry in mine} | set(gone)
        stored = mine + [entry for entry in _read(self._file) if entry.folder not in known]
        stored.sort(key=lambda entry: entry.created, reverse=True)
        rows = [{name: getattr(entry, name) for name in _STORED} for entry in stored]
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with atomic_path(self._file) as path:
                path.write_text(json.dumps(rows[:_MOST_ENTRIES], indent=1), encoding="utf-8")
        except (OSError, ResultsError) as error:
            # The run itself is fine; only the list is not saved.
            log.warning("the list of runs could not be saved: %s", error)


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")


def _age(entry: RunEntry) -> float:
    """Sort key from newest to oldest; a run without a time is the oldest."""
    try:
        return -datetime.fromisoformat(entry.created).timestamp()
    except (ValueError, OverflowError):
        return float("inf")


def history_file() -> Path:
    """Where the list of runs is stored: the user's data folder."""
    home = os.environ.get("XDG_DATA_HOME") or os.environ.get("LOCALAPPDATA")
    base = Path(home) if home else Path.home() / ".local" / "share"
    return base / "napari-ulm3d" / "runs.json"


def differing_settings(first: RunEntry, second: RunEntry) -> list[tuple[str, str, str]]:
    """Settings in which two runs differ: name, first value, second value."""
    names = list(dict.fromkeys([*first.settings, *second.settings]))
    pairs = [
        (n, first.settings.get(n, "unknown"), second.settings.get(n, "unknown")) for n in names
    ]
    return [(name, a, b) for name, a, b in pairs if a != b]


def _bounded(entries: list[RunEntry]) -> list[RunEntry]:
    """The newest runs; beyond the first few, or beyond 1 GiB, without their results."""
    n_held, n_bytes, out = 0, 0, []
    for entry in entries[:_MOST_ENTRIES]:
        if entry.result is not None:
            n_held += 1
            n_bytes += _bytes_of(entry.result)
            n_bytes += 0 if entry.computed is None else _bytes_of(entry.computed)
            if n_held > 1 and (n_held > _MOST_RESULTS or n_bytes > _MOST_BYTES):
                entry = replace(entry, result=None, computed=None)
        out.append(entry)
    return out


def _bytes_of(result: Result) -> int:
    """Memory used by a result's tables and maps, bytes."""
    tables = (result.localizations.table, result.tracks.table)
    maps = result.maps.values()
    return sum(int(table.memory_usage().sum()) for table in tables) + sum(
        one.index.nbytes + one.values.nbytes for one in maps
    )


def _read(file: Path) -> list[RunEntry]:
    """The stored entries, except those that cannot be read."""
    try:
        rows = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        log.warning("the list of runs %s could not be read (%s); starting a new one", file, error)
        return []
    found = []
    for row in rows if isinstance(rows, list) else []:
        try:
            entry = RunEntry(
                key=str(row["key"]),
                name=str(row["name"]),
                created=str(row["created"]),
                scope=str(row["scope"]),
                folder=str(row["folder"]),
                rows=tuple((str(a), str(b)) for a, b in row["rows"]),
                settings=with_unset_texts({str(k): str(v) for k, v in row["settings"].items()}),
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            continue
        found.append(entry)
    return found
