"""Which needs of the parent are still there, and which of its lines can stand?"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import msgspec
import numpy as np
import numpy.typing as npt

from pullplan.engine.calendar import bucket_dates
from pullplan.engine.model import Assignment, Horizon, Need, Plan, Shortfall
from pullplan.engine.options import OptionRows, Options

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

DUST_SHARE = 1e-9
"""Of a need: what its parent lines leave of it below this is rounding."""
FIT_SHARE = 1e-9
"""Of a capacity: what lines take beyond it below this is rounding."""

type NeedKey = tuple[str, str, date, str, int, int]
"""Product, region, first day of the bucket in which it is due, tier, rank, and its number among equals."""


@dataclass(frozen=True)
class Parent:
    """What the parent says of the needs that are looked at."""

    lines: Sequence[Assignment]
    shortfalls: Sequence[Shortfall]
    last_assignment_id: int
    """Of the whole parent."""
    shift: int
    """So many buckets later its buckets lie here."""


@dataclass(frozen=True)
class Standing:
    """The parent's lines that are held; arrays are (n_held,), ordered by need, capability and start bucket."""

    rows: OptionRows
    """The options that they are today."""
    units: FloatArray
    line: IntArray
    """Position in the parent's assignments."""
    is_settled: BoolArray
    """(n_needs,): held as a whole, each of its parent's lines with all of its units."""
    short_units: FloatArray
    """(n_needs,): what the parent leaves short."""
    released_assignment_ids: tuple[int, ...]

    @property
    def held_units(self) -> float:
        """Add up what is held."""
        return float(self.units.sum())


def first_bucket_date(horizon: Horizon) -> date:
    """Name a horizon's first day."""
    return bucket_dates(horizon)[0]


def need_keys(needs: Sequence[Need], horizon: Horizon) -> list[NeedKey]:
    """Name each need by what it is of, whatever its number and wherever its horizon begins."""
    dates = bucket_dates(horizon)
    times: Counter[tuple[str, str, int, str, int]] = Counter()
    keys: list[NeedKey] = []
    for need in needs:
        same = (need.product_code, need.region_code, need.bucket, need.tier, need.rank)
        keys.append((*same[:2], dates[need.bucket], *same[3:], times[same]))
        times[same] += 1
    return keys


def keep_numbers(
    needs: Sequence[Need], horizon: Horizon, parent: Plan, parent_horizon: Horizon
) -> tuple[Need, ...]:
    """Give every need the number that it has in the parent; a new one, the next after the parent's last."""
    number_of = {
        key: need.need_id
        for key, need in zip(need_keys(parent.needs, parent_horizon), parent.needs, strict=True)
    }
    last = max(number_of.values(), default=0)
    numbered = []
    for key, need in zip(need_keys(needs, horizon), needs, strict=True):
        number = number_of.get(key)
        if number is None:
            number = last = last + 1
        numbered.append(msgspec.structs.replace(need, need_id=number))
    return tuple(sorted(numbered, key=lambda need: need.need_id))


def find_standing(options: Options, parent: Parent) -> Standing:
    """Hold every line of the parent whose need is still there and whose node can still make it then and there.

    Needs carry the parent's numbers. A need that has shrunk holds its lines in their order, as far as it goes. Where lines no longer fit into a capacity together, the least important are
    released: last served, then farthest.
    """
    position = {need.need_id: i for i, need in enumerate(options.needs)}
    lines_of: dict[int, list[int]] = defaultdict(list)
    lines = parent.lines
    for at, line in enumerate(lines):
        if line.need_id in position:
            lines_of[position[line.need_id]].append(at)
    stands = _find_options(options, lines, lines_of, parent.shift)
    left = options.need_units.copy()
    held: list[tuple[int, int, int, float, int]] = []
    is_settled = np.zeros(len(options.needs), dtype=bool)
    for i, of_need in lines_of.items():
        whole = True
        dust = DUST_SHARE * options.need_units[i]
        for at in of_need:
            if at not in stands or left[i] <= dust:
                whole = False
                continue
            units = lines[at].units
            if units > left[i] + dust:
                whole, units = False, float(left[i])
            held.append((i, *stands[at], units, at))
            left[i] -= units
        is_settled[i] = whole and left[i] <= dust
    held.sort()
    columns = list(zip(*held, strict=True)) if held else [()] * 5
    need, capability, start, at_line = (np.array(columns[c], dtype=np.int64) for c in (0, 1, 2, 4))
    units_held = np.array(columns[3], dtype=np.float64)
    rows = options.rows_at(need, capability, start)
    stays = _fitting(options, rows, units_held)
    is_settled[need[~stays]] = False
    return Standing(
        rows=rows if stays.all() else rows[stays],
        units=units_held[stays],
        line=at_line[stays],
        is_settled=is_settled,
        short_units=_short_units(options, parent.shortfalls, position),
        released_assignment_ids=tuple(sorted(lines[at].assignment_id for at in at_line[~stays].tolist())),
    )


def _short_units(options: Options, shortfalls: Sequence[Shortfall], position: dict[int, int]) -> FloatArray:
    short = np.zeros(len(options.needs))
    for shortfall in shortfalls:
        if shortfall.need_id in position:
            short[position[shortfall.need_id]] = shortfall.units
    return short


def _find_options(
    options: Options, lines: Sequence[Assignment], lines_of: dict[int, list[int]], shift: int
) -> dict[int, tuple[int, int]]:
    """Find capability and start bucket of each line that can still be made: {position of the line: both}."""
    capability_of = options.capabilities.position
    asked = [
        (at, i, capability, lines[at].start_bucket + shift)
        for i, at_lines in lines_of.items()
        for at in at_lines
        if (capability := capability_of.get((options.needs[i].product_code, lines[at].node_code))) is not None
    ]
    if not asked:
        return {}
    at, need, capability, start = np.array(asked, dtype=np.int64).T
    stands = options.are_options(need, capability, start)
    found = np.stack([at, capability, start])[:, stands]
    return {line: (c, s) for line, c, s in found.T.tolist()}


def room_left(options: Options, used: FloatArray) -> FloatArray:
    """Say what is left of every capacity: renewed in its bucket, stored up to the end of it.

    Shapes: (n_resources, n_buckets) → the same
    """
    left = options.capacities.available - used
    return np.where(options.capacities.is_stored[:, None], np.cumsum(left, axis=1), left)


def _fitting(options: Options, rows: OptionRows, units: FloatArray) -> BoolArray:
    """Release held lines, the least important first, until all that are left fit into every capacity."""
    stays = np.ones(len(units), dtype=bool)
    is_stored = options.capacities.is_stored
    slack = FIT_SHARE * room_left(options, np.zeros(options.capacities.available.shape))

    def room() -> FloatArray:
        used = options.use_by_bucket(rows.capability[stays], rows.start_bucket[stays], units[stays])
        return room_left(options, used)

    order: IntArray | None = None
    for row, bucket in np.argwhere(room() < -slack).tolist():
        over = -float(room()[row, bucket])
        taken = options.capabilities.use[:, [row]].toarray().ravel()[rows.capability] * units
        start = rows.start_bucket
        taken[start > bucket if is_stored[row] else start != bucket] = 0.0
        order = _least_important_first(options, rows) if order is None else order
        for j in order.tolist():
            if over <= slack[row, bucket]:
                break
            if stays[j] and taken[j] > 0:
                stays[j] = False
                over -= float(taken[j])
    return stays


def _least_important_first(options: Options, rows: OptionRows) -> IntArray:
    tier, rank = options.need_tier[rows.need], options.need_rank[rows.need]
    return np.lexsort((rows.start_bucket, rows.capability, rows.need, -rows.distance_km, -rank, -tier))
