"""What long work was asked for, and how far is it?"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec

from pullplan.engine.errors import LineProblem, PullplanError, ResourceUnknownError
from pullplan.engine.model import Instant, Pin
from pullplan.storage.database import Connection
from pullplan.storage.queries import load_queries

SQL = load_queries("runs")

RunKind = Literal["forecast", "plan", "verification", "confirmation", "remedy", "policy_preview", "import"]
RunState = Literal["queued", "running", "succeeded", "failed", "cancelled"]
ENDED = ("succeeded", "failed", "cancelled")


class RunEndedError(PullplanError):
    """The run has ended: there is nothing left to cancel."""

    code = "run-ended"


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a run is; while a plan is assigned, how far that search is."""

    step: str | None = None
    done_share: float = 0.0
    detail: str | None = None
    stage: str | None = None
    """The measure that is being made least."""
    round: int | None = None
    """Looks at all needs at new prices, or steps of the simplex method, in this stage."""
    value: float | None = None
    """The stage's measure in the best plan so far."""
    bound: float | None = None
    """What no plan can be below in this stage, as far as is known."""
    needs_settled: int | None = None
    """Needs whose assignment no longer changes."""
    lines_done: int | None = None
    """Lines of a file that are copied; they count once the run has succeeded."""
    lines: int | None = None
    """Of the file."""


class RunProblem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a run failed."""

    code: str
    detail: str
    errors: list[LineProblem] = []
    """Each refused line of a file, or field of the request; at most the first hundred."""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """Long work: queued, computed by a worker, ended."""

    run_id: UUID
    kind: RunKind
    state: RunState
    attempt: int
    """Counts the workers that took it."""
    progress: Progress
    problem: RunProblem | None
    """Why it failed."""
    result: str | None
    """The path of what it made; only when it succeeded."""
    cancel_requested: bool
    parameters: dict[str, Any]
    """What was asked for, defaults filled in."""
    created_at: Instant
    started_at: Instant | None
    finished_at: Instant | None
    updated_at: Instant

    def has_ended(self) -> bool:
        """Tell whether its state is final."""
        return self.state in ENDED


def read(row: Any) -> Run:
    """Make a run of its row."""
    return msgspec.convert(dict(row), Run)


async def get(connection: Connection, run_id: UUID) -> Run:
    """Get a run.

    Raises: ResourceUnknownError.
    """
    row = await connection.fetchrow(SQL["find"], run_id)
    if row is None:
        raise ResourceUnknownError("run", run_id)
    return read(row)


async def list_page(
    connection: Connection,
    *,
    after: tuple[datetime, UUID] | None,
    limit: int,
    kind: RunKind | None = None,
    state: RunState | None = None,
    updated_since: datetime | None = None,
) -> list[Run]:
    """Read runs, newest first; the cursor's key is (created_at, run_id)."""
    rows = await connection.fetch(
        SQL["list_page"], *(after or (None, None)), kind, state, updated_since, limit
    )
    return [read(row) for row in rows]


async def list_unknown_codes(
    connection: Connection, product_codes: Collection[str], region_codes: Collection[str]
) -> list[tuple[str, str]]:
    """List the codes among these that are no product's or region's (any more): field and code."""
    rows = await connection.fetch(SQL["list_unknown_codes"], sorted(product_codes), sorted(region_codes))
    return [(row["field"], row["code"]) for row in rows]


async def list_pins_out_of_place(connection: Connection, pins: Sequence[Pin]) -> list[LineProblem]:
    """Name the pins whose product, region or node is not there (any more), or whose node can't make the product."""
    columns = [[getattr(pin, name) for pin in pins] for name in ("product_code", "region_code", "node_code")]
    problems = []
    for row in await connection.fetch(SQL["list_pins_out_of_place"], *columns):
        pin = pins[row["position"]]
        for noun in ("product", "region", "node"):
            field = f"{noun}_code"
            if not row[f"has_{noun}"]:
                detail = f"there is no {noun} {getattr(pin, field)}"
                problems.append(_pin_problem(row["position"], field, "reference-unknown", detail))
        if row["has_product"] and row["has_node"] and not row["is_capable"]:
            detail = f"{pin.node_code} can't make {pin.product_code}"
            problems.append(_pin_problem(row["position"], "node_code", "not-capable", detail))
    return problems


def _pin_problem(position: int, field: str, code: str, detail: str) -> LineProblem:
    return LineProblem(code=code, detail=detail, pointer=f"/pins/{position}/{field}", field=field)
