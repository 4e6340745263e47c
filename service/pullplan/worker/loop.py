"""Which run is computed next, and is it still ours?"""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from uuid import UUID

import asyncpg
import msgspec
import structlog

from pullplan.engine.errors import DatabaseAwayError
from pullplan.storage import database, queue
from pullplan.storage.database import Connection, Pool
from pullplan.storage.queue import Claimed
from pullplan.worker.child import Child, Place, Terms, open_fork_server, warm_up
from pullplan.worker.deliveries import AT_ONCE, Courier
from pullplan.worker.tidying import keep_tidy

_POLL_SECONDS = 1.0
_STATEMENT_SECONDS = 5.0
_GIVE_BACK_SECONDS = 1.0
_LAST_WORD_SECONDS = 0.5
_RENEWALS_A_LEASE = 5
_RENEW_SECONDS_MAX = 0.5
"""A wish to cancel is read at each renewal, and progress is written."""
_ATTEMPTS_MAX = 10
_PAUSE_SECONDS = (0.1, 0.2, 0.5, 1.0)

# Nothing that the database says stops a worker: it may be away, restarting, or not migrated yet.
_DATABASE_TROUBLE = (DatabaseAwayError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)

log = structlog.get_logger()

type Verdict = Callable[[Connection, UUID, int], Awaitable[bool]]


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker is told when it starts."""

    database_url: str
    lease_seconds: float
    time_zone: str
    log_level: str
    compute: str = "local"
    private_webhooks: bool = False
    idempotency_days: int = 7

    @property
    def acquire_seconds(self) -> float:
        """How long a renewal may wait for a connection."""
        return self.lease_seconds / _RENEWALS_A_LEASE

    @property
    def renew_seconds(self) -> float:
        """The time between two renewals of a lease."""
        return min(_RENEW_SECONDS_MAX, self.acquire_seconds)


async def work(orders: Orders, *, runs_at_once: int, statement_cache: bool) -> None:
    """Compute runs until SIGTERM or SIGINT; then give back what is not done."""
    open_fork_server()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with database.opened_pool(
        orders.database_url,
        max_connections=runs_at_once + 2,  # one renews leases, one is the deliveries' and the tidying's
        statement_cache=statement_cache,
        statement_timeout_seconds=_STATEMENT_SECONDS,
    ) as pool:
        worker = _Worker(orders, pool, runs_at_once)
        courier = Courier(pool, may_be_private=orders.private_webhooks)
        tasks = [
            asyncio.create_task(task)
            for task in (
                worker.listen(),
                *(worker.take_runs() for _ in range(runs_at_once)),
                courier.listen(orders.database_url),
                *(courier.deliver() for _ in range(AT_ONCE)),
                keep_tidy(pool, orders.idempotency_days),
            )
        ]
        log.info("worker started", runs_at_once=runs_at_once)
        ending = asyncio.create_task(stopped.wait())
        await asyncio.wait({ending, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        log.info("worker stopped")
        for end in ends:
            if isinstance(end, Exception):
                raise end  # a defect of the worker itself ends it loudly


class _Worker:
    def __init__(self, orders: Orders, pool: Pool, runs_at_once: int) -> None:
        self._orders = orders
        self._pool = pool
        self._terms = Terms(
            database_url=orders.database_url,
            time_zone=orders.time_zone,
            log_level=orders.log_level,
            compute=orders.compute,
            runs_at_once=runs_at_once,
        )
        self._woken = asyncio.Event()

    async def listen(self) -> None:
        """Be woken by each enqueued run; polling covers the times without a connection."""
        while True:
            try:
                await queue.listen(self._orders.database_url, self._woken.set)
            except _DATABASE_TROUBLE as error:
                log.debug("not listening", reason=str(error))
            await asyncio.sleep(_PAUSE_SECONDS[-1])

    async def take_runs(self) -> None:
        """Take one run after the other."""
        await warm_up()
        place = Place(self._terms)
        try:
            while True:
                run = await self._insist(self._claim)
                if run is None:
                    await self._rest()
                else:
                    await self._see_through(run, place)
                await place.tidy()
        finally:
            await place.clear()

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(_POLL_SECONDS):
                await self._woken.wait()
        except TimeoutError:
            pass
        self._woken.clear()

    async def _insist[T](self, step: Callable[[Connection], Awaitable[T]]) -> T:
        """Try a step until the database takes it; what it can never take (DataError) ends the worker instead."""
        failures = 0
        while True:
            try:
                async with database.lent(self._pool) as connection:
                    return await step(connection)
            except asyncpg.DataError:
                raise
            except _DATABASE_TROUBLE as error:
                if failures == 0:
                    log.warning("the database does not answer; trying on", reason=str(error))
                await asyncio.sleep(_PAUSE_SECONDS[min(failures, len(_PAUSE_SECONDS) - 1)])
                failures += 1

    async def _claim(self, connection: Connection) -> Claimed | None:
        for run_id in await queue.end_abandoned(connection):
            log.warning("run ended without a worker", run_id=str(run_id))
        return await queue.claim(connection, self._orders.lease_seconds)

    async def _see_through(self, run: Claimed, place: Place) -> None:
        """Compute a claimed run in a child, renewing its lease; only a child that has stored it is left behind."""
        known_as = {"run_id": str(run.run_id), "kind": run.kind, "attempt": run.attempt}
        log.info("run taken", **known_as)
        try:
            verdict = await self._watch(run, place)
        except asyncio.CancelledError:
            await place.clear()
            await self._give_back(run)
            raise
        outcome = place.outcome
        await place.tidy()
        if verdict is not None:
            await self._insist(lambda connection: verdict(connection, run.run_id, run.attempt))
        log.info("run left", outcome=outcome.kind if outcome else "none", **known_as)

    async def _watch(self, run: Claimed, place: Place) -> Verdict | None:
        """Renew the lease until the run has ended or must; answer how the attempt is concluded, None: not by us."""
        try:
            child = await place.begin(run)
        except (OSError, EOFError) as error:
            log.warning("a child did not start", reason=str(error))
            return queue.give_up
        while not await child.has_ended(self._orders.renew_seconds):
            wish = await self._renew(run, child)
            if wish is None and not await child.has_ended(_LAST_WORD_SECONDS):
                log.warning("run lost to another worker", run_id=str(run.run_id), attempt=run.attempt)
                return None
            if wish:
                return queue.end_cancelled
        return _verdict_on(child, run.attempt)

    async def _renew(self, run: Claimed, child: Child) -> bool | None:
        """Renew the lease; a database that is away has said nothing against going on."""
        progress = None if child.progress is None else msgspec.to_builtins(child.progress)
        try:
            async with database.lent(self._pool, acquire_seconds=self._orders.acquire_seconds) as connection:
                return await queue.renew(
                    connection, run.run_id, run.attempt, self._orders.lease_seconds, progress
                )
        except _DATABASE_TROUBLE as error:
            log.warning("lease not renewed", run_id=str(run.run_id), reason=str(error))
            return False

    async def _give_back(self, run: Claimed) -> None:
        """Give the run back in the last moments; without a database its lease will end by itself."""
        try:
            async with asyncio.timeout(_GIVE_BACK_SECONDS), database.lent(self._pool) as connection:
                given = await queue.give_back(connection, run.run_id, run.attempt)
                log.info("run given back", run_id=str(run.run_id), given=given)
        except _DATABASE_TROUBLE as error:
            log.warning("run not given back", run_id=str(run.run_id), reason=str(error))


def _verdict_on(child: Child, attempt: int) -> Verdict | None:
    outcome = child.outcome
    if outcome is None:
        log.warning("a child died without a word")
        return queue.give_up
    if outcome.kind == "outage" and attempt < _ATTEMPTS_MAX:
        log.warning("a child met an outage", reason=outcome.detail)
        return queue.give_back
    if outcome.kind in ("outage", "refused"):
        errors = {"errors": msgspec.to_builtins(outcome.problems)} if outcome.problems else {}
        problem = {"code": outcome.code, "detail": outcome.detail} | errors
        return lambda connection, run_id, attempt: queue.fail(connection, run_id, attempt, problem)
    return None
