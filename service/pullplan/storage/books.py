"""How are a plan's books stored in parts, of which a re-plan stores only those that say anything else?

A part holds the ledger, or the terms, of products that follow one another, as arrays. Every plan names its parts, its own
and those of the plans before it.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import Any, Self
from uuid import UUID

from pullplan.engine.model import Books, Ledger, PullTerms
from pullplan.storage import arrays
from pullplan.storage.database import Connection
from pullplan.storage.queries import load_queries

SQL = load_queries("books")

PAIRS_PER_PART = 512
"""At least, and whole products: a change of some products stores little, and a million pairs are some thousand parts."""
_LEDGER_COLUMNS = (
    *("product_codes", "region_codes", "bucket_dates", "tiers", "demanded_units", "from_stock_units"),
    *("from_supply_units", "from_buffer_units", "from_node_stock_units", "from_region_stock_units"),
    *("sent_to_regions_units", "assigned_units", "shortfalls"),
)
_OFTEN_NOTHING = frozenset(
    {
        *("demanded_units", "from_stock_units", "from_supply_units", "from_buffer_units", "assigned_units"),
        *("from_node_stock_units", "from_region_stock_units", "sent_to_regions_units", "shortfalls"),
        *("on_hand_units", "receipts_units", "target_units"),
    }
)


@dataclass(frozen=True)
class Renewed:
    """Which parts of an earlier plan's books are made anew; the others are the same."""

    plan_id: UUID
    from_codes: list[str]
    """Where a part of the products that are made anew begins; the first part holds all products before it as well."""
    before_codes: list[str | None]
    """Where the next part begins; None: nowhere."""

    def products_among(self, product_codes: Iterable[str]) -> frozenset[str]:
        """Name the products that stand in parts that are made anew."""
        return frozenset(code for code in product_codes if self.part_of(code) is not None)

    def part_of(self, product_code: str) -> int | None:
        """Number the part that a product stands in, if it is made anew."""
        at = bisect_right(self.from_codes, product_code) - 1
        before = self.before_codes[at] if at >= 0 else ""
        return at if before is None or product_code < before else None


@dataclass(frozen=True)
class Parts:
    """Where the parts of a stored plan's books begin."""

    plan_id: UUID
    first_codes: list[str]

    @classmethod
    async def of(cls, connection: Connection, plan_id: UUID) -> Self | None:
        """Find where a plan's parts begin; None where products don't lie in one part each, so that none can be shared."""
        rows = await connection.fetch(SQL["find_parts"], plan_id)
        spans = [
            (row["first_product_code"], row["last_product_code"]) for row in rows if row["book"] == "terms"
        ]
        firsts = [first for first, _ in spans]
        if not spans or any(last >= first for (_, last), first in zip(spans, firsts[1:], strict=False)):
            return None
        of_ledger = [
            (row["first_product_code"], row["last_product_code"]) for row in rows if row["book"] == "ledger"
        ]
        held = [bisect_right(firsts, first) for first, _ in of_ledger]
        if held != [bisect_right(firsts, last) for _, last in of_ledger] or len(set(held)) < len(held):
            return None
        return cls(plan_id, firsts)

    def renewed_by(self, product_codes: frozenset[str]) -> Renewed:
        """Tell which parts hold any of these products."""
        parts = sorted({max(0, bisect_right(self.first_codes, code) - 1) for code in product_codes})
        starts, ends = ["", *self.first_codes[1:]], [*self.first_codes[1:], None]
        return Renewed(self.plan_id, [starts[part] for part in parts], [ends[part] for part in parts])


async def insert(
    connection: Connection, plan_id: UUID, books: Books, bucket_dates: Sequence[date], renewed: Renewed | None
) -> None:
    """Store a plan's books, inside the caller's transaction: all, or what is made anew beside an earlier plan's.

    Shapes: bucket_dates (horizon_buckets,)
    """
    firsts = _first_codes(books.terms.product_codes, renewed)
    of_earlier = (
        (None, [], []) if renewed is None else (renewed.plan_id, renewed.from_codes, renewed.before_codes)
    )
    for book, table, key, columns in (
        ("terms", "plan_pull_terms", "first_pair", _terms_columns(books.terms)),
        ("ledger", "plan_ledger", "first_line", _ledger_columns(books.ledger, bucket_dates)),
    ):
        codes = columns["product_codes"]
        cuts = [*(bisect_left(codes, code) for code in firsts), len(codes)]
        spans = [(first, end) for first, end in pairwise(cuts) if first < end]
        await connection.copy_records_to_table(
            table,
            columns=("plan_id", key, *columns),
            records=[(plan_id, first + 1, *_part(columns, first, end)) for first, end in spans],
        )
        await connection.execute(
            SQL["insert_parts"],
            *(plan_id, book, [codes[first] for first, _ in spans], [codes[end - 1] for _, end in spans]),
            *([first + 1 for first, _ in spans], [end - first for first, end in spans], *of_earlier),
        )


def _first_codes(product_codes: Sequence[str], renewed: Renewed | None) -> list[str]:
    """Cut products into parts: where enough pairs have come together, and where parts that stay lie between."""
    firsts: list[str] = []
    begun, part, last = 0, None, None
    for at, code in enumerate(product_codes):
        if code == last:
            continue
        here = None if renewed is None else renewed.part_of(code)
        if not firsts or at - begun >= PAIRS_PER_PART or here != part:
            firsts.append(code)
            begun, part = at, here
        last = code
    return firsts


def _terms_columns(terms: PullTerms) -> dict[str, Sequence[Any]]:
    return {name: getattr(terms, name) for name in PullTerms.__struct_fields__}


def _ledger_columns(ledger: Ledger, bucket_dates: Sequence[date]) -> dict[str, Sequence[Any]]:
    columns = {name: getattr(ledger, name) for name in _LEDGER_COLUMNS if name != "bucket_dates"}
    return {**columns, "bucket_dates": [bucket_dates[b] for b in ledger.buckets]}


def _part(columns: Mapping[str, Sequence[Any]], first: int, end: int) -> Iterable[Sequence[Any]]:
    """Take some rows, each of which has one value or several in every column."""
    n_rows = len(columns["product_codes"])
    for name, column in columns.items():
        per_row = len(column) // n_rows
        some = column[first * per_row : end * per_row]
        yield arrays.unless_nothing(some) if name in _OFTEN_NOTHING else some
