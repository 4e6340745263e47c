"""What is kept of a plan, so that a change of few needs is cheap?"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import msgspec
import numpy as np
import numpy.typing as npt

from pullplan.engine.model import Need, Plan, PlanningFacts
from pullplan.engine.options import Options, build_options, need_columns
from pullplan.engine.replanning.lines import Lines
from pullplan.engine.replanning.netting import Pair, changed_pairs, has_same_network, net_pairs
from pullplan.engine.replanning.offers import Offers
from pullplan.engine.replanning.standing import need_keys

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Laid:
    """A plan laid out: its needs, all ways to serve them, and its lines."""

    options: Options
    offers: Offers
    lines: Lines

    @classmethod
    def of(cls, facts: PlanningFacts, plan: Plan) -> Self:
        """Lay a plan out."""
        options = build_options(facts, plan.needs)
        return cls(options, Offers.of(options), Lines.of(options, plan.assignments))

    @cached_property
    def numbers(self) -> IntArray:
        """Number the plan's lines in their order."""
        return np.sort(self.lines.number)


@dataclass(frozen=True)
class Change:
    """Few needs that are not as they were."""

    before: Laid

    laid: Laid
    """The needs as they are now, and the lines of those that are still there."""
    is_changed: BoolArray
    """(n_needs,): new, or not what it was."""
    gone: IntArray
    """Numbers of the lines whose needs are gone."""


def find_change(facts: PlanningFacts, parent_facts: PlanningFacts, parent: Plan, laid: Laid) -> Change | None:
    """Find what has become of which needs; None where all ways may be others, or capacities.

    Needs keep the parent's numbers; new ones follow its last.
    """
    pairs = changed_pairs(facts, parent_facts)
    if pairs is None or not has_same_network(facts, parent_facts) or laid.options.capacities.is_share.any():
        return None
    options = laid.options
    old = _needs_of_pairs(options, pairs)
    was = [parent.needs[i] for i in old.tolist()]
    now = net_pairs(facts, pairs)
    horizon = facts.horizon
    position = dict(zip(need_keys(was, horizon), old.tolist(), strict=True))
    last = max((need.need_id for need in parent.needs), default=0)
    changed: dict[int, Need] = {}
    new: list[Need] = []
    for key, need in zip(need_keys(now, horizon), now, strict=True):
        at = position.pop(key, None)
        if at is None:
            last += 1
            new.append(msgspec.structs.replace(need, need_id=last))
            continue
        numbered = msgspec.structs.replace(need, need_id=parent.needs[at].need_id)
        if numbered != parent.needs[at]:
            changed[at] = numbered
    return _changed(facts, laid, changed, new, gone=sorted(position.values()))


def _needs_of_pairs(options: Options, pairs: frozenset[Pair]) -> IntArray:
    product_at = {product.product_code: p for p, product in enumerate(options.products)}
    region_at = {code: r for r, code in enumerate(options.lanes.region_codes)}
    n_regions = len(region_at)
    wanted = [
        product_at[product] * n_regions + region_at[region]
        for product, region in pairs
        if product in product_at and region in region_at
    ]
    return np.flatnonzero(np.isin(options.need_product * n_regions + options.need_region, wanted))


def _changed(
    facts: PlanningFacts, laid: Laid, changed: dict[int, Need], new: Sequence[Need], gone: Sequence[int]
) -> Change:
    """Lay the needs out as they now are, in the parent's order, new ones last."""
    options, lines = laid.options, laid.lines
    kept = np.ones(len(options.needs), dtype=bool)
    kept[gone] = False
    place = np.cumsum(kept) - 1
    needs = list(options.needs)
    for at, need in changed.items():
        needs[at] = need
    for at in reversed(gone):
        del needs[at]
    columns = need_columns(facts, [*changed.values(), *new], options.products, options.lanes)
    of_needs: dict[str, Any] = {}
    for name, column in columns.items():
        whole = getattr(options, name).copy()
        whole[list(changed)] = column[: len(changed)]
        of_needs[name] = np.concatenate([whole[kept] if gone else whole, column[len(changed) :]])
    now = replace(options, parameters=facts.parameters, needs=(*needs, *new), **of_needs)
    gone_lines = np.empty(0, dtype=np.int64)
    if gone:
        stays = kept[lines.need]
        gone_lines, lines = lines.number[~stays], lines[stays]
        lines = replace(lines, need=place[lines.need])
    is_changed = np.zeros(len(now.needs), dtype=bool)
    is_changed[place[list(changed)]] = True
    is_changed[len(needs) :] = True
    touched = np.unique(np.append(now.need_product[is_changed], options.need_product[gone]))
    offers = laid.offers.changed(now, touched, place if gone else None)
    return Change(laid, Laid(now, offers, lines), is_changed, gone_lines)
