"""Work off the GUI thread: progress, cancel, errors, the latest request."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from typing import Any

import pytest

pytest.importorskip("napari")
pytest.importorskip("pytestqt")
pytest.importorskip("qtpy.QtCore", exc_type=ImportError)

from napari_ulm3d.errors import Cancelled, ConfigError
from napari_ulm3d.plugin.jobs.job import Job, LatestJob, stop_all, waits


def test_progress_and_result_come_to_the_gui_thread(qtbot: Any) -> None:
    job, seen = Job(), []

    def work(stop: Any) -> Generator[int, None, str]:
        yield from range(3)
        return threading.current_thread().name

    job.progressed.connect(lambda k: seen.append((k, threading.current_thread().name)))
    with qtbot.waitSignal(job.finished) as done:
        job.start(work)
    assert seen == [(k, "MainThread") for k in range(3)]
    assert done.args[0] != "MainThread"
    assert not job.running


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (ConfigError("The range must ascend."), "The range must ascend."),
        (MemoryError(), "Not enough memory"),
        (ZeroDivisionError("division by zero"), "ZeroDivisionError: division by zero"),
    ],
)
def test_an_error_is_one_sentence_with_details(qtbot: Any, error: Exception, sentence: str) -> None:
    def work(stop: Any) -> None:
        raise error

    job = Job()
    with qtbot.waitSignal(job.failed) as failed:
        job.start(waits(work))
    problem = failed.args[0]
    assert sentence in problem.sentence
    assert "\n" not in problem.sentence
    assert type(error).__name__ in problem.details


def test_stopping_ends_the_work_and_frees_what_it_held(qtbot: Any) -> None:
    ended = threading.Event()

    def work(stop: Any) -> Generator[int, None, None]:
        try:
            while not stop():
                time.sleep(0.01)
                yield 1
            raise Cancelled("stopped")
        finally:
            ended.set()

    job = Job()
    with qtbot.waitSignal(job.progressed):
        job.start(work)
    with qtbot.waitSignal(job.stopped):
        job.stop()
    assert ended.is_set()
    job.start(waits(lambda stop: 1))  # it can be used again
    qtbot.waitUntil(lambda: not job.running)


def test_closing_asks_every_job_to_end(qtbot: Any) -> None:
    def work(stop: Any) -> None:
        while not stop():
            time.sleep(0.01)
        raise Cancelled("stopped")

    jobs = [Job(), Job()]
    for job in jobs:
        job.start(waits(work))
    stop_all()
    qtbot.waitUntil(lambda: not any(job.running for job in jobs))


def test_only_the_newest_request_is_answered(qtbot: Any) -> None:
    job, answers, all_asked = LatestJob(), [], threading.Event()
    job.finished.connect(answers.append)

    def slow(k: int) -> Any:
        def work(stop: Any) -> int:
            assert all_asked.wait(60)
            return k

        return waits(work)

    for k in range(20):
        job.request(slow(k))
    all_asked.set()
    qtbot.waitUntil(lambda: answers[-1:] == [19])
    assert answers == [0, 19]
