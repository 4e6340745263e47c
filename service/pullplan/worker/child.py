"""How is one run computed in a process of its own, which may die, be killed, or never come back?

The children come from a fork server that has loaded the numerical stack once: the worker itself never forks, and never
loads it, so that no long computation keeps it from renewing its leases.
"""

import asyncio
import math
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from typing import Any, Literal

import asyncpg
import msgspec
import structlog

from pullplan import telemetry
from pullplan.engine.errors import DatabaseAwayError, PullplanError
from pullplan.engine.model import SearchProgress
from pullplan.storage import database
from pullplan.storage.queue import Claimed
from pullplan.worker.bound import WORKER_PID_VARIABLE

_CONTEXT = multiprocessing.get_context("forkserver")
_SINGLE_THREADED = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
_TRY_AGAIN_STATES = ("40001", "40P01", "55P03")
_REAP_SECONDS = 5.0
_TELL_SECONDS = 0.2

log = structlog.get_logger()


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What a child needs to know."""

    run: Claimed
    database_url: str
    time_zone: str
    log_level: str
    compute: str
    """Where its searches are computed, as settings say it."""
    runs_at_once: int
    """Of its worker: the processors are shared by so many."""


class Said(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How far a child has come, in its own words; stored as the run's progress."""

    step: str
    done_share: float
    stage: str | None = None
    round: int | None = None
    value: float | None = None
    bound: float | None = None
    needs_settled: int | None = None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a child ended: stored its result, lost the run to another, was in the way of an outage, or refused."""

    kind: Literal["stored", "lost", "outage", "refused"]
    code: str = ""
    detail: str = ""


def open_fork_server() -> None:
    """Start the fork server, unless it runs: from the main thread, whose end is its end.

    It answers once it has loaded everything; the first child waits for that.
    """
    for variable in _SINGLE_THREADED:
        os.environ.setdefault(variable, "1")
    os.environ[WORKER_PID_VARIABLE] = str(os.getpid())
    _CONTEXT.set_forkserver_preload(["pullplan.worker.preloaded"])
    forkserver.ensure_running()


async def warm_up() -> None:
    """Wait until the fork server has loaded everything: no lease should run meanwhile."""
    process = _CONTEXT.Process(target=_do_nothing, daemon=True)
    await _start(process)
    await asyncio.to_thread(process.join, _REAP_SECONDS)


def _do_nothing() -> None:
    pass


async def _start(process: ForkServerProcess) -> None:
    """Start a process beside the event loop; not in the loop's pool, whose threads the worker's exit would wait for."""
    open_fork_server()
    loop = asyncio.get_running_loop()
    started: asyncio.Future[None] = loop.create_future()

    def tell(error: Exception | None) -> None:
        if started.cancelled():
            return
        if error is None:
            started.set_result(None)
        else:
            started.set_exception(error)

    def start() -> None:
        failure: Exception | None = None
        try:
            process.start()
        except (OSError, EOFError) as error:
            failure = error
        with suppress(RuntimeError):  # the loop has ended, nobody waits any more
            loop.call_soon_threadsafe(tell, failure)

    threading.Thread(target=start, daemon=True).start()
    await started


class Child:
    """One run's process, seen from the worker."""

    def __init__(self, order: Order) -> None:
        self.progress: Said | None = None
        self.outcome: Outcome | None = None
        self._ended = asyncio.Event()
        self._reading, self._writing = _CONTEXT.Pipe(duplex=False)
        self._process = _CONTEXT.Process(target=compute, args=(order, self._writing), daemon=True)

    async def start(self) -> None:
        """Start computing.

        Raises: OSError, EOFError when the fork server died meanwhile.
        """
        await _start(self._process)
        self._writing.close()
        asyncio.get_running_loop().add_reader(self._reading.fileno(), self._read)

    async def has_ended(self, within_seconds: float) -> bool:
        """Wait so long for its end."""
        try:
            async with asyncio.timeout(within_seconds):
                await self._ended.wait()
        except TimeoutError:
            return False
        return True

    async def kill(self) -> None:
        """End it at once, if it has not ended by itself, and leave nothing of it behind."""
        if self._process.pid is not None:
            self._process.kill()
            await asyncio.to_thread(self._process.join, _REAP_SECONDS)
        if not self._reading.closed:
            asyncio.get_running_loop().remove_reader(self._reading.fileno())
            self._reading.close()
        self._writing.close()

    def _read(self) -> None:
        try:
            said = self._reading.recv()
        except (EOFError, OSError):
            asyncio.get_running_loop().remove_reader(self._reading.fileno())
            self._ended.set()
            return
        if isinstance(said, Outcome):
            self.outcome = said
        else:
            self.progress = said


def compute(order: Order, parent: "Connection[Any, Any]") -> None:
    """Compute one run, in the child: say how far it is, and how it ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    telemetry.configure_logs(order.log_level)
    parent.send(asyncio.run(_outcome_of(order, parent)))


class Reporter:
    """Tells the worker how far the child is: each step, and of a step as much as a reader can follow."""

    def __init__(self, parent: "Connection[Any, Any]", clock: Callable[[], float]) -> None:
        self._parent = parent
        self._clock = clock
        self._step = ""
        self._told_at = -math.inf

    def tell(self, step: str, done_share: float, search: SearchProgress | None = None, /) -> None:
        """Pass a word on, unless the step has just been told of."""
        now = self._clock()
        if step == self._step and now - self._told_at < _TELL_SECONDS:
            return
        self._step, self._told_at = step, now
        known = {} if search is None else msgspec.structs.asdict(search)
        self._parent.send(Said(**{**known, "step": step, "done_share": done_share}))


async def _outcome_of(order: Order, parent: "Connection[Any, Any]") -> Outcome:
    from pullplan.worker.preloaded import WORKFLOWS, RunLostError, spread_of  # noqa: PLC0415 - kept out of the worker itself

    run = order.run
    try:
        await WORKFLOWS[run.kind](
            order.database_url,
            run.run_id,
            run.attempt,
            run.parameters,
            time_zone=order.time_zone,
            progress=Reporter(parent, time.monotonic).tell,
            spread=spread_of(order.compute, order.runs_at_once),
        )
    except RunLostError:
        return Outcome(kind="lost")
    except Exception as error:  # noqa: BLE001 - whatever a workflow raises ends this run alone
        return _outcome_of_error(error, run)
    return Outcome(kind="stored")


def _outcome_of_error(error: Exception, run: Claimed) -> Outcome:
    if _will_pass(error):
        return Outcome(kind="outage", code=DatabaseAwayError.code, detail=str(error))
    if isinstance(error, PullplanError):
        return Outcome(kind="refused", code=error.code, detail=error.detail)
    log.error("run broke", run_id=str(run.run_id), kind=run.kind, traceback=traceback.format_exc())
    return Outcome(
        kind="refused",
        code="internal-error",
        detail=f"{type(error).__name__} while computing; the worker's log has the details under run_id {run.run_id}",
    )


def _will_pass(error: BaseException | None) -> bool:
    """Tell whether an error, or what it was raised from, means: the same again, later."""
    while error is not None:
        if isinstance(error, DatabaseAwayError | asyncpg.InterfaceError) or database.is_outage(error):
            return True
        if isinstance(error, asyncpg.PostgresError) and error.sqlstate in _TRY_AGAIN_STATES:
            return True
        error = error.__cause__
    return False
