"""One attempt of one request over HTTP, and what its outcome means.

In: a Ready call. Out: an Answer, a typed Failure, Again (ask once more), or Down and Hopeless.
Shown by: `python -m pytest tests/synth/engines/test_openai_faults.py`.
Limit: HTTP/1.1; answers are read whole, so a long one costs its size in memory.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from typing import Any

from synth.calls import Answer, Failure, Ready
from synth.engines.openai_answers import Broken, read, too_long
from synth.engines.openai_limits import retry_after
from synth.engines.openai_probe import Site, card_of, cards
from synth.engines.openai_requests import Body, Offer, build

CONNECT_S = 10.0
IDLE_S = 4.5  # below the 5 s after which uvicorn closes an idle connection
QUOTED = 300  # characters of a server's text in a failure


@dataclass(frozen=True, slots=True)
class Again:
    """The attempt failed in a way that another may not."""

    reason: str  # of synth.calls.REASONS, should there be no further attempt
    detail: str
    wait: float | None = None  # seconds that the server asked for


class Down(Exception):
    """Nobody listens there: no fault of the request."""


class Hopeless(Exception):
    """The server will refuse every request: key withdrawn, no credit left, model gone."""


class Wire:
    """Keep-alive connections to one server. Lives on one event loop."""

    def __init__(self, site: Site, offer: Offer, extra: Body, timeout_s: float) -> None:
        self.site, self._offer, self._extra, self._timeout_s = site, offer, extra, timeout_s
        # One client, so one connection, for each place in flight: httpx looks through all of a
        # pool's connections for every request (1.7 ms of it at 32, 3 ms at 1024, 0.9 ms at one).
        self._clients: list[Any] = []
        self._idle: list[Any] = []  # the last used is used next, so that few stay open
        self._tls: Any = True

    async def ask(self, ready: Ready) -> Answer | Failure | Again:
        """One attempt. Raises Down or Hopeless where the trouble is not this request's."""
        import httpx

        path, body = build(ready, self._offer, self._extra)
        try:
            content = json.dumps(body, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            return Failure("rejected", f"the prompt is not Unicode text: {error}", ready.key)
        client = self._client()
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await client.post(self.site.address(path), content=content)
        except TimeoutError:
            return Again("timeout", f"no answer within {self._timeout_s:g} s")
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise Down(self._said(error)) from None
        except httpx.HTTPError as error:
            return Again("server", self._said(error))
        finally:
            self._idle.append(client)
        if answer.status_code == 200:
            return self._read(ready, answer.content)
        return self._refused(ready, answer, answer.content)

    async def get(self, path: str) -> str | None:
        """A page beside the requests (metrics, models), or None where it does not come."""
        import httpx

        client = self._client()
        try:
            async with asyncio.timeout(CONNECT_S):
                answer = await client.get(path)
        except (TimeoutError, httpx.HTTPError):
            return None
        finally:
            self._idle.append(client)
        return str(answer.text) if answer.status_code == 200 else None

    def same_model(self, page: str) -> bool:
        """Whether a /models page still tells of the model that was asked first."""
        try:
            return card_of(cards(page), self._offer.model) == self._offer.card
        except ValueError:
            return False

    async def close(self) -> None:
        """End all connections."""
        for client in self._clients:
            await client.aclose()

    def _client(self) -> Any:
        import httpx

        if self._idle:
            return self._idle.pop()
        if self._tls is True:
            self._tls = httpx.create_ssl_context()  # once: it reads every root certificate, 20 ms
        client = httpx.AsyncClient(
            headers={"content-type": "application/json", **self.site.headers},
            timeout=httpx.Timeout(None, connect=CONNECT_S),
            verify=self._tls,
            limits=httpx.Limits(max_connections=1, keepalive_expiry=IDLE_S),
        )
        self._clients.append(client)
        return client

    def _read(self, ready: Ready, raw: bytes) -> Answer | Failure | Again:
        try:
            found = read(ready, json.loads(raw))
        except (ValueError, RecursionError):
            shown = self._quote(raw)
            return Again("server", f"HTTP 200, but no whole JSON ({len(raw)} bytes): {shown}")
        except Broken as error:
            return Again("server", self.site.scrub(str(error))[:QUOTED])
        if isinstance(found, Failure):
            return Failure(found.reason, self.site.scrub(found.detail)[:QUOTED], ready.key)
        return found

    def _refused(self, ready: Ready, answer: Any, raw: bytes) -> Failure | Again:
        status, said = answer.status_code, self._quote(raw)
        detail = f"HTTP {status}: {said}"
        if status in (400, 413, 422) and (status == 413 or too_long(said)):
            return Failure("too_long", detail, ready.key)
        if status in (401, 402, 404) or (status == 429 and "insufficient_quota" in said):
            raise Hopeless(detail)
        if status in (408, 409, 425, 429) or (status >= 500 and status != 501):
            reason = "timeout" if status in (408, 504) else "server"
            return Again(reason, detail, retry_after(answer.headers, time.time()))
        return Failure("rejected", detail, ready.key)

    def _quote(self, raw: bytes) -> str:
        """The server's message, without secrets, short enough for a ledger."""
        text = raw[:4000].decode("utf-8", "replace")
        try:
            given = json.loads(text)
            error = given.get("error", given)
            if isinstance(error, dict):
                parts = [str(error[k]) for k in ("message", "code", "type") if error.get(k)]
                text = " ".join(parts) or text
            else:
                text = str(error)
        except (ValueError, AttributeError):
            text = " ".join(text.split())
        return self.site.scrub(text)[:QUOTED]

    def _said(self, error: Exception) -> str:
        return self.site.scrub(f"{type(error).__name__}: {error}")[:QUOTED]
