"""One end of the line between examiner and candidate: a question, and its answer.

In: a question about an object of the other side. Out: its answer, or the exception it raised there.
Shown by: `python -m pytest tests/synth/score/test_tests.py`.
Limit: one question at a time; while it waits an end answers the questions of the other.
"""

from __future__ import annotations

import json
from typing import Any, BinaryIO

from .values import MUTABLE, Broken, Values


class Link(Values):
    """Sends questions, answers those that come."""

    def __init__(self, source: BinaryIO, sink: BinaryIO) -> None:
        super().__init__()
        self.source, self.sink = source, sink

    def ask(self, do: str, number: int, *arguments: Any, **named: Any) -> Any:
        """One question, and its answer; mutable arguments then hold what the other side left."""
        seen: list[Any] = []
        packed = [self.pack(one, seen) for one in arguments]
        also = {name: self.pack(value, seen) for name, value in named.items()}
        self.send({"do": do, "of": number, "with": packed, "named": also})
        while True:
            message = self.receive()
            if "do" not in message:
                break
            self.answer(message)
        self.heard(message)
        try:
            for place, content in message.get("after", {}).items():
                _restore(seen[int(place)], self.unpack(content))
            error = self.error(message["error"][1:]) if "error" in message else None
        except (ValueError, TypeError, LookupError, AttributeError) as problem:
            raise Broken(f"not an answer: {problem}") from problem
        if error is not None:
            raise error
        return self.unpack(message.get("value"), known=seen)

    def answer(self, message: Any) -> None:
        """Do what was asked, tell what came of it and what became of mutable arguments."""
        seen: list[Any] = []
        try:
            arguments = [self.unpack(one, seen) for one in message["with"]]
            named = {name: self.unpack(one, seen) for name, one in message["named"].items()}
            before = [json.dumps(self.pack(one)) for one in seen]
            reply = self._done(message, arguments, named, seen)
            after = [self.pack(one) for one in seen]
            reply["after"] = {
                place: now
                for place, (then, now) in enumerate(zip(before, after, strict=True))
                if json.dumps(now) != then
            }
        except RecursionError as error:
            reply = {"error": self.pack_error(error)}
        self.send({**reply, **self.told()})

    def _done(self, message: Any, arguments: Any, named: Any, seen: list[Any]) -> dict[str, Any]:
        try:
            found = self.do(message["do"], message["of"], arguments, named)
            return {"value": self.pack(found, known={id(one): n for n, one in enumerate(seen)})}
        except Broken:
            raise
        except BaseException as error:
            import traceback  # slow, and seldom needed

            trace = "".join(traceback.format_exception(error)[-8:])[-2000:]
            return {"error": self.pack_error(error, trace)}

    def do(self, do: str, number: int, arguments: Any, named: Any) -> Any:
        """Answer a question about one of our objects."""
        raise NotImplementedError

    def told(self) -> dict[str, Any]:
        """What goes along with an answer."""
        return {}

    def heard(self, message: Any) -> None:
        """Take what came along with an answer."""

    def send(self, message: Any) -> None:
        """One line."""
        try:
            self.sink.write(json.dumps(message).encode() + b"\n")
            self.sink.flush()
        except OSError as error:
            raise Broken("the program ended") from error

    def receive(self) -> Any:
        """The next line; Broken at the end, or where it is no message."""
        line = self.source.readline()
        if not line.endswith(b"\n"):
            raise Broken("the program ended")
        try:
            message = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise Broken(f"the program wrote where it must not: {error}") from error
        if not isinstance(message, dict):
            raise Broken("the program wrote where it must not")
        return message


def _restore(old: Any, new: Any) -> None:
    """Give a container the content of another."""
    if not isinstance(old, MUTABLE) or not isinstance(new, type(old)):
        raise Broken("not the container that was sent")
    old.clear()
    fill: Any = old.update if isinstance(old, dict | set) else old.extend
    fill(new)
