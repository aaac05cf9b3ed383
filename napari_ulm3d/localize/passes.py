"""Which pieces of a block go through a network together.

A GPU is kept busy by one pass over as many pieces, and as many of their views, as the memory
holds. On the CPU a piece is a pass and one view follows the other, while other threads work on
other pieces: small tensors stay in the processor's cache.
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
        One or more, in order.
    views
        How many of their mirror images are in memory at once.
    """

    pieces: tuple[Piece, ...]
    views: int = 1

    def __str__(self) -> str:
        (first, *others) = self.pieces
        return f"{first} and {len(others)} pieces more" if others else str(first)


def passes(
    pieces: Sequence[Piece], n_voxels: Callable[[Piece], int], views: int, most: float | None
) -> list[Pass]:
    """Pieces in order, as many in a pass as fit.

    Parameters
    ----------
    pieces, n_voxels
        In order, and the voxels of each.
    views
        Views of each piece.
    most
        Voxels that the memory holds, of all views together; None: one piece and one view a pass.
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
    """Less at once where a pass did not fit after all: fewer views, pieces, or smaller ones.

    Parameters
    ----------
    halves
        Smaller pieces in place of one, if there are any.
    """
    if given.views > 1:
        return [Pass(given.pieces, given.views // 2)]
    if len(given.pieces) > 1:
        middle = len(given.pieces) // 2
        return [Pass(given.pieces[:middle]), Pass(given.pieces[middle:])]
    smaller = halves(given.pieces[0])
    return None if smaller is None else [Pass((piece,)) for piece in smaller]
