"""What was each product × region's demand netted against, plan by plan?"""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import asyncpg

from pullplan.engine.model import PullTerms
from pullplan.storage import arrays
from pullplan.storage.database import Connection
from pullplan.storage.queries import load_queries

SQL = load_queries("pull_terms")

PAIRS_PER_ROW = 512
"""As arrays, with so many times the horizon's buckets."""
_OFTEN_NOTHING = ("on_hand_units", "receipts_units", "target_units")


async def insert(connection: Connection, plan_id: UUID, terms: PullTerms) -> None:
    """Store what a plan's demand was netted against, inside the caller's transaction."""
    await connection.copy_records_to_table(
        "plan_pull_terms",
        columns=(
            *("plan_id", "first_pair", "first_product_code", "last_product_code"),
            *PullTerms.__struct_fields__,
        ),
        records=_rows(plan_id, terms),
    )


async def find(
    connection: Connection, plan_id: UUID, product_code: str, region_code: str
) -> asyncpg.Record | None:
    """Find what one product × region's demand was netted against; arrays are (horizon_buckets,)."""
    return await connection.fetchrow(SQL["find_terms"], plan_id, product_code, region_code)


def _rows(plan_id: UUID, terms: PullTerms) -> Iterator[tuple[Any, ...]]:
    n_pairs = len(terms.product_codes)
    for first in range(0, n_pairs, PAIRS_PER_ROW):
        last = min(first + PAIRS_PER_ROW, n_pairs)
        columns = []
        for name in PullTerms.__struct_fields__:
            column = getattr(terms, name)
            per_pair = len(column) // n_pairs
            some = column[first * per_pair : last * per_pair]
            columns.append(arrays.unless_nothing(some) if name in _OFTEN_NOTHING else some)
        yield (plan_id, first + 1, terms.product_codes[first], terms.product_codes[last - 1], *columns)
