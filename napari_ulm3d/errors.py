"""Errors that a user can resolve: one sentence each, with a remedy.

Every error that a user can cause derives from `UlmError`. Its message names the file or
setting, the problem, and what to do. The command line prints that line and exits with
`exit_code`; the viewer shows it in the widget.
"""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike, fspath
from typing import Any

__all__ = [
    "BackendError",
    "BlockError",
    "Cancelled",
    "ConfigError",
    "InputError",
    "MissingMetadataError",
    "ResultsError",
    "SettingFault",
    "UlmError",
]


class UlmError(Exception):
    """An error that a user can correct; `str(error)` is one line with the remedy."""

    exit_code = 2

    def __reduce__(self) -> Any:
        # Worker processes pickle errors. By default, unpickling calls __init__ with the message
        # alone, but the subclasses take other arguments.
        return _rebuilt, (type(self), self.args, self.__dict__)


def _rebuilt(kind: type[UlmError], args: tuple[Any, ...], state: dict[str, Any]) -> UlmError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


class InputError(UlmError):
    """A file that cannot be used as an acquisition.

    Parameters
    ----------
    path
        The file or folder concerned.
    problem
        What is wrong with it, as a predicate ("has 2 axes, 3 or 4 are needed").
    remedy
        What to do, as an imperative sentence ("Name the axes with --axes tzyx.").
    """

    def __init__(self, path: str | PathLike[str] | None, problem: str, remedy: str = "") -> None:
        self.path = None if path is None else fspath(path)
        self.problem = problem
        self.remedy = remedy
        where = f"{self.path}: " if self.path else ""
        super().__init__(" ".join(f"{where}{problem.rstrip('.')}. {remedy}".split()))


class MissingMetadataError(InputError):
    """The acquisition lacks quantities that must not be guessed.

    Parameters
    ----------
    path
        The file concerned.
    missing
        Names of the `LoadConfig` fields that are needed, e.g. ``("voxel_um", "rate_hz")``.
    remedy
        How to supply them.
    """

    def __init__(
        self, path: str | PathLike[str] | None, missing: tuple[str, ...], remedy: str
    ) -> None:
        self.missing = missing
        super().__init__(path, f"does not state {' or '.join(missing)}", remedy)


@dataclass(frozen=True)
class SettingFault:
    """A problem with one setting.

    Attributes
    ----------
    where
        Name of the setting, preceded by its section if it has one and followed by the position in a
        tuple; empty if several settings conflict.
    problem
        The problem itself, without the name.
    """

    where: tuple[str | int, ...]
    problem: str


class ConfigError(UlmError):
    """A setting that is unknown, out of range or in conflict with another.

    Parameters
    ----------
    message
        One sentence.
    faults
        The individual settings at fault, if known.
    """

    def __init__(self, message: str, faults: tuple[SettingFault, ...] = ()) -> None:
        self.faults = faults
        super().__init__(message)


class ResultsError(UlmError):
    """A results folder that cannot be read or must not be overwritten."""


class BackendError(UlmError):
    """A requested device or library that is not available."""

    exit_code = 3


class BlockError(UlmError):
    """A block that cannot be processed, for a reason other than a file or a setting."""


class Cancelled(UlmError):
    """The user stopped the work; finished parts are kept."""

    exit_code = 130
