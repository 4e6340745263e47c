"""Is what has been kept for long enough forgotten, and nothing else?"""

import asyncio
from uuid import uuid4

import asyncpg
import pytest

from pullplan.storage import idempotency
from pullplan.storage.idempotency import StoredAnswer
from pullplan.worker import tidying

pytestmark = pytest.mark.anyio

ANSWER = StoredAnswer(request_sha256=b"1", status_code=202, headers={}, body=b"{}")
N_OLD = tidying.AT_ONCE * 2 + 1


async def test_old_answers_are_forgotten_by_several_workers_at_once(connection, pool):
    key_id = uuid4()
    for number in range(N_OLD + 2):
        await idempotency.insert(connection, key_id, str(number), ANSWER)
    ages = "UPDATE idempotency_keys SET created_at = now() - make_interval(days => $1, secs => 60) WHERE idempotency_key <> ALL($2)"
    await connection.execute(ages, 7, ["0", "1"])
    forgotten = await asyncio.gather(*(tidying.forget_answers(pool, 7) for _ in range(3)))
    assert sum(forgotten) == N_OLD
    left = await connection.fetch("SELECT idempotency_key FROM idempotency_keys ORDER BY 1")
    assert [row[0] for row in left] == ["0", "1"]
    assert await idempotency.find(connection, key_id, "0") == ANSWER


async def test_tidying_goes_on_after_the_database_was_in_trouble(connection, pool, monkeypatch):
    await idempotency.insert(connection, uuid4(), "old", ANSWER)
    await connection.execute("UPDATE idempotency_keys SET created_at = now() - interval '30 days'")
    await connection.execute("ALTER TABLE idempotency_keys RENAME TO elsewhere")
    monkeypatch.setattr(tidying, "EVERY_SECONDS", 0.01)
    task = asyncio.create_task(tidying.keep_tidy(pool, 7))
    await asyncio.sleep(0.1)
    await connection.execute("ALTER TABLE elsewhere RENAME TO idempotency_keys")
    for _ in range(1000):
        if not await connection.fetchval("SELECT count(*) FROM idempotency_keys"):
            break
        await asyncio.sleep(0.01)
    task.cancel()
    assert await connection.fetchval("SELECT count(*) FROM idempotency_keys") == 0


async def test_the_oldest_are_found_by_an_index(connection: asyncpg.Connection):
    await connection.execute("SET enable_seqscan = off")
    plan = await connection.fetch(
        f"EXPLAIN {idempotency.SQL['forget']}".replace("$1", "7").replace("$2", "500")
    )
    assert any("idempotency_keys_by_age" in row[0] for row in plan)
