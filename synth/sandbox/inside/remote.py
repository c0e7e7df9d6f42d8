"""A program's object as the tests see it: calls and operators are answered by the program.

In: what a test does with the object. Out: the program's answer, where it may be trusted with it.
Shown by: `python -m pytest tests/synth/score/test_fake_success.py`.
Limit: `a == b` of two objects of the program, `in`, `len` and methods are the program's word.

A test must not be passed by an object that claims to equal everything. So an object never equals,
exceeds or lies below a plain value, whatever it says, and arithmetic with plain values gives
objects again, never numbers.
"""

from __future__ import annotations

from typing import Any

from .values import Remote


class Examined(Remote):
    """An object of the program."""

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return ask(self, "call", *arguments, **named)

    def __getattr__(self, name: str) -> Any:
        return ask(self, "get", name)

    def __setattr__(self, name: str, value: Any) -> None:
        ask(self, "set", name, value)

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Examined) and bool(ask(self, "eq", other)))

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return int(ask(self, "hash"))

    def __instancecheck__(self, instance: Any) -> bool:
        return type(instance) is Examined and bool(ask(instance, "isinstance", self))

    def __bool__(self) -> bool:
        return bool(ask(self, "bool"))

    def __len__(self) -> int:
        return int(ask(self, "len"))

    def __iter__(self) -> Any:
        return ask(self, "iter")

    def __next__(self) -> Any:
        return ask(self, "next")

    def __contains__(self, item: Any) -> bool:
        return bool(ask(self, "contains", item))

    def __getitem__(self, key: Any) -> Any:
        return ask(self, "getitem", key)

    def __setitem__(self, key: Any, value: Any) -> None:
        ask(self, "setitem", key, value)

    def __delitem__(self, key: Any) -> None:
        ask(self, "delitem", key)

    def __str__(self) -> str:
        return str(ask(self, "str"))

    def __repr__(self) -> str:
        return str(ask(self, "repr"))

    def __enter__(self) -> Any:
        return ask(self, "enter")

    def __exit__(self, *_: object) -> Any:
        return ask(self, "exit")


def ask(target: Remote, do: str, *arguments: Any, **named: Any) -> Any:
    """A question about an object of the program."""
    link = object.__getattribute__(target, "_link")
    return link.ask(do, object.__getattribute__(target, "_number"), *arguments, **named)


def _ordering(do: str) -> Any:
    def compare(self: Examined, other: Any) -> Any:
        return bool(ask(self, do, other)) if isinstance(other, Examined) else NotImplemented

    return compare


def _arithmetic(do: str) -> Any:
    def compute(self: Examined, *others: Any) -> Any:
        found = ask(self, do, *others)
        if isinstance(found, Examined):
            return found
        raise TypeError(f"{do} of an object gave a plain value, which no test may rely on")

    return compute


for _name in ("lt", "le", "gt", "ge"):
    setattr(Examined, f"__{_name}__", _ordering(_name))
for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul"):
    setattr(Examined, f"__{_name}__", _arithmetic(_name))
for _name in ("neg", "pos", "abs", "invert", "and", "or", "xor", "lshift", "rshift"):
    setattr(Examined, f"__{_name}__", _arithmetic(f"__{_name}__"))
