"""The package's log messages for the log panel, from any thread and limited in number."""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass
from datetime import datetime

from qtpy.QtCore import QObject, Signal

__all__ = ["DETAILS", "LogBook", "LogLine", "logbook"]

LOGGER = "napari_ulm3d"
#: Attribute of a log record with details.
DETAILS = "ulm3d_details"

_MOST_LINES = 2000


@dataclass(frozen=True)
class LogLine:
    """One line of the log.

    Attributes
    ----------
    details
        Details such as where an error happened; often empty.
    """

    time: str
    level: int
    text: str
    details: str = ""

    @property
    def kind(self) -> str:
        """INFO, WARNING, ERROR, ..."""
        return logging.getLevelName(self.level)

    def __str__(self) -> str:
        head = f"{self.time} {self.kind} {self.text}"
        return f"{head}\n{self.details.rstrip()}" if self.details else head


class LogBook(QObject):
    """The latest lines logged by the package.

    Signals
    -------
    added(LogLine)
        A line was logged; delivered in order on the receiver's thread.
    """

    added = Signal(object)

    def __init__(self, logger: str = LOGGER, most: int = _MOST_LINES) -> None:
        super().__init__()
        # Appending to a bounded deque is atomic, so logging threads never wait for a lock.
        self._lines: deque[LogLine] = deque(maxlen=most)
        self._logger = logging.getLogger(logger)
        self._handler = _Handler(self)
        self._logger.addHandler(self._handler)
        if self._logger.getEffectiveLevel() > logging.INFO:
            self._logger.setLevel(logging.INFO)

    def lines(self) -> list[LogLine]:
        """The lines kept, oldest first."""
        return list(self._lines)

    def clear(self) -> None:
        """Delete all lines."""
        self._lines.clear()

    def close(self) -> None:
        """Stop listening to the logger."""
        self._logger.removeHandler(self._handler)

    def take(self, line: LogLine) -> None:
        """Store a line; may be called from any thread."""
        self._lines.append(line)
        self.added.emit(line)


class _Handler(logging.Handler):
    def __init__(self, book: LogBook) -> None:
        super().__init__(logging.INFO)
        self._book = book

    def emit(self, record: logging.LogRecord) -> None:
        details = str(getattr(record, DETAILS, "") or "")
        if record.exc_info and not details:
            details = logging.Formatter().formatException(record.exc_info)
        time = datetime.fromtimestamp(record.created).strftime("%H:%M:%S")
        try:
            self._book.take(LogLine(time, record.levelno, record.getMessage(), details))
        except RuntimeError:  # Qt is gone: the program is exiting
            self._book.close()


_book: list[LogBook] = []


def logbook() -> LogBook:
    """The log book of this process, created on first use."""
    if not _book:
        _book.append(LogBook())
    return _book[0]
