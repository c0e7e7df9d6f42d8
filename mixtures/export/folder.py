"""The folder of an export: there whole or not at all, and never inside a store.

In: where it shall lie. Out: a folder to write in, renamed into place when all is written.
Shown by: `gristmill export tokens/web --to olmo --out web-olmo`.
Limit: an export that was killed begins again; it leaves `OUT.partial`, which the next one empties.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gristmill.errors import GristmillError
from gristmill.store import Store

ABOUT = "gristmill.json"  # beside the files; what makes a folder an export
_LOCK = ".exporting"


@contextmanager
def folder(out: Path, store: Store, overwrite: bool) -> Iterator[Path]:
    """A new folder that becomes `out` if nothing goes wrong.

    Raises GristmillError where `out` lies in the store, holds anything (unless it is an earlier
    export and `overwrite` is set), or is being written by another process.
    """
    out = out.expanduser().absolute()
    _check(out, store, overwrite)
    partial = out.with_name(out.name + ".partial")
    with _owned(partial, out):
        for child in partial.iterdir():
            if child.name != _LOCK:
                shutil.rmtree(child) if child.is_dir() else child.unlink()
        try:
            yield partial
        except BaseException as error:
            shutil.rmtree(partial, ignore_errors=True)
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise GristmillError(
                    f"{out}: the disk is full; nothing is left of the export. Make room, or name "
                    "another --out"
                ) from None
            raise
        (partial / _LOCK).unlink()
        _put(partial, out)


@contextmanager
def _owned(partial: Path, out: Path) -> Iterator[None]:
    """Hold `partial`: a folder that this or an earlier export began."""
    fresh = not partial.exists()
    if not fresh and not (partial / _LOCK).is_file():
        raise GristmillError(
            f"{partial} is in the way and was not begun by an export; move it, or use another --out"
        )
    partial.mkdir(parents=True, exist_ok=True)
    with open(partial / _LOCK, "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise GristmillError(
                f"{out} is being written by another export; wait for it, or use another --out"
            ) from None
        yield


def _check(out: Path, store: Store, overwrite: bool) -> None:
    if store.path in (out.resolve(), *out.resolve().parents):
        raise GristmillError(
            f"--out {out} lies inside the store {store.path}, which holds versions and nothing "
            "else; export beside it"
        )
    if out.exists() and not out.is_dir():
        raise GristmillError(f"--out {out} is a file; an export is a folder: name another")
    if not out.is_dir() or not any(out.iterdir()):
        return
    if not overwrite:
        raise GristmillError(
            f"--out {out} is not empty; name another folder, or add --overwrite to replace it"
        )
    if not (out / ABOUT).is_file():
        raise GristmillError(
            f"--out {out} holds files that are no export ({ABOUT} is missing), so --overwrite "
            "leaves it alone; empty it yourself, or name another folder"
        )


def _put(partial: Path, out: Path) -> None:
    """Rename into place; what is there goes aside first, and is removed last."""
    old = out.with_name(f".{out.name}.replaced-{os.getpid()}")
    if out.is_dir() and any(out.iterdir()):
        os.rename(out, old)
    os.rename(partial, out)
    shutil.rmtree(old, ignore_errors=True)


def write_about(place: Path, about: Mapping[str, Any]) -> None:
    """The JSON that says what the files are."""
    text = json.dumps(about, ensure_ascii=False, indent=1)
    (place / ABOUT).write_text(text + "\n", encoding="utf-8")
