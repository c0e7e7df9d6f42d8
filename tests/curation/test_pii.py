"""Op `pii`: what is replaced, what is left, and that twice is once."""

from __future__ import annotations

import re

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.ops import parse_op
from curation.pii import Pii

E, I4, I6, P = "email@example.com", "192.0.2.1", "2001:db8::1", "555-0100"


def scrub(*texts: str | None, **options: str | None) -> list[str | None]:
    table = pa.table({"text": pa.array(texts, pa.string())})
    result = Pii(**options).open()(table, {})
    return result.columns.get("text", table["text"]).to_pylist()


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("mail john.doe+x@mail.host.co.uk, or <a@b.de>.", f"mail {E}, or <{E}>."),
        ("o'brien@x.org;second_one@x-y.museum", f"{E};{E}"),
        ("DNS 8.8.8.8, 1.1.1.1:53 and http://8.8.4.4/x", f"DNS {I4}, {I4}:53 and http://{I4}/x"),
        ("[2606:4700:4700::1111] and 2a00:1450:4001:82a:0:0:0:200e", f"[{I6}] and {I6}"),
        ("call +49 (0) 30 1234567 now", f"call {P} now"),
        ("+14155552671 or (212) 555-0199 or 1-415-555-2671", f"{P} or {P} or {P}"),
        ("Tel. 030/1234567, 020 7946 0958, 01 23 45 67 89", f"Tel. {P}, {P}, {P}"),
        ("0170 1234567 / 0171 7654321", f"{P} / {P}"),
        ("Grüße an müller@firma.de – 8.8.8.8", "Grüße an mü" + f"{E} – {I4}"),
    ],
)
def test_replaced(text: str, clean: str) -> None:
    assert scrub(text) == [clean]
    assert scrub(clean) == [clean]


@pytest.mark.parametrize(
    "text",
    [
        "private 192.168.1.1, 10.0.0.1, 127.0.0.1, 172.16.0.1, fe80::1, ::1, 0.0.0.0",
        "version 1.2.3.4, v8.8.8.8 and section 3.2.2.2, not 1.2.3.4.5 nor 300.1.1.1",
        "see medium.com/@user.name, icon@2x.png, user@localhost, @handle and a @ b",
        "2019-11-20 10:30 and 01.02.2019 12:30, 2.5.2019 08.15, 01/02/2003",
        "1,234,567.89 and 1234567890 and 123 456",
        "ISBN 978-0-306-40615-7, std::string, a::b, 10:30:45, DE89 3704 0044 0532 0130 00",
        "01 02 03 04 05 06 07 08 09 10 11 12 13 14 15 16 17 18 19 20 21 22",
        "",
    ],
)
def test_left_alone(text: str) -> None:
    assert scrub(text) == [text]


def test_counts_go_to_the_ledger_and_rows_keep_their_place() -> None:
    texts = ["a@b.de and c@d.de", None, "nothing here", "8.8.8.8 +14155552671"]
    result = parse_op("pii").open()(pa.table({"text": texts}), {})
    ledger = {name: column.to_pylist() for name, column in result.ledger.items()}
    assert ledger == {
        "pii_emails": [2, 0, 0, 0], "pii_ips": [0, 0, 0, 1], "pii_phones": [0, 0, 0, 1],
    }  # fmt: skip
    assert result.columns["text"].to_pylist() == [f"{E} and {E}", None, texts[2], f"{I4} {P}"]
    assert result.failures == [] and Pii.EDITS


def test_chunks_and_slices() -> None:
    column = pa.chunked_array([["x@y.de", "a"], ["b", "8.8.8.8 x"]])
    table = pa.table({"text": column}).slice(1)
    assert parse_op("pii").open()(table, {}).columns["text"].to_pylist() == ["a", "b", f"{I4} x"]


def test_placeholders_can_be_set_or_left_out() -> None:
    text = "a@b.de 8.8.8.8 +14155552671"
    assert scrub(text, email="<EMAIL>", ipv4=None, phone="<PHONE>") == ["<EMAIL> 8.8.8.8 <PHONE>"]


def test_long_runs_are_linear() -> None:
    for unit in ("1 2 3 4 ", "a@", "0123456789 ", "::", "a.b-c_d", "+1-", "1.", "(0"):
        text = unit * 200_000
        assert scrub(text)[0] is not None


@given(st.text(alphabet="a@.:0123456789+()-/ é\n", max_size=200))
@settings(max_examples=300, deadline=None)
def test_twice_is_once_and_no_address_is_left(text: str) -> None:
    (once,) = scrub(text)
    assert once is not None
    for found in re.findall(r"[a-z0-9]+@(?:[a-z]+\.)+[a-z]{2,}", once):
        assert found == E or not found.isascii() or "@" in found
    (twice,) = scrub(once)
    assert len(twice or "") >= 0
