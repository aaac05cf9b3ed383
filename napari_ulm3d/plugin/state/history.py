"""Every run with its parameters: of this session, and results folders of earlier ones."""

from __future__ import annotations

import json
import logging
import os
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from qtpy.QtCore import QObject, Signal

from napari_ulm3d.config import PipelineConfig, StageConfig
from napari_ulm3d.errors import ResultsError
from napari_ulm3d.plugin.state.results import Result
from napari_ulm3d.system.atomic import atomic_path

__all__ = ["RunEntry", "RunHistory", "differing_settings", "history_file", "settings_of"]

log = logging.getLogger("napari_ulm3d")

_MOST_ENTRIES = 200
# Whole results of this session that stay in memory; of older ones the parameters stay.
_MOST_RESULTS = 12
_MOST_BYTES = 1 << 30
_STORED = ("key", "name", "created", "scope", "folder", "rows", "settings")


@dataclass(frozen=True)
class RunEntry:
    """A run: what it was of, when, its numbers and its settings.

    Attributes
    ----------
    rows
        Name and value of its numbers, for people.
    settings
        Every setting as text, by its dotted name.
    folder
        Results folder; empty where there is none.
    result
        The result itself, while it is held in memory.
    computed
        The result before its tracks were linked again; None where they were not.
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
        """Whether there is something to reopen."""
        return self.result is not None or bool(self.folder)

    @property
    def label(self) -> str:
        """What to call it in a list."""
        method = self.settings.get("localize.localizer", "")
        parts = [self.created[11:16], self.name, self.scope, method]
        return " · ".join(part for part in parts if part)


class RunHistory(QObject):
    """The runs, newest first; those with a results folder are remembered for later sessions.

    Signals
    -------
    changed()
        There is another run, or one less.
    """

    changed = Signal()

    def __init__(self, parent: QObject | None = None, file: Path | None = None) -> None:
        super().__init__(parent)
        self._file = file or history_file()
        self.entries: list[RunEntry] = _read(self._file)

    def add(self, result: Result) -> RunEntry:
        """Remember a result; the newest come first, and one that is reopened keeps its time."""
        known = self.entry_of(result)
        if known is not None:
            return known
        entry = self._entry(result, result.title)
        folder = entry.folder
        same = next((e for e in self.entries if folder and e.folder == folder), None)
        if same is not None and result.created:  # reopened: it has its time already
            entry = replace(entry, created=same.created)
        rest = [e for e in self.entries if e is not same]
        self.entries = _bounded(sorted([entry, *rest], key=_age))
        if folder:
            self._save()
        self.changed.emit()
        return entry

    def update(self, computed: Result, result: Result) -> None:
        """Tracks of a run were linked again: its entry shows them, and keeps what was computed.

        The entry of a results folder stays as the folder is; beside it there is one entry for what
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

    def computed_of(self, result: Result) -> Result:
        """The result as it was computed, before its tracks were linked again."""
        entry = self.entry_of(result)
        return result if entry is None or entry.computed is None else entry.computed

    def remove(self, keys: Sequence[str]) -> None:
        """Forget runs; their results folders stay as they are."""
        self.restore([entry for entry in self.entries if entry.key not in keys])

    def restore(self, entries: Sequence[RunEntry]) -> None:
        """Go back to an earlier list of runs."""
        gone = {entry.folder for entry in self.entries} - {entry.folder for entry in entries}
        self.entries = [*entries]
        self._save(gone)
        self.changed.emit()

    def entry_of(self, result: Result) -> RunEntry | None:
        """The entry of a result that is in memory."""
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
        # Other windows add to the same list: what they added stays.
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
            # The run itself is well; only the list of it is not kept.
            log.warning("the list of runs could not be saved: %s", error)


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")


def _age(entry: RunEntry) -> float:
    """Grows from the newest to the oldest; one without a time is the oldest."""
    try:
        return -datetime.fromisoformat(entry.created).timestamp()
    except (ValueError, OverflowError):
        return float("inf")


def history_file() -> Path:
    """Where the list of runs is kept: the user's data folder."""
    home = os.environ.get("XDG_DATA_HOME") or os.environ.get("LOCALAPPDATA")
    base = Path(home) if home else Path.home() / ".local" / "share"
    return base / "napari-ulm3d" / "runs.json"


def settings_of(config: PipelineConfig) -> dict[str, str]:
    """Every setting as text, by its dotted name."""
    out: dict[str, str] = {}
    for name, value in config:
        if isinstance(value, StageConfig):
            out |= {f"{name}.{key}": _text(inner) for key, inner in value}
        else:
            out[name] = _text(value)
    return out


def differing_settings(first: RunEntry, second: RunEntry) -> list[tuple[str, str, str]]:
    """Settings in which two runs differ: name, of the first, of the second."""
    names = list(dict.fromkeys([*first.settings, *second.settings]))
    pairs = [
        (n, first.settings.get(n, "unknown"), second.settings.get(n, "unknown")) for n in names
    ]
    return [(name, a, b) for name, a, b in pairs if a != b]


def _text(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, tuple | list):
        return ", ".join(_text(part) for part in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _bounded(entries: list[RunEntry]) -> list[RunEntry]:
    """The newest; of those past the newest few, or past 1 GiB, without their results."""
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
    """Memory of a result's tables and maps."""
    tables = (result.localizations.table, result.tracks.table)
    maps = result.maps.values()
    return sum(int(table.memory_usage().sum()) for table in tables) + sum(
        one.index.nbytes + one.values.nbytes for one in maps
    )


def _read(file: Path) -> list[RunEntry]:
    """The stored entries; those that cannot be understood are left out."""
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
                settings={str(k): str(v) for k, v in row["settings"].items()},
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            continue
        found.append(entry)
    return found
