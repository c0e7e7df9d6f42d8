"""Values as JSON and back: of exact built-in types, or the number of an object that stays put.

In: Python values. Out: JSON, and values again. Nothing that arrives can carry code.
Shown by: `python -m pytest tests/synth/sandbox/test_values.py`.
Limit: a subclass of list, dict, int and so on arrives as that built-in type.
"""

from __future__ import annotations

import builtins
import collections
import collections.abc
import types
from importlib import import_module
from typing import Any

PLAIN = (bool, int, float, str)
# Imported when first met: an examination that meets no date starts sooner.
DATES = {"date", "datetime", "time"}
NUMBERS = {"Decimal": "decimal", "Fraction": "fractions"}
SEQUENCES: dict[str, Any] = {
    "list": list,
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
    "deque": collections.deque,
}
MAPPINGS: dict[str, Any] = {
    "Counter": collections.Counter,
    "OrderedDict": collections.OrderedDict,
    "dict": dict,
}
VIEWS = (collections.abc.KeysView, collections.abc.ValuesView, collections.abc.ItemsView)
MUTABLE = (list, dict, set, bytearray, collections.deque)


class Broken(BaseException):
    """The other side is gone, or says what cannot be; no test's `except Exception` hides it."""


class Values:
    """Packs and unpacks; keeps the objects that it has named to the other side."""

    def __init__(self) -> None:
        self.objects: dict[int, Any] = {}
        self.numbers: dict[int, int] = {}  # id of an object -> its number
        self.remotes: dict[int, Any] = {}  # what stands here for the other side's objects

    def pack(self, value: Any, seen: list[Any] | None = None, known: Any = None) -> Any:
        """As JSON. seen: gathers mutable containers; known: by id those that the other side has."""
        if value is None or type(value) in PLAIN:
            return value
        if known and id(value) in known:
            return ["argument", known[id(value)]]
        if seen is not None and isinstance(value, MUTABLE):
            seen.append(value)
        if isinstance(value, int):
            return int(value)
        if isinstance(value, float):
            return float(value)
        if isinstance(value, str):
            return str.__str__(value)
        for name, kind in MAPPINGS.items():
            if isinstance(value, kind):
                keys, values = list(dict.keys(value)), list(dict.values(value))
                return [name, *([self.pack(v, seen, known) for v in vs] for vs in (keys, values))]
        for name, kind in SEQUENCES.items():
            if isinstance(value, kind):
                return [name, [self.pack(one, seen, known) for one in kind.__iter__(value)]]
        if isinstance(value, VIEWS):
            return ["list", [self.pack(one, seen, known) for one in value]]
        return self._pack_text(value) or self._pack_object(value)

    def _pack_text(self, value: Any) -> Any:
        if isinstance(value, bytes | bytearray):
            return ["bytes" if isinstance(value, bytes) else "bytearray", value.hex()]
        if isinstance(value, complex):
            return ["complex", repr(complex(value))]
        for kind in type(value).__mro__:
            if NUMBERS.get(kind.__name__) == kind.__module__:
                return [kind.__name__, str(value)]
            if kind.__module__ == "datetime" and kind.__name__ in DATES:
                return [kind.__name__, value.isoformat()]
        if type(value) is range:
            return ["range", value.start, value.stop, value.step]
        if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
            rows = value.tolist()
            return ["array", self.pack(rows), str(value.dtype)] if value.shape else self.pack(rows)
        return None

    def _pack_object(self, value: Any) -> Any:
        if type(value) in (Remote, *Remote.__subclasses__()):
            return ["yours", object.__getattribute__(value, "_number")]
        if isinstance(value, type):
            name = str(value.__name__)
            if getattr(builtins, name, None) is value:
                return ["builtin", name]
            if issubclass(value, BaseException):
                return ["exception", [[one.__module__, one.__name__] for one in value.__mro__]]
        if isinstance(value, BaseException):
            return self.pack_error(value)
        if isinstance(value, types.BuiltinFunctionType) and not _is_method(value):
            return ["function", value.__module__, value.__name__]
        number = self.numbers.setdefault(id(value), len(self.numbers))
        self.objects[number] = value
        return ["coroutine" if isinstance(value, types.CoroutineType) else "mine", number]

    def pack_error(self, error: BaseException, trace: str = "") -> Any:
        """An exception: its classes, arguments, words, and where it came from."""
        classes = [[one.__module__, one.__name__] for one in type(error).__mro__]
        try:
            words = str(error)
        except Exception:
            words = ""
        state = {k: self.pack(v) for k, v in vars(error).items() if not k.startswith("_")}
        return ["error", classes, [self.pack(one) for one in error.args], words, state, trace]

    def unpack(self, packed: Any, seen: list[Any] | None = None, known: Any = ()) -> Any:
        """The value; Broken where it has no such form."""
        if packed is None or type(packed) in PLAIN:
            return packed
        try:
            name, *parts = packed
            if name == "argument":
                return known[parts[0]]
            place = len(seen) if seen is not None else 0
            if seen is not None and name in _MUTABLE_NAMES:
                seen.append(None)  # numbered as the sender did: before what is in it
            value = self._unpack(name, parts, seen, known)
            if seen is not None and name in _MUTABLE_NAMES:
                seen[place] = value
            return value
        except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError) as error:
            raise Broken(f"not a value: {error}") from error

    def _unpack(self, name: str, parts: Any, seen: Any, known: Any) -> Any:
        if name in SEQUENCES:
            return SEQUENCES[name]([self.unpack(one, seen, known) for one in parts[0]])
        if name in MAPPINGS:
            keys = [self.unpack(one, seen, known) for one in parts[0]]
            values = [self.unpack(one, seen, known) for one in parts[1]]
            return MAPPINGS[name](dict(zip(keys, values, strict=True)))
        if name in ("bytes", "bytearray"):
            return _builtin_type(name).fromhex(parts[0])
        if name == "complex":
            return complex(parts[0])
        if name in NUMBERS:
            return getattr(import_module(NUMBERS[name]), name)(parts[0])
        if name in DATES:
            return getattr(import_module("datetime"), name).fromisoformat(parts[0])
        if name == "range":
            return range(*parts)
        if name == "array":
            import numpy

            return numpy.array(self.unpack(parts[0]), dtype=parts[1])
        if name == "yours":
            return self.objects[parts[0]]
        if name == "builtin":
            return _builtin_type(parts[0])
        if name == "function":
            return self.function(*parts)
        if name == "exception":
            return self.exception(parts[0])
        if name == "error":
            return self.error(parts)
        return self.remote(name, int(parts[0]))

    def exception(self, classes: Any) -> Any:
        """The nearest exception class that both sides have."""
        for module, name in classes:
            if module == "builtins" and issubclass(_builtin_type(name), BaseException):
                return _builtin_type(name)
        raise ValueError("no exception class")

    def error(self, parts: Any) -> BaseException:
        """An exception like the other side's."""
        classes, arguments, words, state, _ = parts
        kind: Any = self.exception(classes)
        try:
            found: BaseException = kind(*[self.unpack(one) for one in arguments])
        except Exception:
            found = kind.__new__(kind)
            found.args = (words,)
        for name, value in state.items():
            if not name.startswith("_"):
                setattr(found, name, self.unpack(value))
        return found

    def function(self, module: str, name: str) -> Any:
        """A function written in C, by name: each side takes its own, `eval` never crosses."""
        raise ValueError(f"{module}.{name} does not cross")

    def remote(self, kind: str, number: int) -> Any:
        """What stands here for an object of the other side."""
        raise NotImplementedError


class Remote:
    """An object of the other side."""

    __slots__ = ("_link", "_number")

    def __init__(self, link: Any, number: int) -> None:
        object.__setattr__(self, "_link", link)
        object.__setattr__(self, "_number", number)


_MUTABLE_NAMES = {*MAPPINGS, "list", "set", "deque", "bytearray"}


def _is_method(value: Any) -> bool:
    """Is it bound to an object, as `[].append` is, not a function of a module?"""
    owner = getattr(value, "__self__", None)
    return owner is not None and not isinstance(owner, types.ModuleType)


def _builtin_type(name: str) -> Any:
    found = getattr(builtins, name)
    if not isinstance(found, type):
        raise ValueError(f"{name} is no type")
    return found
