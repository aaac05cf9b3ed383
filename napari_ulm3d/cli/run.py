"""`napari-ulm3d run`: from files to localizations, tracks and vessel maps."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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

if TYPE_CHECKING:
    from napari_ulm3d.acquisition import Acquisition
    from napari_ulm3d.pipeline import RunReport

__all__ = ["run"]

_BLOCKS_LEFT_OUT = 3  # exit code


@dataclass(frozen=True)
class Given:
    """Settings given on the command line."""

    config: Annotated[
        Path | None,
        typer.Option(
            "--config", "-c", help="Settings file (TOML), such as the run.toml of a results folder."
        ),
    ] = None
    preset: Annotated[
        str | None,
        typer.Option("--preset", metavar="NAME", help=f"Named settings: {', '.join(PRESETS)}."),
    ] = None
    localizer: Annotated[
        Localizer | None,
        typer.Option("--localizer", help=options.describe_setting(LocalizeConfig, "localizer")),
    ] = None
    weights: Annotated[
        str | None,
        typer.Option(
            "--weights",
            metavar="FILE",
            help=options.describe_setting(NetworkConfig, "weights"),
        ),
    ] = None
    max_speed: Annotated[
        float | None,
        typer.Option(
            "--max-speed",
            metavar="MM_S",
            help=options.describe_setting(LinkConfig, "max_speed_mm_s"),
        ),
    ] = None
    device: Annotated[
        Device | None,
        typer.Option("--device", help=options.describe_setting(PipelineConfig, "device")),
    ] = None
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="SECTION.KEY=VALUE",
            help="Any other setting, such as clutter.svd_range=8,150.",
        ),
    ] = None

    def resolve(self, load: dict[str, Any], resumed: Path) -> tuple[PipelineConfig, list[Path]]:
        """The settings, and the input files listed in their file (as in a run.toml).

        Parameters
        ----------
        load
            Settings of the section `load` that were given.
        resumed
            Default settings file; it may not exist.
        """
        config = self.config or (resumed if resumed.is_file() else None)
        if self.preset is not None and config is not None:
            raise typer.BadParameter("give either --preset or --config, not both.")
        settings, recorded = _settings(config)
        if self.preset is not None:
            settings = settings_preset(self.preset)
        values = settings.model_dump()
        values["load"] |= load
        for section, name, value in (
            ("localize", "localizer", self.localizer),
            ("network", "weights", self._weights()),
            ("link", "max_speed_mm_s", self.max_speed),
        ):
            if value is not None:
                values[section][name] = value
        if self.device is not None:
            values["device"] = self.device
        config_given = PipelineConfig.from_dict(values)
        return config_given.with_settings(self.assignments or []), recorded

    def _weights(self) -> str | None:
        """Absolute path, so that --resume and a run.toml work from any folder."""
        file = Path(self.weights or "").expanduser()
        return str(file.resolve()) if file.is_file() else self.weights


@options.takes_execution_options
@options.takes_load_options
@options.takes_group("given", Given)
def run(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            help=(
                "Files of one acquisition in temporal order, or the folder that contains them. "
                "Optional if --config is the run.toml of an earlier run."
            )
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Results folder to create.")] = Path(
        "results"
    ),
    given: Any = None,
    load: Any = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help=(
                "Finish the interrupted run in the results folder. Its files and settings are "
                "used unless you give others."
            ),
        ),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the run in the results folder.")
    ] = False,
    report: Annotated[
        bool,
        typer.Option("--report", help="Also write report.html into the results folder at the end."),
    ] = False,
    execution: Any = None,
) -> None:
    """Run the whole pipeline on the files of one acquisition.

    Blocks that cannot be processed are skipped and listed, and the exit code is 3; --resume tries
    them again. If a run found nothing, very little or mostly noise, the last line says so and
    suggests what to try; the exit code is 0.
    """
    from napari_ulm3d.io import open_acquisition

    settings, recorded = given.resolve(load, out / "run.toml" if resume else Path())
    paths = files or recorded
    if not paths:
        raise typer.BadParameter(
            "give the files of the acquisition, or a --config that lists them."
        )
    where = Execution.from_dict(execution)
    if where.scheduler is not None:  # its workers have other working directories
        paths = [path.absolute() for path in paths]
    acquisition = open_acquisition(paths, settings.load, keep_damaged=True)
    done = _followed(acquisition, settings, out, where, resume=resume, overwrite=overwrite)
    if report:
        _write_report(out)
    if done.failed:
        raise typer.Exit(_BLOCKS_LEFT_OUT)


def _write_report(out: Path) -> None:
    from napari_ulm3d.report import write_report

    page = out / "report.html"
    write_report(out, page, overwrite=True)
    typer.echo(f"Report: {page}")


def _followed(
    acquisition: Acquisition,
    settings: PipelineConfig,
    out: Path,
    where: Execution,
    **how: bool,
) -> RunReport:
    from napari_ulm3d.cli.terminal.progress import follow
    from napari_ulm3d.pipeline import run_events

    return follow(
        lambda tell, stop: run_events(
            acquisition, settings, out, execution=where, stop=stop, tell=tell, **how
        ),
        acquisition,
        settings,
        out,
    )


def _settings(path: Path | None) -> tuple[PipelineConfig, list[Path]]:
    """The settings in a file, and the input files that it lists (as in a run.toml)."""
    import tomllib

    if path is None:
        return PipelineConfig(), []
    settings = PipelineConfig.from_toml(path)
    facts = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    return settings, [Path(name) for name in facts.get("acquisition", {}).get("files", [])]
