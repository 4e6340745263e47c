"""Are the tables of README.md what the bench would write?"""

import pytest
from bench.figure import figure
from bench.run import in_order
from bench.tables import (
    README,
    TABLES,
    coverage_table,
    figures_table,
    peers_table,
    read_measured,
    with_tables,
)


def test_the_readmes_tables_are_laid_out_from_what_was_measured() -> None:
    readme = README.read_text()
    assert with_tables(readme, read_measured()) == readme
    assert read_measured().keys() <= TABLES.keys()


def test_a_readme_without_a_tables_place_is_refused() -> None:
    with pytest.raises(ValueError, match="no place for the table figures"):
        with_tables("# pullplan", {})


def test_a_table_replaces_what_stood_between_its_markers() -> None:
    measured = {"figures": {"measured_on": "2026-11-22", "n_cores": 2, "python": "3.13.0", "rows": []}}
    changed = with_tables(README.read_text(), measured)
    assert "Measured on 2026-11-22, 2 cores, Python 3.13.0." in changed
    assert with_tables(changed, measured) == changed
    assert with_tables(changed, read_measured()) == README.read_text()


def test_a_figure_stands_beside_its_reference_and_a_missed_one_is_said() -> None:
    rows = [
        figure("total", 0.3456, "s", reference=101.23, must="<= 0.6", reached=True),
        figure("memory", 1234.5, "MB", reference=2.5e-9, must="<= 600", reached=False),
        figure("other", 0.0, "s", reference=1.0, must="-", reached=None),
    ]
    assert figures_table(rows).splitlines()[2:] == [
        "| total | 0.346 s | 101 | ≤ 0.6 | reached |",
        "| memory | 1,234 MB | 2.5e-09 | ≤ 600 | **missed** |",
        "| other | 0 s | 1 | - |  |",
    ]


def test_coverage_stands_by_class_and_step_and_says_where_nothing_came() -> None:
    covered = {"smooth": {"share": 0.784, "nothing_share": 0.0, "n_values": 300}}
    rare = {"rare": {"share": 0.99, "nothing_share": 0.97, "n_values": 300}}
    rows = [
        figure("speed", 1.0, "s", reference=1.0, must="-", reached=None),
        {"value": 0.8, "coverage": {"of": "iowa", "by_class": covered, "by_step": [0.81, 0.79]}},
        {"value": 0.9, "coverage": {"of": "parts", "by_class": rare, "by_step": [0.9]}},
    ]
    assert coverage_table(rows).splitlines() == [
        "| of | all | smooth | rare | 1 | 2 |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        "| iowa | 0.80 | 0.78 |  | 0.81 | 0.79 |",
        "| parts | 0.90 |  | 0.99 (0.97 nothing) | 0.90 | |",
    ]


def test_what_is_measured_anew_takes_the_place_of_all_that_its_name_measured_before() -> None:
    kept = [
        {"of": of, "figure": figure}
        for of, figure in (
            ("serve_ready", "old"),
            ("serve_ready", "gone"),
            ("storing", "kept"),
            ("dropped", "x"),
        )
    ]
    anew = [{"of": "warm", "figure": "new"}, {"of": "serve_ready", "figure": "newer"}]
    ordered = in_order(anew, kept)
    assert [row["figure"] for row in ordered] == ["newer", "kept", "new"]


def test_a_peer_is_optimal_dearer_or_has_a_problem() -> None:
    found = {
        "needs": 3000,
        "solver": "A",
        "optimum": 100.0,
        "seconds": 1.5,
        "short_units": 0.0,
        "megabytes": 80.4,
    }
    rows = [
        found | {"cost": 100.0},
        found | {"cost": 103.0},
        {"needs": 3000, "solver": "B", "problem": "nothing"},
    ]
    assert peers_table(rows).splitlines()[2:] == [
        "| 3,000 | A | 1.5 | optimal | 0 | 80 |",
        "| 3,000 | A | 1.5 | +3.0e-02 | 0 | 80 |",
        "| 3,000 | B | nothing | | | |",
    ]
