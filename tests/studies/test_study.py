"""A study from results folders to its tables and page; what was measured is not measured again."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tomli_w
from tube_tracks import tube_results

from napari_ulm3d import study
from napari_ulm3d.acquisition import Grid
from napari_ulm3d.cli import main
from napari_ulm3d.errors import ConfigError, ResultsError
from napari_ulm3d.studies import RegionConfig
from napari_ulm3d.studies.example import simulated_animal
from napari_ulm3d.studies.measures import scan_measures
from napari_ulm3d.vasculature import vessels
from napari_ulm3d.volumes import VesselMap


@pytest.fixture(scope="module")
def animals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("animals")
    for k in range(2):
        tube_results(home / f"a{k}", 30.0, 100, seed=k)
        tube_results(home / f"b{k}", 60.0, 100, seed=10 + k)
    return home


def written(folder: Path, home: Path, **more: object) -> Path:
    scans = [
        {"animal": f"{g}{k}", "group": g, "results": str(home / f"{g}{k}")}
        for g in "ab"
        for k in range(2)
    ]
    plan = folder / "study.toml"
    plan.write_text(tomli_w.dumps({"name": "<Tubes> & co", "scan": scans} | more))
    return plan


@pytest.mark.slow
def test_from_results_to_a_page(
    animals: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    region = {"name": "middle", "box_um": [[150.0, 450.0], [-1e3, 1e3], [-1e3, 1e3]]}
    plan = written(tmp_path, animals, region=[region])
    assert main(["study", str(plan)]) == 0
    said = capsys.readouterr()
    assert "too few to say anything" in said.out
    out = tmp_path / "study-study"
    table = pd.read_csv(out / "measures.csv")
    assert len(table) == 8
    whole = table[table["region"] == "whole"].set_index("animal")
    assert whole.loc[["a0", "a1"], "diameter_um"].to_numpy() == pytest.approx(32, abs=4)
    assert whole.loc[["b0", "b1"], "diameter_um"].to_numpy() == pytest.approx(62, abs=5)
    middle = table[table["region"] == "middle"].set_index("animal")
    # The tube is 480 um in a field of 600 x 300 x 300, all of it in the middle 300.
    assert middle["length_density"].to_numpy() == pytest.approx(1 / 0.09, rel=0.12)
    comparisons = pd.read_csv(out / "comparisons.csv")
    assert comparisons["p"].isna().all()
    page = (out / "study.html").read_text(encoding="utf-8")
    assert "&lt;Tubes&gt; &amp; co" in page
    addresses = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert len(addresses) >= 10
    assert all(address.startswith("data:image/png;base64,") for address in addresses)
    # Again: nothing is measured; a changed setting measures anew.
    assert main(["study", str(plan)]) == 0
    assert capsys.readouterr().err.count("as measured before") == 4
    again = written(tmp_path, animals, region=[region], perfused_within_um=20.0)
    assert main(["study", str(again)]) == 0
    assert capsys.readouterr().err.count("measured (") == 4


def test_a_scan_that_fails_is_left_out_and_named(
    animals: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scans = [
        {"animal": "a0", "group": "a", "results": str(animals / "a0")},
        {"animal": "lost", "group": "a", "results": "nowhere"},
    ]
    plan = tmp_path / "study.toml"
    plan.write_text(tomli_w.dumps({"scan": scans}))
    assert main(["study", str(plan)]) == 3
    assert "left out: lost: " in capsys.readouterr().err
    done = study(plan)
    assert list(done.failed) == ["lost"]
    plan.write_text(tomli_w.dumps({"scan": scans[1:]}))
    with pytest.raises(ResultsError, match="No scan of the study could be measured"):
        study(plan)
    missing = {"animal": "m", "group": "a", "files": ["gone/*.mat"]}
    plan.write_text(tomli_w.dumps({"scan": [missing]}))
    with pytest.raises(ConfigError, match=r"gone/\*\.mat is not there"):
        study(plan)


def test_measures_of_a_known_tube() -> None:
    """A tube of 200 um along z in a millimetre: all measures from geometry alone."""
    n, voxel = 50, 20.0
    grid = Grid((n,) * 3, (voxel,) * 3)
    z, y, x = np.indices(grid.shape)
    mask = np.hypot(y - 24.5, x - 24.5) <= 5
    graph = vessels(VesselMap.from_dense("image", mask, grid), labels=True)
    labels = VesselMap.from_dense("labels", np.where(z < 25, 1, 2) * (x > 3), grid)
    near = RegionConfig(name="near", label=1)
    away = RegionConfig(name="away", box_um=((0, 1000), (0, 200), (0, 1000)))
    whole, half, none = scan_measures(graph, grid, (near, away), labels, perfused_within_um=100.0)
    side = n * voxel
    wide = float(graph.table["diameter_um"].iloc[0])
    assert wide == pytest.approx(200, rel=0.05)
    assert whole["length_density"] == pytest.approx(1.0, rel=0.05)
    assert whole["vascular_fraction"] == pytest.approx(np.pi * (wide / 2) ** 2 / side**2, rel=0.05)
    reached = np.pi * (wide / 2 + 100) ** 2 / side**2
    assert whole["perfused_fraction"] == pytest.approx(reached, rel=0.1)
    assert whole["tortuosity"] == pytest.approx(1.0, abs=0.02)
    # Half of the tube in half of the field, less the columns without a label.
    assert half["length_density"] == pytest.approx(50 / 46, rel=0.08)
    assert none["length_density"] == 0.0
    assert none["vascular_fraction"] == 0.0
    assert none["perfused_fraction"] == 0.0
    assert np.isnan(none["diameter_um"])
    unnamed = scan_measures(graph, grid, (near,), None)[1]
    assert np.isnan(unnamed["length_density"])


@pytest.mark.long
@pytest.mark.slow
def test_a_planted_difference_in_diameter_between_simulated_animals(tmp_path: Path) -> None:
    """Five animals with vessels wider by a fifth are told from five; and five more are not."""
    groups = {"control": 1.0, "same": 1.0, "wider": 1.2}
    scans = []
    for g, (group, factor) in enumerate(groups.items()):
        for k in range(5):
            simulated_animal(tmp_path / f"{group}{k}", 100 * g + k, factor)
            scans.append({"animal": f"{group}{k}", "group": group, "results": f"{group}{k}"})
    plan = tmp_path / "study.toml"
    plan.write_text(tomli_w.dumps({"control": "control", "scan": scans}))
    found = study(plan).comparisons.set_index(["measure", "b"])
    row = found.loc[("diameter_um", "wider")]
    assert row["p_corrected"] < 0.05
    assert row["percent"] > 8
    assert (found.xs("same", level="b")["p_corrected"] > 0.05).all()


@pytest.mark.long
@pytest.mark.slow
def test_files_are_run_by_workers_and_the_numbers_are_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from napari_ulm3d.simulate import sample_data_path

    sample = str(sample_data_path())
    (tmp_path / "settings.toml").write_text("[maps]\nfsc = false\n")
    scans = [
        {"animal": a, "group": "g", "files": [sample], "settings": "settings.toml"} for a in "mn"
    ]
    plan = tmp_path / "study.toml"
    plan.write_text(tomli_w.dumps({"scan": scans}))
    assert main(["study", str(plan), "--workers", "2", "--out", str(tmp_path / "two")]) == 0
    assert main(["study", str(plan), "--out", str(tmp_path / "one")]) == 0
    two, one = (pd.read_csv(tmp_path / name / "measures.csv") for name in ("two", "one"))
    pd.testing.assert_frame_equal(two, one)
    assert one["n_tracks"].iloc[0] > 0
    capsys.readouterr()
    assert main(["study", str(plan), "--out", str(tmp_path / "one")]) == 0
    assert capsys.readouterr().err.count("as measured before") == 2
