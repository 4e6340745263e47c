"""How is what a forecast's series add up to stored, and read by callers?"""

from collections.abc import Sequence
from datetime import date
from uuid import UUID

from pullplan.engine.model import TotalForecast
from pullplan.storage.database import Connection
from pullplan.storage.listings import Listing
from pullplan.storage.queries import load_queries

SQL = load_queries("forecast_totals")

TOTALS = Listing(SQL["list_totals"], key=("totalled_by", "code"), start=("", ""), filters=("totalled_by",))
TOTAL_VALUES = Listing(
    SQL["list_total_values"],
    key=("totalled_by", "code", "bucket_date"),
    start=("", "", date.min),
    filters=("totalled_by", "code"),
)


async def insert(
    connection: Connection, forecast_id: UUID, totals: Sequence[TotalForecast], bucket_dates: Sequence[date]
) -> None:
    """Store the totals of a forecast that is stored already, inside the caller's transaction.

    Shapes: bucket_dates (n_steps,)
    """
    await connection.copy_records_to_table(
        "forecast_totals",
        records=(
            (
                *(forecast_id, t.totalled_by, t.code, t.n_series, t.method, t.method_scores, t.accuracy),
                *(t.method_failures, t.model_failures),
            )
            for t in totals
        ),
    )
    await connection.copy_records_to_table(
        "forecast_total_values",
        records=(
            (forecast_id, t.totalled_by, t.code, bucket_date, *values)
            for t in totals
            for bucket_date, *values in zip(
                bucket_dates, t.mean_units, t.p10_units, t.p50_units, t.p90_units, strict=True
            )
        ),
    )


async def insert_moved(connection: Connection, forecast_id: UUID, base_forecast_id: UUID) -> None:
    """Store the totals of a refresh that is stored already: its base's, moved by what its series moved by."""
    await connection.execute(SQL["insert_moved_totals"], forecast_id, base_forecast_id)
    await connection.execute(SQL["insert_moved_total_values"], forecast_id, base_forecast_id)


async def insert_rolled(connection: Connection, forecast_id: UUID, rolled_from_forecast_id: UUID) -> None:
    """Store the totals of a forecast that was rolled forward and is stored already: its series' sums, banded as before."""
    await connection.execute(SQL["insert_moved_totals"], forecast_id, rolled_from_forecast_id)
    await connection.execute(SQL["insert_rolled_total_values"], forecast_id, rolled_from_forecast_id)
