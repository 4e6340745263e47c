"""What is kept of a plan, so that a change of few needs is cheap?"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import msgspec
import numpy as np
import numpy.typing as npt

from pullplan.engine.certificate import StageWeights
from pullplan.engine.model import Need, Plan, PlanningFacts
from pullplan.engine.options import Options, build_options, need_columns
from pullplan.engine.replanning.lines import Lines, Totals
from pullplan.engine.replanning.margins import Margins
from pullplan.engine.replanning.netting import Pair, changed_pairs, has_same_network, net_pairs
from pullplan.engine.replanning.offers import Offers
from pullplan.engine.replanning.standing import need_keys

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


MARGINS_FROM_NEEDS = 30_000
"""Below, all ways are priced in less time than it takes to keep margins."""
MOST_NEAR_SHARE = 0.05
"""Of the needs: where more are near, margins are taken anew."""


@dataclass(frozen=True)
class Laid:
    """A plan laid out: its needs, all ways to serve them, and its lines."""

    options: Options
    offers: Offers
    lines: Lines
    totals: Totals
    numbers: IntArray
    """Of the plan's lines, ascending."""
    first_of_rank: IntArray
    """One need of every tier and rank."""
    margins: dict[str, Margins] = field(default_factory=dict)
    """By stage, as far as they were asked for."""

    @classmethod
    def of(cls, facts: PlanningFacts, plan: Plan) -> Self:
        """Lay a plan out."""
        options = build_options(facts, plan.needs)
        lines = Lines.of(options, plan.assignments)
        firsts = _first_of_rank(options)
        totals = Totals.of(options, lines)
        numbers = np.sort(lines.number)
        return cls(options, Offers.of(options), lines, totals, numbers, firsts)

    def with_lines(self, looked_at: IntArray, now: Lines) -> Self:
        """Give some needs other lines."""
        lines = self.lines.without(self.lines.of_needs(looked_at)).joined(now)
        margins = {
            name: margins.looked_at(self.offers, now, looked_at) for name, margins in self.margins.items()
        }
        totals = Totals.of(self.options, lines)
        return replace(self, lines=lines, totals=totals, numbers=np.sort(lines.number), margins=margins)

    def lines_worse_off(
        self, name: str, weights: StageWeights, is_open: BoolArray, churn_price: float
    ) -> tuple[IntArray, FloatArray]:
        """Find lines that cost more than the cheapest way of their need and a move: positions, and by how much a unit.

        Shapes: is_open (n_needs,): these are left out → twice (n,)
        """
        if self.totals.is_free(weights):
            return np.empty(0, dtype=np.int64), np.empty(0)
        needs = self._near(name, weights)
        at = np.arange(len(self.lines.need)) if needs is None else self.lines.of_needs(needs[~is_open[needs]])
        lines = self.lines if needs is None else self.lines[at]
        if needs is None:
            cheapest = self.offers.cheapest(weights)[lines.need]
        else:
            needs = np.unique(lines.need)
            cheapest = self.offers.cheapest(weights, needs)[np.searchsorted(needs, lines.need)]
        excess = lines.priced(weights) - (cheapest + churn_price)
        found = (excess > 0) & ~is_open[lines.need]
        return at[found], excess[found]

    def _near(self, name: str, weights: StageWeights) -> IntArray | None:
        """List the needs that must be read; None: all."""
        n_needs = len(self.options.needs)
        if n_needs < MARGINS_FROM_NEEDS:
            return None
        known = self.margins.get(name)
        near = None if known is None else known.near(self.offers, weights)
        if near is None or len(near) > MOST_NEAR_SHARE * n_needs:
            known = self.margins[name] = Margins.of(self.offers, self.lines, weights)
            near = known.near(self.offers, weights)
        return near


def _first_of_rank(options: Options) -> IntArray:
    """Take one need of every tier and rank, so that each has its stage."""
    rank = options.need_rank - options.need_rank.min(initial=0)
    return np.unique(options.need_tier * (int(rank.max(initial=0)) + 1) + rank, return_index=True)[1]


@dataclass(frozen=True)
class Change:
    """Few needs that are not as they were."""

    laid: Laid
    """The needs as they are now, and the lines of those that are still there; `numbers` are of all lines before."""
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
    gone_lines, totals, firsts = np.empty(0, dtype=np.int64), laid.totals, laid.first_of_rank
    if gone:
        stays = kept[lines.need]
        gone_lines, lines = lines.number[~stays], lines[stays]
        lines = replace(lines, need=place[lines.need])
        totals, firsts = Totals.of(now, lines), _first_of_rank(now)
    is_changed = np.zeros(len(now.needs), dtype=bool)
    is_changed[place[list(changed)]] = True
    is_changed[len(needs) :] = True
    has_other_ways = [at for at, need in changed.items() if not _has_same_ways(need, options.needs[at])]
    products = [*options.need_product[[*has_other_ways, *gone]], *now.need_product[len(needs) :]]
    offers = laid.offers.changed(now, np.array(products, dtype=np.int64), place if gone else None)
    is_alike = not gone and offers.is_laid_out_as(laid.offers)
    margins = {name: of.widened(is_changed) for name, of in laid.margins.items()} if is_alike else {}
    return Change(
        Laid(now, offers, lines, totals, laid.numbers, firsts, margins),
        is_changed,
        gone_lines,
    )


def _has_same_ways(need: Need, other: Need) -> bool:
    return msgspec.structs.replace(need, units=other.units) == other
