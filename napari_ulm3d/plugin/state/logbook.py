"""What the package logs, kept for the log panel: from any thread, bounded."""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass
from datetime import datetime

from qtpy.QtCore import QObject, Signal

__all__ = ["DETAILS", "LogBook", "LogLine", "logbook"]

LOGGER = "napari_ulm3d"
#: Attribute of a log record that holds details for those who ask.
DETAILS = "ulm3d_details"

_MOST_LINES = 2000


@dataclass(frozen=True)
class LogLine:
    """One line of the log.

    Attributes
    ----------
    details
        More for those who ask, such as where an error happened; often empty.
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
    """The latest lines that the package logged.

    Signals
    -------
    added(LogLine)
        A line came; told on the thread of those who listen, in order.
    """

    added = Signal(object)

    def __init__(self, logger: str = LOGGER, most: int = _MOST_LINES) -> None:
        super().__init__()
        # Appending to a bounded deque is atomic: no lock that a logging thread could wait for.
        self._lines: deque[LogLine] = deque(maxlen=most)
        self._logger = logging.getLogger(logger)
        self._handler = _Handler(self)
        self._logger.addHandler(self._handler)
        if self._logger.getEffectiveLevel() > logging.INFO:
            self._logger.setLevel(logging.INFO)

    def lines(self) -> list[LogLine]:
        """What is kept, oldest first."""
        return list(self._lines)

    def clear(self) -> None:
        """Forget all lines."""
        self._lines.clear()

    def close(self) -> None:
        """Hear the logger no more."""
        self._logger.removeHandler(self._handler)

    def take(self, line: LogLine) -> None:
        """Keep a line; from any thread."""
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
        except RuntimeError:  # Qt is gone: the program ends
            self._book.close()


_book: list[LogBook] = []


def logbook() -> LogBook:
    """The log book of this process, begun when first asked for."""
    if not _book:
        _book.append(LogBook())
    return _book[0]
