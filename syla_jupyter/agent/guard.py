"""Sessions that end with the connection that guards them: terminals whose server was killed.

A server that dies takes its ends of the terminals with it. The kernel then hangs up the shell, and only the shell:
what it has put into sessions of its own would go on, and nobody could tell any more that it came from there. So the
agent keeps a descriptor of each near end too. It reads nothing; with it open, no shell is hung up before the agent has
seen that the server is gone and has ended all that was started in its terminals.
"""

from __future__ import annotations

import os
from typing import Dict, List, Tuple


class Guards:
    """By process: (the connection's number, the descriptor)."""

    def __init__(self) -> None:
        self._kept: Dict[str, Tuple[int, int]] = {}

    def keep(self, process: str, connection: int, fd: int) -> None:
        """From now on `fd` is ours."""
        self.release(process)
        os.set_inheritable(fd, False)
        self._kept[process] = (connection, fd)

    def release(self, process: str) -> None:
        """It has ended."""
        kept = self._kept.pop(process, None)
        if kept is not None:
            os.close(kept[1])

    def of(self, connection: int) -> List[str]:
        """Processes to end when that connection is gone; their descriptors stay until they have ended."""
        return [process for process, (number, _) in self._kept.items() if number == connection]
