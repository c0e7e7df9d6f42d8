"""The command line: `gristmill COMMAND`, one file a group of commands.

In: arguments. Out: tables, JSON or CSV on stdout; progress and errors on stderr; 1 on errors.
Shown by: `gristmill --help`.
Limit: what a command needs beyond manifests must be imported when it runs, so that `ls` is quick.
"""

from __future__ import annotations

import os
import sys

from gristmill.errors import GristmillError
from pipelines.cli import (
    datasets,
    explain,
    export,
    keep,
    mixture,
    page,
    query,
    requests,
    run,
    schema,
    stats,
)
from pipelines.cli.options import Stopped, app

__all__ = [
    "app",
    "datasets",
    "explain",
    "export",
    "keep",
    "main",
    "mixture",
    "page",
    "query",
    "requests",
    "run",
    "schema",
    "stats",
]

MAKERS = {"run", "import"}  # commands that keep what they have done so far


def main() -> None:
    """Entry point of the console script."""
    try:
        app()
    except GristmillError as error:
        _stop(f"error: {error}", 1)
    except (NotADirectoryError, FileNotFoundError, PermissionError) as error:
        _stop(f"error: {error.filename}: {error.strerror}; is the path right?", 1)
    except BrokenPipeError:  # `gristmill sql … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Stopped as stopped:
        saved = f": {stopped.how}" if str(stopped.how) else ""
        where = "from there" if saved else "where it was"
        goes_on = f"; the same command goes on {where}" if stopped.command in MAKERS else ""
        _stop(f"stopped{saved}{goes_on}", 128 + stopped.how.number)
    except KeyboardInterrupt:
        _stop("stopped", 130)


def _stop(message: str, code: int) -> None:
    sys.stdout.flush()
    print(message, file=sys.stderr)
    sys.exit(code)
