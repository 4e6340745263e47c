"""Do import, plan and export do what their help says, and say clearly what was wrong?"""

import asyncio
import csv
import json
import re
from io import StringIO
from uuid import UUID

import numpy as np
import pytest
from click.testing import CliRunner
from matplotlib import image
from matplotlib.colors import to_rgb
from python_calamine import CalamineWorkbook

from pullplan.cli import forecast_picture, main
from pullplan.cli.demo_data import make_demo_data
from pullplan.cli.folder import write_folder
from pullplan.cli.report import console_for, print_summary
from pullplan.cli.summary import names_of
from pullplan.storage import database


@pytest.mark.parametrize(
    "name", ["demo", "import", "plan", "forecast", "replay", "export", "ledger", "diff", "verify"]
)
def test_help_teaches_by_examples(name):
    shown = CliRunner().invoke(main, [name, "--help"])
    assert shown.exit_code == 0
    assert f"  pullplan {name}" in shown.output.split("Examples:")[1]


def test_importing_what_is_there_already_changes_nothing(kept_demo, pullplan, tmp_path):
    write_folder(make_demo_data(small=True), tmp_path)
    before = [
        list(kept_demo.client.items(f"/v1/{name}")) for name in ("products", "capacity", "stock-counts")
    ]
    ran = pullplan("import", str(tmp_path))
    assert ran.returncode == 0, ran.stderr
    assert "12 regions, 12 of them known already" in ran.stdout
    told = re.search(r"([\d,]+) demand signals, ([\d,]+) of them known already", ran.stdout)
    assert told is not None
    assert int(told[1].replace(",", "")) == kept_demo.summary["signals"]
    after = [list(kept_demo.client.items(f"/v1/{name}")) for name in ("products", "capacity", "stock-counts")]
    assert after == before
    (return_1,) = (
        signal
        for signal in kept_demo.client.items("/v1/demand-signals", source="shops")
        if signal["external_id"] == "return-1"
    )
    history = kept_demo.client.get(f"/v1/demand-signals/shops/{return_1['external_id']}/history")
    assert len(history["items"]) == 1


def test_a_refused_line_is_named_by_file_line_and_field_and_nothing_is_stored(kept_demo, pullplan, tmp_path):
    (tmp_path / "products.csv").write_text("code,name,weight_kg\nNEW-1,one,1\nNEW-2,two,heavy\n")
    ran = pullplan("import", str(tmp_path))
    assert ran.returncode == 1
    assert "products.csv line 3, weight_kg:" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert not [row for row in kept_demo.client.items("/v1/products") if row["product_code"] == "NEW-1"]


def test_lines_of_later_batches_are_named_as_in_the_file(pullplan, tmp_path):
    lines = [f"2026-04-01,HAMBURG,CIDER,1,t{number}" for number in range(5_200)]
    lines[5_100] = "2026-04-01,HAMBURG,CIDER,none,t5100"
    (tmp_path / "demand_signals.csv").write_text("\n".join(["date,region,product,units,external_id", *lines]))
    ran = pullplan("import", str(tmp_path), "--source", "later-batches")
    assert ran.returncode == 1
    assert "demand_signals.csv line 5102, units:" in ran.stderr


def test_plan_makes_a_plan_as_asked(pullplan, kept_demo):
    as_of = kept_demo.summary["as_of"][:10]
    told = pullplan(
        "plan",
        "--as-of",
        as_of,
        "--weeks",
        "2",
        "--objective",
        "landed_cost",
        "--share-slices",
        "4",
        "--json",
    )
    assert told.returncode == 0, told.stderr
    summary = json.loads(told.stdout)
    plan = kept_demo.client.get(f"/v1/plans/{summary['plan_id']}")
    assert (plan["horizon_buckets"], plan["objective"], plan["as_of"][:10]) == (2, "landed_cost", as_of)
    assert plan["parameters"]["share_slices"] == 4
    assert summary["needs_units"] == plan["figures"]["needs_units"]


def test_the_report_says_figures_reasons_shortfalls_and_proof(kept_demo):
    output = StringIO()
    print_summary(console_for(output), kept_demo.summary, names_of(kept_demo.client))
    shown = output.getvalue()
    for words in (
        "Monday 13 April 2026: 8 weeks, pull to the nearest node",
        f"{kept_demo.summary['n_needs']:,} lines",
        "Koblenz Brewery",
        "not Jena Brewery",
        "full (one more unit there would save",
        "capacity is used up",
        "nobody can make it in time",
        "proven lower bound",
    ):
        assert words in shown


def test_the_latest_plan_is_exported_as_csv_as_json_lines_and_as_a_workbook(pullplan, kept_demo, tmp_path):
    newest = kept_demo.client.get("/v1/plans", limit=1)["items"][0]["plan_id"]
    lines = list(kept_demo.client.items(f"/v1/plans/{newest}/assignments"))
    rows = list(csv.DictReader(StringIO(pullplan("export", "latest").stdout)))
    assert [row["node_code"] for row in rows] == [line["node_code"] for line in lines]
    output = tmp_path / "needs.ndjson"
    ran = pullplan("export", newest, "--what", "needs", "--format", "ndjson", "--output", str(output))
    assert ran.returncode == 0, ran.stderr
    written = [json.loads(line) for line in output.read_text().splitlines()]
    assert written == list(kept_demo.client.items(f"/v1/plans/{newest}/needs"))
    output = tmp_path / "prices.xlsx"
    asked = ("export", newest, "--what", "prices", "--format", "xlsx")
    assert "--output" in pullplan(*asked).stderr
    assert pullplan(*asked, "--output", str(output)).returncode == 0
    header, *sheet = CalamineWorkbook.from_path(output).get_sheet_by_index(0).to_python()
    told = [cells[header.index("price")] for cells in sheet]
    assert told == pytest.approx(
        [line["price"] for line in kept_demo.client.items(f"/v1/plans/{newest}/prices")]
    )


def test_the_ledger_of_the_demo_adds_up_to_its_needs(pullplan, kept_demo):
    plan_id = kept_demo.summary["plan_id"]
    ran = pullplan("ledger", plan_id, "--by", "product")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    (whole,) = kept_demo.client.items(f"/v1/plans/{plan_id}/ledger-totals", totalled_by="all")
    assert ran.stdout.splitlines()[0].split()[0] == "product"
    assert f"{whole['demanded_units']:,.0f}" in ran.stdout
    figures = kept_demo.client.get(f"/v1/plans/{plan_id}")["figures"]
    assert whole["assigned_units"] == pytest.approx(figures["assigned_units"])
    assert whole["shortfall_units"] == pytest.approx(figures["shortfall_units"])
    assert whole["unaccounted_units"] == pytest.approx(0.0, abs=1e-6 * whole["demanded_units"])
    assert whole["from_stock_units"] > 0


def test_the_latest_plan_is_verified_in_words_and_as_an_object(pullplan, kept_demo):
    newest = kept_demo.client.get("/v1/plans", limit=1)["items"][0]
    told = pullplan("verify", "latest")
    assert told.returncode == 0, told.stdout + told.stderr
    assert f"Plan {newest['plan_id']} is valid." in told.stdout
    assert f"{newest['figures']['n_assignments']:,} assignments" in told.stdout
    assert "proven at least" in told.stdout
    for plan_id in (newest["plan_id"], kept_demo.summary["plan_id"]):
        ran = pullplan("verify", plan_id, "--json")
        assert ran.returncode == 0, ran.stdout + ran.stderr
        found = json.loads(ran.stdout)
        assert (found["plan_id"], found["valid"], found["findings"]) == (plan_id, True, [])
        listed = kept_demo.client.get(f"/v1/plans/{plan_id}/verifications")["items"]
        assert listed[0]["verification_id"] == found["verification_id"]


def test_a_plan_that_does_not_hold_is_told_sentence_by_sentence_and_ends_with_1(kept_demo, pullplan):
    plan_id = kept_demo.summary["plan_id"]

    def scale_every_line(factor: float) -> None:
        async def scale() -> None:
            connection = await database.connect(kept_demo.database_url)
            try:
                await connection.execute(
                    "UPDATE plan_assignments SET units = units * $2, started_units = started_units * $2 WHERE plan_id = $1",
                    *(UUID(plan_id), factor),
                )
            finally:
                await connection.close()

        asyncio.run(scale())

    scale_every_line(2.0)
    try:
        told, said = pullplan("verify", plan_id), pullplan("verify", plan_id, "--json")
    finally:
        scale_every_line(0.5)
    assert (told.returncode, said.returncode) == (1, 1), told.stderr
    assert f"Plan {plan_id} is NOT valid." in told.stdout
    assert "too many" in told.stdout
    found = json.loads(said.stdout)
    assert f"Wrong with it ({found['n_findings']:,}):" in told.stdout
    assert f"{found['n_findings'] - 20:,} more; --json has them" in told.stdout
    assert {"need_not_covered", "over_capacity", "figure_wrong", "value_wrong"} <= {
        finding["code"] for finding in found["findings"]
    }
    assert pullplan("verify", plan_id).returncode == 0


def test_what_is_not_there_is_said_without_a_traceback(pullplan):
    ran = pullplan("export", "00000000-0000-0000-0000-000000000000")
    assert ran.returncode == 1
    assert "(404)" in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"PULLPLAN_URL": "http://127.0.0.1:9"}, "does not answer"),
        ({"PULLPLAN_KEY": "pp_wrong"}, "(401)"),
        ({"PULLPLAN_KEY": ""}, "a key is needed"),
    ],
)
def test_a_service_that_cannot_be_used_is_said_with_what_helps(pullplan, environment, words):
    ran = pullplan("plan", **environment)
    assert ran.returncode != 0
    assert words in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_plan_is_replanned_and_compared_with_its_parent(kept_demo, pullplan):
    parent_id = kept_demo.client.get("/v1/plans", limit=1)["items"][0]["plan_id"]
    as_of = kept_demo.client.get(f"/v1/plans/{parent_id}")["as_of"][:10]
    order = {
        "source": "test", "external_id": "SO-DIFF", "kind": "order", "units": 5, "due_date": f"{as_of}",
        "occurred_at": f"{as_of}T00:00:00Z",
        "product_code": next(iter(kept_demo.client.items("/v1/products")))["product_code"],
        "region_code": next(iter(kept_demo.client.items("/v1/regions")))["region_code"],
    }  # fmt: skip
    kept_demo.client.request("POST", "/v1/demand-signals", json=order)
    asked = ("--as-of", as_of, "--parent", parent_id, "--churn-units", "0", "--verify")
    ran = pullplan("plan", *asked, "--json")
    assert ran.returncode == 0, ran.stderr
    summary = json.loads(ran.stdout)
    plan_id = summary["plan_id"]
    assert (summary["verification"]["plan_id"], summary["verification"]["valid"]) == (plan_id, True)
    assert "is valid." in pullplan("plan", *asked).stdout
    plan = kept_demo.client.get(f"/v1/plans/{plan_id}")
    assert (plan["parent_plan_id"], plan["stability"]["moved_units"]) == (parent_id, 0.0)
    told = pullplan("diff", "parent", plan_id)
    assert told.returncode == 0, told.stderr
    found = list(kept_demo.client.items(f"/v1/plans/{parent_id}/diff/{plan_id}"))
    if found:
        assert found[0]["detail"] in told.stdout or len(found) > 20
    table = pullplan("diff", parent_id, plan_id, "--format", "csv")
    assert len(list(csv.DictReader(StringIO(table.stdout)))) == len(found)
    alone = pullplan("diff", "parent", parent_id)
    assert (alone.returncode, "without a parent" in alone.stderr) == (1, True)


def test_a_forecast_is_made_and_said_in_words_and_as_an_object(kept_demo, pullplan):
    as_of = kept_demo.summary["as_of"][:10]
    ran = pullplan("forecast", "--as-of", as_of, "--weeks", "2", "--json")
    assert ran.returncode == 0, ran.stderr
    made = json.loads(ran.stdout)
    assert (made["as_of"][:10], made["horizon_buckets"]) == (as_of, 2)
    assert sum(made["classes"].values()) == len(
        list(kept_demo.client.items(f"/v1/forecasts/{made['forecast_id']}/series"))
    )
    (everything,) = json.loads(pullplan("forecast", "latest", "--totals", "all", "--json").stdout)
    assert len(everything["values"]) == made["n_steps"]
    by_product = json.loads(pullplan("forecast", "latest", "--totals", "product", "--json").stdout)
    for step, of_all in enumerate(everything["values"]):
        added_up = sum(product["values"][step]["mean_units"] for product in by_product)
        assert of_all["mean_units"] == pytest.approx(added_up)
    told = pullplan("forecast", "latest", "--totals", "product").stdout
    assert all(product["code"] in told for product in by_product)
    told = pullplan("forecast", "latest").stdout
    assert f"Forecast {made['forecast_id']} as of {as_of}" in told
    assert f"missed {made['measures']['wape_share']:.1%} of demand" in told
    told = pullplan("forecast", "--as-of", as_of, "--weeks", "2", "--refresh").stdout
    assert (
        f"0 series had news and were made anew; the others, and all measures below, are those of forecast {made['forecast_id']}"
        in told
    )


def test_a_series_is_drawn_with_all_that_the_service_tells_of_it(kept_demo, pullplan, tmp_path):
    newest = kept_demo.client.get("/v1/forecasts", limit=1)["items"][0]["forecast_id"]
    series = max(
        kept_demo.client.items(f"/v1/forecasts/{newest}/series"), key=lambda s: float(s["history_buckets"])
    )
    name = f"{series['product_code']}/{series['region_code']}"
    picture = tmp_path / "series.png"
    ran = pullplan("forecast", "--plot", name, "--output", str(picture))
    assert ran.returncode == 0, ran.stderr
    drawn = image.imread(picture)
    assert drawn.shape == (550, 1210, 4)
    # History, forecast and backtest are told apart by their colours.
    for colour in (forecast_picture._HISTORY, forecast_picture._FORECAST, forecast_picture._PAST):
        distance = np.abs(drawn[..., :3] - np.array(to_rgb(colour))).max(axis=2)
        assert (distance < 0.1).sum() > 100


def test_a_picture_that_cannot_be_drawn_is_said_with_what_helps(kept_demo, pullplan, tmp_path):
    (tmp_path / "matplotlib.py").write_text("raise ModuleNotFoundError('gone', name='matplotlib')")
    series = next(
        iter(
            kept_demo.client.items(
                f"/v1/forecasts/{kept_demo.client.get('/v1/forecasts', limit=1)['items'][0]['forecast_id']}/series"
            )
        )
    )
    name = f"{series['product_code']}/{series['region_code']}"
    for words, asked, environment in (
        ("takes PRODUCT/REGION", "LAGER", {}),
        ("has no series NO/WHERE", "NO/WHERE", {}),
        ("uv pip install --group plot", name, {"PYTHONPATH": str(tmp_path)}),
    ):
        ran = pullplan("forecast", "--plot", asked, "--output", str(tmp_path / "none.png"), **environment)
        assert ran.returncode != 0
        assert words in ran.stderr
        assert "Traceback" not in ran.stderr
    assert not (tmp_path / "none.png").exists()
