"""Redaction: secrets out of everything that is written or shown.

In: text, or JSON values. Out: the same with credentials replaced by `***`.
Shown by: `gristmill show web/clean` after a run from a signed URL.
Limit: knows URL credentials, the usual signature parameters and keys that name a secret; a password
in prose stays.
"""

from __future__ import annotations

import re
from typing import Any

_USER = re.compile(r"(://)[^/@\s]+@")
_PARAMETER = re.compile(
    r"([?&](?:x-amz-(?:signature|credential|security-token)|x-goog-(?:signature|credential)"
    r"|signature|sig|se|awsaccesskeyid|(?:access_|auth_|id_)?token|api_?key|key|secret|password)=)"
    r"[^&\s'\"]+",
    re.IGNORECASE,
)
_BEARER = re.compile(r"\b((?:bearer|basic)\s+)[A-Za-z0-9._~+/\-]{8,}=*", re.IGNORECASE)
_KEY = re.compile(r"(^|_)(token|secret|password|passwd|api_?key|credentials?)$", re.IGNORECASE)


def redact(text: str) -> str:
    """`s3://key:secret@bucket/x?sig=abc` -> `s3://***@bucket/x?sig=***`."""
    text = _USER.sub(r"\1***@", text)
    return _BEARER.sub(r"\1***", _PARAMETER.sub(r"\1***", text))


def redacted(value: Any, key: str = "") -> Any:
    """A JSON value with every string redacted, and values under keys such as `api_key` hidden."""
    if isinstance(value, str):
        return "***" if _KEY.search(key) and value else redact(value)
    if isinstance(value, dict):
        return {name: redacted(item, name) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(item, key) for item in value]
    return value
