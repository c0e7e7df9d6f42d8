"""Secrets never reach a manifest, a log or an error."""

from __future__ import annotations

import pytest

from gristmill.redact import redact, redacted


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("s3://key:hush@bucket/a.gz", "s3://***@bucket/a.gz"),
        ("https://h/a?X-Amz-Signature=hush&x=1", "https://h/a?X-Amz-Signature=***&x=1"),
        ("https://h/a?b=2&sig=hush'", "https://h/a?b=2&sig=***'"),
        ("Authorization: Bearer hushhush.hush", "Authorization: Bearer ***"),
        ("crawl/*.warc.gz@latest", "crawl/*.warc.gz@latest"),
    ],
)
def test_credentials_are_replaced(text: str, shown: str) -> None:
    assert redact(text) == shown


def test_values_under_secret_keys_are_hidden_and_token_counts_are_not() -> None:
    value = {"hf_token": "hush", "token_count": 3, "list": [{"api_key": "hush"}], "max_tokens": 5}
    assert redacted(value) == {
        "hf_token": "***",
        "token_count": 3,
        "list": [{"api_key": "***"}],
        "max_tokens": 5,
    }
