"""A disk that fills up at any moment of a run: one sentence, nothing half-written, and it goes on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.errors import ResultsError
from napari_ulm3d.io.results import ResultsFolder
from napari_ulm3d.pipeline import run
from napari_ulm3d.system.atomic import atomic_path, is_workplace

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")

CONFIG = PipelineConfig().with_settings(
    ["load.frames_per_block=20", "clutter.svd_range=2,200", "maps.resolution_factor=4"]
)
DISK_BYTES = 4 << 20


@pytest.fixture(scope="module")
def whole(flow, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "whole"
    run(flow.acquisition, CONFIG, out)
    return out


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A disk of four megabytes."""
    folder = tmp_path_factory.mktemp("disk")
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only the superuser can make a small disk")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)  # whoever has a file open


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _assert_whole_or_absent(folder: Path, whole: Path) -> list[str]:
    """Every file under a final name reads as in the run that nobody disturbed."""
    found = []
    for path in sorted(folder.rglob("*")):
        assert not is_workplace(path), f"{path} was left behind"
        name = str(path.relative_to(folder))
        if path.suffix == ".parquet":
            pd.testing.assert_frame_equal(pd.read_parquet(path), pd.read_parquet(whole / name))
        elif name.endswith(".ome.tif"):
            map_name = path.name.removesuffix(".ome.tif")
            ours, theirs = (ResultsFolder(f).map(map_name).dense() for f in (folder, whole))
            np.testing.assert_array_equal(ours, theirs)
        elif path.suffix == ".npz":
            with np.load(path) as ours, np.load(whole / name) as theirs:
                assert set(ours) == set(theirs)
        elif path.suffix == ".csv":
            pd.testing.assert_frame_equal(pd.read_csv(path), pd.read_csv(whole / name))
        elif name == "run.toml":
            assert not ResultsFolder(folder).complete
        else:
            continue
        found.append(name)
    return found


@pytest.mark.slow
def test_a_run_on_a_full_disk_says_so_and_goes_on_when_there_is_room(
    flow, whole: Path, disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    needed = _bytes(whole)
    assert needed < DISK_BYTES / 2
    stopped_after: dict[int, int] = {}
    # From no room at all to nearly enough; blocks are the greater part of a run.
    rooms = [*range(0, 5 * 4096, 4096), *np.linspace(20480, needed * 0.9, 7).astype(int).tolist()]
    for room in rooms:
        out, ballast = disk / "run", disk / "ballast"
        shutil.rmtree(out, ignore_errors=True)
        ballast.write_bytes(bytes(DISK_BYTES - room))
        capsys.readouterr()
        with pytest.raises(ResultsError) as error:
            run(flow.acquisition, CONFIG, out)
        assert capsys.readouterr().err == ""
        said = str(error.value)
        assert "No space left" in said
        assert "\n" not in said
        there = _assert_whole_or_absent(out, whole) if out.exists() else []
        stopped_after[room] = len(there)
        ballast.unlink()
        resume = (out / "run.toml").is_file()
        run(flow.acquisition, CONFIG, out, resume=resume)
        for name in ("tracks.parquet", "localizations.parquet"):
            assert pd.read_parquet(out / name).equals(pd.read_parquet(whole / name))
        assert ResultsFolder(out).complete
    with capsys.disabled():
        listing = ", ".join(f"{room >> 10} kB: {n}" for room, n in stopped_after.items())
        print(f"\nfull disk: files that were whole when it filled up, by room: {listing}; 0 torn")
    # It filled up before the first block, and between later files.
    assert len(set(stopped_after.values())) >= 3


def test_a_limit_on_the_size_of_a_file_is_told_as_one_sentence(tmp_path: Path) -> None:
    """What a quota does, without a superuser: the system refuses to let a file grow."""
    program = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from napari_ulm3d.errors import ResultsError\n"
        "from napari_ulm3d.system.atomic import atomic_path\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))\n"
        "try:\n"
        "    with atomic_path(sys.argv[1]) as path:\n"
        "        path.write_bytes(bytes(6000))\n"
        "except ResultsError as error:\n"
        "    print(error)\n"
    )
    target = tmp_path / "tracks.parquet"
    target.write_bytes(b"older")
    done = subprocess.run(
        [sys.executable, "-c", program, str(target)], capture_output=True, text=True, check=True
    )
    assert "tracks.parquet: cannot be written (File too large)" in done.stdout
    assert done.stdout.count("\n") == 1
    assert target.read_bytes() == b"older"
    assert os.listdir(tmp_path) == ["tracks.parquet"]


def test_an_error_at_the_very_end_of_writing_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some disks say only when a file is flushed that there was no room for it."""
    target = tmp_path / "a.csv"
    target.write_text("older")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ResultsError, match="No space left"), atomic_path(target) as path:
        path.write_text("newer")
    assert target.read_text() == "older"
    assert os.listdir(tmp_path) == ["a.csv"]
