"""Counts for schemathesis, which loads it by SCHEMATHESIS_HOOKS, how each operation answered, and writes lines and workbooks for it."""

import atexit
import io
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import schemathesis
from xlsxwriter import Workbook

COUNTED = Path(os.environ["COUNTED_IN"])
"""Where the counts are written at the end: {"GET /v1/plans": {"200": 31, …}, …}."""
_answers: dict[str, Counter[str]] = {}


@schemathesis.serializer("application/x-ndjson")
def lines(context: Any, value: Any) -> bytes:  # noqa: ARG001
    return value if isinstance(value, bytes) else str(value).encode()


@schemathesis.serializer("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet")
def workbook(context: Any, value: Any) -> bytes:  # noqa: ARG001
    """Write a text as the one cell of a real workbook."""
    file = io.BytesIO()
    with Workbook(file) as book:
        book.add_worksheet().write_string(0, 0, str(value)[:1000].strip() or "-")
    return file.getvalue()


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:  # noqa: ARG001 - the names are the library's
    """Start a run to be cancelled, as one that was made before has ended long since; discard what is not accepted."""
    if not case.path_parameters:
        return
    if case.operation.definition.raw["operationId"] == "discardBufferProposal":
        case.path_parameters["proposal_id"] = os.environ["DISCARDED"]
    if case.operation.definition.raw["operationId"] == "cancelRun":
        headers = {"Authorization": f"Bearer {os.environ['KEY']}"}
        run = httpx.post(f"{os.environ['URL']}/v1/forecasts", json={}, headers=headers).json()
        case.path_parameters["run_id"] = run["run_id"]


@schemathesis.hook
def after_call(context: Any, case: Any, response: Any) -> None:  # noqa: ARG001 - the names are the library's
    label = f"{case.method} {case.path}"
    if label == case.operation.label:  # not where another method is tried
        _answers.setdefault(label, Counter())[str(response.status_code)] += 1


@atexit.register
def write() -> None:
    COUNTED.write_text(json.dumps(_answers))
