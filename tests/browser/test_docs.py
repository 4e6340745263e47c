"""Do the documentation's pages work in a browser that reaches no other host?"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml
from playwright.sync_api import ConsoleMessage, Request, sync_playwright

CHROMIUM = Path("/usr/bin/chromium")

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"needs Debian's chromium at {CHROMIUM}")


@pytest.fixture
def service(tmp_path: Path) -> Iterator[str]:
    """Serve the API without its database: the documentation needs none."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                *(Path(sys.executable).with_name("granian"), "--interface", "asgi", "--factory", "--no-ws"),
                *("--host", "127.0.0.1", "--port", str(port), "pullplan.api.app:create"),
            ],
            env=os.environ | {"DATABASE_URL": "postgresql://pullplan@127.0.0.1:1/pullplan"},
            stdout=output,
            stderr=output,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                httpx.get(f"{url}/health/live").raise_for_status()
                break
            except httpx.TransportError:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline
                time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.long
def test_the_documentation_shows_every_operation_without_an_error_or_another_host(
    service: str, tmp_path: Path
):
    errors: list[str] = []
    asked: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            errors.append(message.text)

    def see(request: Request) -> None:
        asked.append(request.url)

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1200, "height": 1600})
        page.on("console", hear)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", see)
        page.goto(f"{service}/docs")
        page.wait_for_selector("#operations-plans-startPlan")
        page.click("#operations-plans-startPlan .opblock-summary-control")
        page.wait_for_selector("#operations-plans-startPlan .opblock-description")
        shown = page.locator(".opblock").count()
        page.screenshot(path=tmp_path / "docs.png")
        browser.close()
    document = httpx.get(f"{service}/openapi.yaml").text
    contract = yaml.safe_load(document)
    items = [item for part in ("paths", "webhooks") for item in contract[part].values()]
    assert shown == sum(map(len, items))
    assert errors == []
    assert [url for url in asked if not url.startswith((service, "data:", "blob:"))] == []
