"""What does the API promise? OpenAPI 3.1, read from the handlers: their paths, parameters, types and docstrings.

Written here rather than by the framework, whose generator drops what this API promises: that unknown fields are refused,
that list items and dictionary values are bounded, that every failure is `application/problem+json`.
"""

import inspect
import re
from collections import defaultdict
from http import HTTPStatus
from importlib.metadata import version
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
import yaml
from litestar import Litestar, Response
from litestar.enums import ParamType
from litestar.handlers import HTTPRouteHandler
from litestar.params import KwargDefinition
from litestar.routes import HTTPRoute
from litestar.types import Empty
from litestar.typing import FieldDefinition

from pullplan.api import problems
from pullplan.api.access import Require
from pullplan.api.app import create_app
from pullplan.api.examples import BODIES, as_lines
from pullplan.api.links import link_runs
from pullplan.api.parameters import parameters_of
from pullplan.api.rows import CSV, NDJSON
from pullplan.api.schemas import Json, Schemas
from pullplan.api.webhooks import Event, Message
from pullplan.api.worksheets import XLSX
from pullplan.settings import Settings
from pullplan.storage.runs import Run

_METHODS = ("get", "put", "post", "delete")
_TAGS = {
    "service": "What this service is, who you are to it, and whether it is well.",
    "access": "Which keys there are, what they may do, and what was done with them.",
    "network": "What can be made where, how much of it, and where it can be sent. Load products, regions and nodes first.",
    "demand": "What was used, ordered and may be ordered.",
    "stock": "What was counted, and what is already coming.",
    "runs": "Long work: forecasts, plans and verifications are runs that are queued, computed and followed.",
    "forecasts": "Expected demand by product, region and bucket, with quantiles and measured accuracy.",
    "plans": "Which node makes what for which region, when and why; what falls short; and the proof.",
    "webhooks": "Whom the service calls when a run has ended, by Standard Webhooks: signed, at least once, tried for three days.",
}
_DESCRIPTION = """\
Pull-based production planning for networks of many small local plants.

Send a key with every request: `Authorization: Bearer <key>`; `pullplan keys create` makes the first one, `POST /v1/keys` others. Bodies are read strictly: unknown \
fields are refused, nothing is coerced, instants need an offset. Every failure is `application/problem+json` with a stable `code`. \
Lists are read page by page with `cursor`. Every GET answers HEAD too. Answers state how many requests the key has left in `RateLimit` and `RateLimit-Policy`.
"""
_BODY_PROBLEMS = (400, 413, 415)
_PRECONDITIONS = (
    ("If-Match", "The `ETag` that was read: the change is refused when the resource has changed since."),
    ("If-None-Match", "`*`: create the resource, and refuse when it is there already."),
)
_IF_NONE_MATCH = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "description": "The `ETag` of the last answer: where nothing has changed since, the answer is 304 without a body.",
}
_NOT_MODIFIED = {
    "description": "The answer would be the one that `If-None-Match` names.",
    "headers": {"ETag": {"description": "Of the answer.", "schema": {"type": "string"}}},
}
_CONSTRAINTS = ("gt", "ge", "lt", "le", "multiple_of", "pattern", "min_length", "max_length", "tz")


def _without_none(annotation: Any) -> Any:
    if get_origin(annotation) in (Union, UnionType):
        kept = tuple(part for part in get_args(annotation) if part is not type(None))
        return Union[kept]  # noqa: UP007 - the parts are known only here
    return annotation


def _parameter_type(field: FieldDefinition, given: KwargDefinition) -> Any:
    bounds = {name: getattr(given, name) for name in _CONSTRAINTS if getattr(given, name, None) is not None}
    inner = _without_none(field.annotation)
    return Annotated[inner, msgspec.Meta(**bounds)] if bounds else inner


def _parameters(handler: HTTPRouteHandler, schemas: Schemas) -> list[Json]:
    found: list[Json] = []
    for name, place, field, given in parameters_of(handler):
        schema = schemas.add(_parameter_type(field, given))
        if field.has_default and field.default is not None and field.default is not Empty:
            schema["default"] = field.default
        parameter: Json = {
            "name": name,
            "in": place.value,
            "required": place is ParamType.PATH or not field.has_default,
            "schema": schema,
        }
        if given.description:
            parameter["description"] = given.description
        found.append(parameter)
    if 428 in handler.opt.get("problems", ()):
        found += [
            {
                "name": name,
                "in": "header",
                "required": False,
                "schema": {"type": "string"},
                "description": text,
            }
            for name, text in _PRECONDITIONS
        ]
    return found


_WORKBOOK: Json = {"schema": {"type": "string", "contentMediaType": XLSX}}


def _columns(row: Any) -> list[str]:
    """Name the columns of a row's CSV: the fields of a Struct, or of every Struct of a tagged union."""
    kinds = get_args(row) or (row,)
    tags = [kind.__struct_config__.tag_field for kind in kinds if kind.__struct_config__.tag]
    names = [field.encode_name for kind in kinds for field in msgspec.structs.fields(kind)]
    return list(dict.fromkeys([*tags, *names]))


def _request_body(handler: HTTPRouteHandler, schemas: Schemas) -> Json | None:
    data = handler.parsed_data_field
    example: Any = BODIES.get(str(handler.operation_id))
    if data is not None:
        return {
            "required": True,
            "content": {"application/json": {"schema": schemas.add(data.raw), "example": example}},
        }
    row = handler.opt.get("bulk_body")
    if row is None:
        return None
    columns = ", ".join(f"`{name}`" for name in _columns(row))
    lines = as_lines(example)
    return {
        "required": True,
        "description": f"A JSON array, or as many lines as there are: NDJSON of such objects, or CSV under a header of {columns}, \
separated by commas or semicolons; `Content-Type: text/csv; decimal=comma` reads 2,5 as two and a half. \
Or an XLSX workbook of at most 50 MB with one filled sheet, under the same header: of formulas the values count that are \
stored with them, a cell with an error is empty, instants are texts with their offset, and lines in problems are its rows. \
Any of them may be packed: `Content-Encoding: gzip`.",
        "content": {
            "application/json": {
                "schema": {"type": "array", "maxItems": 10_000, "items": schemas.add(row)},
                "example": example,
            },
            NDJSON: {"schema": {"type": "string"}, "example": lines[NDJSON]},
            CSV: {"schema": {"type": "string"}, "example": lines[CSV]},
            XLSX: _WORKBOOK,
        },
    }


def _result_type(handler: HTTPRouteHandler) -> Any:
    """Find what a handler's answer holds: T of `T`, `Response[T]` or `Response[T] | Stream`; None for nothing."""
    annotation = handler.parsed_fn_signature.return_type.annotation
    parts = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    for part in parts:
        if get_origin(part) is Response:
            (inner,) = get_args(part)
            return None if inner is type(None) else inner
    if annotation is None or annotation is type(None):
        return None
    return annotation


def _success(handler: HTTPRouteHandler, status: int, schemas: Schemas) -> Json:
    answer: Json = {"description": HTTPStatus(status).phrase}
    media_type = str(handler.media_type or "application/json")
    result = Run if status == HTTPStatus.ACCEPTED else _result_type(handler)
    if media_type == "text/event-stream":
        answer["content"] = {media_type: {"schema": {"type": "string"}}}
    elif result is not None and status != HTTPStatus.NO_CONTENT:
        answer["content"] = {"application/json": {"schema": schemas.add(result)}}
        if handler.opt.get("rows"):
            answer["content"] |= {form: {"schema": {"type": "string"}} for form in (CSV, NDJSON)}
            answer["content"][XLSX] = _WORKBOOK
    if status == HTTPStatus.ACCEPTED:
        answer["headers"] = {"Location": {"description": "The run.", "schema": {"type": "string"}}}
    return answer


def _guard_of(handler: HTTPRouteHandler) -> Require | None:
    return next((guard for guard in handler.guards or () if isinstance(guard, Require)), None)


def _said_of(guard: Require | None) -> str:
    if guard is None:
        return ""
    if guard.scope is None:
        return "For every key."
    own = ", or `node` for the key's own node" if guard.own_node else ""
    return f"Scope: `{guard.scope}`{own}."


def _problem_statuses(handler: HTTPRouteHandler, operation: Json) -> list[int]:
    statuses = {422, 500, 503, *handler.opt.get("problems", ())}  # 422: a query parameter that is none
    if "requestBody" in operation:
        statuses.update(_BODY_PROBLEMS)
    if any(parameter["name"] == "Idempotency-Key" for parameter in operation.get("parameters", ())):
        statuses.add(409)  # the first request is still being answered
    if any(parameter["in"] == "path" for parameter in operation.get("parameters", ())):
        statuses.add(404)
    if "security" in operation:
        statuses.update((401, 403, 429))
    return sorted(statuses)


def _title(operation_id: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", operation_id).capitalize()


def _operation(handler: HTTPRouteHandler, schemas: Schemas) -> Json:
    guard = _guard_of(handler)
    words = (inspect.getdoc(handler.fn), _said_of(guard))
    operation: Json = {
        "operationId": handler.operation_id,
        "tags": list(handler.tags or ()),
        "summary": _title(str(handler.operation_id)),
        "description": "\n\n".join(part for part in words if part),
    }
    if parameters := _parameters(handler, schemas):
        operation["parameters"] = parameters
    if body := _request_body(handler, schemas):
        operation["requestBody"] = body
    operation["security"] = [{"key": []}] if guard else []
    creates = (
        handler.http_methods == {"PUT"}
        and 428 in handler.opt.get("problems", ())
        and handler.opt.get("creates", True)
    )
    also = (201,) if creates else (200,) if "result" in handler.opt else handler.opt.get("also", ())
    if "bulk_body" in handler.opt:
        also = (202,)
    responses = {
        str(status): _success(handler, status, schemas) for status in sorted({handler.status_code, *also})
    }
    if not guard:
        del operation["security"]
    for status in _problem_statuses(handler, operation):
        responses[str(status)] = {"$ref": f"#/components/responses/Problem{status}"}
    if not guard:
        operation["security"] = []
    if handler.http_methods == {"GET"} and "application/json" in responses["200"].get("content", {}):
        operation.setdefault("parameters", []).append(_IF_NONE_MATCH)
        responses["304"] = {"$ref": "#/components/responses/NotModified"}
    operation["responses"] = dict(sorted(responses.items()))
    return operation


def _webhook(event: str, schemas: Schemas) -> Json:
    """Describe what a receiver of an event is sent, and what it should answer."""
    kind, _, state = event.partition(".")
    headers = ("webhook-id", "webhook-timestamp", "webhook-signature")
    return {
        "post": {
            "operationId": f"tell{kind.title().replace('_', '')}{state.title()}",
            "tags": ["webhooks"],
            "summary": f"A run of kind {kind} {'was' if state == 'cancelled' else 'has'} {state}",
            "description": "Signed as Standard Webhooks says. The same message may come twice, under the same `webhook-id`.",
            "parameters": [
                {"name": name, "in": "header", "required": True, "schema": {"type": "string"}}
                for name in headers
            ],
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": schemas.add(Message)}},
            },
            "security": [],
            "responses": {
                "2XX": {
                    "description": "Taken. Anything else, or nothing within ten seconds, and it is sent again later."
                },
                "410": {"description": "Never again: the webhook is disabled."},
            },
        }
    }


def _problem_responses(schemas: Schemas) -> Json:
    """Describe each status by the errors that have it."""
    words: dict[int, dict[str, str]] = defaultdict(dict)
    for error, status in problems.STATUS_BY_ERROR.items():
        words[status][error.code] = " ".join((inspect.getdoc(error) or "").split())
    words[500]["internal-error"] = "Something failed that should not."
    words[503]["database-busy"] = "The database was too busy to do this in time."
    responses: Json = {}
    for status in sorted(words):
        of_status = sorted(words[status].items())
        responses[f"Problem{status}"] = {
            "description": "\n".join(
                [f"{HTTPStatus(status).phrase}.\n", *(f"- `{code}`: {said}" for code, said in of_status)]
            ),
            "content": {
                problems.MEDIA_TYPE: {
                    "schema": schemas.add(problems.Problem),
                    "examples": {
                        code: {"value": msgspec.to_builtins(problems.worded(status, code, said, "/v1/plans"))}
                        for code, said in of_status
                    },
                }
            },
        }
        if status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
            responses[f"Problem{status}"]["headers"] = {
                "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}
            }
    return responses


def _routes(app: Litestar) -> list[tuple[str, str, HTTPRouteHandler]]:
    found = [
        (re.sub(r"\{(\w+):\w+\}", r"{\1}", route.path), method.lower(), handler)
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        for method in handler.http_methods
        if handler.include_in_schema and method != "OPTIONS"
    ]
    return sorted(found, key=lambda entry: (entry[0], _METHODS.index(entry[1])))


def document() -> Json:
    """Make the OpenAPI document of the application as it is."""
    app = create_app(Settings(data_folder=Path()), "postgresql://").app
    schemas = Schemas()
    paths: Json = {}
    results: dict[str, str] = {}
    for path, method, handler in _routes(app):
        paths.setdefault(path, {})[method] = _operation(handler, schemas)
        if "result" in handler.opt:
            results[str(handler.operation_id)] = handler.opt["result"]
    link_runs(paths, results)
    return schemas.resolve(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "pullplan",
                "version": version("pullplan"),
                "description": _DESCRIPTION,
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            "servers": [{"url": "/"}],
            "tags": [{"name": name, "description": words} for name, words in _TAGS.items()],
            "paths": paths,
            "webhooks": {event: _webhook(event, schemas) for event in get_args(Event)},
            "components": {
                "securitySchemes": {
                    "key": {
                        "type": "http",
                        "scheme": "bearer",
                        "description": "A key, as `POST /v1/keys` or `pullplan keys create` shows it once; or, where the deployment names an identity provider, an access token of it (a signed JSON Web Token with scopes in `scope` or `scp`, and for the scope `node` the node in `pullplan_node`).",
                    }
                },
                "responses": {"NotModified": _NOT_MODIFIED, **_problem_responses(schemas)},
            },
        }
    )


class _Dumper(yaml.SafeDumper):
    """Writes no anchors, and texts of several lines as such: the document is there to be read."""

    def ignore_aliases(self, data: Any) -> Literal[True]:  # noqa: ARG002 - the name is the library's
        return True

    def represent_text(self, data: str) -> yaml.ScalarNode:
        return self.represent_scalar("tag:yaml.org,2002:str", data, style="|" if "\n" in data else None)


_Dumper.add_representer(str, _Dumper.represent_text)


def render() -> str:
    """Write the document as YAML, the same for the same code."""
    text: str = yaml.dump(document(), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    return text
