"""How are runs computed in a process beside the worker, which may die, be killed, or never come back?

The children come from a fork server that has loaded the numerical stack once: the worker itself never forks, and never
loads it, so that no long computation keeps it from renewing its leases. A child whose run was stored computes the next
one as well: it is connected to the database, and remembers plans. One that met any error, was to be stopped, has grown
large or was idle for long is ended.
"""

import asyncio
import gc
import math
import multiprocessing
import os
import resource
import signal
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from typing import TYPE_CHECKING, Any, Literal

import asyncpg
import msgspec
import structlog

from pullplan import telemetry
from pullplan.engine.errors import DatabaseAwayError, LineProblem, PullplanError
from pullplan.engine.model import LineProgress, SearchProgress
from pullplan.storage import database
from pullplan.storage.queue import Claimed
from pullplan.worker.bound import WORKER_PID_VARIABLE

if TYPE_CHECKING:
    from pullplan.workflows.desk import Desk

_CONTEXT = multiprocessing.get_context("forkserver")
_SINGLE_THREADED = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
_TRY_AGAIN_STATES = ("40001", "40P01", "55P03")
_REAP_SECONDS = 5.0
_TELL_SECONDS = 0.2
_KILOBYTES_PER_MEGABYTE = 1024
IDLE_SECONDS_MAX = 300.0
"""A child without a run is ended after so long: what it holds in memory and its connection are given back."""
WARM_MEGABYTES_MAX = 1024
"""A child that has ever been larger is ended with its run: beside 250 MB of libraries, which the children share, this
leaves room for what plans of some hundred thousand needs leave behind."""

log = structlog.get_logger()


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What a child needs to know for all of its runs."""

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
    lines_done: int | None = None
    lines: int | None = None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a run ended in a child: stored its result, lost to another, in the way of an outage, or refused."""

    kind: Literal["stored", "lost", "outage", "refused"]
    code: str = ""
    detail: str = ""
    problems: list[LineProblem] = []
    """Of a request or a file: what was refused in it, and where."""
    megabytes: int = 0
    """The most that the child has ever held."""

    @property
    def allows_another(self) -> bool:
        """Tell whether the child may compute another run."""
        return self.kind == "stored" and self.megabytes <= WARM_MEGABYTES_MAX


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
    """A process that computes one run after the other, seen from the worker."""

    def __init__(self, terms: Terms) -> None:
        self.progress: Said | None = None
        self.outcome: Outcome | None = None
        self._is_gone = False
        self._idle_since = 0.0
        self._run_ended = asyncio.Event()
        self._pipe, self._its_pipe = _CONTEXT.Pipe()
        self._process = _CONTEXT.Process(target=compute_runs, args=(terms, self._its_pipe), daemon=True)

    async def start(self) -> None:
        """Start the process.

        Raises: OSError, EOFError when the fork server died meanwhile.
        """
        await _start(self._process)
        self._its_pipe.close()
        asyncio.get_running_loop().add_reader(self._pipe.fileno(), self._read)

    def compute(self, run: Claimed) -> None:
        """Hand it a run.

        Raises: OSError when the process is gone.
        """
        self.progress, self.outcome = None, None
        self._run_ended.clear()
        self._pipe.send(run)

    async def has_ended(self, within_seconds: float) -> bool:
        """Wait so long for the end of its run, or its own."""
        try:
            async with asyncio.timeout(within_seconds):
                await self._run_ended.wait()
        except TimeoutError:
            return False
        return True

    @property
    def is_fit(self) -> bool:
        """Tell whether it is well, has stored its run, not too long ago, and may be handed another."""
        if self._is_gone or self.outcome is None or not self.outcome.allows_another:
            return False
        return asyncio.get_running_loop().time() - self._idle_since < IDLE_SECONDS_MAX

    async def kill(self) -> None:
        """End it at once, whatever it is at, and leave nothing of it behind."""
        if self._process.pid is not None:
            self._process.kill()
            await asyncio.to_thread(self._process.join, _REAP_SECONDS)
        if not self._pipe.closed:
            asyncio.get_running_loop().remove_reader(self._pipe.fileno())
            self._pipe.close()
        self._its_pipe.close()

    def _read(self) -> None:
        try:
            said = self._pipe.recv()
        except (EOFError, OSError):
            asyncio.get_running_loop().remove_reader(self._pipe.fileno())
            self._is_gone = True
            self._run_ended.set()
            return
        if isinstance(said, Outcome):
            self.outcome = said
            self._idle_since = asyncio.get_running_loop().time()
            self._run_ended.set()
        else:
            self.progress = said


class Place:
    """Where one run at a time is computed: by the child of the last one while that is fit, else by a new one."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._child: Child | None = None

    @property
    def outcome(self) -> Outcome | None:
        """How the last run ended; None where the child had no last word."""
        return None if self._child is None else self._child.outcome

    async def begin(self, run: Claimed) -> Child:
        """Begin to compute a run.

        Raises: OSError, EOFError when no child could be started.
        """
        if self._child is not None:
            with suppress(OSError):  # it died at this moment
                self._child.compute(run)
                return self._child
            await self.clear()
        self._child = Child(self._terms)
        await self._child.start()
        self._child.compute(run)
        return self._child

    async def tidy(self) -> None:
        """End a child that is not fit for another run."""
        if self._child is not None and not self._child.is_fit:
            await self.clear()

    async def clear(self) -> None:
        """End the child, if there is one."""
        if self._child is not None:
            child, self._child = self._child, None
            await child.kill()


def compute_runs(terms: Terms, worker: "Connection[Any, Any]") -> None:
    """Compute runs, in the child, until the worker is gone: say of each how far it is, and how it ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    telemetry.configure_logs(terms.log_level)
    asyncio.run(_compute_runs(terms, worker))


class Reporter:
    """Tells the worker how far the child is: each step, and of a step as much as a reader can follow."""

    def __init__(self, parent: "Connection[Any, Any]", clock: Callable[[], float]) -> None:
        self._parent = parent
        self._clock = clock
        self._step = ""
        self._told_at = -math.inf

    def tell(
        self, step: str, done_share: float, more: SearchProgress | LineProgress | None = None, /
    ) -> None:
        """Pass a word on, unless the step has just been told of."""
        now = self._clock()
        if step == self._step and now - self._told_at < _TELL_SECONDS:
            return
        self._step, self._told_at = step, now
        known = {} if more is None else msgspec.structs.asdict(more)
        self._parent.send(Said(**{**known, "step": step, "done_share": done_share}))


async def _compute_runs(terms: Terms, worker: "Connection[Any, Any]") -> None:
    from pullplan.worker.preloaded import Desk, KnownPlans, spread_of  # noqa: PLC0415 - kept out of the worker itself

    line = database.Line(terms.database_url)
    spread = spread_of(terms.compute, terms.runs_at_once)
    known = KnownPlans()
    while True:
        try:
            run = worker.recv()  # nothing else is to be done meanwhile
        except EOFError:
            return
        tell = Reporter(worker, time.monotonic).tell
        desk = Desk(line=line, time_zone=terms.time_zone, progress=tell, spread=spread, plans=known)
        outcome = await _outcome_of(run, desk)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // _KILOBYTES_PER_MEGABYTE
        worker.send(msgspec.structs.replace(outcome, megabytes=peak))
        gc.collect()  # now, when nobody waits, rather than in the middle of a run


async def _outcome_of(run: Claimed, desk: "Desk") -> Outcome:
    from pullplan.worker.preloaded import WORKFLOWS, RunLostError  # noqa: PLC0415 - kept out of the worker itself

    try:
        await WORKFLOWS[run.kind](desk, run)
    except RunLostError:
        return Outcome(kind="lost")
    except Exception as error:  # noqa: BLE001 - whatever a workflow raises ends this run alone
        return _outcome_of_error(error, run)
    return Outcome(kind="stored")


def _outcome_of_error(error: Exception, run: Claimed) -> Outcome:
    if _will_pass(error):
        return Outcome(kind="outage", code=DatabaseAwayError.code, detail=str(error))
    if isinstance(error, PullplanError):
        problems = getattr(error, "problems", [])
        return Outcome(kind="refused", code=error.code, detail=error.detail, problems=problems)
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
        if isinstance(error, asyncpg.InvalidCachedStatementError):  # the schema was migrated meanwhile
            return True
        if isinstance(error, asyncpg.PostgresError) and error.sqlstate in _TRY_AGAIN_STATES:
            return True
        error = error.__cause__
    return False
