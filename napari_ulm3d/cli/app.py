"""The command-line application with all commands."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any

import typer

from napari_ulm3d._version import __version__
from napari_ulm3d.cli.calibrate import calibrate
from napari_ulm3d.cli.demo import demo
from napari_ulm3d.cli.doctor import doctor
from napari_ulm3d.cli.evaluate import evaluate
from napari_ulm3d.cli.export import export
from napari_ulm3d.cli.info import info
from napari_ulm3d.cli.measures.pulse import pulse
from napari_ulm3d.cli.measures.refine import refine
from napari_ulm3d.cli.measures.report import report
from napari_ulm3d.cli.measures.study import study
from napari_ulm3d.cli.measures.vessels import vessels
from napari_ulm3d.cli.run import run
from napari_ulm3d.cli.simulate import simulate
from napari_ulm3d.cli.train import train
from napari_ulm3d.cli.view import view
from napari_ulm3d.errors import UlmError

__all__ = ["app"]

app = typer.Typer(
    name="napari-ulm3d",
    help=(
        "3-D ultrasound localization microscopy: from acquired files to microbubble "
        "tracks and vessel maps."
    ),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


#: Errors of the operating system that any command may meet, with remedies.
_OF_THE_SYSTEM = {
    errno.ENAMETOOLONG: "Use a shorter name or path.",
    errno.ELOOP: "It is a link that leads to itself: name the file.",
    errno.ENOSPC: "Free some space, or write to another disk.",
}


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    pass


def _guarded(command: Callable[..., None]) -> Callable[..., None]:
    """Wrap a command: our own errors become one line on stderr and an exit code."""

    @wraps(command)
    def run_command(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except UlmError as error:
            print(f"napari-ulm3d: {error}", file=sys.stderr)
            raise SystemExit(error.exit_code) from error
        except OSError as error:
            if error.errno not in _OF_THE_SYSTEM:
                raise
            where = f"{error.filename}: " if error.filename else ""
            print(
                f"napari-ulm3d: {where}{error.strerror}. {_OF_THE_SYSTEM[error.errno]}",
                file=sys.stderr,
            )
            raise SystemExit(2) from error
        except KeyboardInterrupt as error:
            print("napari-ulm3d: stopped.", file=sys.stderr)
            raise SystemExit(130) from error

    return run_command


for command in (
    run,
    info,
    calibrate,
    export,
    vessels,
    pulse,
    report,
    study,
    refine,
    evaluate,
    simulate,
    train,
    view,
    demo,
    doctor,
):
    app.command()(_guarded(command))
