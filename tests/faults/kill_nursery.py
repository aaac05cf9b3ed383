"""A process that has done a run, and forks one after the other to be killed.

What a run imports, and its compiled code, is there already, so that a child's time is that
of the run. One thread does all: a fork takes no others along. Reads a job a line from stdin (JSON: `arguments` of the command line, `kill_after` seconds
or null, `die_at`: before which change of the folder to die, or null) and answers with a
line: `code`, `seconds`, and `calls`, the changes counted.
"""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

from napari_ulm3d.cli import main

# Whatever changes a results folder goes through one of these.
CHANGES = ("replace", "fsync", "mkdir", "unlink", "rmdir")


def counted(function: Callable[..., Any], count: list[int], die_at: int | None) -> Any:
    def call(*args: Any, **kwargs: Any) -> Any:
        count[0] += 1
        if count[0] == die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)

    return call


def child(job: dict[str, Any], to_parent: int) -> None:
    count = [0]
    for name in CHANGES:
        setattr(os, name, counted(getattr(os, name), count, job["die_at"]))
    code = main(job["arguments"])
    os.write(to_parent, str(count[0]).encode())
    os._exit(code)


def serve() -> None:
    for number, line in enumerate(sys.stdin):
        job = json.loads(line)
        if number == 0:
            with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
                main(job["arguments"])
        from_child, to_parent = os.pipe()
        began = time.monotonic()
        pid = os.fork()
        if pid == 0:
            silent = os.open(os.devnull, os.O_RDWR)
            for stream in (0, 1, 2):
                os.dup2(silent, stream)
            child(job, to_parent)
        os.close(to_parent)
        limit = began + (100.0 if job["kill_after"] is None else job["kill_after"])
        while True:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                break
            if time.monotonic() > limit:
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.001)
        answer = {
            "code": os.waitstatus_to_exitcode(status),
            "seconds": time.monotonic() - began,
            "calls": int(os.read(from_child, 32) or b"0"),
        }
        os.close(from_child)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    serve()
