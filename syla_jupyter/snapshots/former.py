"""The pieces that a large file had at the last save: a guess of those that it has now, believed of none unseen.

To look for cut points takes most of the time of reading a large file. Where a piece of the former length has the former
id, the search would have ended in the same place: a cut depends on nothing but the bytes from the cut before it. So a
file that was renamed is read and hashed, and one that was changed in one place is searched there alone. That the name
alone is another one nobody can tell without reading: a rename sets the one time that nobody else can set, and whoever
writes into a file may give it its old time back.
"""

from __future__ import annotations

from collections.abc import Callable

from .tree import Entry, chunk_ids


class Former:
    """For one reading of one file. `chunk_id`: as the repository names chunks."""

    def __init__(self, entry: Entry, chunk_id: Callable[[memoryview], bytes]) -> None:
        self._ids, self._chunk_id = chunk_ids(entry), chunk_id
        pieces = entry.pieces or (0, entry.size)
        self._lengths, holes = pieces[1::2], pieces[2::2]
        self._ended = [hole > 0 for hole in holes] + [True]
        """The piece ended there because its data did, not because of what is in it."""
        self._next = 0
        self._after: dict[bytes, int] | None = None

    @property
    def ready(self) -> bool:
        """There is a guess."""
        return self._next < len(self._ids)

    def follow(self, data: memoryview, *, final: bool) -> list[tuple[int, bytes]]:
        """(length, id) of the pieces that `data`, which begins at a cut, begins with; none: look for the next cut.

        `final`: its last byte is the last one before a hole or the file's end.
        """
        found: list[tuple[int, bytes]] = []
        at = 0
        while self.ready:
            end, id_ = at + self._lengths[self._next], self._ids[self._next]
            if end > len(data) and not final:
                return found  # more of it may fit
            if end > len(data) or (self._ended[self._next] and not (final and end == len(data))):
                break
            if self._chunk_id(data[at:end]) != id_:
                break
            found.append((end - at, id_))
            at = end
            self._next += 1
        else:
            return found
        self._next = len(self._ids)
        return found

    def resume(self, chunk: memoryview) -> bool:
        """Whether there is a guess again, after this chunk, whose end was looked for."""
        if self._after is None:
            self._after = {id_: number for number, id_ in enumerate(self._ids, 1)}
        self._next = self._after.get(self._chunk_id(chunk), len(self._ids))
        return self.ready
