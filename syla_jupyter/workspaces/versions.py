"""What a person does with the versions of a workspace: take, look at, compare, go back, let go, check, mend.

Each verb names the workspace by its record's id; whoever may call is decided above.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..metadata.base import WorkspaceStore
from ..model.clock import Clock
from ..model.errors import BadInput, Cancelled, SylaError, UnknownWorkspace, WrongState
from ..model.record import State, WorkspaceRecord
from ..model.retention import Retention
from ..model.settings import Settings
from ..model.snapshot import PruneReport, Reason, RepairReport, VerifyReport, Version
from .inventory import differences, variables
from .registry import Registry
from .repositories import chosen
from .retention import Verdict, judge
from .rewinding import Rewound
from .vault import QUIET, Vault, Watch

if TYPE_CHECKING:
    from ..snapshots.diff import TreeDiff
    from ..snapshots.file_diff import FileDiff
    from ..snapshots.save import SaveReport

TAGS_MAX, TAG_MAX, MESSAGE_MAX = 16, 64, 1000  # of a version; characters


@dataclass(frozen=True)
class Taken:
    """A save that is done."""

    record: WorkspaceRecord
    version: Version | None
    """None: nothing has changed since the newest one, and none was wanted then."""
    consistent: bool
    """All of one moment; else files that changed while they were read were read again."""
    report: SaveReport
    seconds: float


VARIABLES = b"home/.local/state/syla"
"""Where a version has them, in files that say nothing to a person."""


@dataclass(frozen=True)
class Differences:
    """From one version to another."""

    files: TreeDiff
    """But for those of saved variables."""
    packages: tuple[str, ...]
    """`numpy 1.26 -> 2.1`, `+ pandas 2.2`, `- polars 1.0`"""
    variables: tuple[str, ...]
    """By kernel and name, the same way: type and size then and now."""


@dataclass(frozen=True)
class Rekeyed:
    workspaces: int
    changed: int
    """Of those, so many had a key wrapped by another master key."""
    refused: Mapping[str, SylaError]
    """By workspace id."""


class Versions:
    def __init__(
        self,
        *,
        registry: Registry,
        store: WorkspaceStore,
        vault: Callable[[], Vault],
        settings: Settings,
        clock: Clock,
    ) -> None:
        self._registry, self._store, self._vault = registry, store, vault
        self._settings, self._clock = settings, clock

    # -- take and look ---------------------------------------------------------------------------------------------

    def take(
        self,
        id: str,
        *,
        author: str,
        message: str = "",
        reason: Reason = Reason.MANUAL,
        tags: Sequence[str] = (),
        if_changed: bool = False,
        watch: Watch = QUIET,
    ) -> Taken:
        """Save it as it is now, variables of running kernels included. `ObjectsFailed`, `WrongState`, `Cancelled`."""
        check_text(message, tags)
        began = self._clock.monotonic()
        with self._registry.standing_still(id) as standing:
            report = self._vault().save(
                standing.record,
                reason,
                author=author,
                message=message,
                details=standing.details,
                tags=list(dict.fromkeys(tags)),
                if_changed=if_changed,
                watch=watch,
            )
            still = standing.still()
        seconds = self._clock.monotonic() - began
        return Taken(standing.record, report.version, still and not report.torn, report, seconds)

    def all(self, id: str) -> list[Version]:
        """Oldest first."""
        return self._vault().versions(id)

    def get(self, id: str, number: int | None = None) -> Version:
        """None: the newest. `UnknownVersion`."""
        return self._vault().version(id, number)

    def diff(self, id: str, a: int, b: int) -> Differences:
        from ..snapshots.diff import diff

        with self._vault().repository(id) as repository:
            before, after = chosen(repository, a), chosen(repository, b)
            files = diff(repository, before, after, without=VARIABLES)
        return Differences(
            files,
            tuple(differences(_packages(before), _packages(after))),
            tuple(differences(variables(before.details.get("variables")), variables(after.details.get("variables")))),
        )

    def file_diff(self, id: str, a: int, b: int, path: str) -> FileDiff:
        """Of one file that both versions have, by cells or lines. `BadPath`, `SnapshotDamaged`."""
        from ..snapshots.file_diff import FILE_MAX_BYTES, file_diff, not_shown
        from ..snapshots.restore import find_file, read_entry

        with self._vault().repository(id) as repository:
            both = [find_file(repository, chosen(repository, number), _path(path)) for number in (a, b)]
            if max(entry.size for entry in both) > FILE_MAX_BYTES:
                return not_shown("too_large", *(entry.size for entry in both))
            before, after = (read_entry(repository, entry) for entry in both)
        return file_diff(before, after, notebook=path.endswith(".ipynb"))

    # -- back ------------------------------------------------------------------------------------------------------

    def restore(
        self,
        id: str,
        number: int,
        *,
        author: str,
        paths: Sequence[str] = (),
        partial: bool = False,
        watch: Watch = QUIET,
    ) -> Rewound:
        """As `Registry.rewind`: in place, after saving what is overwritten."""
        clean = [_path(path) for path in paths]
        return self._registry.rewind(id, number, author=author, paths=clean, partial=partial, watch=watch)

    # -- upkeep ----------------------------------------------------------------------------------------------------

    def tag(self, id: str, number: int, tags: Sequence[str]) -> Version:
        """Replaces its tags; a tagged version is kept until its tags are taken away."""
        check_text("", tags)
        return self._vault().tag(self._store.get(id), number, list(dict.fromkeys(tags)))

    def delete(self, id: str, numbers: Sequence[int]) -> list[Version]:
        """Let go of versions; `prune` frees their space. The newest of an archived workspace is all there is of it."""
        with self._registry.alone(id) as record:  # lest it be archived meanwhile
            versions = {version.number: version for version in self.all(id)}
            if unknown := [number for number in numbers if number not in versions]:
                self._vault().version(id, unknown[0])
            newest = max(versions, default=0)
            if record.state is State.ARCHIVED and newest in numbers:
                raise WrongState(
                    f"{record.name!r} is archived, and version {newest} is all there is of it",
                    "Recover it first, or delete the workspace",
                )
            self._vault().forget(record, numbers)
        return [versions[number] for number in dict.fromkeys(numbers)]

    def judged(self, id: str, rules: Retention, *, automatic_only: bool = False) -> list[Verdict]:
        """What rules would keep and let go of; nothing is done."""
        return judge(self.all(id), rules, automatic_only=automatic_only)

    def thin_out(self, id: str) -> list[Version]:
        """Let go of what was taken by itself and the installation's rules do not keep; those that went."""
        verdicts = self.judged(id, self._settings.retention, automatic_only=True)
        going = [verdict.version for verdict in verdicts if not verdict.kept]
        if going:
            self.prune(id, self._settings.retention, automatic_only=True)
        return going

    def prune(
        self,
        id: str,
        rules: Retention | None = None,
        *,
        dry_run: bool = False,
        automatic_only: bool = False,
        watch: Watch = QUIET,
    ) -> PruneReport:
        """Free what no version needs; before that, let go of the versions that the rules, if any, do not keep.

        A dry run counts what would be unneeded without those. Of one that is `Cancelled` the versions are let go, and
        the next one frees what was left.
        """
        record = self._store.get(id)
        verdicts = self.judged(id, rules, automatic_only=automatic_only) if rules else []
        going = [verdict.version.number for verdict in verdicts if not verdict.kept]
        if going and not dry_run:
            self._vault().forget(record, going)
        with self._vault().repository(id) as repository:
            report = repository.prune(
                dry_run=dry_run, without=going, progress=watch.progress, cancelled=watch.cancelled
            )
        if not dry_run:
            self._vault().pruned(record)
        return report

    def verify(self, id: str, *, data: bool | float = False, watch: Watch = QUIET) -> VerifyReport:
        """By the index alone, or with a part (0 to 1) or all (True) of the data read and checked."""
        from ..snapshots.lost import lost_files

        with self._vault().repository(id) as repository:
            report = repository.verify(data=data, progress=watch.progress, cancelled=watch.cancelled)
            return replace(report, lost_files=lost_files(repository, report.lost))

    def repair(self, id: str, *, watch: Watch = QUIET) -> RepairReport:
        """As `Vault.repair`; what the workspace still has of what is lost, the next save stores again."""
        return self._vault().repair(id, watch)

    def rekey(self, watch: Watch = QUIET) -> Rekeyed:
        """Have the keys of all workspaces in the store wrapped by the master key in force; `previous_master_key` opens
        what is not. One that cannot be is told and left. Done again, it does what is left."""
        changed, refused = 0, dict[str, SylaError]()
        ids = dict.fromkeys([*self._vault().entries.ids(), *(record.id for record in self._registry.catalog.all())])
        for id in ids:
            if watch.cancelled():
                raise Cancelled(f"{changed} workspaces are done", "The others are as they were: do it again")
            try:
                changed += self._rekey(id)
            except SylaError as exc:
                refused[id] = exc
        return Rekeyed(len(ids), changed, refused)

    def _rekey(self, id: str) -> bool:
        try:
            with self._registry.alone(id):
                return self._vault().rekey(id)
        except UnknownWorkspace:  # of another installation
            return self._vault().rekey(id)


def check_text(message: str, tags: Sequence[str]) -> None:
    if len(message) > MESSAGE_MAX:
        raise BadInput("message", f"{len(message)} characters are too many", f"Use {MESSAGE_MAX} at most")
    if len(tags) > TAGS_MAX:
        raise BadInput("tags", f"{len(tags)} are too many", f"Give {TAGS_MAX} at most")
    for tag in tags:
        if not tag or len(tag) > TAG_MAX or not tag.isprintable():
            raise BadInput("tags", f"{tag[:80]!r} is no tag", f"1 to {TAG_MAX} printable characters")


def _packages(version: Version) -> Mapping[str, Any]:
    """What is no mapping, written by whoever, counts as empty."""
    value = version.details.get("packages")
    return value if isinstance(value, Mapping) else {}


def _path(path: str) -> str:
    """`files/a/b` or `home/a`; a path without its part is of the files."""
    clean = path.strip("/")
    if not clean or "\0" in clean:
        raise BadInput("paths", f"{path[:100]!r} is no path", "Such as notebooks/a.ipynb, or home/.bashrc")
    return clean if clean.partition("/")[0] in ("files", "home") else f"files/{clean}"
