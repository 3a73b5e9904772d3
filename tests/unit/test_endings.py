"""What is left of a verb whose process died costs nothing later: it is neither taken for another's, nor another's for it."""

from __future__ import annotations

import pytest

from syla_jupyter.model.errors import NotConfirmed
from syla_jupyter.model.record import State

from ..local_installation import local_installation
from .clocks import HandClock


class Died(BaseException):
    """As a process that is killed: nobody catches it."""


def test_what_stands_in_an_archived_workspaces_place_outlives_a_recovery_that_died_long_ago() -> None:
    """A recovery that died when all but its own mark was done; archived again; somebody's directory in its place."""
    with local_installation(HandClock()) as local:
        record, registry = local.create("proj"), local.registry
        (record.files / "kept").write_text("files")
        registry.archive(record.id)

        def reach(verb: str, step: str) -> None:
            if (verb, step) == ("recover", "record"):
                raise Died

        registry._reach, reached = reach, registry._reach
        with pytest.raises(Died):
            registry.recover(record.id)
        registry._reach = reached

        registry.finish()
        assert (record.files / "kept").read_text() == "files"
        assert registry.archive(record.id).state is State.ARCHIVED
        record.files.mkdir()
        (record.files / "theirs").write_text("somebody's")
        with pytest.raises(NotConfirmed):
            registry.recover(record.id)
        assert (record.files / "theirs").read_text() == "somebody's"
