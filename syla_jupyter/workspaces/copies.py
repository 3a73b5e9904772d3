"""Workspaces that are made of others: a clone, one that came as a file, one that another installation had.

Each is whole or not at all: what fails on the way is deleted again. A clone has a repository and keys of its own; it
shares nothing with what it was made of. A file may be anybody's: its words are checked like those of any caller, and
its template has to be one of here.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from ..metadata.base import WorkspaceStore
from ..model.clock import Clock
from ..model.errors import BadInput, NotConfirmed, SylaError, UnknownWorkspace
from ..model.policy import Policy
from ..model.record import State, WorkspaceRecord
from ..model.snapshot import Reason, Version
from ..model.workspace import Limits, Network, WorkspaceType
from .entries import Entry, adopted
from .names import check_name
from .placement import WORKSPACES_DIR
from .registry import Registry
from .vault import QUIET, Vault, Watch, nothing
from .versions import Versions

log = logging.getLogger("syla.snapshots")
CONFIG_FORMAT = 1
ZSTANDARD = b"\x28\xb5\x2f\xfd"
"""How a file with content begins; a configuration alone is JSON."""


@dataclasses.dataclass(frozen=True)
class Copied:
    record: WorkspaceRecord
    notes: tuple[str, ...] = ()
    """One line each, for a person."""


class Copies:
    """`check_template`: raises for one that is not here."""

    def __init__(
        self,
        *,
        registry: Registry,
        store: WorkspaceStore,
        versions: Versions,
        vault: Callable[[], Vault],
        clock: Clock,
        check_template: Callable[[str], object],
    ) -> None:
        self._registry, self._store, self._versions, self._vault = registry, store, versions, vault
        self._clock, self._check_template = clock, check_template

    def clone(
        self,
        id: str,
        name: str,
        *,
        root: Path,
        author: str,
        number: int | None = None,
        partial: bool = False,
        watch: Watch = QUIET,
    ) -> Copied:
        """A workspace of the author's that is as this one is now (or was in a version), and goes its own way.

        `partial`: of a damaged version, what is left of it.
        """
        source, on_the_way = self._store.get(id), dataclasses.replace(watch, decided=nothing)
        check_name(name)
        if number is None and source.state is not State.ARCHIVED:
            message = f"for the clone {name}"
            taken = self._versions.take(
                id, author=author, message=message, reason=Reason.CLONE, if_changed=True, watch=on_the_way
            )
            number = taken.version.number if taken.version else None
        with self._made(name, root, {**_described(source), "owner": author}) as record:
            restored = self._vault().put_back(record, number, of=id, partial=partial, watch=on_the_way)
            watch.decided()
        return Copied(record, tuple(self._vault().told(record, restored)))

    def export(
        self, id: str, out: BinaryIO, *, author: str, number: int | None = None, watch: Watch = QUIET
    ) -> Version:
        """As one file, a plain archive that needs neither key nor store; None: as it is now."""
        source = self._store.get(id)
        if number is None and source.state is not State.ARCHIVED:
            on_the_way = dataclasses.replace(watch, decided=nothing)
            taken = self._versions.take(id, author=author, message="for an export", if_changed=True, watch=on_the_way)
            number = taken.version.number if taken.version else None
        variables = self._versions.get(id, number).details.get("variables", {})
        return self._vault().export(id, number, {**config(source), "variables": variables}, out, watch)

    def export_config(self, id: str, out: BinaryIO) -> None:
        """What it is made of, without what is in it."""
        from ..snapshots.archive_file import export_config

        export_config(config(self._store.get(id)), out)

    def receive(
        self, source: BinaryIO, *, root: Path, author: str, name: str | None = None, watch: Watch = QUIET
    ) -> Copied:
        """A workspace from a file of `export` or `export_config`; `source` can go back to its beginning."""
        from ..snapshots.archive_file import read_config
        from ..snapshots.archive_import import read_archive_config

        whole = source.read(len(ZSTANDARD)) == ZSTANDARD
        source.seek(0)
        given = read_archive_config(source) if whole else read_config(source)
        source.seek(0)
        described, its_name = described_by(given)
        self._check_template(described["template"])
        with self._made(name or its_name, root, described) as record:
            notes: list[str] = []
            if whole:
                notes = self._vault().receive(record, source, watch)
                self._vault().due(record, given.get("variables"))
                self._vault().save(record, Reason.IMPORT, author=author, message="imported", watch=watch)
        return Copied(record, tuple(notes))

    # -- of other installations ------------------------------------------------------------------------------------

    def elsewhere(self) -> list[tuple[str, Entry | SylaError]]:
        """Workspaces in the store that this installation has no record of: (id, entry or why it cannot be read)."""
        return [(id, entry) for id, entry in self._vault().entries.all() if not self._known(id)]

    def adopt(self, name_or_id: str, *, root: Path, confirmed: bool = False) -> WorkspaceRecord:
        """Make the record of a workspace that another installation had: archived here; `recover` brings it back.

        `UnknownWorkspace`; `NotConfirmed` where it was not archived there: what changed since its last version is
        left behind, and the other one can save no more versions of it.
        """
        found = [
            entry
            for id, entry in self.elsewhere()
            if isinstance(entry, Entry) and name_or_id in (id, entry.record.name)
        ]
        if not found:
            raise UnknownWorkspace("workspace", f"the store has no workspace {name_or_id!r} that is not here already")
        if len(found) > 1:
            ids = ", ".join(entry.record.id for entry in found)
            raise BadInput("workspace", f"the store has {len(found)} workspaces {name_or_id!r}", f"Name its id: {ids}")
        entry = found[0]
        if entry.record.state is not State.ARCHIVED and not confirmed:
            raise NotConfirmed(
                "workspace",
                f"{name_or_id!r} was {entry.record.state} at another installation when it was saved last",
                "Archive it there first, or confirm (--force): what changed since then stays there",
            )
        files = root.resolve() / WORKSPACES_DIR / check_name(entry.record.name)
        record = adopted(entry, owner=self._registry.catalog.owner, files=files, now=self._clock.now())
        record = self._store.insert(record, tell=self._registry.tell_adopted)
        self._vault().register(record)
        return record

    # -- parts -----------------------------------------------------------------------------------------------------

    def _known(self, id: str) -> bool:
        try:
            self._store.get(id)
        except UnknownWorkspace:
            return False
        return True

    @contextlib.contextmanager
    def _made(self, name: str, root: Path, described: Mapping[str, Any]) -> Iterator[WorkspaceRecord]:
        record = self._registry.create(name, root=root, **described)
        try:
            yield record
        except BaseException:
            try:
                self._registry.delete(record.id, confirmed=True, reason="it could not be made whole")
            except SylaError as exc:  # what went wrong first is what a person has to know
                log.warning("workspace %s could be neither made whole nor deleted again: %s", record.name, exc)
            raise


def _described(record: WorkspaceRecord) -> dict[str, Any]:
    fields = ("type", "template", "limits", "network", "policy", "labels")
    return {field: getattr(record, field) for field in fields}


def config(record: WorkspaceRecord) -> dict[str, Any]:
    """As JSON has it; `described_by` reads it."""
    return {
        "format": CONFIG_FORMAT,
        "name": record.name,
        "type": record.type.value,
        "template": record.template,
        "network": record.network.value,
        "limits": dataclasses.asdict(record.limits),
        "policy": dataclasses.asdict(record.policy),
        "labels": dict(record.labels),
    }


def described_by(given: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """(what `Catalog.create` takes, the name) of a configuration from anywhere; `BadInput` for what is none."""
    try:
        labels = given["labels"]
        described: dict[str, Any] = {
            "type": WorkspaceType(given["type"]),
            "template": _text(given["template"]),
            "network": Network(given["network"]),
            "limits": Limits(**_numbers(given["limits"], Limits)),
            "policy": Policy(**_numbers(given["policy"], Policy)),
            "labels": {_text(key): _text(value) for key, value in dict(labels).items()},
        }
        return described, check_name(_text(given["name"]))
    except BadInput:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise BadInput("file", f"its configuration is none: {exc}", "Give a file that `export` has written") from exc


def _numbers(value: Any, kind: type[Limits] | type[Policy]) -> dict[str, Any]:
    """Known fields, each a number, a truth value or nothing; others, of a newer version, are left out."""
    names = {field.name for field in dataclasses.fields(kind)}
    given = {name: item for name, item in dict(value).items() if name in names}
    for name, item in given.items():
        if item is not None and not isinstance(item, bool | int | float):
            raise ValueError(f"{name} is no number")
    return given


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r:.40} is no text")
    return value
