"""`napari-ulm3d run`: from files to localizations, tracks and vessel maps."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from napari_ulm3d.cli import options
from napari_ulm3d.config import (
    PRESETS,
    Device,
    LinkConfig,
    LocalizeConfig,
    Localizer,
    NetworkConfig,
    PipelineConfig,
    settings_preset,
)
from napari_ulm3d.config.execution import Execution

__all__ = ["run"]

_BLOCKS_LEFT_OUT = 3  # exit code


@options.takes_execution_options
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
    preset: Annotated[
        str | None,
        typer.Option(
            "--preset", metavar="NAME", help=f"Settings under a name: {', '.join(PRESETS)}."
        ),
    ] = None,
    load: Any = None,
    localizer: Annotated[
        Localizer | None,
        typer.Option("--localizer", help=options.describe_setting(LocalizeConfig, "localizer")),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            "--weights",
            metavar="FILE",
            help=options.describe_setting(NetworkConfig, "weights"),
        ),
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
    execution: Any = None,
) -> None:
    """Run the whole pipeline on the files of one acquisition.

    Blocks that cannot be worked on are left out and named, and the exit code is then 3;
    --resume tries them again. A run that found nothing, hardly anything or mostly noise says so in
    its last line, with what to try; its exit code is 0.
    """
    from napari_ulm3d.cli.progress import follow
    from napari_ulm3d.io import open_acquisition
    from napari_ulm3d.pipeline import run_events

    if resume and config is None and (out / "run.toml").is_file():
        config = out / "run.toml"
    if preset is not None and config is not None:
        raise typer.BadParameter("give either --preset or --config.")
    settings, recorded = _settings(config)
    if preset is not None:
        settings = settings_preset(preset)
    values = settings.model_dump()
    values["load"] |= load
    if localizer is not None:
        values["localize"]["localizer"] = localizer
    if weights is not None:
        # Whole, so that --resume and a run.toml work from any folder.
        file = Path(weights).expanduser()
        values["network"]["weights"] = str(file.resolve()) if file.is_file() else weights
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
    where = Execution.from_dict(execution)
    if where.scheduler is not None:  # its workers have other current folders
        paths = [path.absolute() for path in paths]
    acquisition = open_acquisition(paths, settings.load, keep_damaged=True)
    report = follow(
        lambda tell, stop: run_events(
            acquisition,
            settings,
            out,
            resume=resume,
            overwrite=overwrite,
            execution=where,
            stop=stop,
            tell=tell,
        ),
        acquisition,
        settings,
        out,
    )
    if report.failed:
        raise typer.Exit(_BLOCKS_LEFT_OUT)


def _settings(path: Path | None) -> tuple[PipelineConfig, list[Path]]:
    """The settings of a file, and the input files it records (a run.toml does)."""
    import tomllib

    if path is None:
        return PipelineConfig(), []
    settings = PipelineConfig.from_toml(path)
    facts = tomllib.loads(path.read_text(encoding="utf-8"))
    return settings, [Path(name) for name in facts.get("acquisition", {}).get("files", [])]
