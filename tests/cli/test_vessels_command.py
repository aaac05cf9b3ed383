"""`napari-ulm3d vessels` on a results folder and on volumes from other sources."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from tube_tracks import tube_results

from napari_ulm3d.cli import main


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tube_results(tmp_path_factory.mktemp("run") / "results")


def test_a_run(results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "vessels.csv"
    assert main(["vessels", str(results), "--to", str(target)]) == 0
    told = capsys.readouterr().out
    assert "measured on the tracks" in told
    table = pd.read_csv(target)
    assert table["diameter_um"].max() == pytest.approx(42.0, abs=5)
    assert (tmp_path / "vessels_junctions.csv").is_file()
    assert main(["vessels", str(results), "--to", str(target)]) != 0
    assert "--overwrite" in capsys.readouterr().err
    few = ["--set", "vessels.min_tracks=100000", "--overwrite"]
    assert main(["vessels", str(results), "--to", str(target), *few]) == 0
    assert pd.read_csv(target)["diameter_um"].isna().all()


@pytest.mark.parametrize("kind", ["mask.npy", "labels.tif", "image.tif"])
def test_other_peoples_volumes(kind: str, tmp_path: Path) -> None:
    z, y, x = np.indices((50, 20, 20))
    mask = (np.hypot(y - 10, x - 10) <= 4) & (z > 1) & (z < 48)
    path = tmp_path / kind
    if kind == "mask.npy":
        np.save(path, mask)
    elif kind == "labels.tif":
        tifffile.imwrite(path, mask.astype(np.uint16) * (1 + z // 25).astype(np.uint16))
    else:
        noise = np.random.default_rng(0).random(mask.shape)
        tifffile.imwrite(path, (200 * mask + 20 * noise).astype(np.uint16))
    flags = [
        "--voxel-um",
        "5",
        "5",
        "5",
        "--axes",
        "zyx",
        *(["--labels"] if "labels" in kind else []),
    ]
    target = tmp_path / "out.csv"
    assert main(["vessels", str(path), "--to", str(target), *flags]) == 0
    table = pd.read_csv(target)
    assert table["length_um"].max() == pytest.approx(46 * 5, rel=0.08)
    assert table["diameter_um"].max() == pytest.approx(2 * 4.0 * 5, rel=0.2)
    assert table["mean_speed_mm_s"].isna().all()


def test_what_is_missing_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "mask.npy", np.ones((4, 4, 4), bool))
    assert main(["vessels", str(tmp_path / "mask.npy"), "--to", str(tmp_path / "v.csv")]) != 0
    assert "--voxel-um" in capsys.readouterr().err
    assert main(["vessels", str(tmp_path / "mask.npy"), "--to", str(tmp_path / "v.obj")]) != 0
    assert ".graphml" in capsys.readouterr().err
    np.save(tmp_path / "frames.npy", np.ones((5, 4, 4, 4), np.float32))
    flags = ["--voxel-um", "5", "5", "5"]
    assert (
        main(["vessels", str(tmp_path / "frames.npy"), "--to", str(tmp_path / "v.csv"), *flags])
        != 0
    )
    assert "5 frames" in capsys.readouterr().err


def test_no_heartbeat_is_said(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pulse", str(results), "--lowest-hz", "3", "--highest-hz", "9"]) != 0
    assert "No rhythm between 3 and 9 Hz" in capsys.readouterr().err


def test_a_pulse_dampened_by_an_unknown_amount_is_refused(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    shutil.copytree(results, other)
    facts = (other / "run.toml").read_text()
    line = "smoothing_frames = 5\n"
    assert line in facts
    (other / "run.toml").write_text(facts.replace(line, f"{line}smoothing_distance_um = 20.0\n"))
    assert main(["pulse", str(other)]) != 0
    assert "without link.smoothing_distance_um" in capsys.readouterr().err
