"""Templates: Jinja2, sandboxed and strict, compiled once a process.

In: a template's text, or an expression. Out: a function of a row's fields.
Shown by: any prompt of synth/prompts/.
Limit: a template cannot call methods that change its values, nor reach files or Python.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from jinja2 import (
    StrictUndefined,
    TemplateError,
    TemplateSyntaxError,
    Undefined,
    UndefinedError,
)
from jinja2.meta import find_undeclared_variables
from jinja2.nodes import Template as Tree
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from gristmill.errors import RecipeError


class RenderError(Exception):
    """A template could not be rendered for one row; `reason` is of synth.calls.REASONS."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def _text(value: Any) -> Any:
    """What is printed: a null would become the word None, and a model would read it."""
    if value is None:
        raise UndefinedError("a field that the template prints is null")
    return value


@lru_cache(maxsize=1)
def _environment() -> ImmutableSandboxedEnvironment:
    return ImmutableSandboxedEnvironment(
        undefined=StrictUndefined,
        finalize=_text,
        autoescape=False,
        keep_trailing_newline=False,
        cache_size=0,
    )


class Template:
    """One compiled template; `names` are the fields that it reads."""

    def __init__(self, text: str, where: str) -> None:
        try:
            tree: Tree = _environment().parse(text)
            self._compiled = _environment().from_string(tree)
        except TemplateSyntaxError as error:
            raise RecipeError(
                f"{where}: line {error.lineno} of the template is not valid Jinja: {error.message}"
            ) from None
        self.names = frozenset(find_undeclared_variables(tree))
        self.text = text
        self._globals = dict(self._compiled.globals)

    def render(self, fields: Mapping[str, Any]) -> str:
        """The text for one row; RenderError where a field is missing or an expression fails."""
        rendered: str = _apply(self._rendered, fields)
        return rendered

    def _rendered(self, fields: Mapping[str, Any]) -> str:
        # Template.render copies a chain of mappings for every row: 8 of its 12 µs.
        compiled = self._compiled
        known = {**self._globals, **fields}
        context = Context(compiled.environment, known, compiled.name, compiled.blocks)
        return "".join(compiled.root_render_func(context))


class Expression:
    """What may stand between `{{` and `}}`; its value is a list, a number, true or false too."""

    def __init__(self, text: str, where: str) -> None:
        self.names = template(f"{{{{ ({text}\n) }}}}", where).names
        self._value = _environment().compile_expression(text, undefined_to_none=False)

    def value(self, fields: Mapping[str, Any]) -> Any:
        """For one row; RenderError as above."""
        return _apply(lambda given: _settled(self._value(**given)), fields)


def _settled(value: Any) -> Any:
    """Filters such as `map` give generators, and a missing field gives an Undefined."""
    if isinstance(value, Undefined):
        str(value)  # raises UndefinedError, which names the field
    return list(value) if hasattr(value, "__next__") else value


def _apply(function: Callable[[Mapping[str, Any]], Any], fields: Mapping[str, Any]) -> Any:
    try:
        return function(fields)
    except UndefinedError as error:
        raise RenderError("missing", str(error)) from None
    except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError) as error:
        raise RenderError("template", f"{type(error).__name__}: {error}") from None


@lru_cache(maxsize=1024)
def template(text: str, where: str = "a template") -> Template:
    """The compiled template of a text; `where` is named in errors."""
    return Template(text, where)


@lru_cache(maxsize=1024)
def expression(text: str, where: str = "an expression") -> Expression:
    """The compiled expression of a text; `where` is named in errors."""
    return Expression(text, where)
