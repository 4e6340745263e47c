"""Is the instant that a forecast or plan is asked for one that can be planned from?"""

from datetime import date, datetime

import msgspec

from pullplan.api.errors import ContentInvalidError
from pullplan.engine.errors import LineProblem
from pullplan.engine.model import ForecastRequest, PlanRequest

FIRST_YEAR, LAST_YEAR = 1970, 2199


def refuse_field(field: str, detail: str, code: str = "invalid") -> ContentInvalidError:
    """Word the refusal of one field of a body."""
    problem = LineProblem(code=code, detail=detail, pointer=f"/{field}", field=field)
    return ContentInvalidError(f"{field}: {detail}", [problem])


def check_year(field: str, day: date | datetime | None) -> None:
    """Refuse a day that a horizon of years around it could push out of the calendar.

    Raises: ContentInvalidError.
    """
    if day is not None and not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise refuse_field(field, f"give a year from {FIRST_YEAR} to {LAST_YEAR}")


def fill_as_of[R: (ForecastRequest, PlanRequest)](request: R, now: datetime) -> R:
    """Settle the instant that the run sees: the present one where the request names none.

    Raises: ContentInvalidError.
    """
    check_year("as_of", request.as_of)
    return msgspec.structs.replace(request, as_of=request.as_of or now)
