"""`syla image`: build and list the images kernels run from."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Mapping

import click

from .. import app
from ..model.errors import BadInput
from ..model.template import Template
from .kernelspec import install_kernelspec


@click.group("image")
def group() -> None:
    """Images of the templates."""


@group.command()
@click.argument("name", default="python")
@click.option("--packages", help="pip requirements, separated by commas: makes or changes template NAME.")
@click.option("--debian-packages", help="Debian packages, separated by commas: makes or changes template NAME.")
@click.option("--base", help="Image to build from: makes or changes template NAME.")
@click.option("--force", is_flag=True, help="Build even when the image is current.")
@click.option("--quiet", is_flag=True, help="No progress.")
def build(
    name: str, packages: str | None, debian_packages: str | None, base: str | None, force: bool, quiet: bool
) -> None:
    """Build the image of template NAME and offer its kernel; nothing is done when it is current."""
    application = app.shared()
    given = {"packages": packages, "debian_packages": debian_packages, "base": base}
    asked = {field: text for field, text in given.items() if text is not None}
    template = _changed(application, name, asked) if asked else application.templates.get(name)
    progress = (lambda line: None) if quiet else (lambda line: click.echo(line, err=True))
    reference = application.images().build(template, progress=progress, force=force)
    if asked:
        application.templates.save(template)
    directory = install_kernelspec(template, sys.prefix)
    click.echo(f"{reference} is ready; its kernel is {template.display_name!r} ({directory.name}).")


def _changed(application: app.Application, name: str, asked: Mapping[str, str]) -> Template:
    python = application.templates.get("python")
    known = application.templates.get(name) if name in application.templates.names() else None
    start = known or dataclasses.replace(python, name=name, display_name=f"Python 3 ({name}, Syla)")
    changes: dict[str, object] = dict(asked)
    for field in ("packages", "debian_packages"):
        if field in asked:
            extra = [p.strip() for p in asked[field].split(",") if p.strip()]
            changes[field] = tuple(dict.fromkeys([*getattr(start, field), *extra]))
    try:
        return dataclasses.replace(start, **changes)  # type: ignore[arg-type]
    except ValueError as exc:
        raise BadInput("template", str(exc)) from exc


@group.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_images(as_json: bool) -> None:
    """Images on this engine, and which are current."""
    rows = app.shared().images().list()
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(row) for row in rows], indent=2, default=str))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("template", "image", "size", "current")
    for row in rows:
        table.add_row(row.template, row.reference, f"{row.size_bytes >> 20} MB", "yes" if row.current else "no")
    Console().print(table)
