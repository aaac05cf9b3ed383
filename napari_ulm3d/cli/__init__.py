"""The command line: `napari-ulm3d COMMAND`, one file per command.

`--help` must be fast, so each command imports its dependencies when it runs.
"""

from __future__ import annotations

import io
import sys

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code; errors are one line on stderr."""
    from napari_ulm3d.cli.app import app

    try:
        app(arguments)
    except SystemExit as end:  # typer ends with the exit code
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def script() -> None:
    """Entry point of the console script."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A name or unit that the terminal cannot show must not end a command.
            stream.reconfigure(errors="backslashreplace")
    sys.exit(main())
