"""Group the pieces of a block into passes of a network.

On a GPU, one pass processes as many pieces and views as fit into memory. On the CPU, a pass is one
piece and one view at a time, while other threads process other pieces: small tensors stay in the
processor's cache.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from napari_ulm3d.localize.pieces import Piece

__all__ = ["Pass", "halves_of_pass", "passes"]


@dataclass(frozen=True)
class Pass:
    """Pieces that are computed together.

    Attributes
    ----------
    pieces
        One or more pieces, in order.
    views
        Number of their mirror images in memory at once.
    """

    pieces: tuple[Piece, ...]
    views: int = 1

    def __str__(self) -> str:
        (first, *others) = self.pieces
        return f"{first} and {len(others)} pieces more" if others else str(first)


def passes(
    pieces: Sequence[Piece], n_voxels: Callable[[Piece], int], views: int, most: float | None
) -> list[Pass]:
    """Group pieces, in order, into passes that fit into memory.

    Parameters
    ----------
    pieces, n_voxels
        The pieces, and the number of voxels of each.
    views
        Views per piece.
    most
        Number of voxels that fit into memory, over all views; None: one piece and view per pass.
    """
    if most is None:
        return [Pass((piece,)) for piece in pieces]
    made: list[Pass] = []
    together: list[Piece] = []
    total = 0

    def close() -> None:
        if together:
            fitting = int(most // max(1, total))
            made.append(Pass(tuple(together), max(1, min(views, fitting))))
            together.clear()

    for piece in pieces:
        n = n_voxels(piece)
        if total + n > most:
            close()
            total = 0
        together.append(piece)
        total += n
    close()
    return made


def halves_of_pass(
    given: Pass, halves: Callable[[Piece], tuple[Piece, ...] | None]
) -> list[Pass] | None:
    """Split a pass that did not fit into memory: fewer views, fewer pieces, or smaller pieces.

    Parameters
    ----------
    halves
        Splits a piece; None if it cannot be split.
    """
    if given.views > 1:
        return [Pass(given.pieces, given.views // 2)]
    if len(given.pieces) > 1:
        middle = len(given.pieces) // 2
        return [Pass(given.pieces[:middle]), Pass(given.pieces[middle:])]
    smaller = halves(given.pieces[0])
    return None if smaller is None else [Pass((piece,)) for piece in smaller]
