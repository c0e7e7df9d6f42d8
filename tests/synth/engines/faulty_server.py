"""A server with OpenAI's API that goes wrong on request, on loopback, in this process.

In: prompts that say what goes wrong: `500*2 seven` is answered with HTTP 500 twice, then with
`seven`. Out: a record of every attempt, answer and connection.
Shown by: `python -m pytest tests/synth/engines/test_openai_faults.py`.
Limit: knows no more HTTP than its client speaks.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Self

from synth.calls import Failure

HTML = "<html><body><h1>502 Bad Gateway</h1></body></html>"
LONG = {
    "error": {
        "message": "This model's maximum context length is 64 tokens.",
        "code": "context_length_exceeded",
    }
}
KNOWN = ["model", "messages", "max_tokens", "logprobs", "response_format", "structured_outputs"]
KNOWN += ["top_k", "min_p", "repetition_penalty"]


@dataclass
class FaultyServer:
    """Runs from `with` to its end. `down()` and `up()` close and open its port."""

    describes: bool = True  # has /openapi.json
    gauges: tuple[int, int] | None = None  # (waiting, running) at /metrics
    broken: str = ""  # every completion goes wrong in this way
    key: str = ""  # the only key that it takes
    slow: float = 0.0  # seconds before each answer
    root: str = "weights-1"
    attempts: list[tuple[float, str, str]] = field(default_factory=list)  # when, prompt, what
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    answered: Counter[str] = field(default_factory=Counter)
    connections: int = 0
    now: int = 0  # completions under way
    most: int = 0  # … at once, at any time
    port: int = 0

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._open: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.up()
        return self

    def __exit__(self, *_: object) -> None:
        self.down()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def up(self) -> None:
        """Listen, on the port of before if there was one."""
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()

    def down(self) -> None:
        """Stop listening and cut every connection, as a killed server does."""
        asyncio.run_coroutine_threadsafe(self._cut(), self._loop).result()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _cut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._open):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open.add(writer)
        try:
            while await self._one(reader, writer):
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, path, _ = head[0].split(" ")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        if method == "GET":
            _send(writer, *self._page(path, headers))
            return True
        self.headers.append(headers)
        if path != "/v1/chat/completions":
            _send(writer, 404, {"detail": "Not Found"})
            return True
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            return await self._complete(json.loads(body), writer)
        finally:
            self.now -= 1

    def _page(self, path: str, headers: dict[str, str]) -> tuple[int, Any]:
        if path == "/v1/models":
            if self.key and headers.get("authorization") != f"bearer {self.key}".lower():
                return 401, {"error": {"message": f"Incorrect key: {headers['authorization']}"}}
            card = {"id": "tiny", "root": self.root, "owned_by": "test", "created": time.time()}
            return 200, {"data": [card]}
        if path == "/openapi.json" and self.describes:
            schema = {"$ref": "#/components/schemas/Chat"}
            post = {"requestBody": {"content": {"application/json": {"schema": schema}}}}
            fields = {"properties": {name: {} for name in KNOWN}}
            return 200, {
                "paths": {"/v1/chat/completions": {"post": post}},
                "components": {"schemas": {"Chat": fields}},
            }
        if path == "/metrics" and self.gauges is not None:
            waiting, running = self.gauges
            return 200, (
                f'vllm:num_requests_waiting{{engine="0"}} {waiting}\n'
                f'vllm:num_requests_running{{engine="0"}} {running}\n'
            )
        return 404, {"detail": "Not Found"}

    async def _complete(self, body: dict[str, Any], writer: asyncio.StreamWriter) -> bool:
        prompt = body["messages"][-1]["content"]
        plan, _, text = prompt.partition(" ")
        kind, _, times = plan.partition("*")
        tried = sum(prompt == before for _, before, _ in self.attempts)
        wrong = kind if tried < int(times or 0) else ""
        wrong = self.broken or wrong
        self.attempts.append((time.monotonic(), prompt, wrong))
        self.bodies.append(body)
        if self.slow:
            await asyncio.sleep(self.slow)
        if not wrong:
            self.answered[prompt] += 1
            _send(writer, 200, completion(text))
            return True
        return await _go_wrong(wrong, writer)


def answers(engine: Any, calls: list[Any], within: float = 60.0) -> list[Any]:
    """What an engine answers to each call, asked as the driver asks; None where nothing came."""
    found: dict[int, Any] = {}
    engine.start()
    for ticket, ready in enumerate(engine.prepare(calls)):
        if isinstance(ready, Failure):
            found[ticket] = ready
        else:
            engine.submit(ticket, ready)
    end = time.monotonic() + within
    while len(found) < len(calls) and time.monotonic() < end:
        for ticket, answer in engine.poll(0.05):
            assert ticket not in found, f"{ticket} was answered twice"
            found[ticket] = answer
    return [found.get(ticket) for ticket in range(len(calls))]


def completion(text: str, **choice: Any) -> dict[str, Any]:
    """A chat completion as servers send it."""
    message = {"role": "assistant", "content": text, **choice.pop("message", {})}
    return {
        "choices": [{"index": 0, "message": message, "finish_reason": "stop", **choice}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2},
    }


async def _go_wrong(kind: str, writer: asyncio.StreamWriter) -> bool:
    """One way to fail; False ends the connection."""
    if kind == "hang":
        await asyncio.sleep(3600)
    if kind == "reset":
        return False
    whole = json.dumps(completion("never whole")).encode()
    if kind == "cut":  # promises more than it sends
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(whole))
        writer.write(whole[:20])
        await writer.drain()
        return False
    if kind == "half":
        _send(writer, 200, whole[: len(whole) // 2].decode())
    elif kind == "html":
        _send(writer, 200, HTML, "text/html")
    elif kind == "gateway":
        _send(writer, 502, HTML, "text/html")
    elif kind == "nothing":
        _send(writer, 200, {"choices": []})
    elif kind == "aborted":
        _send(writer, 200, completion("half a th", finish_reason="abort"))
    elif kind == "long":
        _send(writer, 400, LONG)
    elif kind == "plain":  # right, but said to be something else
        _send(writer, 200, completion("plain"), "text/plain")
    elif kind in ("busy", "tomorrow"):
        wait = "0.4" if kind == "busy" else "86400"
        _send(writer, 429, {"error": {"message": "slow down"}}, more=f"retry-after: {wait}\r\n")
    else:
        message = f"error {kind} of https://user:pw@host/x?api_key=abcdef123456"
        _send(writer, int(kind), {"error": {"message": message}})
    return True


def _send(
    writer: asyncio.StreamWriter, status: int, body: Any, kind: str = "", more: str = ""
) -> None:
    raw = (body if isinstance(body, str) else json.dumps(body)).encode()
    head = f"HTTP/1.1 {status} X\r\ncontent-type: {kind or 'application/json'}\r\n{more}"
    writer.write(f"{head}content-length: {len(raw)}\r\n\r\n".encode() + raw)
