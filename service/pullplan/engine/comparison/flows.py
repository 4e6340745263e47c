"""Which units of a need are elsewhere in the second plan, and where?"""

from collections.abc import Iterator
from datetime import date

from pullplan.engine.comparison.causes import Causes
from pullplan.engine.model import Change, Difference, NeedInPlan, NeedKey, PlacedUnits

DUST_SHARE = 1e-9
"""Of a need: less than this is rounding."""
_NOTHING = NeedInPlan(units=0.0, shortfall_units=0.0, lines=())

type Place = tuple[str, str, date | None]
"""What it is (`line`, `short`, or `none` for what only the other plan needs), node and start bucket."""
type Amounts = list[tuple[Place, PlacedUnits | None, float]]

_CHANGES: dict[tuple[str, str], Change] = {
    ("line", "line"): "moved",
    ("line", "short"): "removed",
    ("line", "none"): "removed",
    ("short", "line"): "added",
    ("none", "line"): "added",
    ("none", "short"): "left_short",
    ("short", "none"): "no_longer_short",
}


def compare(
    key: NeedKey, before: NeedInPlan | None, after: NeedInPlan | None, causes: Causes
) -> list[Difference]:
    """List what became of a need's units, from the first plan to the second: what stays is not listed.

    Units that left a place are matched with those that came to one in the order of nodes and start buckets, then
    what is short, then what is needed in one plan only: of several ways to tell the same change, always this one.
    """
    was, now = before or _NOTHING, after or _NOTHING
    dust = DUST_SHARE * max(was.units, now.units)
    left, come = _without_common(_places(was, now.units), _places(now, was.units), dust)
    differences: list[Difference] = []
    for (source, from_line, target, to_line), units in _matched(left, come, dust):
        change = _CHANGES[source[0], target[0]]
        cause, detail = causes.of(key, change, source, target)
        saved = _saved(source, from_line, target, to_line, units)
        differences.append(
            Difference(
                product_code=key.product_code,
                region_code=key.region_code,
                need_bucket_date=key.bucket_date,
                tier=key.tier,
                rank=key.rank,
                part=len(differences) + 1,
                change=change,
                units=units,
                from_node_code=source[1] or None,
                from_start_bucket_date=source[2],
                to_node_code=target[1] or None,
                to_start_bucket_date=target[2],
                cause=cause,
                detail=detail,
                **saved,
            )
        )
    return differences


def _places(need: NeedInPlan, units_of_other: float) -> Amounts:
    places: Amounts = [
        (("line", line.node_code, line.start_bucket_date), line, line.units)
        for line in sorted(need.lines, key=lambda line: (line.node_code, line.start_bucket_date))
    ]
    places.append((("short", "", None), None, need.shortfall_units))
    places.append((("none", "", None), None, max(0.0, units_of_other - need.units)))
    return places


def _without_common(was: Amounts, now: Amounts, dust: float) -> tuple[Amounts, Amounts]:
    """Take away what stays where it is."""
    units_then = {place: units for place, _, units in was}
    units_now = {place: units for place, _, units in now}
    left = [(place, line, units - units_now.get(place, 0.0)) for place, line, units in was]
    come = [(place, line, units - units_then.get(place, 0.0)) for place, line, units in now]
    return [one for one in left if one[2] > dust], [one for one in come if one[2] > dust]


type _Pair = tuple[Place, PlacedUnits | None, Place, PlacedUnits | None]


def _matched(left: Amounts, come: Amounts, dust: float) -> Iterator[tuple[_Pair, float]]:
    targets = iter(come)
    target, to_line, room = next(targets, (None, None, 0.0))
    for source, from_line, amount in left:
        still = amount
        while target is not None and still > dust:
            units = min(still, room)
            if (source[0], target[0]) in _CHANGES:
                yield (source, from_line, target, to_line), units
            still, room = still - units, room - units
            if room <= dust:
                target, to_line, room = next(targets, (None, None, 0.0))


def _saved(
    source: Place, from_line: PlacedUnits | None, target: Place, to_line: PlacedUnits | None, units: float
) -> dict[str, float]:
    short_less = (source[0] == "short") - (target[0] == "short")

    def less(name: str) -> float:
        was = 0.0 if from_line is None else float(getattr(from_line, name))
        now = 0.0 if to_line is None else float(getattr(to_line, name))
        return units * (was - now)

    return {
        "shortfall_units_saved": units * short_less,
        "late_unit_buckets_saved": less("late_buckets"),
        "cost_saved": less("cost_per_unit"),
        "early_unit_buckets_saved": less("early_buckets"),
    }
