"""How is the OpenAPI document written from the code, and the committed one checked?"""

import difflib
from itertools import islice
from pathlib import Path

import click

from pullplan.api.openapi import render

_SHOWN_LINES = 40


@click.command()
@click.option(
    "--write", "written", type=click.Path(dir_okay=False, path_type=Path), help="Write the document here."
)
@click.option(
    "--check",
    "checked",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Fail when this one is not the code's.",
)
def openapi(written: Path | None, checked: Path | None) -> None:
    """Write the OpenAPI document, check the committed one, or print it."""
    document = render()
    if written is not None:
        written.write_text(document)
    if checked is not None:
        _compare(checked, document)
    if written is None and checked is None:
        click.echo(document, nl=False)


def _compare(path: Path, document: str) -> None:
    committed = path.read_text()
    if committed != document:
        difference = difflib.unified_diff(
            committed.splitlines(), document.splitlines(), str(path), "the code", lineterm="", n=1
        )
        click.echo("\n".join(islice(difference, _SHOWN_LINES)), err=True)
        raise click.ClickException(f"{path} differs from the code; `make openapi` writes it")
