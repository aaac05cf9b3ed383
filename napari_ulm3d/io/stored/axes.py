"""Letters for stored axes, and views of frames in the stored order of axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.errors import InputError

__all__ = ["Layout", "fit_axes", "frame_shape", "stored_view"]


@dataclass(frozen=True)
class Layout:
    """Meaning of an array's axes, or the question that only the user can answer.

    Parameters
    ----------
    letters
        One letter of ``tzyxc_`` for each stored axis (`c`: real and imaginary part, `_`: an
        axis of length one to drop), or None if the axes are unknown.
    note
        The assumption made, as a sentence.
    names
        The file's own letters: in a 2-D movie, its rows may be called y but are z here.
    stack
        The single frame could also be a movie in a stack of one.
    problem, remedy
        As in `InputError`, if `letters` is None.
    """

    letters: str | None
    note: str = ""
    names: str = ""
    stack: bool = False
    problem: str = ""
    remedy: str = ""


def fit_axes(axes: str, shape: Sequence[int], name: str) -> str:
    """Assign a letter to each stored axis.

    Parameters
    ----------
    axes
        Distinct letters of ``tzyxc`` including z and x, or ``_`` for an axis of length one
        to drop. Fewer letters than axes are allowed if the other axes have length one.
    shape
        The stored shape.
    name
        The array's name, for messages.

    Returns
    -------
    str
        One letter per axis of the array; dropped axes are ``_``.

    Raises
    ------
    InputError
        The letters do not fit the shape.
    """
    long_axes = sum(n > 1 for n in shape)
    pair = "c" if long_axes == 5 else ""
    example = {2: "zx", 3: "tzx"}.get(long_axes, f"tzyx{pair}")
    remedy = (
        "Give one letter per axis in the stored order: t, z (depth), y (elevation), x "
        f"(lateral), c (I and Q), such as --axes {example}."
    )
    letters = [a for a in axes if a != "_"]
    if len(set(letters)) != len(letters) or not {"z", "x"} <= set(letters) <= set("tzyxc"):
        raise InputError(name, f"cannot have the axes '{axes}'", remedy)
    if len(axes) != len(shape):
        # MATLAB and TIFF keep or drop axes of length one, so these need no letter.
        if sum(n > 1 for n in shape) == len(letters) < len(shape):
            rest = iter(letters)
            axes = "".join("_" if n == 1 else next(rest) for n in shape)
        else:
            raise InputError(
                name,
                f"has {len(shape)} axes {tuple(shape)}, not the {len(axes)} of '{axes}'",
                remedy,
            )
    for letter, n in zip(axes, shape, strict=True):
        if letter == "_" and n != 1:
            raise InputError(name, f"has an unnamed axis of length {n} in {tuple(shape)}", remedy)
        if letter == "c" and n != 2:
            raise InputError(
                name, f"has {n} elements along axis c; real and imaginary parts make 2", remedy
            )
    return axes


def frame_shape(axes: str, shape: Sequence[int]) -> tuple[int, int, int, int]:
    """Shape (t, z, y, x) of an array with these stored axes; missing axes have length one."""
    sizes = dict(zip(axes, shape, strict=True))
    t, z, y, x = (int(sizes.get(letter, 1)) for letter in "tzyx")
    return (t, z, y, x)


def stored_view(frames: NDArray[np.generic], axes: str) -> NDArray[np.generic]:
    """View C-contiguous frames (t, z, y, x) with the axes in the stored order.

    Writing a stored array into the view puts every element in its place. With an axis c
    the frames are complex and the view is real, with real and imaginary parts along c.
    """
    order = "tzyx"
    if "c" in axes:
        frames = frames.view(frames.real.dtype).reshape(*frames.shape, 2)
        order = "tzyxc"
    stored = [letter for letter in axes if letter != "_"]
    # Axes that are not stored have length one in the frames: index them away.
    index = tuple(slice(None) if letter in stored else 0 for letter in order)
    view = frames[index]
    kept = [letter for letter in order if letter in stored]
    view = view.transpose([kept.index(letter) for letter in stored])
    dropped = [i for i, letter in enumerate(axes) if letter == "_"]
    return np.expand_dims(view, tuple(dropped)) if dropped else view
