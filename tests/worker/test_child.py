"""Which child may compute another run?"""

import asyncio

import pytest

from pullplan.worker.child import IDLE_SECONDS_MAX, WARM_MEGABYTES_MAX, Child, Outcome, Terms

pytestmark = pytest.mark.anyio

TERMS = Terms(
    database_url="postgresql://nowhere", time_zone="UTC", log_level="info", compute="local", runs_at_once=1
)
STORED = Outcome(kind="stored", megabytes=300)


@pytest.mark.parametrize(
    ("outcome", "idle_seconds", "is_fit"),
    [
        (STORED, 0.0, True),
        (STORED, IDLE_SECONDS_MAX - 1.0, True),
        (STORED, IDLE_SECONDS_MAX + 1.0, False),
        (Outcome(kind="stored", megabytes=WARM_MEGABYTES_MAX + 1), 0.0, False),
        (Outcome(kind="refused", megabytes=300), 0.0, False),
        (Outcome(kind="outage", megabytes=300), 0.0, False),
        (Outcome(kind="lost", megabytes=300), 0.0, False),
        (None, 0.0, False),
    ],
)
async def test_one_that_stored_its_run_is_not_large_and_not_idle_for_long(
    outcome: Outcome | None, idle_seconds: float, *, is_fit: bool
):
    child = Child(TERMS)
    try:
        if outcome is not None:
            child._its_pipe.send(outcome)
            child._read()
        child._idle_since = asyncio.get_running_loop().time() - idle_seconds
        assert child.is_fit is is_fit
        child._its_pipe.close()
        child._read()
        assert not child.is_fit
    finally:
        await child.kill()
