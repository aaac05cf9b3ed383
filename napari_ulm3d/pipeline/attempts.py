"""Process one block without letting its errors end the run."""

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
    """Outcome of processing a block: a result, or an error.

    Attributes
    ----------
    details
        Traceback of an unexpected error, for the log.
    peak_memory_bytes
        Peak memory of the process that did the work; None if unknown.
    process
        Name of that process; empty: this one.
    """

    result: BlockResult | None = None
    error: UlmError | None = None
    details: str = ""
    peak_memory_bytes: int | None = None
    process: str = ""


def of_settings(error: UlmError) -> bool:
    """Whether an error is due to the settings or the machine, and would recur in every block."""
    return isinstance(error, ConfigError | BackendError)


def attempt_block(
    block: Block,
    plan: BlockPlan,
    stop: Callable[[], bool],
    filtered: FilteredBlock | None = None,
    progress: Callable[[float], None] | None = None,
) -> Attempt:
    """Call `localize_block`, and return errors as values.

    Raises
    ------
    Cancelled
        `stop` returned true.
    """
    try:
        return Attempt(localize_block(block, plan, stop, filtered, progress))
    except Cancelled:
        raise
    except UlmError as error:
        # Drop the traceback, whose frames keep the block in memory.
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
        # Libraries may raise anything on damaged data; the traceback goes to the log.
        return Attempt(
            error=BlockError(
                f"{block.name}: unexpected error ({type(error).__name__}: "
                f"{' '.join(str(error).split())[:300]}). See the log for details."
            ),
            details=traceback.format_exc(),
        )
