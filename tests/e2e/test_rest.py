"""Workspaces over REST and their events, as a program uses them, against a real server and real containers."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
import requests
import websocket

from tests.lab import TOKEN, Lab

from .rest_client import Client, Events, error_of, warm_client


@pytest.fixture(scope="module")
def client(lab_server: Lab) -> Client:
    return warm_client(lab_server)


@pytest.fixture
def made(client: Client, request: pytest.FixtureRequest) -> str:
    """Name of a new workspace without a container."""
    name = request.node.name.replace("[", "-").replace("]", "")[:60]
    client.ok("POST", "workspaces", {"name": name, "type": "session", "labels": {"of": "tests"}})
    return name


# -- a workspace's life ------------------------------------------------------------------------------------------


def test_the_life_of_a_workspace(client: Client, lab_server: Lab) -> None:
    """Created, used, frozen with its variables, stopped, archived, recovered, deleted: each as the table of states has it."""
    answer = client.call("POST", "workspaces", {"name": "läuft", "limits": {"memory_bytes": 1 << 30}})
    one = answer.json()
    assert (answer.status_code, answer.headers["Location"]) == (201, f"/syla/v1/workspaces/{one['id']}")
    assert (one["state"], one["limits"]["memory_bytes"], one["limits"]["cpus"]) == ("created", 1 << 30, 2)
    here = f"workspaces/{one['id']}"
    files = lab_server.root / one["path"]
    assert files.is_dir()

    done = client.ok("POST", f"{here}/execute", {"code": "x = 41\nprint('out')\nopen('f', 'w').write('1')\nx + 1"})
    assert (done["status"], done["stdout"], done["result"]["text/plain"]) == ("ok", "out\n", "42")
    assert client.ok("GET", f"{here}/executions/{done['id']}") == done
    assert (files / "f").read_text() == "1"
    active = client.ok("GET", here)
    assert (active["state"], active["next"]["action"]) == ("active", "suspend")
    assert "idle" in active["next"]["reason"]

    frozen = client.ok("POST", f"{here}/suspend", {"execution": active["execution"]})
    assert (frozen["state"], frozen["frozen"], frozen["execution"]) == ("suspended", True, active["execution"])
    variables = client.ok("GET", f"{here}/variables")["variables"]
    assert ("x", "int", "41") in [(v["name"], v["type"], v["repr"]) for v in variables]
    assert client.ok("GET", here)["frozen"]
    resumed = client.ok("POST", f"{here}/resume")
    assert (resumed["level"], resumed["execution"]) == ("thawed", active["execution"])
    assert client.ok("POST", f"{here}/execute", {"code": "x"})["result"]["text/plain"] == "41"
    assert client.ok("GET", f"{here}/packages") == {"packages": []}

    stopped = client.ok("POST", f"{here}/suspend", {"stop": True})
    assert (stopped["state"], stopped["frozen"], stopped["execution"]) == ("suspended", False, "")
    status, error = client.refused("GET", f"{here}/variables")
    assert (status, error["code"]) == (409, "wrong_state")
    assert client.ok("POST", f"{here}/resume")["level"] == "restarted"
    back = client.ok("POST", f"{here}/execute", {"code": "x"})
    assert back["status"] == "ok"  # its variables were saved before it was stopped

    assert client.ok("POST", f"{here}/archive")["state"] == "archived"
    assert not files.exists()
    assert client.refused("POST", f"{here}/execute", {"code": "1"})[1]["code"] == "wrong_state"
    assert client.ok("POST", f"{here}/recover")["state"] == "suspended"
    assert (files / "f").read_text() == "1"

    status, error = client.refused("DELETE", here)
    assert (status, error["code"], error["field"]) == (409, "not_confirmed", "force")
    status, error = client.refused("DELETE", f"{here}?force=true&confirm=other")
    assert (status, error["field"]) == (409, "confirm")
    assert files.exists()
    answer = client.call("DELETE", f"{here}?force=true&confirm=läuft")
    assert (answer.status_code, answer.content) == (204, b"")
    assert client.refused("GET", here) == client.refused("GET", here)
    assert client.refused("GET", here)[0] == 404
    assert not files.exists()


def test_time_limit_and_other_requests(client: Client, made: str) -> None:
    """Code that takes too long is interrupted; meanwhile the server answers everybody else at once."""
    results: list[Any] = []
    body = {"code": "import time; time.sleep(60)", "timeout_seconds": 3}
    with client.events(f"workspaces/{made}/events") as events:
        thread = threading.Thread(target=lambda: results.append(client.ok("POST", f"workspaces/{made}/execute", body)))
        thread.start()
        events.until(event="change", verb="start")
        took = []
        while thread.is_alive():
            began = time.monotonic()
            client.ok("GET", f"workspaces/{made}")
            took.append(time.monotonic() - began)
            thread.join(0.05)
        seen = events.until(event="execution", type="ended")
    assert (results[0]["status"], results[0]["error"]["name"]) == ("timeout", "KeyboardInterrupt")
    assert [e["type"] for e in seen if e["event"] == "execution"][-3:] == ["interrupted", "error", "ended"]
    assert sorted(took)[len(took) // 2] < 1  # whoever waited for the code would have waited for three
    client.ok("POST", f"workspaces/{made}/archive")


def test_an_execution_that_is_meant_for_another_container(client: Client, made: str) -> None:
    """Verbs that end something are refused when the container they were decided on is another one by now."""
    here = f"workspaces/{made}"
    old = client.ok("POST", f"{here}/resume")["execution"]
    client.ok("POST", f"{here}/suspend", {"stop": True})
    new = client.ok("POST", f"{here}/resume")["execution"]
    assert old != new
    for refused in (
        client.refused("POST", f"{here}/suspend", {"execution": old}),
        client.refused("POST", f"{here}/suspend", {"execution": old, "stop": True}),
        client.refused("POST", f"{here}/archive", {"execution": old}),
        client.refused("DELETE", f"{here}?force=true&confirm={made}&execution={old}"),
    ):
        assert (refused[0], refused[1]["code"], refused[1]["retryable"]) == (409, "conflict", True)
    assert client.ok("GET", here)["execution"] == new
    client.ok("POST", f"{here}/archive", {"execution": new})


# -- records -----------------------------------------------------------------------------------------------------


def test_changes_name_the_version(client: Client, made: str) -> None:
    """A change is refused when somebody was faster, by `If-Match` (412) or by `version` (409)."""
    here = f"workspaces/{made}"
    tag = client.call("GET", here).headers["ETag"]
    answer = client.call("PATCH", here, {"labels": {"a": "b"}}, headers={"If-Match": tag})
    assert (answer.status_code, answer.json()["labels"]) == (200, {"a": "b"})
    assert answer.headers["ETag"] != tag
    status, error = client.refused("PATCH", here, {"labels": {}}, headers={"If-Match": tag})
    assert (status, error["code"]) == (412, "precondition_failed")
    version = answer.json()["version"]
    changed = client.ok("PATCH", here, {"policy": {"idle_seconds": None, "ttl_seconds": 60.5}, "version": version})
    assert (changed["policy"]["idle_seconds"], changed["policy"]["ttl_seconds"]) == (None, 60.5)
    assert changed["policy"]["ttl_ends_in_delete"] is True
    assert client.refused("PATCH", here, {"limits": {"cpus": 1.5}, "version": version})[0] == 409
    changed = client.ok("PATCH", here, {"limits": {"cpus": 1.5}})
    assert (changed["limits"]["cpus"], changed["limits"]["memory_bytes"]) == (1.5, 2 << 30)
    assert changed["labels"] == {"a": "b"}


def test_lists(client: Client) -> None:
    """Filters, order and pages: every one once, and only those that were asked for."""
    names = [f"list{number}" for number in range(5)]
    for number, name in enumerate(names):
        body = {"name": name, "type": ["session", "persistent"][number % 2], "labels": {"team": "ü", "n": str(number)}}
        client.ok("POST", "workspaces", body)

    def listed(query: str) -> list[str]:
        seen, after = [], ""
        while True:
            page = client.ok("GET", f"workspaces?label=team%3D%C3%BC&limit=2&{query}&after={after}")
            assert len(page["workspaces"]) <= 2
            seen += [row["name"] for row in page["workspaces"]]
            after = page["next"]
            if not after:
                return seen

    assert listed("") == names
    assert listed("sort=created&descending=true") == names[::-1]
    assert listed("type=session") == names[::2]
    assert listed("label=n%3D3") == ["list3"]
    assert listed("label=n&state=created&state=active&name=LIST") == names
    assert listed("state=archived") == []
    assert listed("older_than_seconds=3600") == []
    status, error = client.refused("GET", "workspaces?sort=name&after=nonsense")
    assert (status, error["field"]) == (400, "after")


def test_touch(client: Client, made: str) -> None:
    """What its policy does next is put off, and the answer says until when."""
    before = client.ok("GET", f"workspaces/{made}")["next"]
    after = client.ok("POST", f"workspaces/{made}/touch", {"seconds": 3 * 86400})
    assert after["next"]["at"] > before["at"]
    assert after["next"]["at"] == after["extended_until"]


def test_the_rest(client: Client) -> None:
    """Templates and what workspaces hold."""
    templates = {row["name"]: row for row in client.ok("GET", "templates")["templates"]}
    assert templates["python"]["is_default"] is True
    usage = client.ok("GET", "usage")
    assert usage["mine"] == usage["everybody"]
    assert usage["offered"]["memory_bytes"] >= usage["everybody"]["memory_bytes"]
    assert usage["quotas"]["workspaces_per_user"] is None
    running = {row["id"]: row for row in usage["running"]}
    default = running[client.ok("GET", "workspaces/default")["id"]]
    assert default["memory_bytes"] > 1 << 20
    assert default["cpu_seconds"] > 0
    assert client.ok("GET", "openapi.json")["servers"] == [{"url": "/syla/v1"}]


# -- refusals ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code", "field"),
    [
        ("POST", "workspaces", {"name": "../x"}, 400, "bad_input", "name"),
        ("POST", "workspaces", {"name": "default"}, 400, "bad_input", "name"),
        ("POST", "workspaces", {"name": "x", "colour": 1}, 400, "bad_input", "colour"),
        ("POST", "workspaces", {"name": "x", "template": "none"}, 400, "unknown_template", "template"),
        ("POST", "workspaces", {"name": "x", "labels": {"a\0": "b"}}, 400, "bad_input", "labels"),
        ("GET", "workspaces?limit=many", None, 400, "bad_input", "limit"),
        ("GET", "workspaces/none", None, 404, "unknown_workspace", "workspace"),
        ("GET", "workspaces/a%00b", None, 404, "unknown_workspace", "workspace"),
        ("GET", "workspaces/%FF", None, 400, "bad_request", None),
        ("GET", "workspaces/default/executions/none", None, 404, "not_found", None),
        ("POST", "workspaces/default/archive", {}, 409, "wrong_state", None),
        ("DELETE", "workspaces/default?force=true&confirm=default", None, 409, "wrong_state", None),
        ("POST", "workspaces/default/touch", {"seconds": -1}, 400, "bad_input", "seconds"),
        ("PUT", "workspaces", {}, 405, "method_not_allowed", None),
        ("GET", "nothing", None, 404, "not_found", None),
        ("GET", "workspaces/default/events", None, 426, "upgrade_required", None),
        ("GET", "workspaces/none/events", None, 404, "unknown_workspace", "workspace"),
        ("GET", "events?last=1", None, 400, "bad_input", "last"),
    ],
)
def test_what_is_refused(
    client: Client, method: str, path: str, body: Any, status: int, code: str, field: str | None
) -> None:
    """Each refusal has its status, its code, and names the field; none is the server's fault."""
    found, error = client.refused(method, path, body)
    assert (found, error["code"], error["field"]) == (status, code, field), error


def test_a_name_that_is_taken(client: Client, made: str) -> None:
    """The same name in other letters is the same name."""
    status, error = client.refused("POST", "workspaces", {"name": made.upper()})
    assert (status, error["code"], error["field"]) == (409, "name_taken", "name")


def test_bodies(client: Client, made: str) -> None:
    """Bodies are JSON that says so, and bounded, whether or not they say how long they are."""
    address = f"workspaces/{made}/touch"
    assert client.call("POST", address, data=b'{"seconds": 5}').status_code == 415
    headers = {"Content-Type": "application/json"}
    assert client.call("POST", address, data=b'{"seconds": 5}', headers=headers).status_code == 200
    assert client.call("POST", address, data=b"{", headers=headers).status_code == 400
    large = b" " * ((1 << 20) + 1)
    for data in (large, iter([large[:1000], large])):
        answer = client.call("POST", address, data=data, headers=headers)
        assert (answer.status_code, error_of(answer)["code"]) == (413, "too_large")


def test_below_our_prefix_all_is_json(lab_server: Lab) -> None:
    """Whoever asks for what is not there gets a JSON answer, logged in or not."""
    for path in ("/syla", "/syla/", "/syla/v2/x", "/syla/v1/workspaces/", "/syla/v1/a/b/c"):
        for method in ("GET", "POST", "DELETE"):
            answer = requests.request(method, f"http://127.0.0.1:{lab_server.port}{path}", timeout=10)
            assert (answer.status_code, error_of(answer)["code"]) == (404, "not_found")
    answer = requests.put(f"http://127.0.0.1:{lab_server.port}/syla/v1/workspaces/x", timeout=10)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, PATCH, DELETE")


# -- who may -----------------------------------------------------------------------------------------------------


def test_nobody_gets_in_without_a_login(client: Client, lab_server: Lab) -> None:
    """Every route but the one for health refuses who is not logged in, as JSON; health says nothing but `ok`."""
    document = client.ok("GET", "openapi.json")
    for path, rows in document["paths"].items():
        for method in rows:
            answer = requests.request(method, client.base + path.replace("{workspace}", "default"), timeout=10)
            if path == "/healthz":
                assert answer.json() == {"status": "ok"}
            else:
                assert (answer.status_code, error_of(answer)["code"]) == (403, "forbidden"), (method, path)
    for token in ("", "wrong"):
        with pytest.raises(websocket.WebSocketBadStatusException) as raised, client.events(token=token):
            pass
        assert raised.value.status_code == 403


def test_a_browser_sends_its_xsrf_token(lab_server: Lab) -> None:
    """Who is logged in by cookie changes nothing without the token that only pages of this server know."""
    base = f"http://127.0.0.1:{lab_server.port}"
    browser = requests.Session()
    browser.get(f"{base}/lab?token={TOKEN}", timeout=30).raise_for_status()
    browser.get(f"{base}/syla/v1/templates", headers={"Referer": base}, timeout=10).raise_for_status()
    address, body = f"{base}/syla/v1/workspaces", {"name": "by a browser"}
    large = {**body, "labels": {"a": "x" * 500_000}}
    assert [browser.post(address, json=sent, timeout=10).status_code for sent in (body, large)] == [403, 403]
    token = {"X-XSRFToken": browser.cookies["_xsrf"]}
    elsewhere = {**token, "Origin": "http://elsewhere.example"}
    assert browser.post(address, json=body, headers=elsewhere, timeout=10).status_code in (403, 404)
    assert browser.post(address, json=body, headers=token, timeout=10).status_code == 201


# -- events ------------------------------------------------------------------------------------------------------


def done(events: Events) -> dict[str, Any]:
    """The next event but of files, which code of a test before may have written, and of how far something is."""
    while (event := events.next())["event"] in ("files", "operation"):
        pass
    return event


def test_events(client: Client, made: str) -> None:
    """What happens is told in order, to each what he asked for, and again to who comes back with the last id he has."""
    with client.events() as all_of_them, client.events(f"workspaces/{made}/events") as of_one:
        other = client.ok("POST", "workspaces", {"name": "other events"})
        client.ok("PATCH", f"workspaces/{made}", {"labels": {}})
        created, changed = done(all_of_them), done(all_of_them)
        assert (created["verb"], created["workspace"]["id"], changed["verb"]) == ("create", other["id"], "change")
        assert of_one.next() == changed
        client.ok("POST", f"workspaces/{other['id']}/archive")
        client.ok("DELETE", f"workspaces/{other['id']}")
        saved, archived, deleted = done(all_of_them), done(all_of_them), done(all_of_them)
        assert (saved["event"], saved["snapshot"]["reason"]) == ("snapshot", "archive")
        assert [archived["verb"], deleted["verb"]] == ["archive", "delete"]
    with client.events(last_event_id=changed["id"]) as again:
        assert again.hello["reset"] is False
        assert [done(again), done(again), done(again)] == [saved, archived, deleted]
    with client.events(last_event_id="0-1") as anew:
        assert anew.hello == {"event": "hello", "id": deleted["id"], "reset": True}


def test_output_is_streamed(client: Client, lab_server: Lab, made: str) -> None:
    """Output of `execute` arrives while the code runs, before its answer."""
    code = (
        "import os, time\nprint(0, flush=True)\nwhile not os.path.exists('go'): time.sleep(0.01)\n"
        "for n in (1, 2): print(n, flush=True)"
    )
    results: list[Any] = []
    with client.events(f"workspaces/{made}/events") as events:
        thread = threading.Thread(
            target=lambda: results.append(client.ok("POST", f"workspaces/{made}/execute", {"code": code}))
        )
        thread.start()
        first = events.until(event="execution", type="stream")[-1]
        assert (first["text"], first["name"], results) == ("0\n", "stdout", [])
        (lab_server.root / "workspaces" / made / "go").touch()
        rest = events.until(event="execution", type="ended")
        thread.join()
    assert "".join(event.get("text") or "" for event in [first, *rest]) == results[0]["stdout"] == "0\n1\n2\n"
    assert {event["execution_id"] for event in rest if event["event"] == "execution"} == {results[0]["id"]}
    files_that_code_writes(client, made)
    client.ok("POST", f"workspaces/{made}/archive")


def files_that_code_writes(client: Client, made: str) -> None:
    """Named when it has run, without what is in them; of one that is removed its directory."""
    with client.events(f"workspaces/{made}/events") as events:
        for code, path in (
            ("open('out.csv', 'w').write('secret of the content')", f"workspaces/{made}/out.csv"),
            ("import os; os.remove('out.csv')", f"workspaces/{made}"),
        ):
            client.ok("POST", f"workspaces/{made}/execute", {"code": code})
            while path not in (told := events.until(event="files", action="write")[-1])["paths"]:
                pass
            assert (told["count"] >= 1, told["user"], "secret" in str(told)) == (True, "", False)
