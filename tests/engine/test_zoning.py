"""Which zones are in force where a buffer would be sized otherwise today?"""

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.engine.test_netting import MONDAY, PILLOW, pillow_facts

from pullplan.engine.model import BufferSizing, Capability, Lane, Node, PlanningFacts, UsageExclusion
from pullplan.engine.netting import changed_share, derive_buffers, net, tell_buffers
from pullplan.engine.replanning.netting import net_again


def accepting(facts: PlanningFacts, sizing: BufferSizing) -> PlanningFacts:
    return msgspec.structs.replace(facts, accepted_sizings=(sizing,))


def first_sizing(facts: PlanningFacts) -> BufferSizing:
    _, [change] = tell_buffers(facts)
    assert (change.before, change.reasons, change.is_tolerated) == (None, ("first",), True)
    return change.after


def with_usage(facts: PlanningFacts, times: float) -> PlanningFacts:
    daily = facts.recent_consumption
    units = tuple(n * times for n in daily.units)
    return msgspec.structs.replace(facts, recent_consumption=msgspec.structs.replace(daily, units=units))


def test_what_is_accepted_and_still_so_is_no_change_and_the_plan_is_the_same():
    facts = pillow_facts()
    again = accepting(facts, first_sizing(facts))
    assert tell_buffers(again) == (derive_buffers(facts), [])
    assert net(again) == net(facts)


def test_zones_too_far_from_those_accepted_wait_and_all_else_goes_by_the_old_ones():
    facts = pillow_facts()
    sizing, [was] = first_sizing(facts), derive_buffers(facts)
    [now], [change] = tell_buffers(accepting(with_usage(facts, 1.5), sizing))
    assert (change.before, change.after, change.reasons) == (sizing, now.proposed, ("usage",))
    # 104, 219 and 277 were accepted; today it would be 155, 328 and 414.
    assert change.changed_share == pytest.approx(1 - 219 / 328)
    assert now.proposed is not None
    assert (now.proposed.top_of_red_units, now.proposed.top_of_green_units) == (155.0, 414.0)
    assert "zones_await_acceptance" in now.warnings
    same = ("top_of_green_units", "net_flow_units", "order_units", "priority_percent", "spikes")
    assert [getattr(now, name) for name in same] == [getattr(was, name) for name in same]


NEARER: dict[str, Any] = {
    "nodes": (Node(node_code="MILL"), Node(node_code="YARD")),
    "capabilities": (
        Capability(node_code="MILL", product_code="BREAD", make_lead_time_days=3),
        Capability(node_code="YARD", product_code="BREAD", make_lead_time_days=9),
    ),
    "lanes": (
        Lane(node_code="MILL", region_code="NORTH", distance_km=1.0, transit_days=2),
        Lane(node_code="YARD", region_code="NORTH", distance_km=0.5, transit_days=2),
    ),
}


def test_another_reference_node_waits_be_its_zones_the_same():
    facts = pillow_facts()
    sizing = first_sizing(facts)
    [now], [change] = tell_buffers(accepting(pillow_facts(**NEARER), sizing))
    assert (now.reference_node_code, now.lead_days) == ("MILL", 5)
    assert (change.after.reference_node_code, change.after.lead_days) == ("YARD", 11)
    assert set(change.reasons) == {"lead_time", "reference_node"}
    alike = [msgspec.structs.replace(NEARER["capabilities"][0], node_code=code) for code in ("MILL", "YARD")]
    same = pillow_facts(**NEARER | {"capabilities": tuple(alike)})
    [now], [change] = tell_buffers(accepting(same, sizing))
    assert (change.reasons, change.changed_share, change.is_tolerated) == (("reference_node",), 1.0, False)
    every = msgspec.structs.replace(PILLOW, buffer_tolerance_share=1.0)
    [now], [change] = tell_buffers(accepting(msgspec.structs.replace(same, policies=(every,)), sizing))
    assert (now.reference_node_code, now.proposed, change.is_tolerated) == ("YARD", None, True)


def test_a_replan_nets_anew_what_has_been_accepted_since():
    facts = with_usage(pillow_facts(), 2.0)
    before = accepting(facts, first_sizing(pillow_facts()))
    _, [change] = tell_buffers(before)
    now = accepting(facts, change.after)
    assert net_again(now, before, net(before)) == net(now) != net(before)


def test_the_reasons_tell_policy_from_usage():
    facts = pillow_facts()
    sizing = first_sizing(facts)
    large = msgspec.structs.replace(PILLOW, variability_factor=1.0)
    by_policy = msgspec.structs.replace(facts, policies=(large,))
    assert tell_buffers(accepting(by_policy, sizing))[1][0].reasons == ("policy",)
    both = tell_buffers(accepting(with_usage(by_policy, 2.0), sizing))[1][0]
    assert both.reasons == ("usage", "policy")


@given(times=st.floats(0, 3), tolerance=st.floats(0, 1))
def test_exactly_what_differs_by_more_than_the_tolerance_is_held(times: float, tolerance: float):
    policy = msgspec.structs.replace(PILLOW, buffer_tolerance_share=tolerance)
    facts = pillow_facts(policies=(policy,))
    sizing = first_sizing(facts)
    [now], changes = tell_buffers(accepting(with_usage(facts, times), sizing))
    today = now.proposed or now
    share = changed_share(sizing, today)
    assert (now.proposed is not None) == (share > tolerance)
    assert changed_share(today, sizing) == share <= 1
    assert [change.is_tolerated for change in changes] == [share <= tolerance] * (share > 0)


def leaving_out(first: int, n_days: int, **codes: str) -> UsageExclusion:
    """Exclude days, counted back from today."""
    from_date = MONDAY - timedelta(days=first)
    until_date = from_date + timedelta(days=n_days)
    return UsageExclusion(
        **{"product_code": "BREAD", "region_code": "NORTH"} | codes,
        from_date=from_date,
        until_date=until_date,
        reason=f"fair {first}",
    )


def test_excluded_days_count_neither_in_units_nor_as_days():
    # 200 were used ten days ago, 30 yesterday; the window is of ten days.
    [derived] = derive_buffers(pillow_facts(usage_exclusions=(leaving_out(12, 4),)))
    assert [(e.units, (e.until_date - e.from_date).days, e.reason) for e in derived.excluded_usage] == [
        (200.0, 2, "fair 12")
    ]
    assert (derived.past_usage_units, derived.excluded_usage_days) == (30.0, 2)
    assert derived.usage_units_per_day == 30.0 / 8
    for codes in ({"product_code": "*"}, {"region_code": "*"}, {"product_code": "*", "region_code": "*"}):
        [alike] = derive_buffers(pillow_facts(usage_exclusions=(leaving_out(12, 4, **codes),)))
        assert alike == derived
    [other] = derive_buffers(pillow_facts(usage_exclusions=(leaving_out(12, 4, region_code="SOUTH"),)))
    assert (other.usage_units_per_day, other.excluded_usage) == (23.0, ())


def test_a_day_is_excluded_once_and_where_all_are_they_count_after_all():
    twice = (leaving_out(10, 3), leaving_out(9, 4))
    [derived] = derive_buffers(pillow_facts(usage_exclusions=twice))
    assert (derived.excluded_usage_days, [e.units for e in derived.excluded_usage]) == (5, [200.0, 0.0])
    assert derived.usage_units_per_day == 30.0 / 5
    [whole] = derive_buffers(pillow_facts(usage_exclusions=(leaving_out(40, 40),)))
    assert (whole.usage_units_per_day, whole.excluded_usage_days) == (23.0, 10)
    assert whole.warnings == ("all_usage_excluded",)


def warned(**more: Any) -> tuple[str, ...]:
    [derived] = derive_buffers(pillow_facts(**more))
    return derived.warnings


def test_a_buffer_says_what_a_planner_should_know_of_it():
    at_once = (Lane(node_code="MILL", region_code="NORTH", distance_km=1.0, transit_days=0),)
    here = (Capability(node_code="MILL", product_code="BREAD"),)
    minimum = msgspec.structs.replace(PILLOW, minimum_order_units=1000.0)
    assert warned() == ()
    assert warned(capabilities=()) == ("no_reference_node",)
    assert warned(capabilities=here, lanes=at_once) == ("no_lead_time",)
    assert "no_usage" in warned(recent_consumption=type(pillow_facts().recent_consumption)())
    assert warned(policies=(minimum,)) == ("minimum_above_buffer",)
    assert warned(n_buckets=1) == ("lead_time_beyond_horizon",)
