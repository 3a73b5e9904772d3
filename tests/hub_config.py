"""JupyterHub's configuration of the tests: no proxy (the tests ask a person's server directly), no passwords."""

from __future__ import annotations

import json
import os
from typing import Any

from jupyterhub.proxy import Proxy

SETTINGS = json.loads(os.environ["HUB_SETTINGS"])


class NoProxy(Proxy):
    """Keeps routes and serves none."""

    should_start = False

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._routes: dict[str, dict[str, Any]] = {}

    async def add_route(self, routespec: str, target: str, data: Any) -> None:
        self._routes[routespec] = {"routespec": routespec, "target": target, "data": data}

    async def delete_route(self, routespec: str) -> None:
        self._routes.pop(routespec, None)

    async def get_all_routes(self) -> dict[str, dict[str, Any]]:
        return self._routes


c = get_config()  # type: ignore[name-defined]  # noqa: F821
c.JupyterHub.proxy_class = NoProxy
c.JupyterHub.bind_url = f"http://127.0.0.1:{SETTINGS['public_port']}"
c.JupyterHub.hub_bind_url = f"http://127.0.0.1:{SETTINGS['hub_port']}"
c.JupyterHub.db_url = f"sqlite:///{SETTINGS['directory']}/hub.sqlite"
c.JupyterHub.cookie_secret_file = f"{SETTINGS['directory']}/cookie_secret"
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allowed_users = set(SETTINGS["users"])
c.JupyterHub.load_groups = {name: {"users": users} for name, users in SETTINGS["groups"].items()}
c.JupyterHub.services = [{"name": "tests", "api_token": SETTINGS["token"]}]
c.JupyterHub.load_roles = [
    {"name": "tests", "scopes": ["admin:users", "admin:servers", "proxy", "tokens"], "services": ["tests"]},
    {"name": "visitors", "scopes": [f"access:servers!user={SETTINGS['owner']}"], "users": SETTINGS["visitors"]},
]
c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = f"{SETTINGS['directory']}/{{username}}"
c.Spawner.environment = SETTINGS["environ"]
c.Spawner.args = ["--allow-root"]
c.Spawner.start_timeout = c.Spawner.http_timeout = 120
