"""Options that commands share, and the app that they register with.

In: nothing. Out: Typer's app, annotated option types. Shown by: `gristmill --help`.
Limit: `--store` must be on this machine's file system.
"""

from __future__ import annotations

import signal
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from gristmill.errors import StoreError
from gristmill.stopping import Interrupted
from gristmill.store import Store
from pipelines.cli.output import Format


class Stopped(Exception):
    """Ctrl-C or what else interrupts, in a command; Typer would end without a word."""

    def __init__(self, command: str, how: Interrupted) -> None:
        super().__init__(command)
        self.command, self.how = command, how


class _Commands(TyperGroup):
    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except Interrupted as how:
            raise Stopped(ctx.invoked_subcommand, how) from None
        except KeyboardInterrupt:
            raise Stopped(ctx.invoked_subcommand, Interrupted("", signal.SIGINT)) from None


app = typer.Typer(
    name="gristmill",
    cls=_Commands,
    help="Web dumps into language models: curation, synthesis, mixtures, training; "
    "fast, explained, versioned.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

StoreOption = Annotated[
    str,
    typer.Option("--store", envvar="GRISTMILL_STORE", help="Directory of the store."),
]
FormatOption = Annotated[Format, typer.Option("--format", help="How to print.")]
NameArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="A dataset: `web/clean`, `NAME@VERSION`, `NAME@TAG`.")
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set a variable or STEP.KEY (repeatable)."),
]


def open_store(path: str) -> Store:
    """The store at `--store`, which a run makes where there is none yet."""
    return Store(path)


def existing_store(path: str) -> Store:
    """The store at `--store`; StoreError where there is none."""
    store = Store(path)
    if not store.path.is_dir():
        what = "is no directory" if store.path.exists() else "is not there"
        raise StoreError(
            f"no store at {store.path}: it {what}; name another with --store or GRISTMILL_STORE, "
            "or make one with `gristmill run`"
        )
    return store
