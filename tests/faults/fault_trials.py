"""Damaged files given to the readers, each reader in a process of its own that may die.

As a program (``python fault_trials.py FOLDER NAME FIRST COUNT``) it is that process: it
tries COUNT files and prints a line before and a line after each. `try_readers` starts such
processes, starts another where one died or hung, and counts.
"""

from __future__ import annotations

import json
import os
import resource
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fault_mutations import Files, mutate

#: A process may map this much more than it has when it begins; the files have 20 kB.
MEMORY_BYTES = 1 << 30
#: Of which it may touch this much.
TOUCHED_BYTES = 200 << 20
#: Seconds of work, and of waiting, after which a trial counts as hung.
CPU_SECONDS, WALL_SECONDS = 10, 300

OUTCOMES = ("opened", "refused", "torn", "raised", "hungry", "crashed", "hung")
GOOD = ("opened", "refused")


@dataclass
class Tally:
    """What became of the damaged files of one format."""

    name: str
    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def tried(self) -> int:
        return sum(self.counts.values())


def table(tallies: Iterable[Tally]) -> str:
    """The counts as text, a line a format."""
    lines = [f"{'format':<12}{'tried':>8}" + "".join(f"{o:>9}" for o in OUTCOMES) + f"{'s':>8}"]
    for tally in tallies:
        counts = "".join(f"{tally.counts[outcome]:>9}" for outcome in OUTCOMES)
        lines.append(f"{tally.name:<12}{tally.tried:>8}{counts}{tally.seconds:>8.1f}")
    return "\n".join(lines)


def try_readers(folder: Path, names: Iterable[str], count: int) -> list[Tally]:
    """Give each reader `count` damaged files made of the samples in `folder`."""
    return [_try_reader(folder, name, count) for name in names]


def _try_reader(folder: Path, name: str, count: int) -> Tally:
    tally, done, began = Tally(name), 0, time.perf_counter()
    while done < count:
        with subprocess.Popen(
            [sys.executable, __file__, str(folder), name, str(done), str(count - done)],
            stdout=subprocess.PIPE,
            stderr=None if os.environ.get("FAULT_STDERR") else subprocess.DEVNULL,
            env={**os.environ, "MALLOC_ARENA_MAX": "2", "OMP_NUM_THREADS": "1"},
        ) as child:
            running: int | None = None
            for line in _lines(child):
                said = json.loads(line)
                if "outcome" in said:
                    tally.counts[said["outcome"]] += 1
                    if said["outcome"] not in GOOD:
                        tally.faults.append(f"{name} {said['seed']}: {said['detail']}")
                    running, done = None, said["number"] + 1
                else:
                    running = said["number"]
            code = child.wait()
        if running is not None:
            hung = code in (-signal.SIGVTALRM, -signal.SIGKILL)
            tally.counts["hung" if hung else "crashed"] += 1
            tally.faults.append(f"{name} {running}: the process ended with {code}")
            done = running + 1
        elif code:
            raise RuntimeError(f"the trials of {name} ended with {code} before they began")
    tally.seconds = time.perf_counter() - began
    return tally


def _lines(child: subprocess.Popen[bytes]) -> Iterable[bytes]:
    """The lines that a process prints; it is killed when it is silent for too long."""
    assert child.stdout is not None
    pending = b""
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        while True:
            if not selector.select(WALL_SECONDS):
                child.kill()
                return
            piece = os.read(child.stdout.fileno(), 1 << 16)
            if not piece:
                return
            *lines, pending = (pending + piece).split(b"\n")
            yield from lines


# --- in the process that may die ------------------------------------------------------------


def damaged(folder: Path, name: str, number: int) -> tuple[Files, str, str]:
    """The damaged files of a trial, which of them to open, and what was done."""
    samples = sorted(p for p in (folder / name.replace(" ", "_")).iterdir() if p.is_dir())
    sample = samples[number % len(samples)]
    files = {
        str(path.relative_to(sample)): path.read_bytes()
        for path in sorted(sample.rglob("*"))
        if path.is_file()
    }
    tops = sorted({Path(file).parts[0] for file in files})
    # Of a header and its data the header is opened.
    entry = next((top for top in tops if top.endswith(".mhd")), tops[0])
    made, kind = mutate(files, f"{name} {number}")
    return made, entry, kind


def _main(folder: Path, name: str, first: int, count: int) -> None:
    import warnings

    from napari_ulm3d.io.formats.registry import readers

    warnings.simplefilter("ignore")
    readers()
    wholes: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for sample in sorted((folder / name.replace(" ", "_")).iterdir()):
            for path in sorted(sample.iterdir()):
                if path.suffix not in (".raw", ".zraw"):
                    wholes[path.name] = _read(path)
        limit = _status("VmSize") + MEMORY_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        for number in range(first, first + count):
            files, entry, kind = damaged(folder, name, number)
            place = Path(scratch) / str(number)
            for file, content in files.items():
                (place / file).parent.mkdir(parents=True, exist_ok=True)
                (place / file).write_bytes(content)
            _say(number=number)
            signal.setitimer(signal.ITIMER_VIRTUAL, CPU_SECONDS)
            outcome, detail = _try(place / entry, wholes[entry] if kind == "truncate" else None)
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            _say(number=number, seed=f"{number} ({entry}, {kind})", outcome=outcome, detail=detail)


def _try(path: Path, whole: Any) -> tuple[str, str]:
    """Open and read a file: the outcome, and what was said."""
    import numpy as np

    from napari_ulm3d.errors import UlmError

    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
    before = _status("VmRSS")
    try:
        frames = _read(path)
    except UlmError as error:
        said, cause = str(error), error.__cause__
        if isinstance(cause, MemoryError) or "Unable to allocate" in said:
            return "hungry", said
        if "\n" in said or not said.endswith(".") or path.name.split(".")[0] not in said:
            return "raised", f"not one sentence that names the file: {said!r}"
        outcome = "refused"
    except MemoryError as error:
        return "hungry", repr(error)
    except Exception as error:
        return "raised", repr(error)
    else:
        said, outcome = "", "opened"
        if whole is not None and not np.array_equal(frames, whole):
            return "torn", "a file that was cut short was read as if it were whole"
    touched = _status("VmHWM") - before
    if touched > TOUCHED_BYTES:
        return "hungry", f"took {touched >> 20} MB; {said}"
    return outcome, said


def _read(path: Path) -> Any:
    """What a person does with a file: look at it, open it, read its first and last block."""
    import numpy as np

    from napari_ulm3d.config import LoadConfig
    from napari_ulm3d.errors import InputError
    from napari_ulm3d.io.open.acquisition import describe, open_acquisition

    given = LoadConfig(voxel_um=(100.0, 150.0, 150.0), rate_hz=500.0)
    describe(path, given).lines()
    acquisition = open_acquisition(path, given)
    blocks = acquisition.blocks()
    parts = []
    for block in blocks if len(blocks) == 2 else dict.fromkeys((blocks[0], blocks[-1])):
        frames = block.source.read(block.start, block.stop)
        assert frames.shape == (block.n_frames, *acquisition.grid.shape)
        try:
            block.read()
        except InputError as error:
            if "NaN or infinite" not in str(error):
                raise
        parts.append(frames)
    return np.concatenate(parts)


def _status(key: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    raise KeyError(key)


def _say(**values: Any) -> None:
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
