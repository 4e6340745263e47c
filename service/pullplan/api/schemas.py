"""What do the API's types look like as JSON Schema? As msgspec checks them, with each field's docstring beside it."""

import ast
import inspect
import sys
import textwrap
from functools import cache
from itertools import pairwise
from typing import Any

import msgspec

type Json = dict[str, Any]

_REFERENCE = "#/components/schemas/{name}"


class Schemas:
    """Collects the types of a document; answers their schemas once all are known."""

    def __init__(self) -> None:
        self._types: list[Any] = []

    def add(self, type_: Any) -> Json:
        """Promise the schema of a type: `resolve` fills it in."""
        self._types.append(type_)
        return {"$pending": len(self._types) - 1}

    def resolve(self, document: Json) -> Json:
        """Put the schemas where they were promised, and the named ones under components."""
        schemas, components = msgspec.json.schema_components(self._types, ref_template=_REFERENCE)
        _describe_fields(components)
        filled: Json = _fill(document, list(schemas))
        filled["components"]["schemas"] = _fill(dict(sorted(components.items())), [])
        return filled


def _fill(node: Any, schemas: list[Json]) -> Any:
    if isinstance(node, dict):
        if "$pending" in node:
            rest = {key: value for key, value in node.items() if key != "$pending"}
            return _fill(schemas[node["$pending"]], schemas) | rest
        return {
            key: _in_ecma(value) if key == "pattern" and isinstance(value, str) else _fill(value, schemas)
            for key, value in node.items()
        }
    return [_fill(item, schemas) for item in node] if isinstance(node, list) else node


def _in_ecma(pattern: str) -> str:
    """Write a Python pattern as JSON Schema reads it: `$` ends the text there, and nowhere else."""
    return pattern.replace(r"\A", "^").replace(r"\Z", "$")


def _describe_fields(components: dict[str, Json]) -> None:
    """Give each property the docstring that stands under its field."""
    structs = _structs_by_name()
    for name, schema in components.items():
        described = [_field_docstrings(cls) for cls in structs.get(name.partition("_")[0], ())]
        if len(described) != 1:
            continue
        for field, words in described[0].items():
            if field in schema.get("properties", {}):
                schema["properties"][field].setdefault("description", words)


def _structs_by_name() -> dict[str, list[type]]:
    found: dict[str, list[type]] = {}
    waiting: list[type] = [msgspec.Struct]
    while waiting:
        heirs: list[type] = waiting.pop().__subclasses__()
        for cls in heirs:
            waiting.append(cls)
            if _is_written(cls):
                found.setdefault(cls.__name__, []).append(cls)
    return found


def _is_written(cls: type) -> bool:
    """Tell a class that stands in a module of ours from one that was made at run time."""
    module = sys.modules.get(cls.__module__)
    return cls.__module__.startswith("pullplan.") and getattr(module, cls.__name__, None) is cls


@cache
def _own_field_docstrings(cls: type) -> dict[str, str]:
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    body = definition.body if isinstance(definition, ast.ClassDef) else []
    return {
        field.target.id: " ".join(words.value.value.split())
        for field, words in pairwise(body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(words, ast.Expr)
        and isinstance(words.value, ast.Constant)
        and isinstance(words.value.value, str)
    }


def _field_docstrings(cls: type) -> dict[str, str]:
    words: dict[str, str] = {}
    for ancestor in reversed(cls.__mro__):
        if _is_written(ancestor):
            words |= _own_field_docstrings(ancestor)
    return words
