"""`napari-ulm3d evaluate`: quality of a run, with scores if the ground truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from napari_ulm3d.evaluate import Scores
    from napari_ulm3d.io.results import ResultsFolder

__all__ = ["evaluate"]


def evaluate(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Results folder of a run.")],
    truth: Annotated[
        Path | None,
        typer.Option(
            "--truth",
            metavar="PATH",
            help="Ground truth: truth.parquet or a .csv. Without it: the run's own quality measures.",
        ),
    ] = None,
    wavelength_um: Annotated[
        float | None,
        typer.Option(
            "--wavelength-um",
            metavar="UM",
            help="Wavelength in tissue. Default: the value of the run.",
        ),
    ] = None,
    pair_um: Annotated[
        float | None,
        typer.Option(
            "--pair-um",
            metavar="UM",
            help=(
                "Maximum distance at which a bubble and a localization are paired. Default: "
                "wavelength / 2."
            ),
        ),
    ] = None,
    hit_um: Annotated[
        float | None,
        typer.Option(
            "--hit-um",
            metavar="UM",
            help="Maximum distance at which a pair is a true positive. Default: wavelength / 4.",
        ),
    ] = None,
    margin_um: Annotated[
        float | None,
        typer.Option(
            "--margin-um",
            metavar="UM",
            help="Border of the field of view to exclude. Default: the pairing distance.",
        ),
    ] = None,
    dice_voxel_um: Annotated[
        float | None,
        typer.Option(
            "--dice-voxel-um", metavar="UM", help="Voxel edge used for the Dice score. Default: 25."
        ),
    ] = None,
) -> None:
    """Score a run's localizations, tracks and map; prints a table, writes DIR/scores.json.

    Without a ground truth it prints the share of tracks expected by chance, the resolution, the
    saturation and the motion recorded by the run, and writes nothing.
    """
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
    if truth is None:
        _print_evidence(results)
        return
    facts = results.facts()
    acquisition: dict[str, Any] = facts.get("acquisition", {})
    of_maps: dict[str, Any] = facts.get("result", {})
    if wavelength_um is None:
        wavelength_um = acquisition.get("wavelength_um")
    if wavelength_um is not None and not wavelength_um > 0:
        raise ConfigError(
            f"The wavelength must be positive, not {wavelength_um:g} um. Give it with "
            "--wavelength-um."
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


_LENGTHS = (2, 3, 5, 7, 10, 15, 20)


def _print_evidence(results: ResultsFolder) -> None:
    """Print the quality measures stored with the run."""
    import pandas as pd
    from rich.console import Console
    from rich.table import Table

    from napari_ulm3d.errors import ResultsError
    from napari_ulm3d.maps import resolution_text
    from napari_ulm3d.maps.confidence import SHOWN, confidence_rows

    if not results.complete:
        raise ResultsError(f"{results.path}: the run is not finished; add --resume to `run`.")
    found: dict[str, Any] = results.facts()["result"]
    summary = Table(title="The run by its own evidence", show_header=False)

    def row(name: str, key: str, form: str) -> None:
        if key in found:
            summary.add_row(name, form.format(found[key]))

    row("tracks", "n_tracks", "{:,}")
    row("shortest track", "min_length_frames", "{} frames")
    row("tracks by chance", "chance_share", "{:.2%}")
    resolved = resolution_text(found.get("resolution_um"), found.get("n_tracks"))
    summary.add_row("resolution (FSC, 1/2 bit)", resolved)
    for axis, value in found.get("axes_um", {}).items() if resolved.endswith("um") else ():
        summary.add_row(f"  along {axis}", f"{value:.1f} um")
    names = set(results.map_names()) & set(SHOWN)
    for name, value in confidence_rows({name: results.map(name) for name in names}):
        summary.add_row(name, value)
    row("saturation", "saturation", "{:.2%} of the map's voxels")
    for name, value in found.get("forecast", {}).items():
        summary.add_row(f"  {name}", value)
    row("motion of the tissue", "motion_rms_um", "{:.1f} um rms")
    row("frames left out", "frames_left_out", "{:,}")
    Console().print(summary)
    path = results.path / "chance_tracks.csv"
    if not path.is_file():
        return
    counts = pd.read_csv(path).set_index("length_frames")
    table = Table(
        title="Tracks by chance (frames in random order)",
        caption="permuted: all localizations, an upper bound; by chance: only those in no true track",
    )
    for name in ("at least", "tracks", "by chance", "permuted"):
        table.add_column(name, justify="right")
    for length in _LENGTHS:
        if length in counts.index:
            longer = counts.loc[length:]
            shares = counts.loc[length, ["share_by_chance", "share_permuted"]]
            table.add_row(
                f"{length} frames", f"{longer['tracks'].sum():,.0f}", *(f"{s:.1%}" for s in shares)
            )
    Console().print(table)


def _print(scores: Scores) -> None:
    from rich.console import Console
    from rich.table import Table

    tolerances = scores.tolerances
    table = Table(
        title=f"{scores.n_frames} frames against the ground truth",
        caption=(
            f"pairs: closer than {tolerances.pair_um:.1f} um; hits: closer than "
            f"{tolerances.hit_um:.1f} um; {tolerances.margin_um:.1f} um of border excluded; a "
            "pair that is not a hit counts as one false negative and one false positive"
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
