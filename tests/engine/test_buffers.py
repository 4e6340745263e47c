import json
import math
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pullplan.engine.buffers import (
    BufferZones,
    Ordering,
    Outlook,
    Sizing,
    blended_usage,
    order_units,
    project_orders,
    qualify_demand,
    read_status,
    size_buffers,
    spike_threshold_units,
    split_order,
    usage_per_day,
)


@pytest.fixture(scope="module")
def cases(shared: Path) -> Any:
    return json.loads((shared / "conformance" / "ddmrp.json").read_text())


SIZING_FIELDS = (
    *("usage_units_per_day", "lead_days", "lead_time_factor", "variability_factor"),
    *("minimum_order_units", "order_cycle_days"),
)
NAMES = {
    "top_of_red": "top_of_red",
    "top_of_yellow": "top_of_yellow",
    "top_of_green": "top_of_green",
    **{name: name for name in ("red", "yellow", "green", "red_base", "red_safety")},
}


def sizing_of(case: dict[str, Any], **more: Any) -> Sizing:
    return Sizing(**{name: case[name] for name in SIZING_FIELDS if name in case}, **more)


def zones_of(red: float, yellow: float, green: float) -> BufferZones:
    """A buffer of given zones; what they followed from is not asked."""
    names = [field.name for field in fields(BufferZones)]
    given = {"red": red, "yellow": yellow, "green": green}
    return BufferZones(**{name: np.array([given.get(name, 0.0)]) for name in names})


@pytest.mark.parametrize("case", range(8))
def test_the_published_buffers_come_out_in_every_rounding_that_is_given(cases: Any, case: int):
    published = cases["buffers"][case]
    n_compared = 0
    for rounding, key in (
        ("none", "exact"),
        ("at_order", "exact"),
        ("half_up_component", "half_up_component"),
        ("half_up_zone", "half_up_zone"),
    ):
        zones = size_buffers(sizing_of(published, rounding=rounding))
        for name, value in published.get(key, {}).items():
            assert getattr(zones, NAMES[name]).item() == pytest.approx(value, abs=1e-9), (rounding, name)
            n_compared += 1
    assert n_compared >= 6


def test_a_formula_with_its_factors_swapped_is_told_from_the_right_one(cases: Any):
    wrong = cases["wrong_formula_to_reject"]
    pillow = next(case for case in cases["buffers"] if case["name"] == "pillow")
    lead, vary = pillow["lead_time_factor"], pillow["variability_factor"]
    base = pillow["usage_units_per_day"] * pillow["lead_days"] * lead * vary
    assert base + base * lead == pytest.approx(wrong["pillow_gives"])
    assert size_buffers(sizing_of(pillow)).top_of_red.item() == pytest.approx(wrong["right"])


@pytest.mark.parametrize(("name", "red"), [("707 made", 53.0), ("501D moved", 538.0)])
def test_half_of_red_is_a_spike(cases: Any, name: str, red: float):
    published = next(case for case in cases["buffers"] if case["name"] == name)
    assert spike_threshold_units(np.array([red])).item() == published["spike_threshold_half_of_red"]


def test_where_half_of_red_is_less_than_half_a_unit_not_every_day_is_a_spike():
    assert spike_threshold_units(np.array([0.52])).item() == pytest.approx(0.26)


@pytest.mark.parametrize("case", range(6))
def test_the_published_net_flows_and_orders_come_out(cases: Any, case: int):
    published = cases["net_flow"][case]
    top_of_red = published.get("top_of_red", 30.0)
    top_of_yellow = published.get("top_of_yellow", 70.0)
    zones = zones_of(
        top_of_red, top_of_yellow - top_of_red, published.get("top_of_green", 90.0) - top_of_yellow
    )
    status = read_status(
        zones,
        np.array([published.get("on_hand_units", published.get("net_flow"))], dtype=float),
        np.array([published.get("open_supply_units", 0.0)], dtype=float),
        np.array([published.get("qualified_demand", 0.0)], dtype=float),
        Ordering(multiple_units=published.get("multiple_units", 0.0)),
    )
    for name, value in (
        ("net_flow", status.net_flow_units),
        ("priority_percent", status.priority_percent),
        ("order_units", status.order_units),
    ):
        if name in published:
            assert value.item() == pytest.approx(published[name], abs=0.006), name
    if "unrounded" in published:
        assert order_units(zones, status.net_flow_units, Ordering()).item() == published["unrounded"]
    if published["name"] in ("green", "yellow"):
        assert status.color.item() == {"green": "above", "yellow": "yellow"}[published["name"]]


def test_the_published_demand_of_a_day_with_spikes_qualifies(cases: Any):
    published = next(case for case in cases["net_flow"] if case["name"] == "pillow on 20 June")
    units = [row[1] for row in published["demand_by_day"]]
    found = qualify_demand(
        np.zeros(4, dtype=np.intp),
        np.array([0, 1, 2, 3]),
        np.array(units, dtype=float),
        threshold_units=np.array([published["spike_threshold_units"]], dtype=float),
        horizon_days=np.array([5.0]),
    )
    assert found.units.item() == published["qualified_demand"]
    assert found.spike_days_ahead.tolist() == [1, 2]


@pytest.mark.parametrize("threshold", [71.0, 120.0])
def test_the_published_spike_is_the_only_one(cases: Any, threshold: float):
    published = cases["spike"]
    days = [int(day[-2:]) + (30 if day.startswith("07") else 0) for day in published["daily_totals"]]
    ahead = np.array(days) - 21
    totals = np.array(list(published["daily_totals"].values()), dtype=float)
    # Two orders a day: they add up before they are looked at.
    found = qualify_demand(
        np.zeros(2 * len(ahead), dtype=np.intp),
        np.repeat(ahead, 2),
        np.repeat(totals / 2, 2),
        threshold_units=np.array([threshold]),
        horizon_days=np.array([float(published["spike_horizon_days"])]),
    )
    assert [f"07-{day + 21 - 30:02}" for day in found.spike_days_ahead.tolist()] == published["spikes"]
    assert found.units.item() == 120.0


def test_the_last_day_of_the_spike_horizon_is_inside():
    def spikes(horizon_days: float) -> list[int]:
        found = qualify_demand(
            np.zeros(1, dtype=np.intp),
            np.array([7]),
            np.array([50.0]),
            threshold_units=np.array([50.0]),
            horizon_days=np.array([horizon_days]),
        )
        return [int(day) for day in found.spike_days_ahead]

    assert (spikes(7.0), spikes(6.0)) == ([7], [])


def test_the_published_usage_comes_out(cases: Any):
    published = {case["name"]: case for case in cases["usage"]}
    one = np.zeros(3, dtype=np.intp)

    def usage(units: list[float], window_days: int) -> float:
        return float(usage_per_day(one, np.array(units, dtype=float), 1, window_days).item())

    for name in ("past", "forward"):
        case = published[name]
        assert usage(case["daily"], len(case["daily"])) == pytest.approx(
            case["usage_units_per_day"], abs=1e-4
        )
    six = published["six days, today excluded"]
    assert usage(six["usage"], six["window_days"]) == pytest.approx(six["usage_units_per_day"], abs=1e-4)
    blended = published["blended half and half"]
    mixed = blended_usage(blended["past"], blended["forward"], 0.5)
    assert mixed == pytest.approx(blended["usage_units_per_day"], abs=1e-4)
    factor = published["demand adjustment factor 1.5"]
    sizing = Sizing(factor["usage_units_per_day"], 10, 0.5, 0.5, demand_adjustment_factor=factor["factor"])
    assert size_buffers(sizing).usage_units_per_day.item() == factor["adjusted"]


def test_an_order_is_placed_strictly_below_the_top_of_yellow():
    zones = zones_of(30.0, 40.0, 20.0)
    assert order_units(zones, np.array([70.0]), Ordering()).item() == 0.0
    assert order_units(zones, np.array([69.5]), Ordering()).item() == 20.5
    assert order_units(zones, np.array([69.5]), Ordering(rounding="at_order")).item() == 21.0
    assert order_units(zones, np.array([69.5]), Ordering(minimum_units=40.0)).item() == 40.0


@pytest.mark.parametrize(
    ("ordering", "units", "n_orders", "largest"),
    [
        (Ordering(), 150.0, 1, 150.0),
        (Ordering(maximum_units=200.0), 150.0, 1, 150.0),
        (Ordering(maximum_units=75.0), 150.0, 2, 75.0),
        (Ordering(maximum_units=60.0), 150.0, 3, 60.0),  # 60 + 60 + 30
        (Ordering(minimum_units=40.0, maximum_units=60.0), 160.0, 3, 60.0),  # the last is raised to 40
        (Ordering(multiple_units=25.0, maximum_units=60.0), 150.0, 3, 50.0),  # the most that is a multiple
        (
            Ordering(minimum_units=30.0, multiple_units=20.0, maximum_units=70.0),
            160.0,
            3,
            60.0,
        ),  # 160 = 60 + 60 + 40
        (Ordering(maximum_units=40.5, rounding="at_order"), 150.0, 4, 40.0),
    ],
)
def test_an_order_above_the_largest_is_split(
    ordering: Ordering, units: float, n_orders: int, largest: float
) -> None:
    zones = zones_of(60.0, 60.0, 40.0)
    ordered = order_units(zones, np.array([10.0]), ordering)
    assert ordered.tolist() == [units]
    assert [one.tolist() for one in split_order(ordered, ordering)] == [[n_orders], [largest]]
    nothing = order_units(zones, np.array([150.0]), ordering)
    assert [one.tolist() for one in (nothing, *split_order(nothing, ordering))] == [[0.0], [0], [0.0]]


def test_a_buffer_of_no_usage_orders_nothing_and_has_no_priority():
    zones = size_buffers(Sizing(0.0, 0.0, 0.5, 0.5))
    status = read_status(zones, np.zeros(()), np.zeros(()), np.zeros(()), Ordering())
    assert status.order_units.item() == 0.0
    assert math.isnan(status.priority_percent.item())


def test_later_orders_follow_what_is_used():
    # 10 a bucket, an order below 70 up to 90, two buckets of lead time. 50 + 40 = 90; 80, 70, then 60: 30 are ordered.
    orders = project_orders(
        zones_of(30.0, 40.0, 20.0),
        Ordering(),
        Outlook(np.array([50.0]), np.array([40.0]), np.full((6, 1), 10.0), np.arange(6)[:, None] + 2),
    )
    assert orders[:, 0].tolist() == [0.0, 0.0, 40.0, 0.0, 0.0, 30.0]


@given(
    sizing=st.builds(
        Sizing,
        usage_units_per_day=st.floats(0, 1e6),
        lead_days=st.floats(0, 400),
        lead_time_factor=st.floats(0.2, 1),
        variability_factor=st.floats(0.2, 1),
        minimum_order_units=st.floats(0, 1e6),
        order_cycle_days=st.floats(0, 60),
    ),
    on_hand=st.floats(-1e6, 1e8),
    multiple=st.floats(0.5, 1e4),
    most=st.none() | st.floats(1.0, 50.0),
)
def test_whatever_is_ordered_brings_net_flow_to_the_top_of_green_and_little_above(
    sizing: Sizing, on_hand: float, multiple: float, most: float | None
):
    zones, minimum = size_buffers(sizing), sizing.minimum_order_units
    zero, there = np.zeros(()), np.array(on_hand)
    ordering = Ordering(minimum, multiple, np.inf if most is None else most * (float(minimum) + multiple))
    status = read_status(zones, there, zero, zero, ordering)
    ordered = status.order_units.item()
    n_orders, largest = (one.item() for one in split_order(status.order_units, ordering))
    assert (n_orders - 1) * largest <= ordered * (1 + 1e-9)
    assert ordered <= n_orders * largest * (1 + 1e-9)
    assert largest <= ordering.maximum_units * (1 + 1e-9)
    assert not ordered or ordered - (n_orders - 1) * largest >= minimum * (1 - 1e-6) - 1e-6
    above = on_hand + ordered - zones.top_of_green.item()
    slack = 1e-6 * max(1.0, abs(on_hand), ordered)
    if on_hand >= zones.top_of_yellow.item():
        assert ordered == 0.0
    else:
        assert (
            -slack <= above <= 2 * minimum + 3 * multiple + slack if most else minimum + 2 * multiple + slack
        )
        assert ordered / multiple == pytest.approx(round(ordered / multiple), abs=1e-6)
