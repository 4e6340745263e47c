"""Which parameters does a handler take, and is one given that it doesn't?"""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any, get_args

from litestar import Request
from litestar.di import Dependency
from litestar.enums import ParamType
from litestar.handlers import HTTPRouteHandler
from litestar.params import ParameterKwarg
from litestar.typing import FieldDefinition

from pullplan.api.errors import ContentInvalidError
from pullplan.api.guesses import say_what_is_known
from pullplan.engine.errors import LineProblem


def parameters_of(handler: HTTPRouteHandler) -> list[tuple[str, ParamType, FieldDefinition, ParameterKwarg]]:
    """List a handler's parameters as callers know them: by name and place."""
    return [
        (given.header or given.name or field.name, ParamType(given.param_type), field, given)
        for field in handler.parsed_fn_signature.parameters.values()
        if isinstance(given := field.kwarg_definition, ParameterKwarg) and not field.has_metadata(Dependency)
    ]


@cache
def _query_names(handler: HTTPRouteHandler) -> frozenset[str]:
    return frozenset(name for name, place, _, _ in parameters_of(handler) if place is ParamType.QUERY)


@cache
def _names_without_null(handler: HTTPRouteHandler) -> frozenset[str]:
    """Name what the framework would read `null` as left out for: all that may be left out and is no text."""
    return frozenset(
        name
        for name, place, field, _ in parameters_of(handler)
        if place is ParamType.QUERY
        and type(None) in (kinds := get_args(field.annotation))
        and str not in kinds
    )


@cache
def _names_of_instants(handler: HTTPRouteHandler) -> frozenset[str]:
    """Name what the framework would read a number for, as seconds since 1970."""
    return frozenset(
        name for name, _, field, _ in parameters_of(handler) if datetime in get_args(field.annotation)
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _say_unknown(name: str, known: Sequence[str]) -> str:
    return f"{name!r} is no parameter here" + (f": {say_what_is_known(name, known)}" if known else "")


async def refuse_unknown_parameters(request: Request[Any, Any, Any]) -> None:
    """Refuse a query parameter that the resource doesn't have, that is given twice, as `null`, or as a number for an instant: before anything is done.

    Raises: ContentInvalidError.
    """
    if not request.scope["query_string"] or not request.route_handler.include_in_schema:
        return
    known = _query_names(request.route_handler)
    problems = [
        LineProblem(
            code="unknown-field" if name not in known else "duplicate",
            detail=f"{name} is given twice" if name in known else _say_unknown(name[:64], sorted(known)),
            field=name[:64],
        )
        for name, times in Counter(name for name, _ in request.query_params.multi_items()).items()
        if name not in known or times > 1
    ]
    problems += [
        LineProblem(code="invalid", detail=f"{name}: null is no value, leave it out instead", field=name)
        for name, text in request.query_params.multi_items()
        if text.lower() == "null" and name in _names_without_null(request.route_handler)
    ]
    problems += [
        LineProblem(
            code="invalid", detail=f"{name}: write an instant as RFC 3339 does, with an offset", field=name
        )
        for name, text in request.query_params.multi_items()
        if _is_number(text) and name in _names_of_instants(request.route_handler)
    ]
    if problems:
        raise ContentInvalidError("; ".join(problem.detail for problem in problems[:5]), problems)
