import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.engine.pegging import DemandLine, peg

from pullplan.engine.checker import check
from pullplan.engine.demand import resolve_policy
from pullplan.engine.model import (
    TIERS,
    Accuracy,
    Capability,
    DailyUnits,
    Forecast,
    Horizon,
    Lane,
    LeadSignal,
    Need,
    Node,
    OpenSupply,
    Order,
    PlanningFacts,
    PlanParameters,
    Product,
    PullPolicy,
    Region,
    ReleasedWork,
    Resource,
    SeriesForecast,
    StockPosition,
    Tier,
)
from pullplan.engine.netting import (
    Flow,
    arriving_supply,
    buffer_targets,
    consume_forecast,
    cover,
    derive_buffers,
    forecast_steps,
    leave_open,
    net,
    reference_lead_days,
    wants_forecast,
)
from pullplan.engine.plan import make_plan

MONDAY = date(2024, 1, 1)
PAIR: dict[str, Any] = {"product_code": "BREAD", "region_code": "NORTH"}
MAKE_TO_ORDER = PullPolicy(policy="make_to_order")


@pytest.fixture(scope="module")
def cases(shared: Path) -> Any:
    return json.loads((shared / "conformance" / "netting.json").read_text())


def facts_of(n_buckets: int = 4, *, as_of: date = MONDAY, **given_facts: Any) -> PlanningFacts:
    """One product, one region, make to order, weeks from a Monday, unless said otherwise."""
    return PlanningFacts(
        **{
            "horizon": Horizon(as_of_date=as_of, horizon_buckets=n_buckets),
            "parameters": PlanParameters(),
            "products": (Product(product_code="BREAD"),),
            "regions": (Region(region_code="NORTH", latitude=52.0, longitude=9.0),),
            "policies": (MAKE_TO_ORDER,),
            **given_facts,
        }
    )


def order(units: float, bucket: int = 0, **more: Any) -> Order:
    due = MONDAY + timedelta(weeks=bucket)
    return Order(**{"external_id": f"O{bucket}", **PAIR, "ordered_units": units, "due_date": due, **more})


def counted(units: float, **more: Any) -> StockPosition:
    return StockPosition(**PAIR, counted_at=datetime(2023, 12, 31, tzinfo=UTC), count_units=units, **more)


def supply(units: float, bucket: int = 0, **more: Any) -> OpenSupply:
    due = MONDAY + timedelta(weeks=bucket)
    return OpenSupply(**{"external_id": f"S{bucket}", **PAIR, "units": units, "due_date": due, **more})


def released(units: float) -> ReleasedWork:
    return ReleasedWork(
        work_order_id="W1",
        **PAIR,
        node_code="MILL",
        units=units,
        start_date=MONDAY,
        arrival_date=MONDAY,
        export_ids=("EXPORT-1",),
    )


def series(*mean_units: float, errors: tuple[tuple[float, ...], ...] = ()) -> SeriesForecast:
    return SeriesForecast(
        **PAIR,
        demand_class="smooth",
        model="given",
        history_buckets=52,
        mean_units=mean_units,
        p10_units=mean_units,
        p50_units=mean_units,
        p90_units=mean_units,
        adjustment_units=(0.0,) * len(mean_units),
        error_paths_units=errors,
    )


def forecast_of(*all_series: SeriesForecast) -> Forecast:
    steps = len(all_series[0].mean_units)
    return Forecast(
        first_bucket_date=MONDAY, bucket="week", n_steps=steps, series=all_series, measures=Accuracy()
    )


def left_open(
    demand: list[list[DemandLine]],
    targets: list[float],
    receipts: list[float],
    on_hand: float,
    shelf: float = np.inf,
) -> list[dict[tuple[Tier, int], float]]:
    """What the planner's own netting leaves open of one pair, as `peg` tells it."""
    cells, lines = [], []
    for b, of_bucket in enumerate(demand):
        for line in sorted(of_bucket, key=lambda n: (TIERS.index(n.tier), n.rank, n.external_id, n.units)):
            cells.append(b)
            lines.append(line)
    units = np.array([line.units for line in lines], dtype=float)
    cell = np.array(cells, dtype=np.intp)
    gross = np.bincount(cell, weights=units, minlength=len(demand)).astype(float)
    of_pair = [np.array(column, dtype=float)[:, None] for column in (gross, targets, receipts)]
    covered = cover(
        Flow(of_pair[0], of_pair[1], of_pair[2], np.array([on_hand], dtype=float), np.array([shelf]))
    )
    short: list[dict[tuple[Tier, int], float]] = [{} for _ in demand]
    open_units = leave_open(cell, units, gross, covered.covered_units[:, 0])
    for b, line, n in zip(cells, lines, open_units.tolist(), strict=True):
        short[b][line.tier, line.rank] = short[b].get((line.tier, line.rank), 0.0) + n
    for b, n in enumerate(covered.refill_units[:, 0].tolist()):
        short[b]["buffer", 0] = n
    return short


def by_bucket(needs: tuple[Need, ...], n_buckets: int) -> list[float]:
    return [sum(n.units for n in needs if n.bucket == b) for b in range(n_buckets)]


def by_tier(needs: tuple[Need, ...]) -> dict[str, float]:
    totals: dict[str, float] = {}
    for need in needs:
        totals[need.tier] = totals.get(need.tier, 0.0) + need.units
    return totals


# --- published cases -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", range(3))
def test_the_published_cases_of_forecast_consumption_come_out(cases: Any, case: int):
    given_case = cases["forecast_consumption"][case]
    window = 0 if given_case["window"] == "own bucket" else 1
    left = consume_forecast(
        np.array(given_case["forecast_units"], dtype=float)[:, None],
        np.array(given_case["order_units"], dtype=float)[:, None],
        window,
        window,
    )
    assert left[:, 0].tolist() == given_case["net_units"]


def case_from(cases: Any, source: str) -> Any:
    return next(case for case in cases["netting"] if case["source"].startswith(source))


def test_safety_stock_counts_once(cases: Any):
    case = case_from(cases, "frappe/erpnext issue 58806")
    demand = [[DemandLine("order", units)] for units in case["need_dates_units"]]
    safety = [case["safety_stock_units"]] * 2
    short = left_open(demand, safety, [0.0, 0.0], case["on_hand_units"])
    assert sum(sum(b.values()) for b in short) == case["right_total"]


def test_a_fixed_order_counts_once(cases: Any):
    case = case_from(cases, "OCA/manufacture issue 1247")
    demand = [[DemandLine("order", case["demand_units"])]]
    [short] = left_open(demand, [case["safety_stock_units"]], [0.0], case["on_hand_units"])
    assert sum(short.values()) == case["right_need"]


@pytest.mark.parametrize("page", ["Orlicky 3rd ed. p.117", "Orlicky 3rd ed. p.142"])
def test_the_netting_of_the_textbook_comes_out(cases: Any, page: str):
    case = case_from(cases, page)
    gross = case["gross_units"]
    receipts = case.get("receipts_units", [case.get("open_supply_units", 0)])
    facts = facts_of(
        len(gross),
        orders=tuple(order(units, b) for b, units in enumerate(gross)),
        open_supply=tuple(supply(units, b) for b, units in enumerate(receipts)),
        stock=(counted(case["on_hand_units"]),),
    )
    assert by_bucket(net(facts), len(gross)) == case["need_units"]


def test_stock_is_used_before_producing(cases: Any):
    case = case_from(cases, "odoo/odoo issue 43630")
    facts = facts_of(orders=(order(case["order_units"]),), stock=(counted(case["on_hand_units"]),))
    assert by_tier(net(facts)) == {"order": case["right_need"]}


def test_inbound_supply_counts(cases: Any):
    case = case_from(cases, "frappe/erpnext issue 35182")
    facts = facts_of(orders=(order(case["gross_units"]),), open_supply=(supply(case["open_supply_units"]),))
    assert by_tier(net(facts)) == {"order": case["right_need"]}


def test_shipped_units_leave_stock_where_orders_are_the_history(cases: Any):
    case = cases["stock_and_supply"][0]
    stock = counted(case["count_units"], shipped_units_since=case["shipped_units_after_count"])
    facts = facts_of(orders=(order(100.0),), stock=(stock,))
    assert by_tier(net(facts)) == {"order": 100.0 - case["on_hand_units"]}


def test_issues_count_once_where_consumption_and_shipments_are_both_posted(cases: Any):
    case = cases["stock_and_supply"][1]
    stock = counted(
        case["count_units"],
        consumed_units_since=case["consumption_units_after_count"],
        shipped_units_since=case["shipped_units_after_count"],
    )
    facts = facts_of(orders=(order(100.0),), stock=(stock,), consumption_pairs=(("BREAD", "NORTH"),))
    assert by_tier(net(facts)) == {"order": 100.0 - case["on_hand_units"]}


def test_released_work_is_supply(cases: Any):
    case = cases["stock_and_supply"][2]
    facts = facts_of(orders=(order(case["need_units"]),), released_work=(released(case["released_units"]),))
    assert sum(n.units for n in net(facts)) == case["new_need_units"]


@pytest.mark.parametrize("echo", [{"work_order_id": "W1"}, {"external_id": "EXPORT-1"}])
def test_an_echoed_work_order_counts_once_and_the_callers_units_win(cases: Any, echo: dict[str, Any]):
    case = cases["stock_and_supply"][3]
    facts = facts_of(
        released_work=(released(case["released_units"]),),
        open_supply=(supply(case["open_supply_with_work_order_id_units"], **echo),),
    )
    assert [units for _, _, units in arriving_supply(facts)] == [case["supply_units"]]


# --- the rules one by one ------------------------------------------------------------------------------------


def test_stock_goes_to_the_earliest_due_date_then_tier_then_priority():
    leads = (LeadSignal(external_id="L", **PAIR, units=8.0, probability=0.5, due_date=MONDAY),)
    orders = (order(5.0, priority=2, external_id="A"), order(5.0, priority=1, external_id="B"), order(5.0, 1))
    needs = net(facts_of(orders=orders, lead_signals=leads, stock=(counted(7.0),)))
    # 5 of 7 go to priority 1, the other 2 to priority 2; the lead's expected 4 and next week's order get nothing
    assert [(n.bucket, n.tier, n.rank, n.units) for n in needs] == [
        (0, "order", 2, 3.0),
        (0, "lead", 0, 4.0),
        (1, "order", 0, 5.0),
    ]
    assert [n.need_id for n in needs] == [1, 2, 3]


def test_a_lead_counts_only_from_its_policys_probability_on():
    def leads(probability: float) -> tuple[Need, ...]:
        lead = LeadSignal(external_id="L", **PAIR, units=10.0, probability=probability, due_date=MONDAY)
        return net(facts_of(lead_signals=(lead,)))

    assert leads(0.49) == ()
    assert by_tier(leads(0.5)) == {"lead": 5.0}


def test_past_due_orders_belong_to_bucket_0_and_consume_no_forecast():
    late = order(10.0, due_date=MONDAY - timedelta(days=1))
    facts = facts_of(
        orders=(late,), policies=(PullPolicy(),), forecast=forecast_of(series(7.0, 7.0, 7.0, 7.0))
    )
    needs = net(facts)
    assert by_bucket(needs, 4) == [17.0, 7.0, 7.0, 7.0]
    assert by_tier(needs) == {"order": 10.0, "forecast": 28.0}


def test_an_order_due_earlier_in_as_ofs_own_week_is_past_due():
    facts = facts_of(
        as_of=MONDAY + timedelta(days=2),
        orders=(order(10.0, due_date=MONDAY),),
        policies=(PullPolicy(),),
        forecast=forecast_of(series(7.0, 7.0)),
    )
    assert [(n.tier, n.units) for n in net(facts) if n.bucket == 0] == [("order", 10.0), ("forecast", 5.0)]


def test_bucket_0_keeps_the_share_of_its_forecast_that_is_still_to_come():
    facts = facts_of(
        1,
        as_of=MONDAY + timedelta(days=5),
        policies=(PullPolicy(),),
        forecast=forecast_of(series(70.0)),
    )
    assert by_tier(net(facts)) == pytest.approx({"forecast": 20.0})


def test_orders_take_their_units_off_the_forecast_instead_of_adding_to_it():
    facts = facts_of(
        2,
        orders=(order(4.0), order(12.0, 1)),
        policies=(PullPolicy(),),
        forecast=forecast_of(series(10.0, 10.0)),
    )
    assert by_bucket(net(facts), 2) == [10.0, 12.0]


def test_an_order_beyond_the_horizon_is_no_need_but_consumes_forecast_inside_its_window():
    facts = facts_of(
        2,
        orders=(order(15.0, 2),),
        policies=(PullPolicy(consume_buckets_back=1),),
        forecast=forecast_of(series(10.0, 10.0, 10.0)),
    )
    assert by_bucket(net(facts), 2) == [10.0, 5.0]


def test_make_to_order_looks_at_no_forecast():
    facts = facts_of(orders=(order(4.0),), forecast=forecast_of(series(10.0, 10.0, 10.0, 10.0)))
    assert by_tier(net(facts)) == {"order": 4.0}


def test_base_stock_without_a_forecast_plans_orders_alone():
    assert by_tier(net(facts_of(orders=(order(4.0),), policies=(PullPolicy(),)))) == {"order": 4.0}


def test_a_millionth_of_a_unit_is_a_need_and_a_smoothed_forecasts_last_traces_are_none():
    assert by_bucket(net(facts_of(orders=(order(1e-6),))), 4) == [1e-6, 0.0, 0.0, 0.0]
    fading = forecast_of(series(2.0, 1e-8, 1e-9, 1e-10, 1e-11, 1e-12))
    assert by_bucket(net(facts_of(policies=(PullPolicy(),), forecast=fading)), 4)[1:] == [0.0, 0.0, 0.0]


def test_negative_stock_is_filled_up_in_bucket_0():
    needs = net(facts_of(orders=(order(4.0, 1),), stock=(counted(-3.0),)))
    assert [(n.bucket, n.tier, n.units) for n in needs] == [(0, "buffer", 3.0), (1, "order", 4.0)]


def test_an_order_shipped_beyond_what_was_ordered_is_no_demand():
    assert net(facts_of(orders=(order(4.0, shipped_units=5.0),))) == ()


def test_what_is_shipped_of_an_order_is_no_longer_demand():
    assert by_tier(net(facts_of(orders=(order(4.0, shipped_units=1.0),)))) == {"order": 3.0}


@pytest.mark.parametrize(("days_overdue", "need_units"), [(14, 6.0), (15, 10.0)])
def test_overdue_supply_is_believed_for_a_while_then_counts_as_nothing(days_overdue: int, need_units: float):
    overdue = supply(4.0, due_date=MONDAY - timedelta(days=days_overdue))
    facts = facts_of(orders=(order(10.0),), open_supply=(overdue,))
    assert by_tier(net(facts)) == {"order": need_units}


def test_supply_serves_no_bucket_before_its_own():
    facts = facts_of(2, orders=(order(5.0), order(5.0, 1)), open_supply=(supply(8.0, 1),))
    assert by_bucket(net(facts), 2) == [5.0, 0.0]


def made_for(units: float, bucket: int, **more: Any) -> OpenSupply:
    """Work of ours that comes in a bucket, by the caller's word."""
    return supply(units, bucket, work_order_id=f"W{bucket}", **more)


def test_an_order_past_due_waits_for_its_released_work_and_is_not_made_again():
    past_due = order(5.0, due_date=MONDAY - timedelta(days=3))
    work = msgspec.structs.replace(released(5.0), arrival_date=MONDAY + timedelta(weeks=1))
    assert net(facts_of(orders=(past_due,), released_work=(work,))) == ()


def test_orders_wait_for_what_of_released_work_nobody_will_need_then():
    facts = facts_of(orders=(order(5.0), order(5.0, 1)), open_supply=(made_for(8.0, 1),))
    assert by_bucket(net(facts), 4) == [2.0, 0.0, 0.0, 0.0]
    facts = facts_of(orders=(order(5.0), order(5.0, 3)), open_supply=(made_for(8.0, 1), made_for(1.0, 2)))
    assert by_bucket(net(facts), 4) == [1.0, 0.0, 0.0, 0.0]


def test_nobody_waits_longer_than_a_need_may_be_late():
    facts = facts_of(
        orders=(order(5.0), order(4.0, 1)),
        open_supply=(made_for(9.0, 2),),
        parameters=PlanParameters(late_buckets=1),
    )
    assert by_bucket(net(facts), 4) == [5.0, 0.0, 0.0, 0.0]


def test_work_that_a_target_counts_on_is_not_spare_and_neither_is_a_buffers():
    facts = facts_of(2, orders=(order(5.0),), open_supply=(made_for(9.0, 1),))
    held = msgspec.structs.replace(
        facts,
        policies=(PullPolicy(lead_probability_min=1.0),),
        forecast=forecast_of(series(0.0, 7.0)),
    )
    assert by_bucket(net(held), 2) == [3.0, 0.0]
    buffered = msgspec.structs.replace(facts, policies=(PullPolicy(policy="ddmrp_buffer"),))
    assert by_tier(net(buffered))["order"] == 5.0


def test_orders_may_be_late_to_the_end_of_the_horizon_and_forecast_not_at_all():
    facts = facts_of(
        3, orders=(order(4.0, 1),), policies=(PullPolicy(),), forecast=forecast_of(series(1.0, 9.0, 1.0))
    )
    assert {(n.tier, n.latest_bucket) for n in net(facts) if n.bucket == 1} == {("order", 2), ("forecast", 1)}


def test_lateness_is_limited_as_the_parameters_say():
    parameters = PlanParameters(late_buckets=1, forecast_late_buckets=2)
    facts = facts_of(
        4,
        orders=(order(4.0),),
        policies=(PullPolicy(),),
        forecast=forecast_of(series(9.0, 0.0, 0.0, 0.0)),
        parameters=parameters,
    )
    assert {(n.tier, n.latest_bucket) for n in net(facts)} == {("order", 1), ("forecast", 2)}


# --- DDMRP buffers --------------------------------------------------------------------------------------------

PILLOW = PullPolicy(
    policy="ddmrp_buffer",
    lead_time_factor=0.5,
    variability_factor=0.8,
    order_cycle_days=0,
    minimum_order_units=10.0,
    usage_past_days=10,
    spike_threshold_units=25.0,
    buffer_rounding="half_up_zone",
)
"""As in the documentation of Dynamics 365: 23 a day, 5 days of lead time."""


def pillow_facts(**more: Any) -> PlanningFacts:
    """A node 5 days away, and 230 used in the last ten days: 20 of them today, which does not count yet."""
    days = tuple(MONDAY - timedelta(days=d) for d in (11, 10, 1, 0))
    used = DailyUnits(
        product_codes=("BREAD",) * 4, region_codes=("NORTH",) * 4, days=days, units=(999.0, 200.0, 30.0, 20.0)
    )
    given_facts: dict[str, Any] = {
        "policies": (PILLOW,),
        "nodes": (Node(node_code="MILL"),),
        "capabilities": (Capability(node_code="MILL", product_code="BREAD", make_lead_time_days=3),),
        "lanes": (Lane(node_code="MILL", region_code="NORTH", distance_km=1.0, transit_days=2),),
        "recent_consumption": used,
        "consumption_pairs": (("BREAD", "NORTH"),),
        "stock": (counted(220.0),),
        "orders": tuple(
            order(units, external_id=f"D{day}", due_date=MONDAY + timedelta(days=day))
            for day, units in enumerate((18.0, 29.0, 26.0, 20.0))
        ),
    }
    return facts_of(**{**given_facts, **more})


def test_a_buffer_tells_how_it_comes_to_its_order_and_the_plan_needs_just_that():
    [derived] = derive_buffers(pillow_facts())
    assert (derived.usage_units_per_day, derived.lead_days) == (23.0, 5)
    zones = (derived.top_of_red_units, derived.top_of_yellow_units, derived.top_of_green_units)
    assert zones == (104.0, 219.0, 277.0)
    assert derived.qualified_demand_units == 18.0 + 29.0 + 26.0
    assert [(spike.due_date.day, spike.units) for spike in derived.spikes] == [(2, 29.0), (3, 26.0)]
    assert (derived.net_flow_units, derived.order_units) == (147.0, 130.0)
    assert derived.priority_percent == pytest.approx(53.07, abs=0.005)
    assert (derived.color, derived.on_hand_alert) == ("yellow", "none")
    assert derived.order_due_date == MONDAY + timedelta(days=5)
    # Work of this week is ready on Sunday, and arrives five days later.
    assert derived.order_bucket == 1
    needs = net(pillow_facts())
    assert [(n.bucket, n.tier, n.units) for n in needs[:1]] == [(1, "buffer", 130.0)]
    assert by_bucket(needs, 4) == list(derived.projected_order_units)


def test_what_stock_can_not_cover_is_taken_of_the_buffers_order_and_not_made_twice():
    facts = pillow_facts(stock=(counted(50.0),))
    [derived] = derive_buffers(facts)
    assert derived.order_units == 277.0 - (50.0 - 73.0)
    needs = net(facts)
    # 93 are ordered this week and 50 are there: 43 are due now, and the rest of the order refills the buffer.
    assert by_tier(needs)["order"] == 43.0
    assert by_bucket(needs, 4)[:2] == [43.0, derived.order_units - 43.0]


def test_a_buffer_looks_at_usage_to_come_where_its_policy_says_so():
    looking = msgspec.structs.replace(PILLOW, usage_basis="forward", usage_forward_days=14)
    facts = pillow_facts(policies=(looking,), forecast=forecast_of(series(70.0, 140.0, 0.0)))
    [derived] = derive_buffers(facts)
    assert derived.forward_usage_units_per_day == derived.usage_units_per_day == 15.0
    blended = msgspec.structs.replace(looking, usage_basis="blended", usage_past_share=0.25)
    [mixed] = derive_buffers(msgspec.structs.replace(facts, policies=(blended,)))
    assert mixed.usage_units_per_day == 0.25 * 23.0 + 0.75 * 15.0
    assert wants_forecast(facts)
    assert not wants_forecast(pillow_facts())


def test_a_buffer_that_nobody_uses_orders_what_is_demanded_and_no_more():
    facts = pillow_facts(recent_consumption=DailyUnits(), stock=(counted(0.0),), orders=(order(4.0),))
    [derived] = derive_buffers(facts)
    assert derived.top_of_yellow_units == 0.0
    assert derived.order_units == 14.0  # up to a green of the minimum order
    assert by_tier(net(facts)) == {"order": 4.0, "buffer": 10.0}


def test_a_buffer_that_no_node_can_fill_says_so():
    [derived] = derive_buffers(pillow_facts(capabilities=()))
    assert (derived.has_reference_node, derived.lead_days) == (False, 0)


def test_planning_again_with_the_order_on_its_way_orders_nothing_new():
    coming = supply(130.0, due_date=MONDAY + timedelta(days=5))
    [derived] = derive_buffers(pillow_facts(open_supply=(coming,)))
    assert (derived.net_flow_units, derived.order_units) == (277.0, 0.0)


def test_a_minimum_larger_than_the_buffer_becomes_its_green_and_is_ordered_whole():
    [plain] = derive_buffers(pillow_facts())
    large = msgspec.structs.replace(PILLOW, minimum_order_units=1000.0)
    [derived] = derive_buffers(pillow_facts(policies=(large,)))
    assert derived.green_units == derived.green_by_minimum_order_units == 1000.0 > plain.top_of_green_units
    assert derived.top_of_yellow_units == plain.top_of_yellow_units
    # What fills it up to the top of green is more than the minimum, which it was raised to already.
    assert derived.order_units == derived.top_of_green_units - derived.net_flow_units
    [known] = derive_buffers(pillow_facts(policies=(large,), stock=(counted(300.0),)))
    assert (known.color, known.order_units) == ("green", 0.0)


def test_a_buffer_without_a_lead_time_has_neither_red_nor_yellow_and_orders_once_below_nothing():
    here = {
        "capabilities": (Capability(node_code="MILL", product_code="BREAD"),),
        "lanes": (Lane(node_code="MILL", region_code="NORTH", distance_km=1.0, transit_days=0),),
        "policies": (msgspec.structs.replace(PILLOW, order_cycle_days=7),),
    }
    [covered] = derive_buffers(pillow_facts(**here))
    assert (covered.lead_days, covered.top_of_yellow_units, covered.green_units) == (0, 0.0, 161.0)
    # Spikes are looked for as far as the lead time reaches: only what is due by today qualifies.
    assert (covered.qualified_demand_units, covered.spikes, covered.order_units) == (18.0, (), 0.0)
    [short] = derive_buffers(pillow_facts(**here, stock=(counted(10.0),)))
    assert (short.net_flow_units, short.order_units, short.order_due_date) == (-8.0, 169.0, MONDAY)
    assert short.order_bucket == 0


def test_an_order_that_would_arrive_beyond_the_horizon_is_told_and_is_no_need():
    facts = pillow_facts(
        n_buckets=1,
        stock=(counted(100.0),),
        orders=(order(30.0),),
        policies=(msgspec.structs.replace(PILLOW, order_cycle_days=0),),
    )
    [derived] = derive_buffers(facts)
    assert derived.order_units > 0
    assert derived.order_bucket == 1
    assert derived.projected_order_units == (0.0,)
    assert net(facts) == ()  # 30 of the 100 that are there


def test_buffers_that_can_not_all_be_filled_get_equal_shares():
    places = {
        "regions": tuple(
            Region(region_code=code, latitude=52.0, longitude=9.0) for code in ("EAST", "NORTH")
        ),
        "nodes": (Node(node_code="MILL"),),
        "resources": (Resource(node_code="MILL", resource_code="hours", capacity_per_day=1.0),),
        "capabilities": (Capability(node_code="MILL", product_code="BREAD", use_per_unit={"hours": 1.0}),),
        "lanes": tuple(
            Lane(node_code="MILL", region_code=code, distance_km=km, transit_days=0)
            for code, km in (("EAST", 1.0), ("NORTH", 500.0))
        ),
    }
    usage = {"EAST": 30.0, "NORTH": 60.0}
    used = DailyUnits(
        product_codes=("BREAD",) * 2,
        region_codes=tuple(usage),
        days=(MONDAY - timedelta(days=1),) * 2,
        units=tuple(usage.values()),
    )
    facts = pillow_facts(
        n_buckets=1,
        **places,
        recent_consumption=used,
        consumption_pairs=tuple(("BREAD", code) for code in usage),
        stock=tuple(msgspec.structs.replace(counted(-1.0), region_code=code) for code in usage),
        orders=(),
        policies=(PullPolicy(policy="ddmrp_buffer", usage_past_days=1, order_cycle_days=1),),
    )
    plan = make_plan(facts)
    wanted = {need.region_code: need.units for need in plan.needs}
    made = {need.region_code: plan.units_of(need.need_id, "MILL") for need in plan.needs}
    assert sum(made.values()) == pytest.approx(7.0)  # a week of the mill
    assert sum(wanted.values()) > 7.0
    shares = [made[code] / wanted[code] for code in usage]
    assert abs(shares[0] - shares[1]) <= 1 / facts.parameters.share_slices + 1e-9


# --- minimum and maximum, and nothing at all ------------------------------------------------------------------

HELD = PullPolicy(policy="minimum_maximum", minimum_stock_units=10.0, maximum_stock_units=50.0)


def test_stock_below_its_minimum_is_filled_up_to_its_maximum():
    facts = facts_of(
        5, policies=(HELD,), stock=(counted(50.0),), forecast=forecast_of(series(30.0, 30.0, 30.0, 30.0, 0.0))
    )
    needs = net(facts)
    # 50 − 30 = 20 is enough; 20 − 30 is 60 below the maximum, of which 10 have no stock: forecast, and 50 are buffer.
    assert by_bucket(needs, 5) == [0.0, 60.0, 0.0, 60.0, 0.0]
    # What is still to be made serves demand, but for the minimum; with less than that left it is 30 of forecast, all in all.
    assert by_tier(needs) == {"forecast": 30.0, "buffer": 90.0}
    assert wants_forecast(facts)
    assert forecast_steps(facts) == 5


def test_exactly_the_minimum_is_enough():
    facts = facts_of(2, policies=(HELD,), stock=(counted(40.0),), orders=(order(30.0), order(0.5, 1)))
    assert by_bucket(net(facts), 2) == [0.0, 40.5]


@pytest.mark.parametrize(
    ("given_policy", "stock", "units"),
    [
        (HELD, (counted(0.0),), [50.0, 0.0]),
        (HELD, (), []),  # of the pair nothing is known, and the policy is not its own
        (msgspec.structs.replace(HELD, **PAIR), (), [50.0, 0.0]),
    ],
)
def test_an_empty_shelf_is_filled_where_the_pair_is_known(given_policy: Any, stock: Any, units: Any):
    needs = net(facts_of(2, policies=(given_policy,), stock=stock))
    assert by_bucket(needs, 2) == (units or [0.0, 0.0])


@pytest.mark.parametrize(
    "bounds", [{}, {"minimum_stock_units": 5.0, "maximum_stock_units": 4.0}, {"maximum_stock_units": -1.0}]
)
def test_bounds_of_stock_that_contradict_each_other_are_refused(bounds: Any):
    with pytest.raises(msgspec.ValidationError, match="maximum_stock_units"):
        msgspec.convert({"policy": "minimum_maximum", **bounds}, PullPolicy)


def test_what_is_not_to_be_made_is_served_from_stock_alone_and_the_rest_says_why():
    makeable = {name: getattr(pillow_facts(), name) for name in ("nodes", "capabilities", "lanes")}
    stop = PullPolicy(policy="do_not_produce", **PAIR)
    facts = facts_of(
        **makeable,
        policies=(stop, PullPolicy()),
        stock=(counted(4.0),),
        orders=(order(3.0, 2), order(5.0, 3)),
        forecast=forecast_of(series(9.0, 9.0, 9.0, 9.0)),
    )
    plan = make_plan(facts)
    assert [(n.tier, n.units) for n in plan.needs] == [("order", 4.0)]
    assert [(s.reason, s.units) for s in plan.shortfalls] == [("do_not_produce", 4.0)]
    assert "no BREAD is made for NORTH" in plan.shortfalls[0].detail
    assert check(facts, plan).findings == ()
    made = make_plan(msgspec.structs.replace(facts, policies=(MAKE_TO_ORDER,)))
    assert made.shortfalls == ()


# --- targets and lead times ----------------------------------------------------------------------------------


def test_a_target_is_the_quantile_less_the_mean_over_lead_time_and_review():
    # 3 paths; at level 0.5 the Weibull position 0.5 × 4 − 1 = 1 is exactly the middle path. The interval after
    # bucket 0: 7 days of review + 3 of lead = step 1 wholly and 3/7 of step 2.
    uneven = series(10.0, 10.0, 10.0, errors=((0.0, 1.0, 7.0), (0.0, 2.0, 7.0), (0.0, 3.0, 7.0)))
    targets = buffer_targets(uneven, PullPolicy(service_level_share=0.5), 3, "week", 1)
    assert targets == pytest.approx([2.0 + 7.0 * 3 / 7])


def test_a_target_is_never_negative():
    below = series(10.0, 10.0, errors=((0.0, -5.0), (0.0, -4.0), (0.0, -3.0)))
    assert buffer_targets(below, PullPolicy(service_level_share=0.5), 0, "week", 1) == [0.0]


def test_a_buffer_is_built_once_and_stays_while_demand_is_made_for_itself():
    spread = series(10.0, 10.0, 10.0, errors=((4.0,) * 3,) * 3)
    facts = facts_of(2, policies=(PullPolicy(service_level_share=0.5),), forecast=forecast_of(spread))
    assert [(n.bucket, n.tier, n.units) for n in net(facts)] == [
        (0, "forecast", 10.0),
        (0, "buffer", 4.0),
        (1, "forecast", 10.0),
    ]


def test_stock_held_as_buffer_serves_an_order_before_it_is_made_anew():
    # 10 on hand fulfil the target of 10 until next week's order takes them; then the buffer is what is missing
    needs = left_open([[], [DemandLine("order", 8.0)]], [10.0, 10.0], [0.0, 0.0], 10.0)
    assert [{tier: units for (tier, _), units in short.items() if units} for short in needs] == [
        {},
        {"buffer": 8.0},
    ]


def test_a_buffer_above_a_falling_target_serves_demand():
    needs = left_open([[], [DemandLine("order", 8.0)]], [10.0, 4.0], [0.0, 0.0], 0.0)
    assert [{tier: units for (tier, _), units in short.items() if units} for short in needs] == [
        {"buffer": 10.0},
        {"order": 2.0},
    ]


NODES = (
    Node(node_code="FAR", latitude=50.0, longitude=9.0),
    Node(node_code="NEAR", latitude=52.1, longitude=9.0),
)


def capability(node_code: str, days: int, **more: Any) -> Capability:
    return Capability(node_code=node_code, product_code="BREAD", make_lead_time_days=days, **more)


def test_the_reference_node_is_the_nearest_that_is_able_even_while_it_is_offline():
    offline = (NODES[0], msgspec.structs.replace(NODES[1], status="offline"))
    facts = facts_of(nodes=offline, capabilities=(capability("FAR", 9), capability("NEAR", 2)))
    assert reference_lead_days(facts) == {("BREAD", "NORTH"): 2}  # 11 km: the same day


def test_the_reference_node_is_qualified_and_has_a_lane():
    facts = facts_of(nodes=NODES, capabilities=(capability("FAR", 9), capability("NEAR", 2, qualified=False)))
    assert reference_lead_days(facts) == {("BREAD", "NORTH"): 10}  # 222 km: a day on the road
    forbidden = Lane(node_code="FAR", region_code="NORTH", forbidden=True)
    assert reference_lead_days(msgspec.structs.replace(facts, lanes=(forbidden,))) == {}


def test_a_region_without_coordinates_has_no_reference_node_but_still_a_target():
    spread = series(10.0, 10.0, 10.0, errors=((4.0,) * 3,) * 3)
    facts = facts_of(
        1,
        regions=(Region(region_code="NORTH"),),
        nodes=NODES,
        capabilities=(capability("NEAR", 2),),
        policies=(PullPolicy(service_level_share=0.5),),
        forecast=forecast_of(spread),
    )
    assert reference_lead_days(facts) == {}
    assert by_tier(net(facts)) == {"forecast": 10.0, "buffer": 4.0}


def test_a_forecast_reaches_beyond_the_horizon_by_the_longest_protection_interval():
    facts = facts_of(
        8, nodes=NODES, capabilities=(capability("NEAR", 15),), policies=(PullPolicy(review_period_days=7),)
    )
    assert forecast_steps(facts) == 8 + 4  # 22 days are 4 weeks begun
    assert wants_forecast(facts)


def test_make_to_order_alone_wants_no_forecast():
    assert not wants_forecast(facts_of())
    assert forecast_steps(facts_of(8)) == 8


# --- invariants ----------------------------------------------------------------------------------------------

UNITS = st.floats(0, 1e4, allow_nan=False).map(lambda n: round(n, 3))
LINES = st.lists(
    st.builds(
        DemandLine,
        st.sampled_from(["order", "lead", "forecast"]),
        UNITS,
        st.integers(0, 3),
        st.sampled_from("abc"),
    ),
    max_size=5,
)
BUCKETS = st.lists(st.tuples(LINES, UNITS, UNITS), min_size=1, max_size=6)
ON_HAND = st.floats(-1e3, 1e5, allow_nan=False).map(lambda n: round(n, 3))


@given(BUCKETS, ON_HAND)
def test_needs_are_the_formula_and_leave_the_projection_at_or_above_its_target(buckets: Any, on_hand: float):
    demand, targets, receipts = (list(column) for column in zip(*buckets, strict=True))
    projected = on_hand
    for b, short in enumerate(left_open(demand, targets, receipts, on_hand)):
        gross = sum(line.units for line in demand[b])
        need = sum(short.values())
        assert need == pytest.approx(max(0.0, targets[b] + gross - projected - receipts[b]), abs=1e-6)
        projected += receipts[b] + need - gross
        assert projected >= targets[b] - 1e-6


@given(BUCKETS, ON_HAND, UNITS)
def test_a_level_to_fill_up_to_is_reached_whenever_anything_is_needed(
    buckets: Any, on_hand: float, level: float
):
    demand, targets, receipts = (list(column) for column in zip(*buckets, strict=True))
    gross = [sum(line.units for line in lines) for lines in demand]
    twice = [np.array([column, column], dtype=float).T for column in (gross, targets, receipts)]
    plain = Flow(twice[0], twice[1], twice[2], np.full(2, on_hand))
    covered = cover(replace(plain, fill_up_to_units=np.array([level, -np.inf])))
    needs = twice[0] - covered.covered_units + covered.refill_units
    projected = on_hand
    for b, need in enumerate(needs[:, 0].tolist()):
        there = projected + receipts[b] - gross[b]
        wanted = max(targets[b], level) - there if there < targets[b] else 0.0
        assert need == pytest.approx(wanted, abs=1e-6)
        projected = there + need
    assert np.array_equal(covered.refill_units[:, 1], cover(plain).refill_units[:, 1])


@given(BUCKETS, ON_HAND, st.integers(0, 5) | st.none())
def test_netting_many_at_once_leaves_what_pegging_line_by_line_leaves(
    buckets: Any, on_hand: float, shelf: int | None
):
    demand, targets, receipts = (list(column) for column in zip(*buckets, strict=True))
    found = left_open(demand, targets, receipts, on_hand, np.inf if shelf is None else shelf)
    for b, short in enumerate(peg(demand, targets, receipts, on_hand, shelf)):
        assert found[b] == pytest.approx({**dict.fromkeys(found[b], 0.0), **short}, abs=1e-6)


@given(BUCKETS)
def test_ample_stock_leaves_no_need(buckets: Any):
    demand, targets, receipts = (list(column) for column in zip(*buckets, strict=True))
    ample = max(targets) + sum(line.units for lines in demand for line in lines) + 1.0
    assert sum(sum(short.values()) for short in left_open(demand, targets, receipts, ample)) == 0.0


@given(BUCKETS, ON_HAND)
def test_doubling_demand_never_lowers_the_need(buckets: Any, on_hand: float):
    demand, targets, receipts = (list(column) for column in zip(*buckets, strict=True))
    doubled = [[DemandLine(n.tier, 2 * n.units, n.rank, n.external_id) for n in lines] for lines in demand]

    def total(lines: Any) -> float:
        return sum(sum(short.values()) for short in left_open(lines, targets, receipts, on_hand))

    assert total(doubled) >= total(demand) - 1e-6


@given(st.lists(st.tuples(UNITS, UNITS), min_size=1, max_size=5), st.floats(0.0, 50.0))
def test_of_what_is_ordered_only_what_nothing_is_on_its_way_for_is_made(weeks: Any, on_hand: float):
    facts = facts_of(
        len(weeks),
        orders=tuple(order(ordered, b) for b, (ordered, _) in enumerate(weeks)),
        open_supply=tuple(made_for(comes, b) for b, (_, comes) in enumerate(weeks)),
        stock=(counted(on_hand),),
    )
    there = on_hand + sum(comes for _, comes in weeks)
    missing = max(0.0, sum(ordered for ordered, _ in weeks) - there)
    assert sum(need.units for need in net(facts)) == pytest.approx(missing, abs=1e-5)


PAIRS = st.sampled_from([(product, region) for product in ("BREAD", "CAKE") for region in ("NORTH", "SOUTH")])
SIGNALS = st.lists(
    st.tuples(PAIRS, st.sampled_from(["order", "lead"]), st.integers(-1, 3), UNITS, st.integers(0, 2)),
    max_size=12,
)


@given(SIGNALS, st.dictionaries(PAIRS, ON_HAND))
def test_needs_are_what_pegging_pair_by_pair_leaves_open(signals: Any, on_hand: Any):
    n_buckets = 3
    codes = [
        {"external_id": str(i), "product_code": pair[0], "region_code": pair[1], "priority": rank}
        | {"due_date": MONDAY + timedelta(weeks=bucket)}
        for i, (pair, _, bucket, _, rank) in enumerate(signals)
    ]
    kinds = [kind for _, kind, _, _, _ in signals]
    units = [n for _, _, _, n, _ in signals]
    facts = facts_of(
        n_buckets,
        orders=tuple(
            Order(**c, ordered_units=n) for c, k, n in zip(codes, kinds, units, strict=True) if k == "order"
        ),
        lead_signals=tuple(
            LeadSignal(**c, units=n, probability=0.5)
            for c, k, n in zip(codes, kinds, units, strict=True)
            if k == "lead"
        ),
        stock=tuple(
            StockPosition(product_code=product, region_code=region, count_units=there)
            for (product, region), there in on_hand.items()
        ),
    )
    expected: dict[tuple[Any, ...], float] = {}
    for pair in {pair for pair, *_ in signals} | on_hand.keys():
        demand: list[list[DemandLine]] = [[] for _ in range(n_buckets)]
        for of_pair, kind, bucket, n, rank in signals:
            if of_pair == pair and bucket < n_buckets:
                wanted = n if kind == "order" else 0.5 * n
                demand[max(0, bucket)].append(DemandLine(kind, wanted, rank))
        for b, short in enumerate(peg(demand, [0.0] * n_buckets, [0.0] * n_buckets, on_hand.get(pair, 0.0))):
            expected |= {(*pair, b, *key): n for key, n in short.items() if n > 5e-7}
    found = net(facts)
    assert {
        (n.product_code, n.region_code, n.bucket, n.tier, n.rank): n.units for n in found
    } == pytest.approx(expected)
    keys = [(n.product_code, n.region_code, n.bucket, TIERS.index(n.tier), n.rank) for n in found]
    assert keys == sorted(keys)
    assert [n.need_id for n in found] == list(range(1, len(found) + 1))


CODES = st.sampled_from(["*", "BREAD", "CAKE", "GONE"]), st.sampled_from(["*", "NORTH", "SOUTH"])
MAXIMUM: dict[str, Any] = {"maximum_stock_units": 9.0}
POLICIES = st.dictionaries(
    st.tuples(*CODES),
    st.tuples(st.sampled_from(["make_to_order", "base_stock", "minimum_maximum"]), st.integers(1, 60)),
    max_size=6,
)


@given(POLICIES, st.dictionaries(st.sampled_from(["BREAD", "CAKE"]), st.integers(0, 40)))
def test_a_forecast_reaches_as_far_as_any_pairs_own_policy_asks(policies: Any, make_days: Any):
    book = tuple(
        PullPolicy(product_code=product, region_code=region, policy=name, review_period_days=days, **MAXIMUM)
        for (product, region), (name, days) in policies.items()
    )
    facts = facts_of(
        8,
        products=(Product(product_code="BREAD"), Product(product_code="CAKE")),
        regions=tuple(Region(region_code=code, latitude=52.0, longitude=9.0) for code in ("NORTH", "SOUTH")),
        nodes=NODES,
        capabilities=tuple(
            Capability(node_code="NEAR", product_code=product, make_lead_time_days=days)
            for product, days in make_days.items()
        ),
        policies=book,
    )
    longest, is_wanted = 0, False
    for product in ("BREAD", "CAKE"):
        for region in ("NORTH", "SOUTH"):
            policy = resolve_policy(book, product, region)
            is_wanted |= policy.policy != "make_to_order"
            if policy.policy == "base_stock":
                longest = max(longest, make_days.get(product, 0) + (policy.review_period_days or 7))
    assert forecast_steps(facts) == 8 + -(-longest // 7)
    assert wants_forecast(facts) == is_wanted


@given(st.permutations(range(6)))
def test_needs_do_not_depend_on_the_order_of_the_facts(turn: list[int]):
    orders = [order(0.1 * (i + 1), i % 2, external_id=f"O{i}", priority=i % 3) for i in range(6)]
    assert net(facts_of(orders=tuple(orders[i] for i in turn))) == net(facts_of(orders=tuple(orders)))


@given(st.lists(UNITS, min_size=1, max_size=8), st.lists(UNITS, min_size=8, max_size=8), st.integers(0, 3))
def test_forecast_consumption_never_takes_more_than_was_demanded_nor_than_there_is(
    forecast_units: list[float], order_units: list[float], window: int
):
    forecast = np.array(forecast_units)[:, None]
    orders = np.array(order_units[: len(forecast_units)])[:, None]
    left = consume_forecast(forecast, orders, window, window)
    assert (left >= 0).all()
    assert forecast.sum() - left.sum() <= orders.sum() + 1e-6


# --- the bullwhip effect -------------------------------------------------------------------------------------


def bullwhip_ratio(lead_buckets: int, window: int, *, allow_returns: bool) -> float:
    """Order up to lead time × moving average, bucket by bucket, for 2,000 series at once: variance of orders ÷ demand."""
    n_series, n_periods = 2_000, 500
    demand = np.random.default_rng(7).gamma(2.0, 20.0, (n_periods, n_series))
    nothing = np.zeros((1, n_series))
    position = lead_buckets * demand[:window].mean(axis=0)
    orders = []
    for t in range(window, n_periods):
        position = position - demand[t]
        target = lead_buckets * demand[t - window + 1 : t + 1].mean(axis=0)
        flow = Flow(nothing, target[None], nothing, position)
        ordered = cover(flow, allow_returns=allow_returns).refill_units[0]
        position = position + ordered
        orders.append(ordered)
    return float(np.var(orders, axis=0).mean() / np.var(demand, axis=0).mean())


@pytest.mark.parametrize("case", range(4))
def test_the_bullwhip_of_an_order_up_to_policy_is_the_published_one(shared: Path, case: int):
    economics = json.loads((shared / "conformance" / "economics.json").read_text())
    lead, window, ratio = economics["bullwhip_order_up_to_moving_average"]["cases"][case]
    assert bullwhip_ratio(lead, window, allow_returns=True) == pytest.approx(ratio, rel=0.01)


def test_without_returns_orders_swing_less_than_the_formula_has_it():
    # Where demand falls, stock has to be used up first: at these draws 1.93 instead of 2.12.
    assert bullwhip_ratio(2, 5, allow_returns=False) == pytest.approx(1.93, abs=0.01)
