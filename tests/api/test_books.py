"""Does a re-plan that stores only some of its books say what it would if it stored all of them?"""

from typing import Any
from uuid import UUID

import httpx
import pytest
from tests.api.accounts import items
from tests.api.test_ledger import Book, planned, send
from tests.computing import computed
from tests.seeding import AS_OF

from pullplan.engine.model import PlanRequest
from pullplan.storage import books
from pullplan.storage.database import Connection


@pytest.fixture(autouse=True)
def _a_part_for_each_product(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(books, "PAIRS_PER_PART", 1)


async def said(
    connection: Connection, client: httpx.AsyncClient, plan_id: UUID
) -> tuple[list[Any], list[Any]]:
    """Read a plan's ledger, and its terms with the parts put together."""
    terms = await connection.fetch(
        """
        SELECT p.first_row, c.* FROM plan_book_parts AS p
        INNER JOIN plan_pull_terms AS t ON t.plan_id = p.of_plan_id AND t.first_pair = p.of_first_row
        CROSS JOIN LATERAL unnest(t.product_codes, t.region_codes, t.policy_numbers, t.lead_days, t.on_hand_units) AS c
        WHERE p.plan_id = $1 AND p.book = 'terms' ORDER BY p.first_row
        """,
        plan_id,
    )
    return await items(client, f"/v1/plans/{plan_id}/ledger"), list(map(tuple, terms))


async def products_stored(connection: Connection, plan_id: UUID) -> set[str]:
    rows = await connection.fetch(
        "SELECT unnest(product_codes) AS code FROM plan_pull_terms WHERE plan_id = $1", plan_id
    )
    return {row["code"] for row in rows}


@pytest.mark.anyio
@pytest.mark.parametrize("seed", range(2))
async def test_a_replan_shares_its_parents_books_where_they_say_the_same(
    seed: int,
    connection: Connection,
    database_url: str,
    client: httpx.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
):
    plan_id = await planned(connection, database_url, client, Book(seed))
    new: dict[str, Any] = {"source": "erp", "external_id": "new", "kind": "order", "region_code": "WEST"}
    for product_code, units in (("CAKE", 11.0), ("CAKE", 14.0), ("BREAD", 5.0)):
        order = new | {"product_code": product_code, "units": units, "external_id": f"new-{product_code}"}
        await send(
            client,
            "/v1/demand-signals/batch",
            [order | {"occurred_at": AS_OF.isoformat(), "due_date": AS_OF.date().isoformat()}],
        )
        request = PlanRequest(parent_plan_id=plan_id, as_of=AS_OF, horizon_buckets=4)
        plan_id = await computed(connection, database_url, "plan", request)
        with monkeypatch.context() as whole:
            whole.setattr(books.Parts, "of", never)
            alone = await computed(connection, database_url, "plan", request)
        assert await said(connection, client, plan_id) == await said(connection, client, alone)
        assert (
            await products_stored(connection, alone)
            > await products_stored(connection, plan_id)
            >= {product_code}
        )


async def never(_connection: Connection, _plan_id: UUID) -> None:
    """Find no parts that could be shared."""


def test_a_new_product_between_others_and_one_that_is_gone_change_the_parts_that_they_stand_in():
    parts = books.Parts(UUID(int=1), ["BREAD", "CAKE", "ROLL"])
    renewed = parts.renewed_by(frozenset({"CROISSANT"}))
    assert renewed.products_among(["BREAD", "CAKE", "CROISSANT", "ROLL", "TART"]) == {"CAKE", "CROISSANT"}
    renewed = parts.renewed_by(frozenset({"ANISE", "TART"}))
    assert renewed.products_among(["ANISE", "BREAD", "CAKE", "ROLL", "TART"]) == {
        "ANISE",
        "BREAD",
        "ROLL",
        "TART",
    }
    assert parts.renewed_by(frozenset()).products_among(["BREAD"]) == set()
