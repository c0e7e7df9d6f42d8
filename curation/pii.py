"""Op `pii`: emails, public IP addresses and phone-like numbers give way to fixed placeholders.

In: the column text. Out: text; ledger columns pii_emails, pii_ips, pii_phones (how many each).
Shown by: `- pii` in a recipe. Limit: patterns only: names and addresses stay; phone numbers are
taken when written with a country code, as in North America, or with a leading 0 and separators.

The placeholders are reserved for documentation, so that a text run through twice stays as it is.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.ops import Apply, Op, OpResult, Signals, register_op
from curation.pii_scan import EMAIL, IPV6, PHONE, candidates
from gristmill.text.buffers import string_buffers

_EMAIL = re.compile(
    rb"(?:[A-Za-z0-9](?:[A-Za-z0-9._%+'-]{0,62}[A-Za-z0-9_%+-])?)@"
    rb"((?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+([A-Za-z]{2,24}))(?![A-Za-z0-9])"
)
_FILES = frozenset(
    b"png jpg jpeg gif webp svg css js html htm php pdf mp3 mp4".split()
)  # icon@2x.png
_IPV4 = re.compile(rb"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d]|\.\d)")
_GIVEN_OUT = re.compile(r"[23][0-9a-fA-F]{3}:")
# What four numbers with dots are instead, told by the word before them.
_VERSION = re.compile(
    rb"(?:\bv|version|release|firmware|build|ver\.?|rev\.?|section|chapter|table)[ :]{0,2}$",
    re.IGNORECASE,
)
_COUNTRY = rb"\+ ?\d(?:[ ().\-/]{0,3}\d){6,14}"
_AMERICAN = rb"(?:1[ .-])?(?:\([2-9]\d\d\) ?|[2-9]\d\d(?P<sep>[ .-]))[2-9]\d\d[ .-]\d{4}"
_TRUNK = rb"\(?0\d{1,5}\)?(?: ?[/-] ?|[ .])\d{2,8}(?:[ .-]\d{1,8}){0,4}"
_PHONE = re.compile(
    rb"(?:(?<![\d+])%b|(?<![\d+.,/-])(?<!\d )(?:%b|%b))(?![\d]|[.,/ -]\d)"
    % (_COUNTRY, _AMERICAN, _TRUNK)
)
_DATE = re.compile(
    rb"\b\d{1,2}([./-])\d{1,2}\1(?:19|20)?\d\d\b|(?:19|20)\d\d([./-])\d{1,2}\2\d{1,2}\b"
)


_PART = 100_000  # candidates made Python objects at a time


@register_op("pii")
class Pii(Op):
    """Replace personal data in texts; what each placeholder is can be set, or null to leave it."""

    EDITS: ClassVar[bool] = True

    email: str | None = "email@example.com"  # RFC 2606
    ipv4: str | None = "192.0.2.1"  # RFC 5737
    ipv6: str | None = "2001:db8::1"  # RFC 3849
    phone: str | None = "555-0100"  # never assigned in North America

    def drops(self) -> bool:
        return False

    def open(self) -> Apply:
        marks = [self.email, self.ipv4, self.ipv6, self.phone]
        encoded = [None if mark is None else mark.encode() for mark in marks]

        def apply(table: pa.Table, signals: Signals) -> OpResult:
            return _replace(table["text"], encoded)

        return apply


def _replace(texts: pa.Array | pa.ChunkedArray, marks: list[bytes | None]) -> OpResult:
    data, offsets = string_buffers(texts)
    counts = np.zeros((3, len(offsets) - 1), np.int32)  # emails, addresses, phones
    view = data.data
    edited: dict[int, tuple[bytearray, int]] = {}  # row: the new text so far, and up to where
    spans = candidates(data, offsets)
    for part in range(0, len(spans), _PART):
        for row, kind, begin, end in spans[part : part + _PART].tolist():
            floor = int(offsets[row])
            for at, stop, found in _found(view, kind, begin, end, floor):
                mark = marks[found]
                new, done = edited.get(row, (None, floor))
                if mark is None or view[at:stop] == mark or at < done:
                    continue
                new = new if new is not None else bytearray()
                new += view[done:at]
                new += mark
                edited[row] = (new, stop)
                counts[(0, 1, 1, 2)[found], row] += 1
    columns: dict[str, pa.Array] = {}
    if edited:
        mask = np.zeros(len(offsets) - 1, bool)
        mask[list(edited)] = True
        for row, (new, done) in edited.items():
            new += view[done : int(offsets[row + 1])]
        # Whole UTF-8 with ASCII spans replaced is UTF-8.
        changed = pa.array([new for new, _ in edited.values()], pa.binary()).cast(texts.type)
        columns["text"] = pc.replace_with_mask(texts, pa.array(mask), changed)
    names = ("pii_emails", "pii_ips", "pii_phones")
    ledger = {name: pa.array(count) for name, count in zip(names, counts, strict=True)}
    return OpResult(columns=columns, ledger=ledger)


def _found(
    view: memoryview, kind: int, begin: int, end: int, floor: int
) -> Iterator[tuple[int, int, int]]:
    """(begin, end, 0 email | 1 IPv4 | 2 IPv6 | 3 phone) of what a candidate really holds."""
    text = bytes(view[begin:end])
    if kind == EMAIL:
        for match in _EMAIL.finditer(text):
            if match[2].lower() not in _FILES:
                yield begin + match.start(), begin + match.end(), 0
    elif kind == IPV6:
        if _is_public(text.rstrip(b":.").decode()):
            yield begin, begin + len(text.rstrip(b":.")), 2
    else:
        addresses = [match.span() for match in _IPV4.finditer(text)] if b"." in text else []
        for at, stop in addresses:
            before = bytes(view[max(floor, begin + at - 12) : begin + at])
            if _is_public(text[at:stop].decode()) and not _VERSION.search(before):
                yield begin + at, begin + stop, 1
        if kind == PHONE:
            for match in _PHONE.finditer(text):
                inside = any(match.start() < stop and at < match.end() for at, stop in addresses)
                if not inside and _is_phone(match[0]):
                    yield begin + match.start(), begin + match.end(), 3


def _is_public(text: str) -> bool:
    """A global address; of IPv6 only 2000::/3 is given out, and `a::b` is more often code."""
    if ":" in text and not _GIVEN_OUT.match(text):
        return False
    try:
        return ipaddress.ip_address(text).is_global
    except ValueError:
        return False


def _is_phone(text: bytes) -> bool:
    """Enough digits, not too many, and no date among them."""
    digits = sum(48 <= byte <= 57 for byte in text)
    least = 8 if text.startswith(b"+") else 9
    return least <= digits <= 15 and not _DATE.search(text)
