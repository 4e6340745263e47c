"""How is what was demanded, and where it comes from, stored plan by plan and read by callers?"""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any
from uuid import UUID

from pullplan.engine.model import Ledger
from pullplan.storage import arrays
from pullplan.storage.database import Connection
from pullplan.storage.listings import Listing
from pullplan.storage.queries import load_queries

SQL = load_queries("ledger")

LINES_PER_ROW = 4096
"""As arrays: a page opens one row or two, and a million lines are some hundred rows to store."""

LINES = Listing(SQL["list_lines"], key=("line",), start=(0,), filters=("product_code", "region_code", "tier"))
TOTALS = Listing(SQL["list_totals"], key=("totalled_by", "code"), start=("", ""), filters=("totalled_by",))

_COLUMNS = (
    *("product_codes", "region_codes", "bucket_dates", "tiers", "demanded_units", "from_stock_units"),
    *("from_supply_units", "from_buffer_units", "assigned_units", "shortfalls"),
)


async def insert(connection: Connection, plan_id: UUID, ledger: Ledger, bucket_dates: Sequence[date]) -> None:
    """Store a plan's ledger, inside the caller's transaction.

    Shapes: bucket_dates (horizon_buckets,)
    """
    await connection.copy_records_to_table(
        "plan_ledger",
        columns=(
            *("plan_id", "first_line", "last_line", "first_product_code", "last_product_code"),
            *_COLUMNS,
        ),
        records=_rows(plan_id, ledger, bucket_dates),
    )


def _rows(plan_id: UUID, ledger: Ledger, bucket_dates: Sequence[date]) -> Iterator[tuple[Any, ...]]:
    n_lines = len(ledger.product_codes)
    for first in range(0, n_lines, LINES_PER_ROW):
        some = slice(first, first + LINES_PER_ROW)
        products = ledger.product_codes[some]
        yield (
            *(plan_id, first + 1, first + len(products), products[0], products[-1], products),
            *(ledger.region_codes[some], [bucket_dates[b] for b in ledger.buckets[some]], ledger.tiers[some]),
            *(
                arrays.unless_nothing(column[some])
                for column in (
                    ledger.demanded_units,
                    ledger.from_stock_units,
                    ledger.from_supply_units,
                    ledger.from_buffer_units,
                    ledger.assigned_units,
                    ledger.shortfalls,
                )
            ),
        )
