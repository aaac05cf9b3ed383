"""`napari-ulm3d evaluate`: the scores of a run against the ground truth of a simulation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from napari_ulm3d.evaluate import Scores

__all__ = ["evaluate"]


def evaluate(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Results folder of a run.")],
    truth: Annotated[
        Path, typer.Option("--truth", metavar="PATH", help="Ground truth: truth.parquet or a .csv.")
    ],
    wavelength_um: Annotated[
        float | None,
        typer.Option(
            "--wavelength-um", metavar="UM", help="Wavelength in the tissue. Default: the run's."
        ),
    ] = None,
    pair_um: Annotated[
        float | None,
        typer.Option(
            "--pair-um",
            metavar="UM",
            help="Bubbles and localizations closer than this are paired. Default: wavelength / 2.",
        ),
    ] = None,
    hit_um: Annotated[
        float | None,
        typer.Option(
            "--hit-um",
            metavar="UM",
            help="Pairs closer than this are true positives. Default: wavelength / 4.",
        ),
    ] = None,
    margin_um: Annotated[
        float | None,
        typer.Option(
            "--margin-um",
            metavar="UM",
            help="Border of the field of view left out. Default: the pairing distance.",
        ),
    ] = None,
    dice_voxel_um: Annotated[
        float | None,
        typer.Option(
            "--dice-voxel-um", metavar="UM", help="Voxel edge of the Dice score. Default: 25."
        ),
    ] = None,
) -> None:
    """Score a run's localizations, tracks and map; prints a table, writes DIR/scores.json."""
    from napari_ulm3d.errors import ConfigError
    from napari_ulm3d.evaluate import EvaluateConfig, read_truth
    from napari_ulm3d.evaluate import evaluate as score
    from napari_ulm3d.io.results import ResultsFolder

    given = {
        "pair_um": pair_um,
        "hit_um": hit_um,
        "margin_um": margin_um,
        "dice_voxel_um": dice_voxel_um,
    }
    config = EvaluateConfig().replace(**{k: v for k, v in given.items() if v is not None})
    results = ResultsFolder.open(folder)
    facts = results.facts()
    acquisition: dict[str, Any] = facts.get("acquisition", {})
    of_maps: dict[str, Any] = facts.get("result", {})
    if wavelength_um is None:
        wavelength_um = acquisition.get("wavelength_um")
    if wavelength_um is not None and not wavelength_um > 0:
        raise ConfigError(
            f"A wavelength of {wavelength_um:g} um is not positive; give --wavelength-um."
        )
    n_frames = acquisition.get("n_frames")
    scores = score(
        results.localizations(),
        results.tracks(),
        read_truth(truth),
        results.grid,
        wavelength_um,
        config,
        frames=None if n_frames is None else (0, int(n_frames)),
        resolution_um=of_maps.get("resolution_um"),
        saturation=of_maps.get("saturation"),
    )
    scores.to_json(results.path / "scores.json")
    _print(scores)
    typer.echo(f"Wrote {results.path / 'scores.json'}")


def _print(scores: Scores) -> None:
    from rich.console import Console
    from rich.table import Table

    tolerances = scores.tolerances
    table = Table(
        title=f"{scores.n_frames} frames against the ground truth",
        caption=(
            f"pairs closer than {tolerances.pair_um:.1f} um, hits closer than "
            f"{tolerances.hit_um:.1f} um; {tolerances.margin_um:.1f} um of border left out; "
            "a pair that is no hit counts as a false negative and a false positive"
        ),
    )
    table.add_column("of")
    table.add_column("score")
    table.add_column("value", justify="right")
    previous = ""
    for section, name, value in scores.rows():
        if previous and section != previous:
            table.add_section()
        table.add_row(section if section != previous else "", name, value)
        previous = section
    Console().print(table)
