"""What can be said of a workspace when it is made and later: options, and what they make of its limits and policy."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import click

from ..model.policy import Policy
from ..model.workspace import Limits
from .words import changed_limits, changed_policy, parse_labels


@dataclass(frozen=True)
class Described:
    """As it was given, None where it was not; what is wrong is a `BadInput` that names the option."""

    cpus: str | None
    memory: str | None
    disk: str | None
    pids: str | None
    labels: tuple[str, ...]
    ttl: str | None
    idle: str | None
    archive_after: str | None
    retention: str | None
    snapshot_every: str | None
    persist_on_exit: bool | None

    def new_limits(self, limits: Limits) -> Limits:
        return changed_limits(limits, cpus=self.cpus, memory=self.memory, disk=self.disk, pids=self.pids)

    def new_policy(self, policy: Policy) -> Policy:
        given = {"--ttl": self.ttl, "--idle": self.idle, "--archive-after": self.archive_after}
        given |= {"--retention": self.retention, "--snapshot-every": self.snapshot_every}
        policy = changed_policy(policy, given)
        if self.persist_on_exit is None:
            return policy
        return dataclasses.replace(policy, ttl_ends_in_delete=not self.persist_on_exit)

    def new_labels(self) -> Mapping[str, str]:
        return parse_labels("--label", self.labels)


OPTIONS = (
    click.option("--cpus", metavar="CORES", help="Such as 0.5 or 2."),
    click.option("--memory", metavar="SIZE", help="Such as 512m or 4g."),
    click.option("--disk", metavar="SIZE", help="Such as 20g."),
    click.option("--pids", metavar="NUMBER", help="Processes and threads, such as 1024."),
    click.option("--label", "labels", multiple=True, metavar="NAME=VALUE", help="May be given several times."),
    click.option("--ttl", metavar="TIME", help="How long it lives, such as 2h or 7d; never."),
    click.option("--idle", metavar="TIME", help="Suspended after this long without activity; never."),
    click.option("--archive-after", metavar="TIME", help="Archived after being suspended this long; never."),
    click.option("--retention", metavar="TIME", help="Deleted after being archived this long; never."),
    click.option("--snapshot-every", metavar="TIME", help="Saved this often while it is used; never."),
    click.option("--persist-on-exit/--no-persist-on-exit", default=None, help="Archived when its TTL ends."),
)


def described_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options, given to the command as one `described`."""

    @functools.wraps(command)
    def collecting(**given: Any) -> None:
        described = Described(**{field.name: given.pop(field.name) for field in dataclasses.fields(Described)})
        command(described=described, **given)

    for option in reversed(OPTIONS):
        collecting = option(collecting)
    return collecting
