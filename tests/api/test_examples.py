"""Does what the document shows as a request work when it is sent?"""

from typing import Any

import httpx
import pytest

from pullplan.api import openapi
from pullplan.api.examples import BODIES

pytestmark = pytest.mark.anyio

OF_THE_BAKERY = {"product_code": "RYE", "region_code": "BIBERACH", "node_code": "OVEN-ULM"}


def operations() -> dict[str, tuple[str, str, dict[str, Any]]]:
    return {
        operation["operationId"]: (method, path, operation)
        for path, methods in openapi.document()["paths"].items()
        for method, operation in methods.items()
    }


async def test_every_example_is_accepted_in_every_form_when_sent_in_the_order_of_loading(
    client: httpx.AsyncClient,
):
    known = dict(OF_THE_BAKERY)
    found = operations()
    of_plans = {"confirmReason", "decideBufferProposals"}
    for name in (name for name in BODIES if name not in of_plans):
        method, path, operation = found[name]
        for form, content in operation["requestBody"]["content"].items():
            if "example" not in content:
                continue
            example = content["example"]
            sent: dict[str, Any] = {"json": example} if form == "application/json" else {"content": example}
            answer = await client.request(
                method,
                path.format_map(known),
                headers={"Content-Type": form} | ({"If-Match": "*"} if method == "put" else {}),
                **sent,
            )
            assert answer.is_success, (name, form, answer.text)
            said = answer.json()
            known |= {key: said[key] for key in ("key_id", "webhook_id") if key in said}
    assert set(BODIES) == {name for name, (_, _, operation) in found.items() if "requestBody" in operation}
