"""Export of parts of a results folder to files for other programs."""

from __future__ import annotations

from os import PathLike, fspath
from pathlib import Path

from napari_ulm3d.errors import ResultsError
from napari_ulm3d.io.results import ResultsFolder
from napari_ulm3d.io.writers import suffixes_for, write
from napari_ulm3d.tables import Localizations, Tracks
from napari_ulm3d.volumes import VesselMap

__all__ = ["export_results"]


def export_results(
    folder: str | PathLike[str],
    to: str | PathLike[str],
    what: str | None = None,
    *,
    overwrite: bool = False,
) -> None:
    """Write tracks, localizations or a map of a run; the suffix of `to` selects the format.

    Parameters
    ----------
    folder
        Results folder.
    to
        File to write.
    what
        ``tracks``, ``localizations`` or the name of a map; None: tracks for the suffix of a
        table, the density map otherwise.
    overwrite
        Replace `to` if it exists.

    Raises
    ------
    ResultsError
        There is no such run, part or format, or `to` exists.
    """
    results = ResultsFolder.open(folder)
    target = Path(to)
    if target.exists() and not overwrite:
        raise ResultsError(f"{target}: already exists. Add --overwrite, or name another file.")
    if what is None:
        name = fspath(to).lower()
        for_maps = name.endswith(suffixes_for(VesselMap))
        what = "tracks" if name.endswith(suffixes_for(Tracks)) and not for_maps else "density"
    known = tuple(dict.fromkeys(suffixes_for(Tracks) + suffixes_for(VesselMap)))
    if not fspath(to).lower().endswith(known):
        raise ResultsError(f"{target}: unknown suffix. Use one of {' '.join(known)}.")
    part: Localizations | Tracks | VesselMap
    if what == "tracks":
        part = results.tracks()
    elif what == "localizations":
        part = results.localizations()
    else:
        part = results.map(what)
    write(part, target)
