"""`napari-ulm3d view`: a results folder in napari."""

from __future__ import annotations

from importlib import util
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["view"]


def view(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Results folder of a run.")],
) -> None:
    """Open a run's density map and tracks in napari."""
    from napari_ulm3d.cli.doctor import has_display
    from napari_ulm3d.errors import BackendError
    from napari_ulm3d.io.results import ResultsFolder

    ResultsFolder.open(folder)
    if util.find_spec("napari") is None:
        raise BackendError('napari is not installed: pip install "napari-ulm3d[gui]"')
    if not has_display():
        raise BackendError("No display found, so napari cannot open here.")
    from napari_ulm3d.plugin.view import show_results

    show_results(folder)
