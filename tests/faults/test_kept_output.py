"""Output of a container's kernel while its server is dead: `kill -9`, then the next server and the same tab."""

from __future__ import annotations

import secrets
from pathlib import Path

from ..hostile.conftest import Host, wait_until
from ..tab import ServedKernel

LINES, HALF = 10_000, 1000
CODE = f"""
import os, pathlib, time
for i in range({LINES}):
    print(i, flush=True)
    while i == {HALF} and not pathlib.Path("/tmp/go").exists(): time.sleep(0.01)
pathlib.Path("/tmp/files").write_text("\\n".join(os.readlink(f"/proc/self/fd/{{n}}") for n in map(int, os.listdir("/proc/self/fd")) if os.path.lexists(f"/proc/self/fd/{{n}}")))
"""


def test_ten_thousand_lines_printed_while_no_server_runs(hostile_host: Host, tmp_path: Path) -> None:
    """Once and in order, with the reply; kept in the home, which is on disk where a workspace outlives its server."""
    key = secrets.token_hex(16).encode()
    with hostile_host.box() as box:  # held by this process: the container outlives its server
        box.workspace.start_kernel("kept", key=key, cwd="/workspace", env={}, timeout=60)
        served = ServedKernel(tmp_path, str(box.workspace.run.client_prefix("kept")), key)
        try:
            served.start()
            tab = served.tab("tab")
            cell = tab.execute(CODE)
            tab.until(lambda: cell.line_count > HALF)
            served.has_noted()
            served.kill()
            tab.closed()
            box.run("touch", "/tmp/go")
            wait_until(lambda: box.run("test", "-e", "/tmp/files").exit.code == 0, 60, "the cell's end")
            kept = box.run("cat", "/tmp/files").out
            served.start()
            again = served.tab("tab", before=tab)
            again.send("kernel_info_request", {})
            again.until(lambda: cell.ended)
            assert cell.lines == [str(i) for i in range(LINES)]
            assert cell.replies == 1
            ids = list(again.ids)  # what else it says may still come
            assert len(ids) == len(set(ids))
            assert again.value("6 * 7") == "42"
            again.close()
        finally:
            served.kill()
        home = box.run("sh", "-c", "echo $HOME").out.strip()
        assert any(name.startswith(home + "/") and name.endswith("(deleted)") for name in kept.splitlines()), kept
