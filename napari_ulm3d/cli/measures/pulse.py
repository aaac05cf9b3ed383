"""`napari-ulm3d pulse`: heart rate and pulsatility from the tracks of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["pulse"]


def pulse(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Results folder of a run.")],
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="CSV", help="Table of the vessels' pulsatility to write."),
    ] = None,
    map_: Annotated[
        Path | None,
        typer.Option(
            "--map", metavar="PATH", help="Map of pulsatility to write: .ome.tif .nii.gz ..."
        ),
    ] = None,
    lowest_hz: Annotated[
        float | None,
        typer.Option("--lowest-hz", help="Lowest heart rate searched. Default 2.", min=0.01),
    ] = None,
    highest_hz: Annotated[
        float | None,
        typer.Option("--highest-hz", help="Highest heart rate searched. Default 14.", min=0.01),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing files.")] = False,
) -> None:
    """Find the heartbeat in the tracks' speeds, without an ECG, and each vessel's pulsatility.

    Fails with a message if the frame rate, the duration or the number of tracks is insufficient, or
    if no rhythm is significant.
    """
    from napari_ulm3d.config.pulse import PulseConfig
    from napari_ulm3d.errors import ResultsError
    from napari_ulm3d.io.results import ResultsFolder
    from napari_ulm3d.io.writers import write
    from napari_ulm3d.system.atomic import atomic_path
    from napari_ulm3d.vasculature import vessels
    from napari_ulm3d.vasculature.pulse import pulsatility_map
    from napari_ulm3d.vasculature.pulse import pulse as find

    for path in (to, map_):
        if path is not None and path.exists() and not overwrite:
            raise ResultsError(f"{path}: already exists; add --overwrite or name another file.")
    given = {"lowest_hz": lowest_hz, "highest_hz": highest_hz}
    config = PulseConfig().replace(**{k: v for k, v in given.items() if v is not None})
    results = ResultsFolder.open(folder)
    if results.config.link.smoothing_distance_um is not None:
        raise ResultsError(
            f"{folder}: its tracks are smoothed over a distance, which dampens the pulse of slow bubbles by an "
            "unknown amount. Run again without link.smoothing_distance_um."
        )
    tracks, frames = results.tracks(), results.config.link.smoothing_frames
    graph = vessels(results) if to is not None or map_ is not None else None
    found = find(tracks, graph, config, smoothing_frames=frames)
    typer.echo(
        f"heart rate    {found.heart_rate_hz:.2f} Hz ({60 * found.heart_rate_hz:.0f} per minute)"
    )
    typer.echo(
        f"pulsatility   {found.pulsatility:.2f} ± {found.pulsatility_error:.2f} over all tracks, "
        "(maximum - minimum) / mean speed"
    )
    if to is not None:
        with atomic_path(to) as temporary:
            found.vessels.to_csv(temporary, index=False)
        typer.echo(f"Wrote {to}: {len(found.vessels)} vessels with enough tracks")
    if map_ is not None and graph is not None:
        grid = results.grid.isotropic(results.config.maps.resolution_factor)
        write(pulsatility_map(tracks, graph, found, grid), map_)
        typer.echo(f"Wrote {map_}")
