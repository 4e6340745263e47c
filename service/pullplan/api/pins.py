"""Can the pins of a plan's request be kept, as far as that shows before the run?"""

from collections.abc import Iterator
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from pullplan.api.errors import ContentInvalidError
from pullplan.api.horizon import FIRST_YEAR, LAST_YEAR
from pullplan.engine.errors import LineProblem, ReferenceUnknownError
from pullplan.engine.model import Pin, PlanRequest
from pullplan.storage import database, runs


async def check_pins(connection: database.Connection, request: PlanRequest, time_zone: str) -> None:
    """Refuse pins outside the horizon, given twice, of unknown codes, or at a node that can't make the product.

    Whether so much is needed, and whether the node has room for it, shows in the run.

    Raises: ContentInvalidError, ReferenceUnknownError naming each pin.
    """
    if not request.pins:
        return
    problems = list(_problems(request, time_zone))
    if problems:
        raise ContentInvalidError(_summary(problems), problems)
    problems = await runs.list_pins_out_of_place(connection, request.pins)
    if problems:
        raise ReferenceUnknownError(_summary(problems), problems)


def _summary(problems: list[LineProblem]) -> str:
    return "pins: " + "; ".join(problem.detail for problem in problems[:5])


def _problems(request: PlanRequest, time_zone: str) -> Iterator[LineProblem]:
    first, end = _horizon(request, time_zone)
    seen: set[Pin] = set()
    for i, pin in enumerate(request.pins):
        for field, day in (("due_date", pin.due_date), ("start_date", pin.start_date)):
            if day is None:
                continue
            if not FIRST_YEAR <= day.year <= LAST_YEAR:
                yield _problem(i, field, f"give a year from {FIRST_YEAR} to {LAST_YEAR}")
            elif day >= end:
                yield _problem(i, field, f"{day} lies beyond the horizon, which ends before {end}")
            elif field == "start_date" and day < first:
                yield _problem(i, field, f"{day} lies before the horizon, which begins on {first}")
        if pin in seen:
            yield _problem(
                i, "", f"the pin of {pin.product_code} at {pin.node_code} is given twice", "duplicate"
            )
        seen.add(pin)


def _problem(position: int, field: str, detail: str, code: str = "invalid") -> LineProblem:
    pointer = f"/pins/{position}" + (f"/{field}" if field else "")
    return LineProblem(code=code, detail=detail, pointer=pointer, field=field or "pins")


def _horizon(request: PlanRequest, time_zone: str) -> tuple[date, date]:
    """Find the first day of the horizon, and the day after its last."""
    assert request.as_of is not None  # noqa: S101 - filled before anything is checked
    as_of_date = request.as_of.astimezone(ZoneInfo(time_zone)).date()
    if request.bucket == "day":
        return as_of_date, as_of_date + timedelta(days=request.horizon_buckets)
    monday = as_of_date - timedelta(days=as_of_date.weekday())
    return monday, monday + timedelta(weeks=request.horizon_buckets)
