"""What the service says of itself, and what every answer has."""

import subprocess
import sys

import httpx
import pytest

from pullplan import packaged_files
from pullplan.api.app import create_app

pytestmark = pytest.mark.anyio


async def test_a_key_reads_what_it_is_and_how_much_it_may_send(client):
    me = (await client.get("/v1/me")).json()
    assert me["scopes"] == ["admin"]
    assert me["limits"] == {
        "json_body_bytes": 4194304,
        "import_run_bytes": 2**30,
        "json_batch_items": 10000,
        "page_items": 1000,
        "requests_per_minute": 60_000,
    }


async def test_settings_show_time_zone_currency_and_what_a_plan_takes_by_default(client):
    shown = (await client.get("/v1/settings")).json()
    assert (shown["time_zone"], shown["currency"]) == ("UTC", "EUR")
    assert shown["plan_defaults"]["objective"] == "nearest"
    assert shown["plan_defaults"]["circuity_factor"] == 1.0


async def test_the_root_leads_to_the_documentation(anonymous):
    answer = await anonymous.get("/")
    assert (answer.status_code, answer.headers["location"]) == (302, "/docs")


async def test_the_documentation_needs_no_other_host_and_no_script_of_its_page(anonymous):
    answer = await anonymous.get("/docs")
    assert answer.headers["content-type"].startswith("text/html")
    assert "script-src 'self';" in answer.headers["content-security-policy"]
    assert "://" not in answer.text
    for asset in ("swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png", "start.js"):
        assert f"/docs/{asset}" in answer.text
        assert (await anonymous.get(f"/docs/{asset}")).status_code == 200
    assert (await anonymous.get("/docs/secret")).status_code == 404


async def test_the_committed_document_is_served(anonymous):
    answer = await anonymous.get("/openapi.yaml")
    assert answer.content == (packaged_files.packaged("openapi") / "openapi.yaml").read_bytes()


async def test_a_migrated_database_is_ready(anonymous):
    assert (await anonymous.get("/health/ready")).json() == {"status": "ok"}


async def test_a_database_without_migrations_is_not_ready_and_the_missing_are_named(settings, server_url):
    app = create_app(settings, server_url("postgres"))
    async with (
        app.app.lifespan(),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://pullplan") as http,
    ):
        answer = await http.get("/health/ready")
    assert (answer.status_code, answer.json()["code"]) == (503, "schema-outdated")
    assert "20261122000001" in answer.json()["detail"]
    assert "retry-after" in answer.headers


async def test_head_is_answered_wherever_get_is_without_a_body(client):
    run = (await client.post("/v1/plans", json={})).json()
    for path in ("/v1/me", "/v1/runs", f"/v1/runs/{run['run_id']}/events", "/docs", "/v1/nothing"):
        head = await client.head(path)
        assert head.content == b""
        assert head.status_code == (404 if path == "/v1/nothing" else 200)
    assert int((await client.head("/docs")).headers["content-length"]) > 0


async def test_a_request_keeps_its_id_when_it_is_printable_and_gets_one_when_not(anonymous):
    kept = await anonymous.get("/health/live", headers={"X-Request-Id": "from-the-shop:1"})
    assert kept.headers["x-request-id"] == "from-the-shop:1"
    made = await anonymous.get("/health/live", headers={"X-Request-Id": 'a"b'})
    assert len(made.headers["x-request-id"]) == 32


async def test_requests_are_counted_by_route_not_by_path(client):
    for path in ("/v1/runs/00000000-0000-0000-0000-000000000001", "/v1/nothing", "/v1/nothing/else"):
        await client.get(path)
    text = (await client.get("/metrics")).text
    assert 'pullplan_http_requests_total{method="GET",route="/v1/runs/{run_id}",status="404"} 1.0' in text
    assert 'pullplan_http_requests_total{method="GET",route="unmatched",status="404"} 2.0' in text
    assert 'pullplan_http_request_seconds_count{method="GET",route="/v1/runs/{run_id}"} 1.0' in text
    assert "nothing" not in text


def test_the_http_process_never_loads_the_numerical_stack():
    code = (
        "import sys, pullplan.api.app\n"
        "from pullplan.settings import Settings; from pathlib import Path\n"
        "pullplan.api.app.create_app(Settings(data_folder=Path()), 'postgresql://')\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules}"
        " & {'numpy', 'scipy', 'pandas', 'highspy', 'statsforecast'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
