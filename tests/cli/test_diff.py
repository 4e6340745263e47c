"""Does the report of two plans' differences say who makes less, who takes over, and what that is worth?"""

from typing import Any

from pullplan.cli.diff import _told


def difference(**said: Any) -> dict[str, Any]:
    nothing = dict.fromkeys(("late_unit_buckets_saved", "early_unit_buckets_saved"), 0.0)
    return {
        "product_code": "LOAF",
        "region_code": "A",
        "need_bucket_date": "2026-01-05",
        "from_node_code": "NEAR",
        "from_start_bucket_date": "2026-01-05",
        "to_node_code": None,
        "to_start_bucket_date": None,
        "cause": "node_offline",
        "detail": "NEAR is offline",
        "shortfall_units_saved": 0.0,
        "cost_saved": 0.0,
        **nothing,
        **said,
    }


def test_a_lost_node_is_told_by_who_takes_over_and_what_is_dearer() -> None:
    told = _told(
        [
            difference(
                change="moved",
                units=40.0,
                to_node_code="FAR",
                to_start_bucket_date="2026-01-05",
                cost_saved=-800.0,
            ),
            difference(change="removed", units=15.0, shortfall_units_saved=-15.0, cost_saved=150.0),
        ]
    )
    assert told[:4] == [
        "40 units moved: node offline",
        "15 units no longer made: node offline",
        "Units made: NEAR −55, FAR +40",
        "In the second plan more: 15 units short, 650 of cost",
    ]


def test_what_a_change_saves_and_costs_is_told_apart() -> None:
    told = _told([difference(change="moved", units=1.0, cost_saved=20.0, late_unit_buckets_saved=-3.0)])
    assert "In the second plan more: 3 unit-buckets late; less: 20 of cost" in told


def test_a_unit_that_only_starts_in_another_bucket_changes_no_node() -> None:
    told = _told(
        [difference(change="moved", units=5.0, to_node_code="NEAR", to_start_bucket_date="2026-01-06")]
    )
    assert not [line for line in told if line.startswith("Units made")]
    assert "Both plans are worth the same." in told
