"""Runs that are killed at any moment, in every stage, go on to the same tables, bit for bit.

A run is sent SIGKILL after a random (seeded) time, resumed and killed again, until it gets
through; or just before a change of its folder (the renaming of a file, its flush to the
disk, a removal), which a clock would hardly meet.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from napari_ulm3d.io.results import LOCK_NAME, ResultsFolder

pytestmark = pytest.mark.skipif(os.name != "posix", reason="there is no SIGKILL")

SECONDS = 25  # of random kills
CHANGES = 8  # of a run's folder, before which to die
FLAGS = [
    "--axes", "tzyx", "--voxel-um", "100", "150", "150", "--rate", "260", "--wavelength-um", "100",
    "--set", "clutter.svd_range=2,200", "--set", "maps.resolution_factor=4", "--set", "load.frames_per_block=20",
]  # fmt: skip


@dataclass(frozen=True)
class Lab:
    """Files, the folder of a run that nobody disturbed, and where runs are born."""

    files: Path
    whole: Path
    nursery: subprocess.Popen[str]

    def run(
        self, out: Path, kill_after: float | None = None, die_at: int | None = None
    ) -> dict[str, Any]:
        """A run of its own process, resumed where there is something to resume."""
        arguments = ["run", str(self.files), *FLAGS, "--out", str(out), "--resume"]
        job = {"arguments": arguments, "kill_after": kill_after, "die_at": die_at}
        assert self.nursery.stdin
        assert self.nursery.stdout
        print(json.dumps(job), file=self.nursery.stdin, flush=True)
        answer: dict[str, Any] = json.loads(self.nursery.stdout.readline())
        return answer


def command(files: Path, out: Path, *more: str) -> list[str]:
    return [
        sys.executable, "-m", "napari_ulm3d", "run", str(files), *FLAGS, "--out", str(out), *more,
    ]  # fmt: skip


@pytest.fixture(scope="module")
def lab(flow, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("kills")
    files = folder / "lab"
    files.mkdir()
    for k in range(4):
        np.save(files / f"IQ{k}.npy", flow.frames)
    nursery = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("kill_nursery.py"))],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1",
             "OPENBLAS_NUM_THREADS": "1", "NUMBA_THREADING_LAYER": "workqueue"},
    )  # fmt: skip
    with nursery:
        found = Lab(files, folder / "whole", nursery)
        assert found.run(found.whole)["code"] == 0
        yield found
        assert nursery.stdin
        nursery.stdin.close()


def assert_whole(out: Path, lab: Lab) -> None:
    folder, whole = ResultsFolder.open(out), ResultsFolder.open(lab.whole)
    assert folder.complete
    for name in ("localizations.parquet", "tracks.parquet", "saturation.csv", "fsc.csv"):
        assert (out / name).read_bytes() == (lab.whole / name).read_bytes(), name
    assert folder.map_names() == whole.map_names()
    for name in folder.map_names():
        np.testing.assert_array_equal(folder.map(name).dense(), whole.map(name).dense())
    # Nothing is left of what was begun and not finished.
    assert list(out.rglob(".*")) == []


def assert_nothing_is_half(out: Path) -> None:
    """Whatever has taken its name can be read."""
    if not (out / "run.toml").is_file():
        return
    folder = ResultsFolder.open(out)
    folder.facts()
    for name in folder.map_names():
        folder.map(name)
    for path in out.glob("*.parquet"):
        pd.read_parquet(path)
    for path in (out / "blocks").glob("*.npz"):
        with np.load(path, allow_pickle=False) as data:
            assert {data[name].size for name in data}


def stage_of(out: Path) -> str:
    """How far a killed run had come."""
    if not (out / "run.toml").is_file():
        return "before the first block"
    if (out / "tracks.parquet").is_file():
        return "closing"
    if any((out / "maps").glob("*.ome.tif")):
        return "writing"
    n_blocks = len(list((out / "blocks").glob("*.npz")))
    return "mapping" if n_blocks == 12 else "localizing"


@pytest.mark.slow
def test_killed_at_random_moments(
    lab: Lab, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    moments = random.Random(20)
    out, n_done, tried = tmp_path / "r", 0, Counter[str]()
    typical = lab.run(tmp_path / "timed")["seconds"]
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline or not n_done:
        late = time.monotonic() > deadline
        answer = lab.run(out, None if late else typical * moments.uniform(0.1, 1.1))
        if answer["code"] == -signal.SIGKILL:
            tried[stage_of(out)] += 1
            assert_nothing_is_half(out)
            continue
        assert answer["code"] == 0
        assert_whole(out, lab)
        n_done += 1
        out = tmp_path / f"r{n_done}"
    with capfd.disabled():
        print(
            f"\n  {tried.total()} kills at random moments {dict(tried)}: {n_done} runs finished, "
            "0 results lost, 0 files half written"
        )
    assert tried.total() >= 3


@pytest.mark.slow
def test_killed_before_any_change_of_the_folder(
    lab: Lab, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    n_changes = lab.run(tmp_path / "counted")["calls"]
    chosen = random.Random(6).sample(range(1, n_changes + 1), CHANGES - 4)
    # And the first, where there is hardly a folder yet, and the last, all but the last word.
    moments = sorted({1, 3, *chosen, n_changes - 2, n_changes})
    for die_at in moments:
        out = tmp_path / f"r{die_at}"
        assert lab.run(out, die_at=die_at)["code"] == -signal.SIGKILL
        assert_nothing_is_half(out)
        assert lab.run(out)["code"] == 0
        assert_whole(out, lab)
    with capfd.disabled():
        print(
            f"\n  {len(moments)} kills before one of the {n_changes} changes of a run's folder: "
            "0 results lost, 0 files half written"
        )


@pytest.mark.slow
def test_two_runs_on_one_folder(lab: Lab, tmp_path: Path) -> None:
    out = tmp_path / "r"
    first = subprocess.Popen(
        command(lab.files, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        while not (out / LOCK_NAME).exists() or not (out / LOCK_NAME).read_bytes():
            assert first.poll() is None
            time.sleep(0.01)
        first.send_signal(signal.SIGSTOP)  # it must not get through before the second looks
        for how in ([], ["--overwrite"]):
            second = subprocess.run(
                command(lab.files, out, *how), capture_output=True, text=True, timeout=300
            )
            assert second.returncode == 2
            said = " ".join(second.stderr.split())
            assert f"another run is writing to it (process {first.pid} on " in said
            assert ", since 2" in said
        assert lab.run(out)["code"] == 2  # --resume
    finally:
        first.send_signal(signal.SIGCONT)
        assert first.wait(timeout=300) == 0
    assert_whole(out, lab)


@pytest.mark.slow
def test_the_lock_of_a_dead_process_is_taken_over(lab: Lab, tmp_path: Path) -> None:
    out = tmp_path / "r"
    changes = lab.run(tmp_path / "counted")["calls"]
    assert lab.run(out, die_at=changes // 2)["code"] == -signal.SIGKILL
    assert json.loads((out / LOCK_NAME).read_text())["pid"]
    assert lab.run(out)["code"] == 0
    assert_whole(out, lab)


@pytest.mark.slow
def test_the_lock_of_another_computer_is_not(lab: Lab, tmp_path: Path) -> None:
    """A shared folder may not tell of the locks of other computers: the person has to know."""
    out = tmp_path / "r"
    out.mkdir()
    holder = {"pid": 77, "host": "other-computer", "since": "2026-01-01T00:00:00+00:00"}
    (out / LOCK_NAME).write_text(json.dumps(holder))
    done = subprocess.run(command(lab.files, out), capture_output=True, text=True, timeout=300)
    said = " ".join(done.stderr.split())
    assert done.returncode == 2
    assert "process 77 on other-computer, since 2026-01-01" in said
    assert f"If that run has ended, delete {out / LOCK_NAME}" in said
    (out / LOCK_NAME).unlink()
    assert lab.run(out)["code"] == 0
