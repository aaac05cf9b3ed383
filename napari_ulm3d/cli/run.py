"""`napari-ulm3d run`: from files to localizations, tracks and vessel maps."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from napari_ulm3d.cli import options
from napari_ulm3d.config import Device, LinkConfig, LocalizeConfig, Localizer, PipelineConfig

__all__ = ["run"]


@options.takes_load_options
def run(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Files of one acquisition in temporal order, or one folder of them. "
            "May be left out when --config is the run.toml of an earlier run."
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Results folder to make.")] = Path(
        "results"
    ),
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", "-c", help="Settings as TOML, e.g. the run.toml of a results folder."
        ),
    ] = None,
    load: Any = None,
    localizer: Annotated[
        Localizer | None,
        typer.Option("--localizer", help=options.describe_setting(LocalizeConfig, "localizer")),
    ] = None,
    max_speed: Annotated[
        float | None,
        typer.Option(
            "--max-speed",
            metavar="MM_S",
            help=options.describe_setting(LinkConfig, "max_speed_mm_s"),
        ),
    ] = None,
    device: Annotated[
        Device | None,
        typer.Option("--device", help=options.describe_setting(PipelineConfig, "device")),
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="SECTION.KEY=VALUE",
            help="Any other setting, e.g. clutter.svd_range=8,150.",
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Finish the run that is in the folder; files and settings are its own "
            "unless they are given.",
        ),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the run that is in the folder.")
    ] = False,
) -> None:
    """Run the whole pipeline on the files of one acquisition."""
    from napari_ulm3d.cli.progress import follow
    from napari_ulm3d.io import open_acquisition
    from napari_ulm3d.pipeline import run_events

    if resume and config is None and (out / "run.toml").is_file():
        config = out / "run.toml"
    settings, recorded = _settings(config)
    values = settings.model_dump()
    values["load"] |= load
    if localizer is not None:
        values["localize"]["localizer"] = localizer
    if max_speed is not None:
        values["link"]["max_speed_mm_s"] = max_speed
    if device is not None:
        values["device"] = device
    settings = PipelineConfig.from_dict(values).with_settings(assignments or [])

    paths = files or recorded
    if not paths:
        raise typer.BadParameter(
            "name the files of the acquisition, or a --config that records them."
        )
    acquisition = open_acquisition(paths, settings.load)
    events = run_events(acquisition, settings, out, resume=resume, overwrite=overwrite)
    follow(events, acquisition, settings, out)


def _settings(path: Path | None) -> tuple[PipelineConfig, list[Path]]:
    """The settings of a file, and the input files it records (a run.toml does)."""
    import tomllib

    if path is None:
        return PipelineConfig(), []
    settings = PipelineConfig.from_toml(path)
    facts = tomllib.loads(path.read_text(encoding="utf-8"))
    return settings, [Path(name) for name in facts.get("acquisition", {}).get("files", [])]
