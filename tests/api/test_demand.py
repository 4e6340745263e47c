import asyncio
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.anyio

SIGNALS = "/v1/demand-signals"


@pytest.fixture
async def network(client: httpx.AsyncClient) -> httpx.AsyncClient:
    await client.put("/v1/products", json=[{"product_code": code} for code in ("GIN", "RUM")])
    await client.put("/v1/regions", json=[{"region_code": "EAST"}])
    return client


def signal(kind: str, **fields: Any) -> dict[str, Any]:
    return {
        "source": "shop",
        "external_id": kind,
        "kind": kind,
        "product_code": "GIN",
        "region_code": "EAST",
        "occurred_at": "2026-03-01T12:00:00+00:00",
    } | fields


VALID = [
    signal("consumption", units=3),
    signal("consumption", units=-1, reason="return"),
    signal("order", units=10, due_date="2026-03-20"),
    signal(
        "order",
        units=10,
        due_date="2026-03-20",
        shipped_units=4,
        shipped_at="2026-03-10T08:00:00Z",
        priority=2,
    ),
    signal("order", units=10, due_date="2026-03-20", cancelled=True),
    signal("lead", units=5, probability=0.4, due_date="2026-04-01"),
    signal("adjustment", from_date="2026-03-02", until_date="2026-03-16", multiplier=1.2, reason="promotion"),
    signal("adjustment", from_date="2026-03-02", until_date="2026-03-16", units=-40),
]


async def test_a_signal_of_each_kind_is_stored_as_it_was_told(network: httpx.AsyncClient):
    for number, valid in enumerate(VALID):
        given = valid | {"external_id": f"v-{number}"}
        answer = await network.post(SIGNALS, json=given)
        assert answer.status_code == 201, answer.text
        shown = answer.json()
        told = given | {"occurred_at": "2026-03-01T12:00:00Z"}
        assert {name: shown[name] for name in told} == told
        assert (shown["revision"], shown["superseded_at"]) == (1, None)
        batch = await network.post(f"{SIGNALS}/batch", json=[given])
        assert (batch.json()["known"], batch.json()["stored"]) == (1, 0)


IMPOSSIBLE = [
    (signal("consumption", units=-1), "units"),
    (signal("consumption", units=-1, reason="theft"), "units"),
    (signal("consumption", units=1, due_date="2026-03-20"), "due_date"),
    (signal("consumption", units=1, probability=0.5), "probability"),
    (signal("order", units=0, due_date="2026-03-20"), "units"),
    (signal("order", units=1), "due_date"),
    (signal("order", units=1, due_date="20.3.2026"), "due_date"),
    (signal("order", units=1, due_date="2026-03-20", shipped_units=1), "shipped_at"),
    (signal("order", units=1, due_date="2026-03-20", priority=2**40), "priority"),
    (signal("lead", units=1, due_date="2026-03-20"), "probability"),
    (signal("lead", units=1, due_date="2026-03-20", probability=1.1), "probability"),
    (signal("lead", units=1, due_date="2026-03-20", probability=1, reason="x"), "reason"),
    (signal("adjustment", from_date="2026-03-02", until_date="2026-03-02", units=1), "until_date"),
    (signal("adjustment", from_date="2026-03-02", until_date="2026-03-03"), "multiplier"),
    (signal("adjustment", from_date="2026-03-02", until_date="2026-03-03", multiplier=-1), "multiplier"),
    (signal("consumption", units="1"), "units"),
    (signal("consumption"), "units"),
    ({"kind": "consumption"}, "source"),
    ({}, "kind"),
]


async def test_a_signal_that_breaks_its_kinds_rules_is_refused_by_field(network: httpx.AsyncClient):
    for bad, field in IMPOSSIBLE:
        answer = await network.post(SIGNALS, json=bad)
        assert answer.status_code == 422, answer.text
        assert [(p["pointer"], p["field"]) for p in answer.json()["errors"]] == [(f"/{field}", field)]
        batch = await network.post(f"{SIGNALS}/batch", json=[VALID[0] | {"external_id": "good"}, bad])
        assert [p["pointer"] for p in batch.json()["errors"]] == [f"/1/{field}"]
        assert (await network.get(SIGNALS)).json()["items"] == []


async def test_the_same_signal_again_is_known_and_says_so(network: httpx.AsyncClient):
    first = await network.post(SIGNALS, json=VALID[0])
    again = await network.post(SIGNALS, json=VALID[0])
    assert (first.status_code, first.headers.get("idempotent-replayed")) == (201, None)
    assert (again.status_code, again.headers["idempotent-replayed"]) == (200, "true")
    assert again.json() == first.json()


async def test_other_words_are_a_new_revision_and_the_old_one_stays_readable(network: httpx.AsyncClient):
    for units in (10, 12, 12, 10):
        await network.post(SIGNALS, json=VALID[2] | {"units": units})
    history = (await network.get(f"{SIGNALS}/shop/order/history")).json()["items"]
    assert [(r["revision"], r["units"]) for r in history] == [(1, 10.0), (2, 12.0), (3, 10.0)]
    assert [r["superseded_at"] for r in history[:2]] == [r["received_at"] for r in history[1:]]
    current = (await network.get(SIGNALS)).json()["items"]
    assert [(r["revision"], r["superseded_at"]) for r in current] == [(3, None)]


async def test_what_a_source_counts_is_changed_only_by_a_higher_count(network: httpx.AsyncClient):
    async def told(units: float, count: int | None) -> httpx.Response:
        return await network.post(SIGNALS, json=VALID[2] | {"units": units, "source_revision": count})

    assert [(await told(*said)).status_code for said in ((10, None), (11, 3), (11, 3), (11, None), (12, 5))] == [
        *(201, 201, 200, 200, 201)
    ]  # fmt: skip
    for count, said in ((4, "4"), (5, "5"), (None, "null")):
        late = await told(13, count)
        assert (late.status_code, late.json()["code"]) == (409, "source-revision-stale")
        assert late.json()["errors"][0]["detail"] == f"source_revision {said} is not above 5, which is stored"
    assert (await told(12, 6)).status_code == 201  # the same again, later: 5 must not overtake it
    history = (await network.get(f"{SIGNALS}/shop/order/history")).json()["items"]
    assert [(r["units"], r["source_revision"]) for r in history] == [(10, None), (11, 3), (12, 5), (12, 6)]
    stale, new = VALID[2] | {"units": 1, "source_revision": 6}, VALID[0] | {"source_revision": 1}
    batch = await network.post(f"{SIGNALS}/batch", json=[new, stale])
    assert (batch.status_code, batch.json()["errors"][0]["pointer"]) == (409, "/1/source_revision")
    assert len((await network.get(SIGNALS)).json()["items"]) == 1
    mixed = await network.post(f"{SIGNALS}/batch", json=[stale, new | {"product_code": "ALE"}])
    assert (mixed.status_code, mixed.json()["code"]) == (422, "lines-refused")
    report = (await network.post(f"{SIGNALS}/batch?partial=true", json=[new, stale])).json()
    assert (report["stored"], report["refused"]) == (1, 1)


async def test_a_batch_stores_new_known_and_changed_signals_side_by_side(network: httpx.AsyncClient):
    rows = [VALID[0] | {"external_id": f"s-{number}"} for number in range(3)]
    await network.post(f"{SIGNALS}/batch", json=rows[:2])
    report = (await network.post(f"{SIGNALS}/batch", json=[rows[0], rows[1] | {"units": 9}, rows[2]])).json()
    assert (report["stored"], report["known"]) == (2, 1)
    listed = (await network.get(SIGNALS)).json()["items"]
    assert {r["external_id"]: (r["units"], r["revision"]) for r in listed} == {
        "s-0": (3.0, 1),
        "s-1": (9.0, 2),
        "s-2": (3.0, 1),
    }


async def test_what_was_known_at_an_instant_can_be_read_later(network: httpx.AsyncClient):
    first = (await network.post(SIGNALS, json=VALID[2])).json()
    await network.post(SIGNALS, json=VALID[0])
    changed = (await network.post(SIGNALS, json=VALID[2] | {"units": 99})).json()

    async def known(at: str) -> list[tuple[str, float]]:
        items = (await network.get(SIGNALS, params={"as_known_at": at})).json()["items"]
        return [(item["kind"], item["units"]) for item in items]

    assert await known("2026-01-01T00:00:00Z") == []
    assert await known(first["received_at"]) == [("order", 10.0)]
    assert await known(changed["received_at"]) == [("consumption", 3.0), ("order", 99.0)]
    naive = await network.get(SIGNALS, params={"as_known_at": "2026-01-01T00:00:00"})
    assert naive.status_code == 422


async def test_signals_are_listed_in_the_order_of_their_arrival_and_by_filter(network: httpx.AsyncClient):
    rows = [VALID[0] | {"external_id": f"s-{9 - number}"} for number in range(5)]
    await network.post(f"{SIGNALS}/batch", json=[*rows, VALID[2] | {"product_code": "RUM"}])
    first = (await network.get(SIGNALS, params={"limit": 4})).json()
    second = (await network.get(SIGNALS, params={"limit": 4, "cursor": first["next_cursor"]})).json()
    ids = [item["external_id"] for item in first["items"] + second["items"]]
    assert ids == ["s-9", "s-8", "s-7", "s-6", "s-5", "order"]
    assert second["next_cursor"] is None
    for filters in ({"kind": "order"}, {"product_code": "RUM"}, {"source": "shop", "kind": "order"}):
        found = (await network.get(SIGNALS, params=filters)).json()["items"]
        assert [item["external_id"] for item in found] == ["order"]
    assert (await network.get(SIGNALS, params={"source": "other"})).json()["items"] == []


async def test_a_replay_is_known_also_after_its_product_was_retired(network: httpx.AsyncClient):
    await network.post(SIGNALS, json=VALID[0])
    await network.delete("/v1/products/GIN", headers={"If-Match": "*"})
    assert (await network.post(SIGNALS, json=VALID[0])).status_code == 200
    anew = await network.post(SIGNALS, json=VALID[0] | {"units": 4})
    assert (anew.status_code, anew.json()["errors"][0]["pointer"]) == (422, "/product_code")


async def test_one_signal_posted_many_times_at_once_is_stored_once(network: httpx.AsyncClient):
    answers = await asyncio.gather(*(network.post(SIGNALS, json=VALID[0]) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert len((await network.get(f"{SIGNALS}/shop/consumption/history")).json()["items"]) == 1


async def test_a_signal_that_nobody_told_has_no_history(network: httpx.AsyncClient):
    assert (await network.get(f"{SIGNALS}/shop/none/history")).status_code == 404


async def test_telling_demand_needs_its_scope(anonymous: httpx.AsyncClient, key_with):
    reader = {"Authorization": f"Bearer {await key_with('read', 'network:write')}"}
    for path, body in ((SIGNALS, VALID[0]), (f"{SIGNALS}/batch", [VALID[0]]), ("/v1/stock-counts", [])):
        assert (await anonymous.post(path, json=body, headers=reader)).status_code == 403
