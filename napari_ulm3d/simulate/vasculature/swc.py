"""Reader for vessel trees traced as SWC files (id type x y z radius parent)."""

from __future__ import annotations

import gzip
import zlib
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.errors import InputError
from napari_ulm3d.simulate.vasculature.network import VesselNetwork

__all__ = ["read_lines", "read_swc"]

_COLUMNS = "id type x y z radius parent"


def read_swc(path: str | PathLike[str], um_per_unit: float = 1.0) -> VesselNetwork:
    """Read one or more trees from an SWC file, plain or gzip-compressed (``.swc.gz``).

    Each line is a point: id, type, x, y, z, radius, id of the parent (-1: a root); lines starting
    with ``#`` are comments. Each point except the roots forms a segment with its parent; its
    radius is the mean of the two points' radii. Points at exactly the position of their parent are
    merged with it. Node 0 is the first root. Format: Cannon et al., J. Neurosci. Methods
    84:49-54 (1998).

    Parameters
    ----------
    path
        The file.
    um_per_unit
        Length of the file's unit in micrometres.

    Raises
    ------
    InputError
        The file cannot be read, a line is not a point, an id is repeated, a parent is
        missing, parents form a cycle, or nothing is left.
    """
    rows: list[tuple[float, ...]] = []
    for number, line in enumerate(read_lines(path), 1):
        text = line.split("#", 1)[0].replace(",", " ").split()
        if not text:
            continue
        try:
            values = tuple(float(word) for word in text[:7])
        except ValueError:
            values = ()
        if len(values) < 7 or not np.isfinite(values).all():
            raise InputError(
                path,
                f"line {number} is not a point of an SWC file",
                f"Give {_COLUMNS} on each line.",
            )
        rows.append(values)
    if not rows:
        raise InputError(path, "contains no points", f"Give lines of {_COLUMNS}.")
    table = np.array(rows)
    position = table[:, [4, 3, 2]] * um_per_unit
    radius = table[:, 5] * um_per_unit
    if not (radius > 0).all():
        worst = int(table[np.argmin(radius), 0])
        raise InputError(path, f"point {worst} has no positive radius", "Give each point a radius.")
    parent = _parents(path, table[:, 0], table[:, 6])
    place = _merged(path, position, parent)
    child = np.flatnonzero((place == np.arange(len(place))) & (parent >= 0))
    if not child.size:
        raise InputError(
            path, "contains no two connected points", "Name the parents in the last column."
        )
    above = place[parent[child]]
    segments = np.stack([above, child], axis=1)
    name = Path(path).name.removesuffix(".gz").removesuffix(".swc")
    network = VesselNetwork(
        position, segments, (radius[above] + radius[child]) / 2, None, None, name
    )
    return network.selected(np.ones(len(segments), bool))


def read_lines(path: str | PathLike[str]) -> list[str]:
    """Lines of a text file, gzip-compressed or not; raises `InputError` if it cannot be read."""
    try:
        data = Path(path).read_bytes()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(path, f"cannot be read ({error})", "Check the file.") from error
    if b"\x00" in data:
        raise InputError(path, "is not a text file", "Give a file of lines of text.")
    # Names may contain any characters; the numbers are ASCII.
    return data.decode("latin-1").replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _parents(
    path: str | PathLike[str], ident: NDArray[np.float64], parent: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Row of each point's parent, (n,), -1 for a root; refuses repeated ids and missing parents."""
    if (ident != np.round(ident)).any() or (parent != np.round(parent)).any():
        raise InputError(path, "has ids that are not whole numbers", f"Give {_COLUMNS}.")
    order = np.argsort(ident, kind="stable")
    ids = ident[order]
    twice = np.flatnonzero(ids[1:] == ids[:-1])
    if twice.size:
        raise InputError(
            path, f"uses the id {ids[twice[0]]:.0f} twice", "Give each point its own id."
        )
    root = parent < 0
    at = np.minimum(np.searchsorted(ids, parent), len(ids) - 1)
    missing = np.flatnonzero(~root & (ids[at] != parent))
    if missing.size:
        row = missing[0]
        raise InputError(
            path,
            f"point {ident[row]:.0f} names the parent {parent[row]:.0f}, which does not exist",
            "Use -1 for a root.",
        )
    return np.where(root, -1, order[at])


def _merged(
    path: str | PathLike[str], position: NDArray[np.float64], parent: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Each point itself or its ancestor at the same position, (n,); refuses cycles."""
    place = np.arange(len(parent))
    done = parent < 0
    if not done.any():
        raise InputError(path, "has no root", "Give one point the parent -1.")
    # One generation after the other from the roots, so that parents come before their children.
    order = np.argsort(parent, kind="stable")
    bounds = np.searchsorted(parent[order], np.arange(len(parent) + 1))
    current = np.flatnonzero(done)
    while current.size:
        children = np.concatenate([order[bounds[p] : bounds[p + 1]] for p in current])
        above = place[parent[children]]
        same = (position[children] == position[above]).all(axis=1)
        place[children[same]] = above[same]
        done[children] = True
        current = children
    if not done.all():
        raise InputError(path, "has parents that form a loop", "Break the loop with a root.")
    return place
