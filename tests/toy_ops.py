"""Ops that crash the worker, as a parser in C does, at pages that say so."""

from __future__ import annotations

import ctypes
import os
import signal
from pathlib import Path
from typing import ClassVar, Literal

import pyarrow as pa

import curation.extract
from curation.extract import Extract
from curation.ops import Apply, Op, OpResult, Signals, register_op
from curation.page import Page, resiliparse_page

How = Literal["segv", "kill", "kill-once"]


def crash(how: How, place: str) -> None:
    """Die. `kill-once`: only when `place` does not exist yet, as an operator's kill would."""
    if how == "segv":
        ctypes.string_at(0)
    if how == "kill-once":
        if Path(place).exists():
            return
        Path(place).touch()
    os.kill(os.getpid(), signal.SIGKILL)


@register_op("brittle_extract")
class BrittleExtract(Extract):
    """`extract` whose parser dies at pages with the word `deadly`."""

    EDITS: ClassVar[bool] = True
    how: How = "segv"
    place: str = ""

    def open(self) -> Apply:
        def parse(html: str, url: str | None) -> Page:
            if "deadly" in html:
                crash(self.how, self.place)
            return resiliparse_page(html, url)

        curation.extract.resiliparse_page = parse  # in this worker
        return super().open()


@register_op("brittle")
class Brittle(Op):
    """Dies at texts with the word `deadly`, with no record marked."""

    how: How = "segv"
    place: str = ""

    def open(self) -> Apply:
        def apply(table: pa.Table, signals: Signals) -> OpResult:
            if any("deadly" in (text or "") for text in table["text"].to_pylist()):
                crash(self.how, self.place)
            return OpResult()

        return apply
