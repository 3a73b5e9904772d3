"""`python3 -m agent CONFIG`, CONFIG a JSON object: dir, zygote, preload, spares, lease_seconds,
deadline_seconds, open (see `AgentConfig` on the host)."""

from __future__ import annotations

import json
import os
import sys

from .supervisor import Supervisor


def main() -> None:
    code = Supervisor(json.loads(sys.argv[1])).run()
    sys.stderr.flush()
    os._exit(code)  # process 1: everything else in the container ends with it


if __name__ == "__main__":
    main()
