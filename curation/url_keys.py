"""URLs as keys: what names the same page is the same string.

In: a column of URLs. Out: keys without scheme, default port, fragment, tracking parameters and the
slash at the end; the host in lower case.
Shown by: `python -m curation.url_keys "https://Example.org:443/a/?utm_source=x&id=1#top"`.
Limit: no page is fetched: what redirects or repeats itself under another path stays apart.
"""

from __future__ import annotations

import sys

import pyarrow as pa
import pyarrow.compute as pc

_PARTS = r"^(?:[A-Za-z][A-Za-z0-9+.\-]*:)?//(?P<host>[^/?#]*)(?P<path>[^?#]*)(?P<query>[^#]*)"
# Parameters that name the visit, not the page: campaign tags, click ids, mail ids, session ids.
_TRACKING = (
    "utm_[a-z0-9_]+", "mtm_[a-z]+", "pk_[a-z]+", "piwik_[a-z]+", "matomo_[a-z]+", "hsa_[a-z]+",
    "fbclid", "gclid", "gclsrc", "dclid", "gbraid", "wbraid", "msclkid", "yclid", "twclid",
    "ttclid", "igshid", "igsh", "mc_cid", "mc_eid", "mkt_tok", "_hsenc", "_hsmi", "_ga", "_gl",
    "vero_id", "oly_enc_id", "oly_anon_id", "wickedid", "rb_clickid", "s_cid", "phpsessid",
    "jsessionid",
)  # fmt: skip
_ONE = rf"(?:{'|'.join(_TRACKING)})(?:=[^&]*)?"


def url_keys(column: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """The key of each URL; null where there is none. What is no URL stays as it is, but trimmed."""
    urls = pc.utf8_trim_whitespace(column)
    parts = pc.extract_regex(urls, _PARTS)
    host = pc.utf8_lower(pc.struct_field(parts, "host"))
    host = pc.replace_substring_regex(host, r":(?:80|443)?$", "")
    path = pc.replace_substring_regex(pc.struct_field(parts, "path"), r"/+$", "")
    path = pc.replace_substring_regex(path, r"(?i);jsessionid=[^/;]*$", "")
    query = pc.replace_substring_regex(pc.struct_field(parts, "query"), r"^\?", "&")
    # twice: of two neighbours the first match takes the separator that the second needs
    for _ in range(2):
        query = pc.replace_substring_regex(query, rf"(?i)&{_ONE}(&|$)", r"\1")
    query = pc.replace_substring_regex(query, r"^&+|&+$", "")
    query = pc.if_else(pc.equal(query, ""), "", pc.binary_join_element_wise("?", query, ""))
    keys = pc.binary_join_element_wise(host, path, query, "")
    keys = pc.coalesce(keys, pc.replace_substring_regex(urls, r"#.*$", ""))
    return pc.if_else(pc.equal(keys, ""), None, keys)


if __name__ == "__main__":
    for key in url_keys(pa.array(sys.argv[1:], pa.string())).to_pylist():
        print(key)
