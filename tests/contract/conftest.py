"""A whole service for those who call it as integrators do: API, worker and PostgreSQL in processes of their own."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.faults.processes import calling

from pullplan.api.examples import BODIES
from pullplan.cli.service import Service, running_service

BAKERY = ("products", "regions", "nodes", "capacity", "capabilities")


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running_service(tmp_path_factory.mktemp("service"), environment={"DATABASE_URL": ""}) as running:
        yield running


@pytest.fixture
def http(service: Service) -> Iterator[httpx.Client]:
    with calling(service) as client:
        yield client


@pytest.fixture
def bakery(http: httpx.Client) -> httpx.Client:
    """Load the bakery that the document's examples are about."""
    for collection in BAKERY:
        rows = BODIES[f"load{collection.title()}"]
        assert http.put(f"/v1/{collection}", json=rows).status_code == 200
    return http


@pytest.fixture(scope="session")
def repository() -> Path:
    return Path(__file__).resolve().parents[2]
