"""The command line: `napari-ulm3d COMMAND`, one file a command.

`--help` must answer at once, so a command imports what it works with when it runs.
"""

from __future__ import annotations

import sys

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code; errors are one line on stderr."""
    import click

    from napari_ulm3d.cli.app import app
    from napari_ulm3d.errors import UlmError

    try:
        code = app(arguments, standalone_mode=False)
    except UlmError as error:
        print(f"napari-ulm3d: {error}", file=sys.stderr)
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        print("napari-ulm3d: stopped.", file=sys.stderr)
        return 130
    return code if isinstance(code, int) else 0


def script() -> None:
    """The console entry point."""
    sys.exit(main())
