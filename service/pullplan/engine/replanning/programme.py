"""How do the needs that are open become a linear programme, with everything else in its place?

Columns: *moves* (need × option: units that this option newly makes), *stays* (units of a held line that stay where
they are), *shortages* (by need), and *moved* (all held units that do not stay). Rows: needs, capacities less what
settled needs take, held lines, the units that move, and their budget.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import highspy
import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array, csr_array

from pullplan.engine.assignment.programme import largest_use, power_of_two
from pullplan.engine.assignment.slices import Shortages
from pullplan.engine.assignment.stages import Proof, lp_of
from pullplan.engine.model import TIERS, Tier
from pullplan.engine.options import (
    OptionRows,
    Options,
    StageMeasure,
    StagePrices,
    needs_by_rank,
    shortfall_weight,
    slice_edges,
)
from pullplan.engine.replanning.standing import Standing, room_left

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

DUST_SHARE = 1e-9
"""Of a need: lines, shortages and moves below are the solver's rounding."""
ROUNDING_SHARE = 1e-12
"""Of a need: what its lines miss it by in floating point is left, so that a line that stays is what it was."""


@dataclass(frozen=True)
class Churn:
    """What keeps held units where they are."""

    budget_units: float | None = None
    least_saving_per_unit: float = 0.0

    @property
    def is_free(self) -> bool:
        """Tell whether held units may move for anything."""
        return self.budget_units is None and self.least_saving_per_unit == 0


@dataclass(frozen=True)
class StageProof:
    """What proves a stage: its prices, what moving one held unit more would save, and reduced costs of the moves."""

    prices: StagePrices
    churn_price: float
    reduced_costs: FloatArray


@dataclass(frozen=True)
class Opened:
    """The programme of the open needs; units are divided by `unit_scale`."""

    options: Options
    need: IntArray
    """Open needs, ascending."""
    moves: OptionRows
    """Ordered by need, capability and start bucket."""
    held: IntArray
    """Held lines of open needs: their places in Standing."""
    stays: OptionRows
    stay_units: FloatArray
    settled_use: FloatArray
    """(n_resources, n_buckets)"""
    churn: Churn
    unit_scale: float
    row_scale: FloatArray

    @property
    def first_capacity_row(self) -> int:
        """Number the row after the needs'."""
        return len(self.need)

    @property
    def first_shortage(self) -> int:
        """Number the column from which shortages stand, one for each open need."""
        return len(self.moves.need) + len(self.held)

    @property
    def n_columns(self) -> int:
        """Count the columns, slices apart."""
        return self.first_shortage + len(self.need) + 1

    def column_cost(self, measure: StageMeasure) -> FloatArray:
        """Spread a stage's measure of options over the columns; what a moved unit has to save is of the cost stage."""
        to_save = self.churn.least_saving_per_unit if measure.name.startswith("cost:") else 0.0
        return np.concatenate(
            [
                measure.by_option(self.moves, self.options),
                measure.by_option(self.stays, self.options),
                np.zeros(len(self.need)),
                [to_save],
            ]
        )

    @property
    def move_cost(self) -> FloatArray:
        """Count every unit that a move makes: the last thing to make small."""
        cost = np.zeros(self.n_columns)
        cost[: len(self.moves.need)] = 1.0
        return cost

    def shortages(self, has_option: BoolArray) -> Iterator[tuple[Tier, int, Shortages]]:
        """Gather what may stay short by tier and rank, in the order in which they are served."""
        options = self.options
        weight = np.where(has_option, shortfall_weight(options), 0.0)
        is_open = np.zeros(len(options.needs), dtype=bool)
        is_open[self.need] = True
        for (tier, rank), of_rank in needs_by_rank(options).items():
            needs = of_rank[is_open[of_rank]]
            row = np.searchsorted(self.need, needs)
            edges = slice_edges(options, needs) / self.unit_scale
            yield TIERS[tier], rank, Shortages(self.first_shortage + row, row, weight[needs], edges)

    def to_highs(self) -> highspy.HighsLp:
        """Write the programme down, without costs."""
        matrix, n_needs = self._rows(), len(self.need)
        room = room_left(self.options, self.settled_use).ravel() / self.row_scale
        limits = np.concatenate([np.maximum(0.0, room), self.stay_units]) / self.unit_scale
        moved = [-float(self.stay_units.sum()) / self.unit_scale]
        if self.churn.budget_units is not None:
            moved.append(self.churn.budget_units / self.unit_scale)
        units = self.options.need_units[self.need] / self.unit_scale
        lower = np.concatenate([units, np.full(matrix.shape[0] - n_needs, -highspy.kHighsInf)])
        return lp_of(matrix, lower, np.concatenate([units, limits, moved]))

    def _rows(self) -> csr_array:
        options, n_moves, n_stays, n_needs = (
            self.options,
            len(self.moves.need),
            len(self.held),
            len(self.need),
        )
        row_of_need = np.zeros(len(options.needs), dtype=np.int64)
        row_of_need[self.need] = np.arange(n_needs)
        made_for = np.concatenate([self.moves.need, self.stays.need])
        row, column, use = self._uses()
        n_capacities = len(self.row_scale)
        first_stay_row = n_needs + n_capacities
        moved_row = first_stay_row + n_stays
        stays = n_moves + np.arange(n_stays)
        last = self.n_columns - 1
        entries = [
            (np.ones(len(made_for)), row_of_need[made_for], np.arange(len(made_for))),
            (np.ones(n_needs), np.arange(n_needs), n_moves + n_stays + np.arange(n_needs)),
            (use, n_needs + row, column),
            (np.ones(n_stays), first_stay_row + np.arange(n_stays), stays),
            (-np.ones(n_stays + 1), np.full(n_stays + 1, moved_row), np.append(stays, last)),
        ]
        n_rows = moved_row + 1
        if self.churn.budget_units is not None:
            entries.append((np.ones(1), np.array([n_rows]), np.array([last])))
            n_rows += 1
        value, rows, columns = (np.concatenate(of) for of in zip(*entries, strict=True))
        return csr_array(coo_array((value, (rows, columns)), shape=(n_rows, self.n_columns)))

    def _uses(self) -> tuple[IntArray, IntArray, FloatArray]:
        """List what each move and stay takes: capacity row, column, use; of a store in every later bucket too."""
        options, n_buckets = self.options, self.options.horizon.horizon_buckets
        capability = np.concatenate([self.moves.capability, self.stays.capability])
        start = np.concatenate([self.moves.start_bucket, self.stays.start_bucket])
        uses = options.capabilities.use[capability].tocoo()
        column, resource = (axis.astype(np.int64) for axis in uses.coords)
        bucket = start[column]
        n_entries = np.where(options.capacities.is_stored[resource], n_buckets - bucket, 1)
        first = np.repeat(np.cumsum(n_entries) - n_entries, n_entries)
        row = np.repeat(resource * n_buckets + bucket, n_entries) + np.arange(len(first)) - first
        return row, np.repeat(column, n_entries), np.repeat(uses.data, n_entries) / self.row_scale[row]

    def stage_proof(self, name: str, proof: Proof) -> StageProof:
        """Read what proves a stage among the open needs."""
        n_capacities, n_moves = len(self.row_scale), len(self.moves.need)
        reduced_costs = np.zeros(n_moves)
        is_move = proof.columns < n_moves
        reduced_costs[proof.columns[is_move]] = proof.reduced_costs[is_move]
        return StageProof(
            prices=StagePrices(name, self.by_capacity(proof.row_prices[:n_capacities]), proof.multipliers),
            churn_price=float(proof.row_prices[n_capacities + len(self.held)]),
            reduced_costs=reduced_costs,
        )

    def by_capacity(self, row_prices: FloatArray) -> FloatArray:
        """Turn row prices into prices of a unit of capacity; of a store, what arrives counts in every later row."""
        capacities = self.options.capacities
        prices = (row_prices[: len(self.row_scale)] / self.row_scale).reshape(capacities.available.shape)
        arriving = np.cumsum(prices[:, ::-1], axis=1)[:, ::-1]
        return np.where(capacities.is_stored[:, None], arriving, prices)


def open_needs(
    options: Options, standing: Standing, is_open: BoolArray, moves: OptionRows, churn: Churn
) -> Opened:
    """Let the open needs choose among their moves, and leave every other need's held lines where they are."""
    is_free_line = is_open[standing.rows.need]
    need = np.flatnonzero(is_open)
    units = options.need_units[need]
    settled = standing.rows[~is_free_line]
    return Opened(
        options=options,
        need=need,
        moves=moves,
        held=np.flatnonzero(is_free_line),
        stays=standing.rows[is_free_line],
        stay_units=standing.units[is_free_line],
        settled_use=options.use_by_bucket(
            settled.capability, settled.start_bucket, standing.units[~is_free_line]
        ),
        churn=churn,
        unit_scale=power_of_two(float(units.mean())) if units.any() else 1.0,
        row_scale=np.repeat(largest_use(options), options.horizon.horizon_buckets),
    )


type Lines = tuple[IntArray, IntArray, IntArray, FloatArray]
"""Need, capability, start bucket and units of each line, ordered so."""


def lines_of(
    opened: Opened, standing: Standing, is_open: BoolArray, columns: FloatArray
) -> tuple[Lines, FloatArray]:
    """Read the plan: its lines, and each need's shortfall (n_needs,)."""
    options = opened.options
    columns = columns[: opened.n_columns] * opened.unit_scale
    n_moves, n_stays = len(opened.moves.need), len(opened.held)
    moves, stays, shortages, _ = np.split(columns, [n_moves, n_moves + n_stays, opened.n_columns - 1])
    dust = DUST_SHARE * options.need_units
    is_whole = np.abs(stays - opened.stay_units) <= dust[opened.stays.need]
    staying = standing.units.copy()
    staying[opened.held] = np.where(is_whole, opened.stay_units, stays)
    moves = np.where(moves > dust[opened.moves.need], moves, 0.0)
    short = np.zeros(len(options.needs))
    short[opened.need] = np.where(shortages > dust[opened.need], shortages, 0.0)
    is_as_short = np.abs(short - standing.short_units) <= dust
    short = np.where(is_as_short & is_open, standing.short_units, short)
    numbers = np.concatenate([row_numbers(options, standing.rows), row_numbers(options, opened.moves)])
    number, place = np.unique(numbers, return_inverse=True)
    units = np.zeros(len(number))
    np.add.at(units, place, np.concatenate([staying, moves]))
    return _settle(options, is_open, number, units, short)


def row_numbers(options: Options, rows: OptionRows) -> IntArray:
    """Number options, ascending by need, capability and start bucket."""
    return options.number(rows.need, rows.capability, rows.start_bucket)


def named_rows(options: Options, numbers: IntArray) -> OptionRows:
    """Describe the options that have these numbers."""
    made, start = np.divmod(numbers, options.horizon.horizon_buckets)
    need, capability = np.divmod(made, max(1, len(options.capabilities.rows)))
    return options.rows_at(need, capability, start)


def _settle(
    options: Options, is_open: BoolArray, number: IntArray, units: FloatArray, short: FloatArray
) -> tuple[Lines, FloatArray]:
    """Drop dust and give what is missing or too much to each open need's largest line (without one, to its shortfall)."""
    made, start = np.divmod(number, options.horizon.horizon_buckets)
    need, capability = np.divmod(made, max(1, len(options.capabilities.rows)))
    keep = units > DUST_SHARE * options.need_units[need]
    need, capability, start, units = need[keep], capability[keep], start[keep], units[keep]
    residual = options.need_units - short - np.bincount(need, units, len(options.needs))
    residual[np.abs(residual) <= ROUNDING_SHARE * options.need_units] = 0.0
    by_size = np.lexsort((-np.arange(len(units)), units, need))
    largest = by_size[np.flatnonzero(np.diff(need[by_size], append=-1))]
    largest = largest[is_open[need[largest]]]
    units[largest] += residual[need[largest]]
    has_line = np.zeros(len(options.needs), dtype=bool)
    has_line[need] = True
    return (need, capability, start, units), np.where(has_line, short, options.need_units)
