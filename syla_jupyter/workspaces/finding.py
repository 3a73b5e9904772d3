"""Which workspace somebody means: his own of that name, any by its id, or one of that name that is shared with him.

Finding is not allowing: who may do what with it is for the guard to say.
"""

from __future__ import annotations

from ..metadata.base import WorkspaceStore, name_key
from ..metadata.people_base import PeopleStore
from ..model.errors import BadInput, UnknownWorkspace
from ..model.people import Principal
from ..model.record import WorkspaceRecord


def find_for(principal: Principal, name_or_id: str, *, store: WorkspaceStore, people: PeopleStore) -> WorkspaceRecord:
    """As it is stored. `UnknownWorkspace`; `BadInput` for a name that several share with him: say the id."""
    found = store.find(principal.name, name_or_id)
    if found is not None:
        return found
    try:
        return store.get(name_or_id)
    except UnknownWorkspace:
        pass
    wanted, shared = name_key(name_or_id), []
    for id in people.shared_with(principal.name, principal.teams):
        try:
            record = store.get(id)
        except UnknownWorkspace:
            continue
        if name_key(record.name) == wanted:
            shared.append(record)
    if len(shared) > 1:
        owners = ", ".join(f"{record.id} of {record.owner}" for record in shared)
        raise BadInput("workspace", f"several of that name are shared with you: {owners}", "Say which by its id")
    if not shared:
        raise UnknownWorkspace("workspace", f"there is no workspace {name_or_id!r}", "`syla workspace list` names them")
    return shared[0]
