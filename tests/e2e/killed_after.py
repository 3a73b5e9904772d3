"""A program that does something with a workspace and is killed as soon as the database has it: ACTION NAME [USER]."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from syla_jupyter import app
from syla_jupyter.access.service import Caller
from syla_jupyter.model.people import Principal, Role, SubjectKind


def die(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main(action: str, name: str, user: str = "") -> None:
    application = app.shared()
    registry, access = application.registry(), application.access()
    if action == "create":
        registry.catalog._reach = lambda verb, step: die() if (verb, step) == ("create", "record") else None
        registry.create(name, root=Path(os.environ["SYLA_ROOT"]))
    vars(access.audit)["write"] = die  # which comes next
    caller, id = Caller(Principal(access.owner, admin=True)), registry.catalog.get(name).id
    if action == "share":
        access.sharing.share(caller, id, SubjectKind.USER, user, Role.VIEWER)
    elif action == "refuse":
        access.asking.refuse(caller, id, user)


if __name__ == "__main__":
    main(*sys.argv[1:])
