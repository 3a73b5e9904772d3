"""`/syla/join#syla-join=<secret>`: where an invitation's link leads, whether or not somebody is logged in.

What stands behind `#` is in no request, log or referrer, and is lost on the way through a login: the form sends its
page away, and JupyterHub's login is another server's. So this page, which anybody may have and which is the same for
all, puts the secret into the tab's own storage, out of the address, and goes on to JupyterLab, by way of any login.
There it is taken out again (`labextension/src/invited.ts`). Only pages of this origin, in this tab, can read it.

The page loads nothing, and runs nothing but its own script.
"""

from __future__ import annotations

import base64
import hashlib

from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.base.handlers import JupyterHandler

PATTERN = r"/syla/join"
SCRIPT = """
if (/^#syla-join=[\\w.~%-]{1,512}$/.test(location.hash)) {
  sessionStorage.setItem('syla-join', JSON.stringify({ link: location.hash, at: Date.now() }));
  history.replaceState(null, '', location.pathname);
}
location.replace('../lab');
"""
PAGE = f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Joining a workspace</title>
<p>Opening JupyterLab…</p>
<noscript><p>JupyterLab needs JavaScript.</p></noscript>
<script>{SCRIPT}</script>
"""
_DIGEST = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
POLICY = (
    f"default-src 'none'; script-src 'sha256-{_DIGEST}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class JoinPageHandler(JupyterHandler):
    SUPPORTED_METHODS = ("GET",)

    @property
    def content_security_policy(self) -> str:
        return POLICY

    @allow_unauthenticated
    def get(self) -> None:
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.set_header("Referrer-Policy", "no-referrer")
        self.set_header("Cache-Control", "no-store")
        self.finish(PAGE)
