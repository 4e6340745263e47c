"""Are lanes computed from coordinates unless given, and dropped when forbidden?"""

import numpy as np
import pytest

from pullplan.engine.lanes import EARTH_RADIUS_KM, LaneTable, great_circle_km, resolve_lanes
from pullplan.engine.model import Lane, Node, PlanParameters, Region

NODES = (
    Node(node_code="A", latitude=0.0, longitude=0.0),
    Node(node_code="B", latitude=0.0, longitude=10.0),
    Node(node_code="C"),
)
REGIONS = (Region(region_code="R", latitude=0.0, longitude=1.0), Region(region_code="S"))
DEGREE_KM = EARTH_RADIUS_KM * np.pi / 180


def resolved(*lanes: Lane, **parameters: object) -> LaneTable:
    return resolve_lanes(NODES, REGIONS, lanes, PlanParameters(**parameters))  # type: ignore[arg-type]


def test_distances_on_the_sphere_match_known_arcs() -> None:
    zero, pole = np.array([0.0]), np.array([90.0])
    assert great_circle_km(zero, zero, pole, zero)[0, 0] == pytest.approx(EARTH_RADIUS_KM * np.pi / 2)
    assert great_circle_km(zero, zero, zero, np.array([180.0]))[0, 0] == pytest.approx(
        EARTH_RADIUS_KM * np.pi
    )
    # Nashville to Los Angeles airports, the published example of Rosetta Code for R = 6372.8 km: 2887.2599 km.
    airports = great_circle_km(np.array([36.12]), np.array([-86.67]), np.array([33.94]), np.array([-118.40]))
    assert airports[0, 0] == pytest.approx(2887.2599506 * EARTH_RADIUS_KM / 6372.8)


def test_a_computed_lane_follows_circuity_transit_and_freight_rates() -> None:
    lanes = resolved(
        circuity_factor=1.2, same_day_km=150.0, transit_km_per_day=600.0, freight_cost_per_kg_km=0.01
    )
    near, far = 1.2 * DEGREE_KM, 1.2 * 9 * DEGREE_KM
    assert lanes.distance_km[:2, 0] == pytest.approx([near, far])
    assert lanes.transit_days[:2, 0].tolist() == [0, 3]
    assert lanes.freight_cost_per_unit(2.0, np.arange(2), np.arange(1))[:, 0] == pytest.approx(
        [0.02 * near, 0.02 * far]
    )
    assert lanes.usable[:2, 0].all()


def test_without_coordinates_or_a_given_distance_there_is_no_lane() -> None:
    lanes = resolved(Lane(node_code="C", region_code="R", transit_days=1, freight_cost_per_unit=3.0))
    assert not lanes.usable[2].any()
    assert not lanes.usable[:, 1].any()
    assert np.isnan(lanes.distance_km[2, 0])


def test_a_given_lane_overrides_field_by_field() -> None:
    lanes = resolved(
        Lane(node_code="A", region_code="R", transit_days=4),
        Lane(node_code="B", region_code="R", freight_cost_per_unit=7.0),
        Lane(node_code="C", region_code="R", distance_km=700.0),
        freight_cost_per_kg_km=0.01,
    )
    assert lanes.transit_days[:, 0].tolist() == [4, 2, 2]
    assert lanes.distance_km[:, 0] == pytest.approx([DEGREE_KM, 9 * DEGREE_KM, 700.0])
    assert lanes.freight_cost_per_unit(1.0, np.arange(3), np.arange(1))[:, 0] == pytest.approx(
        [0.01 * DEGREE_KM, 7.0, 7.0]
    )
    assert lanes.usable[:, 0].all()


def test_a_forbidden_lane_is_never_used_but_its_distance_is_known() -> None:
    lanes = resolved(Lane(node_code="A", region_code="R", forbidden=True))
    assert lanes.usable[:, 0].tolist() == [False, True, False]
    assert lanes.distance_km[0, 0] == pytest.approx(DEGREE_KM)


def test_given_only_leaves_computed_lanes_out() -> None:
    lanes = resolved(Lane(node_code="B", region_code="R"), lanes="given_only")
    assert lanes.usable[:, 0].tolist() == [False, True, False]


def test_within_km_limits_computed_lanes_and_not_given_ones() -> None:
    assert resolved(lanes="within_km", lanes_within_km=200.0).usable[:, 0].tolist() == [True, False, False]
    given = resolved(
        Lane(node_code="B", region_code="R", distance_km=900.0), lanes="within_km", lanes_within_km=200.0
    )
    assert given.usable[:, 0].tolist() == [True, True, False]


def test_the_table_is_ordered_by_code_and_ignores_lanes_of_unknown_places() -> None:
    lanes = resolve_lanes(
        NODES[::-1], REGIONS[::-1], [Lane(node_code="Z", region_code="R", distance_km=1.0)], PlanParameters()
    )
    assert lanes.node_codes == ("A", "B", "C")
    assert lanes.region_codes == ("R", "S")
    assert lanes.distance_km[0, 0] == pytest.approx(DEGREE_KM)
