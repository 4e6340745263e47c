"""Where does every demanded unit of the horizon come from: stock, open supply, a new assignment, or nowhere?"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pullplan.engine.demand import Pair
from pullplan.engine.model import TIERS, Assignment, Ledger, Need, PlanningFacts, Shortfall, ShortUnits
from pullplan.engine.netting.flows import DUST_UNITS, Places, Units, add_up, split_cover
from pullplan.engine.netting.needs import BUFFER, Netted
from pullplan.engine.netting.ordering import Columns

PINNED = TIERS.index("pinned")


@dataclass(frozen=True)
class _Cells:
    """Pair × bucket × tier as one number, in the order product, region, bucket, tier."""

    pairs: list[Pair]
    """In this order."""
    position: Places
    """Of netting's pairs, by their places there."""
    n_buckets: int

    def of_lines(self, lines: Columns) -> Places:
        return self.of(self.position[lines.place], lines.bucket, lines.tier)

    def of_needs(self, needs: Sequence[Need]) -> Places:
        position = {pair: i for i, pair in enumerate(self.pairs)}
        tier = {name: i for i, name in enumerate(TIERS)}
        rows = ((position[n.product_code, n.region_code], n.bucket, tier[n.tier]) for n in needs)
        return self.of(*np.fromiter(rows, np.dtype((np.intp, 3)), len(needs)).reshape(-1, 3).T)

    def of(self, pair: Places, bucket: Places, tier: Places) -> Places:
        return (pair * self.n_buckets + bucket) * len(TIERS) + tier


def reconcile(
    facts: PlanningFacts,
    netted: Netted,
    needs: Sequence[Need],
    assignments: Sequence[Assignment],
    shortfalls: Sequence[Shortfall],
) -> Ledger:
    """Set what is demanded, by the facts, against what serves it: stock and supply by netting, the rest by a plan's lines.

    Stock goes out before supply, supply as it arrives; within a bucket they serve tier after tier.

    Source: the planning model, section 2, the ledger.
    """
    order = sorted(range(len(netted.pairs)), key=netted.pairs.__getitem__)
    position = np.empty(len(order), dtype=np.intp)
    position[order] = np.arange(len(order))
    cells = _Cells([netted.pairs[i] for i in order], position, facts.horizon.horizon_buckets)
    gross = _gross(netted)
    node_stores = {node.node_code for node in facts.nodes if node.stock_of is not None}
    giver = {n.node_code: n.stock_of_region for n in facts.nodes if n.stock_of_region is not None}
    from_nodes = [line for line in assignments if line.node_code in node_stores]
    from_regions = [line for line in assignments if line.node_code in giver]
    is_made = [line for line in assignments if line.node_code not in node_stores | giver.keys()]
    gross_cell, leaves = cells.of_lines(gross), _leaving(needs, from_regions, giver, cells)
    cell, line_cell = np.unique(np.concatenate((gross_cell, leaves)), return_inverse=True)
    demanded = add_up(line_cell[: gross_cell.size], gross.units, cell.size)
    left_units = np.fromiter((line.units for line in from_regions), np.float64, len(from_regions))
    sent_units = add_up(line_cell[gross_cell.size :], left_units, cell.size)
    kept = (demanded > DUST_UNITS) | (sent_units > 0)
    cell, demanded, sent_units = cell[kept], demanded[kept], sent_units[kept]
    pair_bucket, tier = np.divmod(cell, len(TIERS))
    pair, bucket = np.divmod(pair_bucket, cells.n_buckets)
    pairs = [cells.pairs[i] for i in pair.tolist()]
    short = _short(needs, shortfalls, cells)
    from_stock, from_supply, from_buffer = _given(netted, cells, cell).tolist()
    return Ledger(
        product_codes=[product_code for product_code, _ in pairs],
        region_codes=[region_code for _, region_code in pairs],
        buckets=bucket.tolist(),
        tiers=[TIERS[t] for t in tier.tolist()],
        demanded_units=demanded.tolist(),
        from_stock_units=from_stock,
        from_supply_units=from_supply,
        from_buffer_units=from_buffer,
        from_node_stock_units=_added_up(needs, from_nodes, cells, cell).tolist(),
        from_region_stock_units=_added_up(needs, from_regions, cells, cell).tolist(),
        sent_to_regions_units=sent_units.tolist(),
        assigned_units=_assigned(needs, is_made, netted, cells, cell).tolist(),
        shortfalls=[short.get(at, ()) for at in cell.tolist()],
    )


def _leaving(
    needs: Sequence[Need], lines: Sequence[Assignment], giver: Mapping[str, str], cells: _Cells
) -> Places:
    """Name the cell that each line leaves: of the region that sends it, in its start bucket, under the tier of its need."""
    position, tier = (
        {pair: i for i, pair in enumerate(cells.pairs)},
        {name: i for i, name in enumerate(TIERS)},
    )
    need_of = {need.need_id: need for need in needs} if lines else {}
    rows = (
        (
            position[need_of[line.need_id].product_code, giver[line.node_code]],
            line.start_bucket,
            tier[need_of[line.need_id].tier],
        )
        for line in lines
    )
    return cells.of(*np.fromiter(rows, np.dtype((np.intp, 3)), len(lines)).reshape(-1, 3).T)


def _gross(netted: Netted) -> Columns:
    """List all that is demanded: of pairs with anything to net against what was filed, and what targets want filled up."""
    open_lines = netted.open_lines.columns()
    if netted.covered is None:
        return open_lines
    n_known = netted.covered.flow.on_hand_units.size
    others = open_lines.at(np.flatnonzero((open_lines.place >= n_known) | (open_lines.tier == BUFFER)))
    return netted.covered.lines.and_also(others)


def _given(netted: Netted, cells: _Cells, cell: Places) -> Units:
    """Tell what each cell gets of stock, of supply, and of what is made for its buffer before. Shapes: (3, n_cells)."""
    given = np.zeros((3, cell.size))
    if netted.covered is None:
        return given
    lines, flow = netted.covered.lines, netted.covered.flow
    left = [units.T.ravel() for units in split_cover(flow)]
    covered = lines.units - netted.covered.left_open_units
    for tier in np.unique(lines.tier).tolist():
        rows = np.flatnonzero((lines.tier == tier) & (covered > 0))
        pair_bucket = lines.place[rows] * cells.n_buckets + lines.bucket[rows]
        wanted = add_up(pair_bucket, covered[rows], left[0].size)
        places, buckets = np.divmod(np.arange(wanted.size), cells.n_buckets)
        found, at = _find(cell, cells.of(cells.position[places], buckets, np.full_like(places, tier)))
        for source, there in enumerate(left):
            taken = np.minimum(wanted, there)
            np.subtract(wanted, taken, out=wanted)
            np.subtract(there, taken, out=there)
            given[source, at] = taken[found]
        given[2, at] = np.where(wanted > DUST_UNITS, wanted, 0.0)[found]
    return given


def _assigned(
    needs: Sequence[Need], assignments: Sequence[Assignment], netted: Netted, cells: _Cells, cell: Places
) -> Units:
    """Add up what is made for each cell; what is pinned counts for the tier that it was pinned of, and is always made."""
    of_need = cells.of_needs(needs)
    assigned = _added_up(needs, assignments, cells, cell)
    found, places = _find(cell, of_need)
    is_pinned = of_need % len(TIERS) == PINNED
    if is_pinned.any():
        open_lines = netted.open_lines.columns()
        of_line, line_at = _find(cell, cells.of_lines(open_lines))
        units = np.fromiter((need.units for need in needs), np.float64, len(needs))
        pinned = add_up(line_at, open_lines.units[of_line], cell.size) - add_up(
            places, units[found], cell.size
        )
        has_pins = np.isin(cell // len(TIERS), of_need[is_pinned] // len(TIERS))
        assigned += np.where(has_pins & (pinned > DUST_UNITS), pinned, 0.0)
    return assigned


def _added_up(needs: Sequence[Need], assignments: Sequence[Assignment], cells: _Cells, cell: Places) -> Units:
    """Add lines up by the cell of their need."""
    if not assignments:
        return np.zeros(cell.size)
    at = {need.need_id: i for i, need in enumerate(needs)}
    by_need = add_up(
        np.fromiter((at[a.need_id] for a in assignments), np.intp, len(assignments)),
        np.fromiter((a.units for a in assignments), np.float64, len(assignments)),
        len(needs),
    )
    found, places = _find(cell, cells.of_needs(needs))
    return add_up(places, by_need[found], cell.size)


def _short(
    needs: Sequence[Need], shortfalls: Sequence[Shortfall], cells: _Cells
) -> dict[int, tuple[ShortUnits, ...]]:
    """Add up what nobody makes of each cell, reason by reason."""
    if not shortfalls:
        return {}
    need_of = {need.need_id: need for need in needs}
    of_shortfall = cells.of_needs([need_of[s.need_id] for s in shortfalls])
    units: dict[int, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for at, shortfall in zip(of_shortfall.tolist(), shortfalls, strict=True):
        units[at][shortfall.reason] += shortfall.units
    return {
        at: tuple(ShortUnits(reason=reason, units=n) for reason, n in sorted(by_reason.items()))  # type: ignore[arg-type]
        for at, by_reason in units.items()
    }


def _find(cell: Places, wanted: Places) -> tuple[Places, Places]:
    """Find which of the wanted are among the cells, and where. Shapes: (n_cells,), (n,) to twice (n_found,)."""
    if cell.size == 0:
        return (np.empty(0, np.intp), np.empty(0, np.intp))
    at = np.minimum(np.searchsorted(cell, wanted), cell.size - 1)
    found = np.flatnonzero(cell[at] == wanted)
    return found, at[found]
