"""Is the committed document the code's, whole, and kept?"""

import copy
import re
from typing import Any

import jsonschema_rs
import pytest
import yaml

from pullplan.api import openapi
from pullplan.packaged_files import packaged

METHODS = {"get", "put", "post", "delete"}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return openapi.document()


@pytest.fixture(scope="module")
def committed() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((packaged("openapi") / "openapi.yaml").read_text())
    return read


def _operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (path, method, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in METHODS
    ]


def test_the_committed_document_is_the_codes():
    committed = (packaged("openapi") / "openapi.yaml").read_text()
    assert committed == openapi.render(), "`make openapi` writes it"


def test_every_operation_has_a_name_a_tag_and_words_for_its_caller(document):
    operations = _operations(document)
    tags = {tag["name"] for tag in document["tags"]}
    for path, method, operation in operations:
        assert operation["operationId"], (method, path)
        assert set(operation["tags"]) <= tags, (method, path)
        assert operation["tags"], (method, path)
        assert len(operation["description"]) > 20, (method, path)
    names = [operation["operationId"] for _, _, operation in operations]
    assert len(set(names)) == len(names)


def test_every_failure_is_documented_as_a_problem(document):
    for path, method, operation in _operations(document):
        failures = {status for status in operation["responses"] if status >= "400"}
        assert {"500", "503"} <= failures, (method, path)
        assert not operation["security"] or {"401", "403"} <= failures, (method, path)
        assert "requestBody" not in operation or {"400", "413", "415", "422"} <= failures, (method, path)
        for status in failures:
            assert operation["responses"][status] == {"$ref": f"#/components/responses/Problem{status}"}


def _request_schemas(document: dict[str, Any]) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    waiting = [
        (operation["operationId"], operation["requestBody"]["content"]["application/json"]["schema"])
        for _, _, operation in _operations(document)
        if "requestBody" in operation
    ]
    seen = set()
    while waiting:
        where, schema = waiting.pop()
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            if name not in seen:
                seen.add(name)
                waiting.append((name, document["components"]["schemas"][name]))
            continue
        found.append((where, schema))
        parts = [
            *schema.get("anyOf", ()),
            *schema.get("properties", {}).values(),
            *schema.get("prefixItems", ()),
        ]
        parts += [
            schema[key] for key in ("items", "additionalProperties") if isinstance(schema.get(key), dict)
        ]
        waiting += [(where, part) for part in parts]
    return found


def test_everything_that_a_caller_may_send_is_bounded(document):
    unbounded = [
        (where, schema)
        for where, schema in _request_schemas(document)
        if (schema.get("type") == "string" and not {"maxLength", "format", "pattern", "enum"} & schema.keys())
        or (schema.get("type") in ("integer", "number") and not {"maximum", "exclusiveMaximum"} & schema.keys())
        or (schema.get("type") in ("integer", "number") and not {"minimum", "exclusiveMinimum"} & schema.keys())
        or (schema.get("type") == "array" and "maxItems" not in schema)
        or ("properties" in schema and schema.get("additionalProperties") is not False)
    ]  # fmt: skip
    assert unbounded == []


def test_every_text_in_a_parameter_is_bounded(document):
    for path, method, operation in _operations(document):
        for parameter in operation.get("parameters", ()):
            schema = parameter["schema"]
            if schema.get("type") == "string" and parameter["in"] != "header":
                assert {"maxLength", "format"} & schema.keys(), (method, path, parameter["name"])


def breaking_changes(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """List what callers of `before` may miss in `after`: operations, answers, fields, and new demands."""
    found: list[str] = []
    for path, method, operation in _operations(before):
        now = after["paths"].get(path, {}).get(method)
        if now is None:
            found.append(f"{method} {path} is gone")
            continue
        demanded = {p["name"] for p in operation.get("parameters", ()) if p["required"]}
        known = {p["name"] for p in operation.get("parameters", ())}
        found += [
            f"{method} {path} now demands {parameter['name']}"
            for parameter in now.get("parameters", ())
            if parameter["required"] and parameter["name"] not in demanded
        ]
        found += [
            f"{method} {path} no longer takes {name}"
            for name in sorted(known - {p["name"] for p in now.get("parameters", ())})
        ]
        found += [
            f"{method} {path} no longer answers {status}"
            for status in operation["responses"]
            if status < "400" and status not in now["responses"]
        ]
    for name, schema in before["components"]["schemas"].items():
        now = after["components"]["schemas"].get(name, {})
        gone = schema.get("properties", {}).keys() - now.get("properties", {}).keys()
        found += [f"{name} no longer has {field}" for field in sorted(gone)]
        if schema.get("additionalProperties") is False:
            new = set(now.get("required", ())) - set(schema.get("required", ()))
            found += [f"{name} now demands {field}" for field in sorted(new)]
    return found


def test_nothing_breaks_for_callers_while_the_version_stays(committed, document):
    if committed["info"]["version"] == document["info"]["version"]:
        assert breaking_changes(committed, document) == []


def test_a_breaking_change_is_found(document):
    changed = copy.deepcopy(document)
    del changed["paths"]["/v1/runs/{run_id}/cancel"]
    changed["paths"]["/v1/runs"]["get"]["parameters"][0]["required"] = True
    del changed["components"]["schemas"]["Run"]["properties"]["state"]
    changed["components"]["schemas"]["PlanRequest"]["required"] = ["as_of"]
    name = document["paths"]["/v1/runs"]["get"]["parameters"][0]["name"]
    assert breaking_changes(document, changed) == [
        f"get /v1/runs now demands {name}",
        "post /v1/runs/{run_id}/cancel is gone",
        "PlanRequest now demands as_of",
        "Run no longer has state",
    ]
    assert breaking_changes(document, document) == []


def _validator(document: dict[str, Any], schema: dict[str, Any]) -> Any:
    return jsonschema_rs.validator_for(
        {**schema, "components": document["components"]}, validate_formats=True
    )


def test_every_body_and_every_problem_has_examples_that_validate(document):
    bodies = 0
    for path, method, operation in _operations(document):
        for form, content in operation.get("requestBody", {}).get("content", {}).items():
            if "schema" in content and "contentMediaType" not in content["schema"]:
                assert content.get("example") is not None, (method, path, form)
                _validator(document, content["schema"]).validate(content["example"])
                bodies += 1
    assert bodies > 50
    for name, response in document["components"]["responses"].items():
        for content in response.get("content", {}).values():
            assert content["examples"], name
            for code, example in content["examples"].items():
                _validator(document, content["schema"]).validate(example["value"])
                assert (example["value"]["code"], f"Problem{example['value']['status']}") == (code, name)


def test_every_link_gives_an_operation_all_that_its_path_needs(document):
    named = {operation["operationId"]: path for path, _, operation in _operations(document)}
    links = [
        link
        for _, _, operation in _operations(document)
        for response in operation["responses"].values()
        for link in response.get("links", {}).values()
    ]
    assert len(links) > 20
    for link in links:
        assert set(re.findall(r"\{(\w+)\}", named[link["operationId"]])) == set(link["parameters"]), link
