"""JSON Schema of a recipe, from the models that validate it, so that editors complete and check it.

In: the registered steps, ops and rule sets. Out: a JSON Schema (draft 7, which editors know best).
Shown by: `gristmill schema --out recipe.schema.json`, and in a recipe's first line
`# yaml-language-server: $schema=recipe.schema.json`.
Limit: the shape only; what needs more (a policy's column, a model's labels) is told by
`gristmill plan`. Ops that no import has registered are not known.
"""

from __future__ import annotations

import ast
import inspect
import io
import tokenize
from importlib.metadata import entry_points
from typing import Any

from pydantic import BaseModel

from curation import ops
from curation.readers import source
from curation.rules import known, rule_set
from pipelines.steps import GROUP, STEPS, step_class
from synth import ops as synth_ops
from synth.engines.spec import ENGINES, spec_class
from train.evaluate.spec import task_class, task_names
from train.spec.loss import loss_class, loss_names
from train.weights import op as weights_op

Schema = dict[str, Any]
_VARIABLE: Schema = {"type": "string", "pattern": r"\$\{[^}]*\}"}  # where another type is wanted
REF = "#/$defs/"
_SYNTH_OPS: Schema = {"type": "array", "items": {"$ref": REF + "synth_op"}}
_NUMBER: Schema = {"type": ["number", "null"]}
_TEXTS: Schema = {"type": ["string", "array"], "items": {"type": "string"}}


def recipe_schema() -> Schema:
    """The schema of a recipe file, or of a fragment that `include:` brings in."""
    found: dict[str, Schema] = {"op": _op(), "source": _source()}
    found |= {"repeat": _repeat(), "grid": _grid()}
    for name in ops.op_names():
        cls = ops.op_class(name)
        found[f"op.{name}"] = _rules(cls) if name == "rules" else _op_fields(cls)
    found |= {"synth_op": _synth_op(), "engine": _engine(found)}
    for name in synth_ops.op_names():
        found[f"synth_op.{name}"] = _op_fields(synth_ops.op_class(name))
    for name in step_names():
        found[f"step.{name}"] = _step_fields(name, found)
    found["step"] = _step()
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Gristmill recipe",
        "type": "object",
        "properties": {
            "name": {"type": "string", "description": "of the recipe; by default the file's"},
            "seed": {"type": "integer", "description": "of every step that draws; 0 by default"},
            "vars": {"type": ["object", "null"], "description": "values for ${name}, and --set"},
            "profiles": {
                "type": ["object", "null"],
                "description": "named settings, for --profile",
                "additionalProperties": {
                    "type": ["object", "null"],
                    "properties": {"vars": {"type": "object"}, "set": {"type": "object"}},
                    "additionalProperties": False,
                },
            },
            "include": {
                **_TEXTS,
                "description": "recipes whose vars, profiles and steps come first",
            },
            "steps": _steps(),
        },
        "additionalProperties": False,
        "$defs": found,
    }


def step_names() -> list[str]:
    """Steps that a recipe can name, those of third parties too."""
    return sorted({*STEPS, *(point.name for point in entry_points(group=GROUP))})


def field_comments(cls: type) -> dict[str, str]:
    """The comment at the end of each field's lines: what editors show for it."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if not issubclass(base, BaseModel) or base is BaseModel:
            continue
        try:
            text = inspect.cleandoc("\n" + inspect.getsource(base))
        except (OSError, TypeError):  # made at run time
            continue
        tokens = tokenize.generate_tokens(io.StringIO(text).readline)
        comments = {t.start[0]: t.string[1:].strip() for t in tokens if t.type == tokenize.COMMENT}
        for node in ast.walk(ast.parse(text)):
            if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
                continue
            if comment := comments.get(node.end_lineno or 0):
                found[node.target.id] = comment
    return found


def _steps() -> Schema:
    return {"type": "array", "items": {"$ref": REF + "step"}}


def _step() -> Schema:
    """By its `use`, by if and then: an editor then names the one key that is wrong."""
    cases: list[Schema] = [
        {
            "if": {"properties": {"use": {"const": name}}, "required": ["use"]},
            "then": {"$ref": REF + f"step.{name}"},
        }
        for name in step_names()
    ]
    loops: list[Schema] = [
        {"if": {"required": [loop]}, "then": {"$ref": REF + loop}} for loop in ("repeat", "grid")
    ]
    plain: Schema = {
        "if": {"not": {"anyOf": [{"required": ["repeat"]}, {"required": ["grid"]}]}},
        "then": {
            "required": ["name", "use"],
            "properties": {"use": _or_variable({"enum": step_names()})},
        },
    }
    return {"type": "object", "allOf": [plain, *cases, *loops]}


def _repeat() -> Schema:
    times = _or_variable({"type": "integer", "minimum": 1})
    name = {
        "type": "string",
        "description": "of the variable that counts from 1; `round` by default",
    }
    return _loop("repeat", {"times": times, "as": name}, ["times"])


def _grid() -> Schema:
    lists = {"type": "object", "additionalProperties": _or_variable({"type": "array"})}
    return _loop("grid", {"over": _or_variable(lists)}, ["over"])


def _loop(key: str, properties: Schema, required: list[str]) -> Schema:
    loop = _mapping({**properties, "steps": _steps()}, [*required, "steps"])
    return _mapping({key: loop}, [key])


def _step_fields(name: str, found: dict[str, Schema]) -> Schema:
    cls = step_class(name)
    schema = _model(cls, found)
    properties = schema["properties"]
    properties["use"] = {"const": name}
    if name == "curate":
        properties["from"] = {"anyOf": [{"type": "string"}, {"$ref": REF + "source"}]}
        properties["ops"] = {"type": "array", "items": {"$ref": REF + "op"}}
        found.pop("Curate.Op", None)
    if name == "train":
        properties["loss"] = _loss(found)
        found.pop("Train.LossSpec", None)
        found["Train.TaskSpec"] = _evaluation(found)  # of `advance`
    if name == "checkpoint":
        del properties["op"]
        properties |= {op: _model(weights_op.op_class(op), found) for op in weights_op.op_names()}
        schema["required"].remove("op")
        found.pop("Checkpoint.WeightOp", None)
    if name == "evaluate":
        properties["tasks"] = _or_variable({"type": "array", "items": _evaluation(found)})
        properties["model"] = properties["models"]
        schema["required"].remove("models")
        found.pop("Evaluate.TaskSpec", None)
    if name == "synthesize":
        properties["from"] = {"type": ["string", "array", "object"]}
        properties["do"] = _SYNTH_OPS
        properties["engines"] = {
            "type": "object",
            "additionalProperties": {"$ref": REF + "engine"},
        }
        found.pop("Synthesize.SynthOp", None)
        found.pop("Synthesize.EngineSpec", None)
    return schema


def _op() -> Schema:
    """`name`, or a mapping of one name to its options."""
    alone = [name for name in ops.op_names() if not _required(ops.op_class(name))]
    return _one_of({name: f"op.{name}" for name in ops.op_names()}, alone)


def _one_of(refs: dict[str, str], alone: list[str]) -> Schema:
    """A mapping of one name to its options, or one of the names that need none."""
    mapping = _alone_in({name: {"$ref": REF + ref} for name, ref in refs.items()})
    return {"if": {"type": "string"}, "then": {"enum": alone}, "else": mapping}


def _synth_op() -> Schema:
    """An op of `do`; of a family (`score`) its kind comes first."""
    names = synth_ops.op_names()
    alone = [name for name in names if not _required(synth_ops.op_class(name))]
    whole = _one_of({name: f"synth_op.{name}" for name in names}, alone)
    for family in sorted(synth_ops.FAMILIES):
        kinds = {n.partition(".")[2]: n for n in names if n.startswith(f"{family}.")}
        bare = [kind for kind, name in kinds.items() if name in alone]
        inner = _one_of({kind: f"synth_op.{name}" for kind, name in kinds.items()}, bare)
        whole["else"]["properties"][family] = {"anyOf": [inner, _VARIABLE]}
    return {"anyOf": [whole, _VARIABLE]}


def _engine(found: dict[str, Schema]) -> Schema:
    """One backend and its settings."""
    properties = {}
    for name in ENGINES:
        properties[name] = _model(spec_class(name), found)
    variable = {"patternProperties": {_VARIABLE["pattern"]: {"type": "object"}}}
    return {"anyOf": [{**_alone_in(properties), **variable}, _VARIABLE]}


def _loss(found: dict[str, Schema]) -> Schema:
    """A name, or a name with its options."""
    properties = {name: _model(loss_class(name), found) for name in loss_names()}
    return {"anyOf": [{"enum": loss_names()}, _alone_in(properties), _VARIABLE]}


def _evaluation(found: dict[str, Schema]) -> Schema:
    """A task's name, or the name with its options or with the one value of a shorthand."""
    properties = {
        name: {"anyOf": [_model(task_class(name), found), {"type": "string"}]}
        for name in task_names()
    }
    return {"anyOf": [{"enum": task_names()}, _alone_in(properties), _VARIABLE]}


def _alone_in(properties: Schema) -> Schema:
    """A mapping of one of these."""
    return {**_mapping(properties, []), "minProperties": 1, "maxProperties": 1}


def _op_fields(cls: type[BaseModel]) -> Schema:
    """Options as a mapping, or the first field's value alone."""
    schema = _model(cls, {})
    if issubclass(cls, synth_ops.SynthOp) and "do" in cls.model_fields:
        schema["properties"]["do"] = _SYNTH_OPS
    first = next(iter(schema["properties"].values()), None)
    shorthand = [first] if first is not None else []
    return {
        "description": inspect.getdoc(cls) or "",
        "if": {"type": "object"},
        "then": schema,
        "else": {"anyOf": [{"type": "null"}, *shorthand]},
    }


def _rules(cls: type[ops.Op]) -> Schema:
    """Every set by name, and then its rules with their thresholds."""
    refs = [name for ref in known() for name in _names(ref)]
    cases = []
    for ref in known():
        rules = {
            rule.name: {
                "anyOf": [_NUMBER, _VARIABLE],
                "default": rule.threshold,
                "description": f"keep when {rule.keep}; else: {rule.reason}",
            }
            for rule in rule_set(ref).rules
        }
        cases.append(
            {
                "if": {"properties": {"set": {"enum": _names(ref)}}, "required": ["set"]},
                "then": _mapping({"set": {}, **rules}, []),
            }
        )
    one = _or_variable({"enum": refs})
    return {
        "description": inspect.getdoc(cls) or "",
        "if": {"type": "object"},
        "then": {"properties": {"set": one}, "required": ["set"], "allOf": cases},
        "else": one,
    }


def _names(ref: str) -> list[str]:
    return [ref.removesuffix("@paper"), ref] if ref.endswith("@paper") else [ref]


def _source() -> Schema:
    """`from:` of curate: one format with its files, its options, and amounts for `plan`."""
    formats: Schema = {kind: _TEXTS for kind in source.SUFFIXES}
    options: Schema = {option: {} for kind in source.SUFFIXES for option in source._OPTIONS[kind]}
    amounts = {key: _or_variable({"type": "number"}) for key in ("documents", "tokens")}
    declare = _mapping(amounts, ["documents"])
    return {
        **_mapping({**formats, **options, "declare": declare}, []),
        "oneOf": [{"required": [kind]} for kind in source.SUFFIXES],
    }


def _model(cls: type[BaseModel], found: dict[str, Schema]) -> Schema:
    """A model's own schema; every value may also be a variable, and comments describe fields."""
    schema = cls.model_json_schema(by_alias=True, ref_template=REF + f"{cls.__name__}.{{model}}")
    comments = field_comments(cls)
    validators = cls.__pydantic_decorators__.field_validators.values()
    lenient = {name for v in validators if v.info.mode == "before" for name in v.info.fields}
    for name, inner in schema.pop("$defs", {}).items():
        for form in inner.get("anyOf", [inner]):  # a mapping, and text alone
            fields = form.get("properties", {})
            fields.update({key: _or_variable(wanted) for key, wanted in fields.items()})
        found[f"{cls.__name__}.{name}"] = inner
    for name, field in cls.model_fields.items():
        key = field.alias or name
        wanted = schema["properties"].get(key, {})
        about = {k: wanted.pop(k) for k in ("default", "description") if k in wanted}
        about.setdefault("description", comments.get(name, ""))
        wanted.pop("title", None)
        schema["properties"][key] = {**_or_variable(_alone(wanted) if name in lenient else wanted)}
        schema["properties"][key] |= {k: v for k, v in about.items() if v != ""}
    return schema


def _alone(wanted: Schema) -> Schema:
    """A list whose validator also takes one entry, an entry as text, or nothing."""
    item = wanted.get("items", {})
    each: Schema = {"anyOf": [item, {"type": "string"}]}
    return {"anyOf": [{"type": "array", "items": each}, item, {"type": ["string", "null"]}]}


def _or_variable(schema: Schema) -> Schema:
    if not schema or (schema.get("type") == "string" and "enum" not in schema):
        return schema
    return {"anyOf": [schema, _VARIABLE]}


def _mapping(properties: Schema, required: list[str]) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def _required(cls: type[BaseModel]) -> bool:
    return any(field.is_required() for field in cls.model_fields.values())
