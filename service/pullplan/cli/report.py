"""How is a plan shown to a planner in a terminal?"""

import textwrap
from collections.abc import Iterator
from datetime import date, datetime
from itertools import groupby
from typing import Any

import msgspec
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pullplan.api.wording import Wording, say_rank, say_slices
from pullplan.cli.client import Json
from pullplan.engine.model import PassedOver, ShortfallStage

Names = dict[str, dict[str, str]]
_WIDTH = 112
_SHOWN_SHORTFALLS = 4
_DETAIL_CHARACTERS = 200
_ROUNDING_GAP = 1e-9
_REASONS = {
    "do_not_produce": "its policy is to make none",
    "no_capable_node": "no node makes it",
    "not_qualified": "no node is qualified",
    "offline": "its nodes are down",
    "no_lane": "no lane leads there",
    "too_late": "nobody can make it in time",
    "at_capacity": "capacity is used up",
    "share_limit": "no node may make a larger share",
    "not_effective": "outside the dates of product, capability or lane",
    "lot_rule": "no lot fits",
}
_MEASURES = {
    "lateness_unit_buckets": "lateness, units × {bucket}s",
    "cost:nearest": "distance, units × km",
    "cost:landed_cost": "landed cost",
    "earliness_unit_buckets": "made early, units × {bucket}s",
}


def _units(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:,.1f}"


def _percent(share: float | None, digits: int = 1) -> str:
    return "–" if share is None else f"{share:.{digits}%}"


def _of(share: float | None, whole: str) -> str:
    return "" if share is None else f"{_percent(share)} of {whole}"


def _day(text: str) -> str:
    return f"{date.fromisoformat(text[:10]):%-d %b}"


def _columns(*headings: str, right: tuple[int, ...] = ()) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    for index, heading in enumerate(headings):
        table.add_column(heading, justify="right" if index in right else "left")
    return table


def _section(console: Console, heading: str, body: RenderableType) -> None:
    console.print()
    console.print(Text(heading, style="bold"))
    console.print(Padding(body, (0, 0, 0, 2)))


def _figures(summary: Json, names: Names) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(justify="left")
    table.add_column(justify="right", style="bold")
    table.add_column(style="dim")
    needs_units = summary["needs_units"]
    rows: list[tuple[str, str, str]] = [
        ("needed", _units(needs_units), f"units in {summary['n_needs']:,} lines, after stock and supply"),
        ("assigned", _units(summary["assigned_units"]), _of(summary["served_share"], "the need")),
        ("short", _units(summary["shortfall_units"]), f"{summary['n_shortfalls']:,} lines, reasons below"),
        ("late", _units(summary["late_unit_buckets"]), f"units × {summary['bucket']}s"),
        ("from the nearest node", _percent(summary["nearest_share"]), "of the units assigned"),
    ]
    if summary["km_per_unit"] is not None:
        rows.append(
            ("distance", f"{summary['km_per_unit']:,.0f} km", f"a unit, {summary['unit_km']:,.0f} unit-km")
        )
    rows.append(("capacity in use", _percent(summary["capacity_use_share"]), "over the horizon"))
    lots = summary["lots"]
    if lots:
        counts = f"in {lots['n_production_orders']:,} orders, {_percent(lots['price_of_lots'], 2)} dearer than lots of any size"
        rows += [
            ("lots", f"{lots['n_lots']:,}", counts),
            ("surplus", _units(lots["surplus_units"]), _of(lots["surplus_share"], "the units made")),
        ]
    forecast = summary["forecast"]
    if forecast and forecast["wape_share"] is not None:
        naive = _percent(forecast["naive_wape_share"])
        rows.append(
            ("forecast error", _percent(forecast["wape_share"]), f"WAPE in backtests; seasonal naive {naive}")
        )
    down = [_state(node, names) for node in summary["nodes_not_online"]]
    if down:
        rows.append(("nodes not online", str(len(down)), ", ".join(down)))
    for row in rows:
        table.add_row(*row)
    return table


def _state(node: Json, names: Names) -> str:
    name = names["nodes"].get(node["node_code"], node["node_code"])
    return f"{name} down" if node["status"] == "offline" else f"{name} at {node['capacity_share']:.0%}"


def _busiest(summary: Json, names: Names) -> Group:
    bucket = summary["bucket"]
    table = _columns("node", "resource", "used", "of", "", f"{bucket}s full", "", right=(2, 3, 4, 5))
    for node in summary["busiest_nodes"]:
        share = node["use_share"] or 0.0
        full = node["full_buckets"]
        table.add_row(
            names["nodes"].get(node["node_code"], node["node_code"]),
            node["resource_code"],
            _units(node["used"]),
            _units(node["capacity"]),
            _percent(share, 0),
            str(full),
            Text("█" * round(share * 20), style="red" if full else "green"),
        )
    stores = [
        Text(f"all of {resource_code} is used up at {', '.join(nodes)}", style="red")
        for resource_code, nodes in _used_up(summary, names)
    ]
    return Group(table, *stores)


def _used_up(summary: Json, names: Names) -> Iterator[tuple[str, list[str]]]:
    """Gather the nodes whose store of a resource the plan empties."""
    in_order = sorted(summary["used_up"], key=lambda use: (use["resource_code"], use["node_code"]))
    for resource_code, uses in groupby(in_order, key=lambda use: str(use["resource_code"])):
        yield resource_code, [names["nodes"].get(use["node_code"], use["node_code"]) for use in uses]


def _assignments(summary: Json, names: Names) -> Group:
    wording = Wording(
        **{name: summary[name] for name in ("objective", "bucket", "shortfall_measure")},
        name_node=lambda code: names["nodes"].get(code, code),
    )
    lines: list[Text] = []
    for line in summary["assignments"]:
        product = names["products"].get(line["product_code"], line["product_code"])
        region = names["regions"].get(line["region_code"], line["region_code"])
        node = names["nodes"].get(line["node_code"], line["node_code"])
        text = Text(
            f"{_units(line['units'])} {product} for {region}, needed {_day(line['need_bucket_date'])}"
        )
        text.append(f" → {node}", style="bold")
        text.append(
            f", started {_day(line['start_bucket_date'])}, {line['distance_km']:,.0f} km, "
            f"{say_rank(line['distance_rank'])}",
            style="dim",
        )
        lines.append(text)
        lines += [
            Text(f"   not {wording.passed_over(msgspec.convert(passed, PassedOver))}", style="yellow")
            for passed in line["passed_over"][:3]
        ]
    return Group(*lines)


def _shortfalls(summary: Json, names: Names) -> Group:
    if not summary["shortfalls"]:
        return Group(Text("nothing: everything that is needed is made in time", style="green"))
    shown, rest = summary["shortfalls"][:_SHOWN_SHORTFALLS], summary["shortfalls"][_SHOWN_SHORTFALLS:]
    lines: list[RenderableType] = []
    for group in shown:
        product = names["products"].get(group["product_code"], group["product_code"])
        regions = [names["regions"].get(code, code) for code in group["regions"]]
        where = ", ".join(regions[:3]) + (f" and {len(regions) - 3} more" if len(regions) > 3 else "")
        text = Text(f"{_units(group['units'])} {product}", style="bold")
        text.append(f" ({group['tier']}) in {where}: ", style="not bold")
        text.append(_REASONS.get(group["reason"], group["reason"]), style="red")
        detail = textwrap.shorten(group["detail"], _DETAIL_CHARACTERS, placeholder=" …")
        lines += [text, Padding(Text(detail, style="dim"), (0, 0, 0, 3))]
    if rest:
        lines.append(
            Text(f"and {_units(sum(group['units'] for group in rest))} in {len(rest)} smaller groups")
        )
    return Group(*lines)


def _gap(gap: float) -> str:
    return f"below {_ROUNDING_GAP:.0e}" if abs(gap) < _ROUNDING_GAP else f"{gap:.1e}"


def _certificate(summary: Json) -> Table:
    table = _columns("stage", "value", "proven lower bound", "gap", right=(1, 2, 3))
    for stage in summary["stages"]:
        name = _MEASURES.get(stage["measure"], stage["measure"]).format(bucket=summary["bucket"])
        short = ShortfallStage.read(stage["measure"])
        if short is not None:
            measured = summary["shortfall_measure"].replace("_", " ")
            whose = "pinned units" if short.tier == "pinned" else f"{short.tier}s, priority {short.rank}"
            name = f"shortfall of {whose}{say_slices(short)}, by {measured}"
        table.add_row(name, f"{stage['value']:,.2f}", f"{stage['lower_bound']:,.2f}", _gap(stage["gap"]))
    return table


def print_summary(console: Console, summary: Json, names: Names) -> None:
    """Print figures, busiest nodes, reasons, shortfalls and the certificate."""
    as_of = datetime.fromisoformat(summary["as_of"])
    heading = f"The plan as of {as_of:%A %-d %B %Y}: {summary['horizon_buckets']} {summary['bucket']}s, " + (
        "pull to the nearest node" if summary["objective"] == "nearest" else "at the least landed cost"
    )
    console.print(Text(heading, style="bold cyan"))
    console.print(Padding(_figures(summary, names), (0, 0, 0, 2)))
    if summary["busiest_nodes"]:
        _section(console, "Busiest nodes, over the horizon", _busiest(summary, names))
    if summary["assignments"]:
        _section(console, "Who makes what, and why there: a few lines", _assignments(summary, names))
    _section(console, "Short", _shortfalls(summary, names))
    if summary["stages"]:
        _section(console, "Proof: no plan is better than the bound, stage by stage", _certificate(summary))


def console_for(output: Any = None) -> Console:
    """Open a console that is wide enough for the tables when nobody says how wide it is."""
    console = Console(file=output, highlight=False)
    if not console.is_terminal:
        console = Console(file=output, highlight=False, width=_WIDTH)
    return console
