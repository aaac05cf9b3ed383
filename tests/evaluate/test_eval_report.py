"""The complete report: numbers, file, tolerances, and the command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tomli_w
import typer
from eval_tables import GRID, found_of, tracks_of, truth_of
from typer.testing import CliRunner

from napari_ulm3d.cli.evaluate import evaluate as command
from napari_ulm3d.errors import ConfigError, ResultsError, UlmError
from napari_ulm3d.evaluate import EvaluateConfig, Scores, Tolerances, evaluate, score_localizations

PLACE = (900.0, 900.0)
TRUTH = truth_of([(f, 1, 500 + 10 * f, *PLACE, 1.0, 0.0, 0.0) for f in range(12)])
FOUND = found_of([(f, 505 + 10 * f, *PLACE) for f in range(11)])
TRACKS = tracks_of([(0, f, 505 + 10 * f, *PLACE) for f in range(10)], 1.5)


def whole(**more: object) -> Scores:
    return evaluate(FOUND, TRACKS, TRUTH, GRID, 100.0, **more)  # type: ignore[arg-type]


def test_the_report_holds_every_stage() -> None:
    scores = whole(resolution_um=12.0, saturation=0.4)
    assert scores.n_frames == 12
    assert scores.tolerances == Tolerances(50.0, 25.0, 50.0)
    assert scores.localization.recall == pytest.approx(11 / 12)
    assert scores.tracked.recall == pytest.approx(10 / 12)
    assert scores.tracked.precision == 1.0
    assert scores.localization == score_localizations(FOUND, TRUTH, GRID, scores.tolerances)
    assert scores.linking.link_recall == pytest.approx(9 / 11)
    assert scores.linking.speed_bias_mm_s == pytest.approx(0.5)
    assert 0 < scores.map.dice < 1
    names = [name for _, name, _ in scores.rows()]
    assert {"Jaccard index", "Dice at 25 um", "resolution (FSC)", "saturation"} <= set(names)


def test_only_the_frames_asked_for_are_scored() -> None:
    scores = whole(frames=(2, 6))
    assert scores.n_frames == 4
    assert (scores.localization.n_truth, scores.localization.n_found) == (4, 4)
    assert scores.linking.n_true_links == 3
    empty = whole(frames=(100, 110))
    assert empty.n_frames == 10
    assert empty.localization.n_truth == empty.map.n_true_voxels == 0


@pytest.mark.parametrize(
    ("settings", "wavelength", "expected"),
    [
        ({}, 98.56, (49.28, 24.64, 49.28)),
        ({"margin_um": 0.0}, 98.56, (49.28, 24.64, 0.0)),
        ({"pair_um": 30.0, "hit_um": 10.0}, None, (30.0, 10.0, 30.0)),
        ({"pair_fraction": 1.0, "hit_fraction": 1.0}, 100.0, (100.0, 100.0, 100.0)),
        ({"hit_um": 5.0}, 100.0, (50.0, 5.0, 50.0)),
    ],
)
def test_tolerances_follow_wavelength_and_settings(
    settings: dict, wavelength: float | None, expected: tuple[float, float, float]
) -> None:
    tolerances = EvaluateConfig(**settings).tolerances(wavelength)
    found = (tolerances.pair_um, tolerances.hit_um, tolerances.margin_um)
    assert found == pytest.approx(expected)


def test_tolerances_that_cannot_be_known_or_are_at_odds_are_refused() -> None:
    with pytest.raises(ConfigError, match="--pair-um"):
        EvaluateConfig(hit_um=3.0).tolerances(None)
    with pytest.raises(ConfigError, match="exceeds"):
        EvaluateConfig(hit_um=80.0).tolerances(100.0)
    with pytest.raises(ConfigError, match="hit_fraction"):
        EvaluateConfig().replace(hit_fraction=0.7)


def test_positions_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ResultsError, match="localizations"):
        evaluate(found_of([(0, np.nan, 0, 0)]), TRACKS, TRUTH, GRID, 100.0)


def test_the_file_is_plain_json_with_null_for_undefined(tmp_path: Path) -> None:
    scores = evaluate(found_of([]), tracks_of([]), truth_of([]), GRID, 100.0)
    path = tmp_path / "scores.json"
    path.write_text("an older file", encoding="utf-8")
    scores.to_json(path)
    values = json.loads(path.read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert values == scores.to_dict()
    assert values["localization"]["jaccard"] is None
    assert values["localization"]["bias_um"] == [None, None, None]
    assert values["tolerances"]["hit_um"] == 25.0
    assert values["n_frames"] == 0
    assert values["definitions"]["false_positives"]
    assert [file.name for file in tmp_path.iterdir()] == ["scores.json"]


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match=r"none.*scores\.json"):
        whole().to_json(tmp_path / "none" / "scores.json")


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    folder.mkdir()
    FOUND.table.to_parquet(folder / "localizations.parquet")
    TRACKS.table.to_parquet(folder / "tracks.parquet")
    TRUTH.table.to_parquet(folder / "truth.parquet")
    write_facts(folder, wavelength_um=100.0)
    return folder


def write_facts(folder: Path, **more: float) -> None:
    facts = {
        "shape": list(GRID.shape),
        "voxel_um": list(GRID.spacing_um),
        "origin_um": list(GRID.origin_um),
        "rate_hz": 100.0,
        "n_frames": 12,
        **more,
    }
    (folder / "run.toml").write_text(
        tomli_w.dumps({"acquisition": facts, "result": {"saturation": 0.25}}), encoding="utf-8"
    )


def call(*arguments: object) -> str:
    """Run the command, letting our own errors pass."""
    app = typer.Typer()
    app.command()(command)
    result = CliRunner(env={"COLUMNS": "100"}).invoke(app, [str(a) for a in arguments])
    if result.exception is not None:
        raise result.exception
    return result.output


def test_the_command_prints_a_table_and_writes_the_scores(results: Path) -> None:
    output = call(results, "--truth", results / "truth.parquet")
    assert "Jaccard index" in output
    assert "hits: closer than 25.0 um" in " ".join(output.split())
    values = json.loads((results / "scores.json").read_text(encoding="utf-8"))
    assert values == whole(frames=(0, 12), saturation=0.25).to_dict()


def test_the_command_takes_distances(results: Path) -> None:
    call(
        results,
        "--truth",
        results / "truth.parquet",
        "--pair-um",
        20,
        "--hit-um",
        4,
        "--margin-um",
        0,
    )
    values = json.loads((results / "scores.json").read_text(encoding="utf-8"))
    assert values["tolerances"] == {"pair_um": 20.0, "hit_um": 4.0, "margin_um": 0.0}
    assert values["localization"]["true_positives"] == 0
    assert values["localization"]["n_pairs"] == 11


def test_the_command_asks_for_what_it_cannot_know(results: Path) -> None:
    write_facts(results)
    with pytest.raises(UlmError, match="--pair-um"):
        call(results, "--truth", results / "truth.parquet")
    assert not (results / "scores.json").exists()
    call(results, "--truth", results / "truth.parquet", "--wavelength-um", 100)
    assert (results / "scores.json").exists()
    with pytest.raises(UlmError, match="must be positive"):
        call(results, "--truth", results / "truth.parquet", "--wavelength-um", -1)
    with pytest.raises(UlmError, match="is not a file"):
        call(results, "--truth", results / "other.parquet")
    with pytest.raises(UlmError, match="results folder"):
        call(results.parent, "--truth", results / "truth.parquet")
