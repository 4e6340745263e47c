import hashlib
import zlib
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from tests.computing import computed
from tests.seeding import AS_OF, demand, insert, network, stock

from pullplan.engine.calendar import DAYS_PER_BUCKET
from pullplan.engine.errors import ResourceUnknownError
from pullplan.engine.model import PlanRequest, VerificationRequest
from pullplan.engine.plan import make_plan
from pullplan.storage import plan_reading, plans, verifications
from pullplan.storage.database import Connection

pytestmark = pytest.mark.anyio


async def planned(connection: Connection, url: str, **asked: Any) -> UUID:
    """Plan a small world from queue to storage."""
    await insert(connection, [*network(), *stock(), *demand()])
    request = PlanRequest(**{"as_of": AS_OF, "horizon_buckets": 3, **asked})
    return await computed(connection, url, "plan", request)


async def verified(connection: Connection, url: str, plan_id: UUID) -> Any:
    """Verify a plan from queue to storage and read what was found."""
    run_id = await computed(connection, url, "verification", VerificationRequest(plan_id=plan_id))
    run = await connection.fetchrow("SELECT state, result FROM runs WHERE run_id = $1", run_id)
    assert run is not None
    assert tuple(run) == ("succeeded", f"/v1/plans/{plan_id}/verifications/{run_id}")
    return await verifications.find(connection, plan_id, run_id)


@pytest.mark.parametrize(("bucket", "horizon_buckets"), [("week", 3), ("day", 14)])
async def test_a_stored_plan_is_read_back_exactly_as_it_was_made(
    connection: Connection, database_url: str, bucket: Any, horizon_buckets: int
):
    plan_id = await planned(connection, database_url, bucket=bucket, horizon_buckets=horizon_buckets)
    facts = await plans.find_facts(connection, plan_id)
    assert facts is not None
    read = await plan_reading.find_plan(connection, plan_id, facts, days_per_bucket=DAYS_PER_BUCKET[bucket])
    assert read is not None
    assert read.assignments
    assert read == make_plan(facts)


async def test_an_unknown_plan_is_not_read_back(connection: Connection, database_url: str):
    plan_id = await planned(connection, database_url)
    facts = await plans.find_facts(connection, plan_id)
    assert facts is not None
    assert await plan_reading.find_plan(connection, uuid4(), facts, days_per_bucket=7) is None


async def test_a_plan_that_was_made_and_stored_is_valid(connection: Connection, database_url: str):
    plan_id = await planned(connection, database_url)
    found = await verified(connection, database_url, plan_id)
    assert found["findings"] == []
    assert found["valid"]
    stored = await plans.find(connection, plan_id)
    assert stored is not None
    assert found["checked"]["n_assignments"] == stored["figures"]["n_assignments"] > 0
    for recomputed, stated in zip(found["stages"], stored["stages"], strict=True):
        assert recomputed["measure"] == stated["measure"]
        assert recomputed["value"] == pytest.approx(stated["value"], rel=1e-9, abs=1e-9)


async def test_a_plan_stays_valid_once_facts_have_fields_that_were_unknown_when_it_was_stored(
    connection: Connection, database_url: str
):
    plan_id = await planned(connection, database_url)
    known = await stored_facts(connection, plan_id)
    assert known.pop("usage_exclusions") == []
    for product in known["products"]:
        del product["shelf_life_days"]
    then = msgspec.msgpack.encode(known)
    await store_facts(connection, plan_id, then)
    statement = "UPDATE plans SET snapshot_hash = $2 WHERE plan_id = $1"
    await connection.execute(statement, plan_id, hashlib.sha256(then).hexdigest())
    found = await verified(connection, database_url, plan_id)
    assert found["findings"] == []


async def test_facts_that_were_changed_where_they_are_stored_are_told(
    connection: Connection, database_url: str
):
    plan_id = await planned(connection, database_url)
    facts = await stored_facts(connection, plan_id)
    facts["products"][0]["weight_kg"] += 1e-9
    await store_facts(connection, plan_id, msgspec.msgpack.encode(facts))
    found = await verified(connection, database_url, plan_id)
    assert [finding["code"] for finding in found["findings"]] == ["snapshot_hash_wrong"]


async def stored_facts(connection: Connection, plan_id: UUID) -> dict[str, Any]:
    packed = await connection.fetchval("SELECT facts FROM plan_snapshots WHERE plan_id = $1", plan_id)
    return msgspec.msgpack.decode(zlib.decompress(packed), type=dict[str, Any])


async def store_facts(connection: Connection, plan_id: UUID, facts: bytes) -> None:
    statement = "UPDATE plan_snapshots SET facts = $2 WHERE plan_id = $1"
    await connection.execute(statement, plan_id, zlib.compress(facts))


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("UPDATE plan_assignments SET units = units + 1 WHERE assignment_id = 1", "need_not_covered"),
        ("DELETE FROM plan_assignments WHERE assignment_id = 1", "need_not_covered"),
        ("UPDATE plan_assignments SET node_code = 'DEPOT' WHERE assignment_id = 1", "offline"),
        ("UPDATE plan_loads SET used = used + 1", "load_wrong"),
        ("UPDATE plans SET figures = jsonb_set(figures, '{nearest_share}', '1.5')", "figure_wrong"),
        ("UPDATE plan_assignments SET distance_km = distance_km / 2", "distance_wrong"),
        (
            "UPDATE plans SET stages = jsonb_set(stages, '{0,lower_bound}', '123456789')",
            "bound_wrong",
        ),
        ("UPDATE plans SET snapshot_hash = plan_hash", "snapshot_hash_wrong"),
        ("UPDATE plans SET plan_hash = snapshot_hash", "plan_hash_wrong"),
    ],
)
async def test_whatever_is_changed_of_a_stored_plan_is_found(
    connection: Connection, database_url: str, statement: str, code: str
):
    plan_id = await planned(connection, database_url)
    await connection.execute(statement)
    found = await verified(connection, database_url, plan_id)
    assert not found["valid"]
    assert found["n_findings"] == len(found["findings"]) > 0
    assert code in {finding["code"] for finding in found["findings"]}


async def test_a_plan_that_is_gone_cannot_be_verified(connection: Connection, database_url: str):
    with pytest.raises(ResourceUnknownError, match="there is no plan"):
        await verified(connection, database_url, uuid4())
