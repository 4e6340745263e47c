"""How does `pullplan diff` show what one plan makes elsewhere than another?"""

import sys
from collections import defaultdict
from itertools import islice

import click

from pullplan.api.wording import say_units
from pullplan.cli.client import Json
from pullplan.cli.plan_choice import chosen_plan_id
from pullplan.cli.service_options import open_client, talks_to_a_service

_SHOWN_LINES = 20
_SHOWN_NODES = 8
_NOTHING = 1e-9
"""Less is rounding."""
_WORDS = {
    "added": "newly made",
    "removed": "no longer made",
    "moved": "moved",
    "left_short": "needed and left short",
    "no_longer_short": "short and no longer needed",
}
_MADE_SMALL = {
    "shortfall_units_saved": "units short",
    "late_unit_buckets_saved": "unit-buckets late",
    "cost_saved": "of cost",
    "early_unit_buckets_saved": "unit-buckets early",
}
_MEDIA_TYPES = {"csv": "text/csv", "ndjson": "application/x-ndjson"}


@click.command()
@click.argument("before", metavar="A")
@click.argument("after", metavar="B")
@click.option(
    "--format",
    "file_format",
    type=click.Choice(list(_MEDIA_TYPES)),
    help="Every difference as a table or as JSON lines, instead of the report.",
)
@talks_to_a_service
def diff(*, before: str, after: str, file_format: str | None, url: str | None, key: str | None) -> None:
    """Show what plan B makes elsewhere than plan A, why, and what that saves; each a plan_id, `latest`, or `parent`.

    `parent` is the plan that the other one was made from.

    \b
    Examples:
      pullplan diff parent latest
      pullplan diff 0193c0de-… latest --format csv > differences.csv
      pullplan diff 0193c0de-… 0193c0df-… --format ndjson | jq .cause
    """  # noqa: D301 - \b is click's mark for text that is not to be wrapped
    with open_client(url, key) as client:
        ids = [None if plan == "parent" else chosen_plan_id(client, plan) for plan in (before, after)]
        for k, plan_id in enumerate(ids):
            other = ids[1 - k]
            if plan_id is None:
                if other is None:
                    raise click.UsageError("one of the plans must be named")
                ids[k] = client.get(f"/v1/plans/{other}")["parent_plan_id"]
                if ids[k] is None:
                    raise click.ClickException(f"the plan {other} was made without a parent")
        path = f"/v1/plans/{ids[0]}/diff/{ids[1]}"
        if file_format is not None:
            client.download(path, _MEDIA_TYPES[file_format], sys.stdout.buffer)
            return
        click.echo("\n".join(_told(list(client.items(path)))))


def _told(differences: list[Json]) -> list[str]:
    if not differences:
        return ["Both plans make the same at the same places."]
    units: dict[tuple[str, str], float] = defaultdict(float)
    for one in differences:
        units[one["change"], one["cause"]] += one["units"]
    told = [
        f"{say_units(amount)} units {_WORDS[change]}: {cause.replace('_', ' ')}"
        for (change, cause), amount in sorted(units.items(), key=lambda item: -item[1])
    ]
    told += [*_by_node(differences), _worth(differences)]
    largest = sorted(differences, key=lambda one: -float(one["units"]))
    told += [f"  {_line(one)}" for one in islice(largest, _SHOWN_LINES)]
    if len(differences) > _SHOWN_LINES:
        told.append(f"  … and {len(differences) - _SHOWN_LINES:,} more; --format csv has them")
    return told


def _by_node(differences: list[Json]) -> list[str]:
    """Tell which nodes make less and which take over, those that change most first."""
    made: dict[str, float] = defaultdict(float)
    for one in differences:
        for end, sign in (("from", -1), ("to", 1)):
            if one[f"{end}_node_code"]:
                made[one[f"{end}_node_code"]] += sign * one["units"]
    changes = sorted(
        ((amount, node) for node, amount in made.items()), key=lambda one: (-abs(one[0]), one[1])
    )
    told = [
        f"{node} {'+' if amount > 0 else '−'}{say_units(abs(amount))}"
        for amount, node in changes
        if abs(amount) > _NOTHING
    ]
    more = f", and {len(told) - _SHOWN_NODES:,} more nodes" if len(told) > _SHOWN_NODES else ""
    return [f"Units made: {', '.join(told[:_SHOWN_NODES])}{more}"] if told else []


def _worth(differences: list[Json]) -> str:
    """Tell what the second plan has less, and more, of what is made small."""
    amounts = {words: sum(one[name] for one in differences) for name, words in _MADE_SMALL.items()}
    told = [
        f"{word}: {', '.join(f'{abs(amount):,.6g} {words}' for words, amount in changed)}"
        for word, sign in (("more", -1), ("less", 1))
        if (changed := [(words, amount) for words, amount in amounts.items() if sign * amount > _NOTHING])
    ]
    return f"In the second plan {'; '.join(told)}" if told else "Both plans are worth the same."


def _line(one: Json) -> str:
    places = [
        f"{one[f'{end}_node_code']} ({one[f'{end}_start_bucket_date']})" if one[f"{end}_node_code"] else ""
        for end in ("from", "to")
    ]
    way = " ".join(f"{word} {place}" for word, place in zip(("from", "to"), places, strict=True) if place)
    return (
        f"{say_units(one['units'])} {one['product_code']} for {one['region_code']}, due from "
        f"{one['need_bucket_date']}: {_WORDS[one['change']]}{f' {way}' if way else ''}; {one['detail']}"
    )
