"""Work off the GUI thread, with progress, cancelling, and errors as one sentence.

The work is a generator in a napari worker thread. It is stopped by an event that it checks
often, never by the worker's own `quit`, which would leak the generator and everything
it holds. What it yields and returns reaches the GUI thread as Qt signals.
"""

from __future__ import annotations

import logging
import threading
import traceback
import weakref
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from napari.qt.threading import GeneratorWorker, create_worker
from qtpy.QtCore import QObject, Signal

from napari_ulm3d.errors import Cancelled, UlmError
from napari_ulm3d.plugin.state.logbook import DETAILS

__all__ = ["Job", "LatestJob", "Problem", "Stop", "Work", "stop_all", "waits"]

log = logging.getLogger("napari_ulm3d")

Stop = Callable[[], bool]
Work = Callable[[Stop], Generator[Any, None, Any]]


@dataclass(frozen=True)
class Problem:
    """What went wrong: one sentence with the remedy, and details on request."""

    sentence: str
    details: str = ""


@dataclass(frozen=True)
class _Stopped:
    pass


@dataclass(frozen=True)
class _Result:
    value: Any


_running: weakref.WeakSet[Job] = weakref.WeakSet()


def stop_all() -> None:
    """Ask every job to stop, because the viewer is closing."""
    for job in tuple(_running):
        job.stop()


def waits(work: Callable[[Stop], Any]) -> Work:
    """Wrap a plain function as work without progress."""

    def generator(stop: Stop) -> Generator[Any, None, Any]:
        yield from ()
        return work(stop)

    return generator


class Job(QObject):
    """Runs one piece of work at a time off the GUI thread.

    Signals
    -------
    progressed(object)
        What the work yielded.
    finished(object)
        What it returned.
    failed(Problem)
        It raised.
    stopped()
        The work ended because it was asked to.
    ended()
        After each of the last three.
    """

    progressed = Signal(object)
    finished = Signal(object)
    failed = Signal(object)
    stopped = Signal()
    ended = Signal()
    _told = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._stop: threading.Event | None = None
        self._told.connect(self._on_yield)

    @property
    def running(self) -> bool:
        """Whether work is running."""
        return self._stop is not None

    @property
    def stopping(self) -> bool:
        """Whether the work was asked to stop and has not ended yet."""
        return self._stop is not None and self._stop.is_set()

    def start(self, work: Work) -> None:
        """Start the work; raises if the job is still running."""
        if self.running:
            raise RuntimeError("this job is still running")
        stop = threading.Event()
        self._stop = stop
        _running.add(self)
        # The widget may be closed at any time, and then the result is discarded.
        self.destroyed.connect(stop.set)
        worker: GeneratorWorker = create_worker(_guarded, work, stop.is_set, _start_thread=False)
        worker.yielded.connect(self._on_yield)
        worker.returned.connect(self._on_return)
        worker.start()

    def stop(self) -> None:
        """Ask the work to stop; it does so at its next check."""
        if self._stop is not None:
            self._stop.set()

    def tell(self, value: Any) -> None:
        """Report progress from within the work, between yields; from any thread."""
        with suppress(RuntimeError):  # the widget may be gone, with nobody listening
            self._told.emit(value)

    def _on_yield(self, value: Any) -> None:
        if not self.stopping:
            self.progressed.emit(value)

    def _on_return(self, outcome: Any) -> None:
        self._stop = None
        _running.discard(self)
        if isinstance(outcome, _Result):
            self.finished.emit(outcome.value)
        elif isinstance(outcome, Problem):
            log.error(outcome.sentence, extra={DETAILS: outcome.details})
            self.failed.emit(outcome)
        else:
            self.stopped.emit()
        self.ended.emit()


class LatestJob(Job):
    """A job that serves only the newest request, once the running one has ended."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._waiting: Work | None = None
        self._forgotten = False
        self.ended.connect(self._next)

    @property
    def waiting(self) -> bool:
        """Whether a request waits for the running work to end."""
        return self._waiting is not None

    def request(self, work: Work) -> None:
        """Run this as soon as the running work ends, unless a newer request replaces it."""
        if self.running:
            self._waiting = work
        else:
            self.start(work)

    def forget(self) -> None:
        """Drop the waiting request, and stop the running work, whose result is not told."""
        self._waiting = None
        self._forgotten = self.running
        self.stop()

    def _on_return(self, outcome: Any) -> None:
        forgotten, self._forgotten = self._forgotten, False
        super()._on_return(_Stopped() if forgotten else outcome)

    def _next(self) -> None:
        work, self._waiting = self._waiting, None
        if work is not None and not self.running:
            self.start(work)


def _guarded(work: Work, stop: Stop) -> Generator[Any, None, Any]:
    """Wrap the work so that its outcome is a value, giving one way back to the GUI."""
    try:
        result = yield from work(stop)
    except Cancelled:
        return _Stopped()
    except UlmError as error:
        return Problem(str(error), traceback.format_exc())
    except MemoryError:
        return Problem(
            "Not enough memory. Use shorter blocks (load.frames_per_block) or a lower "
            "resolution factor.",
            traceback.format_exc(),
        )
    except Exception as error:
        return Problem(
            f"Unexpected error ({type(error).__name__}: {error}). Please report it with the "
            "details.",
            traceback.format_exc(),
        )
    return _Result(result)
