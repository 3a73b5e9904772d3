"""`python3 -m agent CONFIG`, CONFIG a JSON object: dir, zygote, preload, spares, lease_seconds,
deadline_seconds, open (see `AgentConfig` on the host)."""

from __future__ import annotations

import json
import os
import sys


def main() -> None:
    config = json.loads(sys.argv[1])
    if os.getpid() == 1:  # in a container
        from . import seccomp

        seccomp.install()
    zygote = None
    if config["zygote"]:
        from . import launch

        zygote = launch.zygote()  # it imports for 0.3 s: first of all, and beside our own imports
    from .supervisor import Supervisor

    code = Supervisor(config, zygote).run()
    sys.stderr.flush()
    os._exit(code)  # process 1: everything else in the container ends with it


if __name__ == "__main__":
    main()
