"""`syla workspace`: make, look at, choose, suspend, resume, put away; one service call each.

Who leaves NAME out where it is optional means the workspace that `syla exec` would use here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

import click

from .. import app
from ..metadata.base import PAGE_MAX, SORTS, Query
from ..model.errors import BadInput, SylaError
from ..model.record import State
from ..model.workspace import Network, WorkspaceType
from ..workspaces import repl
from ..workspaces.changes import Level
from ..workspaces.inspection import packages, variables
from ..workspaces.policies import due_action
from ..workspaces.variables import restored
from . import activity, choosing, copies, participants, sharing, shown
from .clone import checked_url, clone, clone_command
from .deletion import delete
from .described import Described, described_options
from .progress import watched
from .words import parse_seconds, printable

Command = TypeVar("Command", bound=Callable[..., Any])


@click.group("workspace")
def group() -> None:
    """Workspaces that stay: files, packages, variables."""


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
execution_option = click.option(
    "--execution", metavar="ID", help="Only if this is its container still (`show` names it); empty: it has none."
)


@group.command()
@click.argument("name")
@click.option("--type", "kind", type=click.Choice([t.value for t in WorkspaceType]), default="persistent")
@click.option("--template", metavar="NAME", help="Template of its image and kernel.")
@click.option("--network", type=click.Choice([n.value for n in Network]), help="none, or outwards only.")
@described_options
@click.option("--root", metavar="DIR", help="Its files are in DIR/workspaces/NAME (default: SYLA_ROOT, else here).")
@click.option("--from", "url", metavar="URL", help="Clone a git repository into it.")
@click.option("--use", "use_it", is_flag=True, help="Use it in this terminal.")
@json_option
def create(
    name: str,
    kind: str,
    template: str | None,
    network: str | None,
    described: Described,
    root: str | None,
    url: str | None,
    use_it: bool,
    as_json: bool,
) -> None:
    """Make a workspace; its container comes with the first use."""
    application = app.shared()
    settings, type = application.settings, WorkspaceType(kind)
    if template is not None:
        application.templates.get(template)
    source = None if url is None else checked_url(url)
    record = application.registry().create(
        name,
        root=choosing.root_directory(root, application.environ),
        type=type,
        template=template,
        network=None if network is None else Network(network),
        limits=described.new_limits(settings.limits[type]),
        policy=described.new_policy(settings.policies[type]),
        labels=described.new_labels(),
    )
    if use_it:
        choosing.use(application, record)
    if source is not None:
        try:
            clone(application, record, source, ".")
        except BaseException:
            application.registry().delete(record.id, confirmed=True)  # whole or not at all
            raise
    line = f"Workspace {record.name!r} is made; its files: {record.files}"
    shown.changed(record, as_json, application.clock.now(), line)


@group.command("list")
@click.option("--state", "states", type=click.Choice([s.value for s in State]), multiple=True)
@click.option("--type", "types", type=click.Choice([t.value for t in WorkspaceType]), multiple=True)
@click.option("--label", "labels", multiple=True, metavar="NAME[=VALUE]", help="Has that label.")
@click.option("--name", "part", default="", metavar="PART", help="Part of the name.")
@click.option("--idle-for", metavar="TIME", help="Without activity for this long, such as 2h.")
@click.option("--older-than", metavar="TIME", help="Made this long ago, such as 7d.")
@click.option("--sort", type=click.Choice(SORTS), default="name", show_default=True)
@click.option("--descending", is_flag=True)
@click.option("--limit", type=click.IntRange(1, PAGE_MAX), default=100, show_default=True)
@click.option("--after", default="", metavar="TOKEN", help="The next page, as the one before named it.")
@click.option("--store", "elsewhere", is_flag=True, help="Those in the object store that are not of here.")
@click.option("--shared", is_flag=True, help="Those of others that are shared with you.")
@json_option
def list_workspaces(
    states: tuple[str, ...],
    types: tuple[str, ...],
    labels: tuple[str, ...],
    part: str,
    idle_for: str | None,
    older_than: str | None,
    sort: Any,
    descending: bool,
    limit: int,
    after: str,
    elsewhere: bool,
    shared: bool,
    as_json: bool,
) -> None:
    """Your workspaces, filtered, in pages."""
    application = app.shared()
    if shared:
        sharing.show_shared(application, as_json)
        return
    if elsewhere:
        copies.show_elsewhere(application, as_json)
        return
    catalog, now = application.registry().catalog, application.clock.now()
    query = Query(
        owner=catalog.owner,
        states=[State(s) for s in states],
        types=[WorkspaceType(t) for t in types],
        labels={name: value for name, _, value in (label.partition("=") for label in labels)},
        name_part=part,
        idle_for_seconds=None if idle_for is None else parse_seconds("--idle-for", idle_for),
        older_than_seconds=None if older_than is None else parse_seconds("--older-than", older_than),
        now=now,
        sort=sort,
        descending=descending,
        limit=limit,
        after=after,
    )
    page = catalog.list(query)
    if as_json:
        found = [shown.as_json(record, now) for record in page.records]
        shown.print_json({"workspaces": found, "next": page.next, "total": page.total})
    elif not page.records:
        click.echo("No workspaces found.")
    else:
        columns = ("", "name", "state", "type", "idle since", "next", "disk")
        shown.print_table(columns, shown.list_rows(page, choosing.active(application), now))
        if page.next:
            click.echo(f"{page.total} in all; more: --after {page.next}")


@group.command()
@click.argument("name", required=False)
@json_option
def show(name: str | None, as_json: bool) -> None:
    """One workspace: its state, what happens to it next and why, its limits, packages."""
    application = app.shared()
    record = choosing.named(application, name)
    now = application.clock.now()
    found, trouble = None, ""
    if record.state is State.ACTIVE and record.execution:
        try:
            found = packages(application.registry().open(record.id))
        except SylaError as exc:
            trouble = str(exc)
    if as_json:
        listed = None if found is None else [dataclasses.asdict(package) for package in found]
        shown.print_json({**shown.as_json(record, now), "packages": listed})
        return
    rows = shown.detail_rows(record, now)
    if found is not None:
        rows.append(("packages", shown.package_words(found)))
    elif trouble:
        rows.append(("packages", f"not known: {printable(trouble)}"))
    shown.print_pairs(rows)


@group.command("variables")
@click.argument("name", required=False)
@json_option
def list_variables(name: str | None, as_json: bool) -> None:
    """What the REPL kernel of a running workspace holds."""
    application = app.shared()
    record = choosing.named(application, name)
    found = []
    if record.state is State.ACTIVE and record.execution:
        found = variables(application.registry().open(record.id))
    if as_json:
        shown.print_json({"variables": [dataclasses.asdict(variable) for variable in found]})
    elif found:
        shown.print_table(("name", "type", "size", "value"), shown.variable_rows(found))
    else:
        click.echo("No variables: " + ("none are set." if record.state is State.ACTIVE else f"it is {record.state}."))


@group.command()
@click.argument("name", required=False)
@click.option("--none", "nothing", is_flag=True, help="Use none any more.")
def use(name: str | None, nothing: bool) -> None:
    """Make a workspace the one that `syla exec` and `syla console` use in this terminal."""
    application = app.shared()
    if (name is None) != nothing:
        raise BadInput("NAME", "say which workspace", "syla workspace use NAME, or --none for none")
    record = None if name is None else choosing.named(application, name)
    choosing.use(application, record)
    click.echo("No workspace is in use here." if record is None else f"{record.name!r} is in use in this terminal.")


@group.command("set")
@click.argument("name")
@described_options
@click.option("--unlabel", multiple=True, metavar="NAME", help="Take a label away.")
@json_option
def set_values(
    name: str,
    described: Described,
    unlabel: tuple[str, ...],
    as_json: bool,
) -> None:
    """Change limits (of a running container too), times and labels."""
    application = app.shared()
    record = choosing.named(application, name)
    kept = {key: value for key, value in record.labels.items() if key not in unlabel}
    changes: dict[str, Any] = {
        "limits": described.new_limits(record.limits),
        "policy": described.new_policy(record.policy),
        "labels": {**kept, **described.new_labels()},
    }
    changes = {field: value for field, value in changes.items() if value != getattr(record, field)}
    if changes:
        record = application.registry().change(record.id, version=record.version, **changes)
    line = f"Workspace {record.name!r} is changed." if changes else f"Workspace {record.name!r} is like that already."
    shown.changed(record, as_json, application.clock.now(), line)


@group.command()
@click.argument("name", required=False)
@click.option("--for", "how_long", default="1h", show_default=True, metavar="TIME")
@json_option
def touch(name: str | None, how_long: str, as_json: bool) -> None:
    """Let nothing happen to it by itself for a while, up to its hard cap."""
    application = app.shared()
    record = application.registry().touch(choosing.named(application, name).id, parse_seconds("--for", how_long))
    now = application.clock.now()
    due = due_action(record, record.policy, now)
    line = f"Workspace {record.name!r}: {shown.deadline_words(due, now)}."
    shown.changed(record, as_json, now, line)


@group.command()
@click.argument("name", required=False)
@click.option("--stop", is_flag=True, help="End its container as well: the next kernels have its variables.")
@execution_option
@json_option
def suspend(name: str | None, stop: bool, execution: str | None, as_json: bool) -> None:
    """Freeze it with all it is doing; it takes no processor time until it is used again."""
    application = app.shared()
    record = application.registry().suspend(choosing.named(application, name).id, stop=stop, execution=execution)
    line = f"Workspace {record.name!r} is {shown.state_words(record)}."
    shown.changed(record, as_json, application.clock.now(), line)


def elsewhere_options(command: Command) -> Command:
    """Of verbs that find a workspace in the object store when it is not here."""
    command = click.option("--force", is_flag=True, help="Also one that another installation had not archived.")(
        command
    )
    return click.option("--root", metavar="DIR", help="From elsewhere: its files go to DIR/workspaces/NAME.")(command)


@group.command()
@click.argument("name", required=False)
@elsewhere_options
@json_option
def resume(name: str | None, root: str | None, force: bool, as_json: bool) -> None:
    """Have it running, with a kernel that is ready; an archived one is recovered first, from any machine."""
    application = app.shared()
    chosen = copies.found_or_adopted(application, name, root, force)
    with watched("Restoring", quiet=as_json) as watch:
        record, level = application.registry().resume(chosen.id, watch=watch)
    template = application.templates.get(record.template)
    live = application.registry().open(record.id)
    # A container in which nothing runs ends soon after its last user.
    repl.ensure(live, repl.kernel_start(application.settings, template, application.environ), application.clock)
    application.service.settle_soon(live)
    now = application.clock.now()
    back = restored(live).lines() if level in (Level.RESTARTED, Level.RECOVERED) else []
    if as_json:
        shown.print_json({**shown.as_json(record, now), "level": level, "not_restored": back})
        return
    click.echo(f"Workspace {record.name!r} is active: {shown.level_words(level)}.")
    for line in back:
        click.echo(printable(line))


@group.command()
@click.argument("name")
@execution_option
@json_option
def archive(name: str, execution: str | None, as_json: bool) -> None:
    """Save it in the object store and free this machine; `recover` brings all of it back."""
    application = app.shared()
    with watched("Archiving", quiet=as_json) as watch:
        record = application.registry().archive(choosing.named(application, name).id, execution=execution, watch=watch)
    due = due_action(record, record.policy, application.clock.now())
    line = f"Workspace {record.name!r} is archived; {shown.deadline_words(due, application.clock.now())}."
    shown.changed(record, as_json, application.clock.now(), line.replace("; never", "; it is kept"))


@group.command()
@click.argument("name")
@elsewhere_options
@click.option("--partial", is_flag=True, help="What is left, where the store has lost some of it.")
@json_option
def recover(name: str, root: str | None, force: bool, partial: bool, as_json: bool) -> None:
    """Bring an archived one back; one that is not here, from the object store."""
    application = app.shared()
    chosen = copies.found_or_adopted(application, name, root, force)
    with watched("Restoring", quiet=as_json) as watch:
        record = application.registry().recover(chosen.id, partial=partial, watch=watch)
    line = f"Workspace {record.name!r} is back; its files: {record.files}"
    shown.changed(record, as_json, application.clock.now(), line)


for command in (delete, clone_command, copies.clone, copies.export, copies.import_command, *sharing.COMMANDS):
    group.add_command(command)
group.add_command(participants.participants)
group.add_command(activity.activity)
