"""What was each product's demand netted against, and where does every unit of it come from: of all products, or of some?"""

from collections.abc import Sequence
from itertools import batched, chain, compress
from typing import Any

import msgspec

from pullplan.engine.model import Books, Plan, PlanningFacts
from pullplan.engine.netting.ledger import reconcile
from pullplan.engine.netting.needs import net_lines
from pullplan.engine.netting.terms import pull_terms

_OF_A_PRODUCT = ("orders", "lead_signals", "stock")


def keep_books(facts: PlanningFacts, plan: Plan, product_codes: frozenset[str] | None = None) -> Books:
    """Work out the ledger of a plan and what its demand was netted against; of some products as it would be of all."""
    if product_codes is None:
        netted = net_lines(facts)
        ledger = reconcile(facts, netted, plan.needs, plan.assignments, plan.shortfalls)
        return Books(ledger=ledger, terms=pull_terms(facts, netted))
    needs = [need for need in plan.needs if need.product_code in product_codes]
    need_ids = {need.need_id for need in needs}
    facts = _of_products(facts, product_codes)
    netted = net_lines(facts)
    ledger = reconcile(
        facts,
        netted,
        needs,
        [line for line in plan.assignments if line.need_id in need_ids],
        [shortfall for shortfall in plan.shortfalls if shortfall.need_id in need_ids],
    )
    return Books(
        ledger=_rows_of(ledger, product_codes), terms=_rows_of(pull_terms(facts, netted), product_codes)
    )


def _of_products(facts: PlanningFacts, product_codes: frozenset[str]) -> PlanningFacts:
    """Leave out what is demanded and held of other products; supply stays, as a line of one may echo another's work order."""
    some: dict[str, Any] = {
        name: tuple(one for one in getattr(facts, name) if one.product_code in product_codes)
        for name in _OF_A_PRODUCT
    }
    if facts.forecast is not None:
        series = tuple(one for one in facts.forecast.series if one.product_code in product_codes)
        some["forecast"] = msgspec.structs.replace(facts.forecast, series=series)
    pairs = tuple(pair for pair in facts.consumption_pairs if pair[0] in product_codes)
    return msgspec.structs.replace(facts, consumption_pairs=pairs, **some)


def _rows_of[C: msgspec.Struct](columns: C, product_codes: frozenset[str]) -> C:
    """Keep the rows of some products, of columns that have one or several values a row."""
    codes: Sequence[str] = columns.product_codes  # type: ignore[attr-defined]
    kept = [code in product_codes for code in codes]
    if all(kept):
        return columns
    some = {}
    for name in columns.__struct_fields__:
        column = getattr(columns, name)
        per_row = len(column) // len(codes)
        some[name] = list(chain.from_iterable(compress(batched(column, per_row), kept)))
    return msgspec.structs.replace(columns, **some)
