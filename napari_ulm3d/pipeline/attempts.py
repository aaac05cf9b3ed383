"""Working on one block without letting its troubles end the run."""

from __future__ import annotations

import gc
import traceback
from collections.abc import Callable
from dataclasses import dataclass

from napari_ulm3d.acquisition import Block
from napari_ulm3d.errors import BackendError, BlockError, Cancelled, ConfigError, UlmError
from napari_ulm3d.filtering import FilteredBlock
from napari_ulm3d.io.results import BlockResult
from napari_ulm3d.pipeline.blocks import localize_block
from napari_ulm3d.pipeline.plan import BlockPlan

__all__ = ["Attempt", "attempt_block", "of_settings"]


@dataclass(frozen=True)
class Attempt:
    """What came of working on a block: a result, or an error that says why there is none.

    Attributes
    ----------
    details
        Traceback of an error that is none of ours, for the log.
    peak_memory_bytes
        Largest memory of the process that worked on it, None when not known.
    process
        Which process that was; empty: this one.
    """

    result: BlockResult | None = None
    error: UlmError | None = None
    details: str = ""
    peak_memory_bytes: int | None = None
    process: str = ""


def of_settings(error: UlmError) -> bool:
    """Whether an error lies in the settings or the machine, and so will come again and again."""
    return isinstance(error, ConfigError | BackendError)


def attempt_block(
    block: Block,
    plan: BlockPlan,
    stop: Callable[[], bool],
    filtered: FilteredBlock | None = None,
    progress: Callable[[float], None] | None = None,
) -> Attempt:
    """`localize_block`, with whatever goes wrong as a value.

    Raises
    ------
    Cancelled
        `stop` said so.
    """
    try:
        return Attempt(localize_block(block, plan, stop, filtered, progress))
    except Cancelled:
        raise
    except UlmError as error:
        # Without its frames, which hold the block in memory.
        return Attempt(error=error.with_traceback(None))
    except MemoryError as error:
        said = " ".join(str(error).split())
        del error
        gc.collect()
        return Attempt(
            error=BlockError(
                f"{block.name}: out of memory{f' ({said})' if said else ''}. Use shorter blocks "
                "(load.frames_per_block, or --memory)."
            )
        )
    except Exception as error:
        # What the libraries beneath raise on damaged data has no end; the log keeps it all.
        return Attempt(
            error=BlockError(
                f"{block.name}: unexpected error ({type(error).__name__}: "
                f"{' '.join(str(error).split())[:300]}). See the log for details."
            ),
            details=traceback.format_exc(),
        )
