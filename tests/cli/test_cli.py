"""The command line as a user would use it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.io import savemat

from napari_ulm3d.cli import main
from napari_ulm3d.io.results import ResultsFolder

FLAGS = [
    "--voxel-um", "100", "150", "150", "--rate", "260", "--wavelength-um", "100",
    "--set", "clutter.svd_range=2,200", "--set", "maps.resolution_factor=4", "--set", "load.frames_per_block=20",
]  # fmt: skip


@pytest.fixture(scope="module")
def block_file(flow, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One block in the format of Open-3DULM's scanner, in MATLAB v5."""
    path = tmp_path_factory.mktemp("lab") / "IQ001.mat"
    savemat(path, {"IQ": flow.frames.transpose(1, 3, 2, 0)})  # [z, x, y, t]
    return path


@pytest.fixture(scope="module")
def results(block_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "results"
    assert main(["run", str(block_file), "--out", str(out), *FLAGS]) == 0
    return out


@pytest.mark.slow
def test_a_run_writes_its_report(block_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "r"
    assert main(["run", str(block_file), "--out", str(out), "--report", *FLAGS]) == 0
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "<h2>Maps</h2>" in page
    assert "maps.resolution_factor" in page


def test_run_prints_a_report(
    block_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", str(block_file), "--out", str(tmp_path / "r"), *FLAGS]) == 0
    printed = capsys.readouterr().out
    for word in ("frames", "localizations", "tracks", "volumes/s", "peak memory", "FSC"):
        assert word in printed
    assert ResultsFolder.open(tmp_path / "r").complete


def test_a_run_is_repeated_from_its_run_toml(results: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    assert main(["run", "--config", str(results / "run.toml"), "--out", str(again)]) == 0
    for name in ("localizations.parquet", "tracks.parquet"):
        pd.testing.assert_frame_equal(
            pd.read_parquet(results / name), pd.read_parquet(again / name)
        )


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["run", "nowhere.mat", "--out", "OUT"], 2, "nowhere.mat"),
        (["run", "FILE", "--out", "OUT"], 2, "--voxel-um"),
        (["run", "FILE", "--out", "OUT", *FLAGS, "--axes", "tz"], 2, "axes"),
        (["run", "FILE", "--out", "OUT", *FLAGS, "--variable", "BF"], 2, "BF"),
        (
            ["run", "FILE", "--out", "OUT", *FLAGS, "--set", "link.speed=3"],
            2,
            "no setting 'link.speed'",
        ),
        (["run", "FILE", "--out", "OUT", *FLAGS, "--localizer", "magic"], 2, "gaussian"),
        (["run", "FILE", "--out", "OUT", *FLAGS, "--workers", "0"], 2, "workers"),
        (["run", "FILE", "--out", "OUT", *FLAGS, "--memory", "much"], 2, "8GB"),
        (["run", "FILE", "--out", "OUT", *FLAGS, "--memory", "1MB"], 2, "Allow at least"),
        (["run", "FILE", "--out", "OUT", *FLAGS, "--scheduler", "here"], 2, "tcp://"),
        (
            ["run", "FILE", "--out", "OUT", *FLAGS, "--scheduler", "tls://h:1"],
            2,
            "tls_ca, tls_cert, tls_key",
        ),
        (["run", "--out", "OUT"], 2, "give the files"),
        (["info", "nowhere.mat"], 2, "nowhere.mat"),
        (["export", "OUT", "--to", "x.csv"], 2, "not a results folder"),
    ],
)
def test_mistakes_get_one_line_and_leave_nothing(
    block_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    names = {"FILE": str(block_file), "OUT": str(tmp_path / "out")}
    assert main([names.get(word, word) for word in arguments]) == code
    assert message in " ".join(capsys.readouterr().err.split())
    assert list(tmp_path.iterdir()) == []


def test_nan_is_named(flow, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames = flow.frames[:20].copy()
    frames[4, 2, 2, 2] = np.nan
    np.save(tmp_path / "bad.npy", frames)
    assert (
        main(
            [
                "run",
                str(tmp_path / "bad.npy"),
                "--axes",
                "tzyx",
                "--out",
                str(tmp_path / "r"),
                *FLAGS,
            ]
        )
        == 2
    )
    assert "bad.npy: contains NaN" in capsys.readouterr().err
    assert not (tmp_path / "r").exists()


@pytest.mark.slow
def test_interrupted_and_resumed(flow, tmp_path: Path) -> None:
    """Ctrl-C during a real process, then --resume: the same result."""
    frames = np.concatenate([flow.frames] * 20)
    np.save(tmp_path / "long.npy", frames)
    # By `with_settings` the blocks are small and many, so that the signal falls between some.
    arguments = [str(tmp_path / "long.npy"), "--axes", "tzyx", *FLAGS]
    command = [sys.executable, "-m", "napari_ulm3d", "run", *arguments, "--out"]
    assert subprocess.run([*command, "whole"], cwd=tmp_path, timeout=300).returncode == 0

    process = subprocess.Popen(
        [*command, "stopped"], cwd=tmp_path, stderr=subprocess.PIPE, text=True,
        # Programs started in the background inherit an ignored Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    blocks = tmp_path / "stopped" / "blocks"
    give_up = time.monotonic() + 300
    while not (blocks.is_dir() and len(list(blocks.glob("0*.npz"))) >= 2):
        assert process.poll() is None, process.stderr and process.stderr.read()
        assert time.monotonic() < give_up
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 130
    assert "--resume" in errors
    stopped = ResultsFolder.open(tmp_path / "stopped")
    assert not stopped.complete
    assert not list((tmp_path / "stopped").rglob(".*"))  # no incomplete file

    # The folder records everything: neither files nor settings have to be repeated.
    again = [sys.executable, "-m", "napari_ulm3d", "run", "--resume", "--out", "stopped"]
    assert subprocess.run(again, cwd=tmp_path, timeout=300).returncode == 0
    for name in ("localizations.parquet", "tracks.parquet"):
        pd.testing.assert_frame_equal(
            pd.read_parquet(tmp_path / "whole" / name), pd.read_parquet(tmp_path / "stopped" / name)
        )


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("tracks.csv", []),
        ("tracks.parquet", []),
        ("tracks.vtp", []),
        ("found.csv", ["--what", "localizations"]),
        ("density.tif", []),
        ("speed.nii.gz", ["--what", "speed"]),
        ("density.zarr", []),
        ("density.mat", []),
        ("direction.png", ["--what", "direction"]),
    ],
)
def test_export(results: Path, tmp_path: Path, name: str, what: list[str]) -> None:
    target = tmp_path / name
    assert main(["export", str(results), "--to", str(target), *what]) == 0
    assert target.exists()
    assert (
        main(["export", str(results), "--to", str(target), *what]) == 2
    )  # never overwrites a file without asking
    assert main(["export", str(results), "--to", str(target), *what, "--overwrite"]) == 0


def test_export_says_what_there_is(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(results), "--to", str(tmp_path / "x.tif"), "--what", "oxygen"]) == 2
    assert "density" in capsys.readouterr().err
    assert main(["export", str(results), "--to", str(tmp_path / "x.docx")]) == 2
    assert ".csv" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_info_tells_what_is_missing(
    block_file: Path, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["info", str(block_file)]) == 0
    printed = capsys.readouterr().out
    assert "IQ" in printed
    assert "voxel_um" in printed
    assert main(["info", str(results)]) == 0
    assert "density" in capsys.readouterr().out


def test_doctor(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    printed = capsys.readouterr().out
    assert "PyTorch" in printed
    assert "sparse backend" in printed
