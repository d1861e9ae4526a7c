# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each notifier against receivers of its kind: they take it, refuse, redirect, lie, hang."""

from __future__ import annotations

import base64
import email
import email.policy
import json
import os
import re
import socket
import ssl
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import waiting
from receivers import Answer, Receiver, Request, certificate, receiver
from smtp_server import Mailbox, smtp_server

from coldchain.execution.background import Background
from coldchain.observe import delivery
from coldchain.observe.delivery import Courier, DeliveryAttempt
from coldchain.observe.notifiers import base, http, mail, program
from coldchain.observe.outbox import FAILED, SENT, Outbox

MESSAGE = {
    "id": "run-1-failure",
    "kind": "failure",
    "host": "web1",
    "job_id": "www",
    "run_id": "run-1",
    "time": "2026-11-27T02:30:00+00:00",
    "title": 'web1: job "wẃw" failed',
    "text": "two\nlines",
    "result": "fail",
    "exit_code": 3,
}
RID = str(uuid.uuid5(uuid.NAMESPACE_URL, "coldchain:run:run-1"))


@pytest.fixture
def courier(tmp_path: Path) -> Courier:
    (tmp_path / "run-1.log").write_text("the log\n")
    environment = {"COLDCHAIN_CREDENTIALS_DIRECTORY": str(tmp_path)}
    box = Outbox(tmp_path / "x")
    return Courier(box, environment, lambda job, run: tmp_path / f"{run}.log", Background.watched)


def secrets(folder: Path, *lines: str) -> str:
    path = folder / "secrets"
    path.write_text("\n".join(lines))
    path.chmod(0o600)
    return "secrets"


def told(courier: Courier, entry: dict[str, Any], **changes: Any) -> DeliveryAttempt:
    return courier.attempt({"target": entry, "message": {**MESSAGE, **changes}})


# -- Healthchecks: the protocol as https://healthchecks.io/docs/http_api/ tells it


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"kind": "start"}, "/start"),
        ({"kind": "success", "exit_code": None}, ""),
        ({"kind": "recovery", "exit_code": None}, ""),
        ({"kind": "failure"}, "/3"),
        ({"kind": "failure", "exit_code": None}, "/fail"),
        ({"kind": "failure", "exit_code": 256}, "/fail"),
        ({"kind": "failure", "exit_code": -9}, "/fail"),
        ({"kind": "silence", "run_id": None}, "/fail"),
        ({"kind": "finding"}, "/log"),
        ({"kind": "failure", "test": True}, "/log"),
    ],
)
def test_healthchecks_gets_the_signal_of_a_run(
    courier: Courier, server: Receiver, changes: dict[str, Any], path: str
) -> None:
    entry = {"type": "healthchecks", "url": f"{server.url}/ping/5ec/"}
    assert told(courier, entry, **changes).result == SENT
    [request] = server.requests
    rid = f"?rid={RID}" if changes.get("run_id", 1) else ""
    assert (request.method, request.path) == ("POST", f"/ping/5ec{path}{rid}")
    assert request.body == (b"" if changes["kind"] == "start" else b"two\nlines")


def test_healthchecks_gets_the_log_only_when_asked(courier: Courier, server: Receiver) -> None:
    entry = {"type": "healthchecks", "url": server.url, "send_log": True}
    told(courier, entry)
    assert server.requests[0].body.endswith(b"two\nlines\n\nthe log\n")


def test_the_url_of_healthchecks_is_a_credential(
    courier: Courier, server: Receiver, tmp_path: Path
) -> None:
    name = secrets(tmp_path, f"URL={server.url}/ping/s3cret?create=1")
    server.answers = lambda request: Answer(404, body=f"not found: {request.path}".encode())
    attempt = told(courier, {"type": "healthchecks", "credentials_file": name})
    assert server.requests[0].path == f"/ping/s3cret/3?create=1&rid={RID}"
    assert attempt.result == FAILED and attempt.refused
    assert attempt.detail.startswith("HTTP 404: not found")


# -- webhook


def test_a_webhook_gets_the_message_as_json(
    courier: Courier, server: Receiver, tmp_path: Path
) -> None:
    name = secrets(tmp_path, "# of the chat", "export TOKEN='s3cret'")
    entry = {"type": "webhook", "url": f"{server.url}/x", "credentials_file": name}
    entry["headers"] = {"X-Team": "ops"}
    assert told(courier, entry) == DeliveryAttempt(SENT, "200")
    [request] = server.requests
    assert json.loads(request.body) == MESSAGE
    assert request.headers["Authorization"] == "Bearer s3cret"
    assert request.headers["Idempotency-Key"] == MESSAGE["id"]
    assert request.headers["X-Team"] == "ops"


def test_a_template_makes_json_of_any_text(courier: Courier, server: Receiver) -> None:
    template = '{"text": "$title: $text", "cost": "$$5", "code": "$exit_code"}'
    told(courier, {"type": "webhook", "url": server.url, "template": template})
    body = json.loads(server.requests[0].body)
    assert body == {
        "text": f"{MESSAGE['title']}: {MESSAGE['text']}",
        "cost": "$5",
        "code": "3",
    }
    told(courier, {"type": "webhook", "url": server.url, "template": "$kind of $job_id, $unknown"})
    assert server.requests[1].body == b"failure of www, $unknown"
    assert server.requests[1].headers["Content-Type"].startswith("text/plain")


# -- ntfy: the protocol as https://docs.ntfy.sh/publish/ tells it


def test_ntfy_gets_a_push_message(courier: Courier, server: Receiver, tmp_path: Path) -> None:
    name = secrets(tmp_path, "USERNAME=phil", "PASSWORD=mypass")
    entry = {"type": "ntfy", "url": f"{server.url}/backups", "credentials_file": name}
    assert told(courier, entry, text="x" * 5000 + "ü").result == SENT
    [request] = server.requests
    assert (request.method, request.path) == ("POST", "/backups")
    assert len(request.body) == 4096
    assert request.headers["Authorization"] == "Basic cGhpbDpteXBhc3M="
    assert request.headers["Priority"] == "4" and request.headers["Tags"] == "rotating_light"
    title = re.fullmatch(r"=\?UTF-8\?B\?(.*)\?=", request.headers["Title"])
    assert title and base64.b64decode(title[1]).decode() == MESSAGE["title"]
    told(courier, entry, title="plain", kind="recovery")
    assert server.requests[1].headers["Title"] == "plain"
    assert server.requests[1].headers["Priority"] == "3"


# -- servers that do not behave


def test_a_redirect_to_another_server_never_gets_the_secrets(
    courier: Courier, server: Receiver, tmp_path: Path
) -> None:
    name = secrets(tmp_path, "TOKEN=s3cret")
    with receiver() as other:
        for status in (301, 302, 303, 307, 308):
            server.answers = lambda request, status=status: Answer(
                status, (("Location", f"{other.url}/taken"),)
            )
            entry = {"type": "webhook", "url": server.url, "credentials_file": name}
            attempt = told(courier, entry)
            assert attempt.refused and "another server" in attempt.detail
            assert other.url not in attempt.detail
        assert other.requests == []


def test_a_redirect_on_the_same_server_is_followed_with_all_of_the_message(
    courier: Courier, server: Receiver
) -> None:
    def answer(request: Request) -> Answer:
        ready = request.path == "/new"
        return Answer() if ready else Answer(308, (("Location", "/new"),))

    server.answers = answer
    assert told(courier, {"type": "webhook", "url": f"{server.url}/old"}).result == SENT
    assert [request.path for request in server.requests] == ["/old", "/new"]
    assert server.requests[0].body == server.requests[1].body
    server.answers = lambda request: Answer(308, (("Location", "/new"),))
    assert "without end" in told(courier, {"type": "webhook", "url": server.url}).detail
    server.answers = lambda request: Answer(302, (("Location", "/new"),))
    assert "write that URL" in told(courier, {"type": "webhook", "url": server.url}).detail


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_port_that_a_scheme_has_may_be_written_or_not(
    courier: Courier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    """In the URL or in a redirect; each other port is another server's."""
    own, context = certificate(tmp_path) if scheme == "https" else (None, None)
    port, real = {"http": 80, "https": 443}[scheme], socket.create_connection
    entry = {"type": "webhook", "ca_cert": str(own or "")}
    with receiver(context) as server:
        there = ("127.0.0.1", int(server.url.rpartition(":")[2]))

        def to_the_receiver(address: tuple[str, int], *more: Any, **how: Any) -> socket.socket:
            assert address == ("127.0.0.1", port)
            return real(there, *more, **how)

        monkeypatch.setattr(socket, "create_connection", to_the_receiver)
        short, long = f"{scheme}://127.0.0.1", f"{scheme}://127.0.0.1:{port}"
        for before, after in ((short, long), (long, short)):
            server.answers = lambda request, after=after: (
                Answer() if request.path == "/new" else Answer(308, (("Location", f"{after}/new"),))
            )
            assert told(courier, {**entry, "url": f"{before}/old"}).result == SENT
        for other in (port - 1, port + 1):
            away = ("Location", f"{scheme}://127.0.0.1:{other}/new")
            server.answers = lambda request, away=away: Answer(308, (away,))
            attempt = told(courier, {**entry, "url": f"{short}/old"})
            assert attempt.refused and "another server" in attempt.detail
        assert [it.path for it in server.requests] == ["/old", "/new"] * 2 + ["/old"] * 2


@pytest.mark.parametrize(
    ("status", "refused"), [(400, True), (403, True), (408, False), (429, False), (503, False)]
)
def test_what_is_refused_is_told_from_what_may_come_later(
    courier: Courier, server: Receiver, status: int, refused: bool
) -> None:
    server.answers = lambda request: Answer(status, body=b"no \x1b[31mway")
    attempt = told(courier, {"type": "ntfy", "url": server.url})
    assert attempt.result == FAILED and attempt.refused is refused
    assert attempt.detail == f"HTTP {status}: no \\x1b[31mway"


def test_a_certificate_that_lies_is_not_trusted(courier: Courier, tmp_path: Path) -> None:
    right, context = certificate(tmp_path)
    other, lying = certificate(tmp_path, "other.example")
    with receiver(context) as server, receiver(lying) as liar:
        known = {"type": "webhook", "url": server.url, "ca_cert": str(right)}
        assert told(courier, known).result == SENT
        for url, authority in ((server.url, ""), (server.url, str(other)), (liar.url, str(other))):
            attempt = told(courier, {"type": "webhook", "url": url, "ca_cert": authority})
            assert "its certificate is not trusted" in attempt.detail
        assert len(server.requests) == 1 and not liar.requests
    missing = told(courier, {**known, "ca_cert": str(tmp_path / "none")})
    assert "ca_cert" in missing.detail and "No such file" in missing.detail


def test_a_server_that_hangs_keeps_nobody_for_ever(
    courier: Courier, server: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answers = lambda request: Answer(hang=True)
    monkeypatch.setattr(http, "TIMEOUT", 0.1)
    attempt = told(courier, {"type": "webhook", "url": server.url})
    assert attempt == DeliveryAttempt(FAILED, "no answer within 0.1 s")
    monkeypatch.setattr(http, "TIMEOUT", 60)
    monkeypatch.setattr(delivery, "DEADLINE", 0.1)
    attempt = told(courier, {"type": "webhook", "url": server.url})
    assert attempt == DeliveryAttempt(FAILED, "not done within 0.1 s")
    server.closing.set()


def test_no_trouble_repeats_a_secret(courier: Courier, server: Receiver, tmp_path: Path) -> None:
    name = secrets(tmp_path, "TOKEN=s3cret", f"URL={server.url}/t0pic")
    server.answers = lambda request: Answer(
        500, body=f"{request.path} {request.headers['Authorization']}".encode()
    )
    attempt = told(courier, {"type": "ntfy", "credentials_file": name})
    assert "s3cret" not in attempt.detail and "t0pic" not in attempt.detail
    (tmp_path / "secrets").chmod(0o644)
    attempt = told(courier, {"type": "ntfy", "credentials_file": name})
    assert "others can get at it (mode 0644)" in attempt.detail
    (tmp_path / "secrets").chmod(0o600)
    (tmp_path / "secrets").write_text("TOKNE=s3cret\n")
    attempt = told(courier, {"type": "ntfy", "url": server.url, "credentials_file": name})
    assert "TOKNE is unknown here (did you mean TOKEN?)" in attempt.detail
    assert (
        "no credential 'none'" in told(courier, {"type": "ntfy", "credentials_file": "none"}).detail
    )


# -- mail


@pytest.fixture
def smtp(tmp_path: Path) -> Iterator[tuple[Mailbox, dict[str, Any]]]:
    """A server that insists on STARTTLS and a login, and the entry for it."""
    own, context = certificate(tmp_path)
    entry = {"type": "mail", "to": ["a@example.org", "b@example.org"], "ca_cert": str(own)}
    with smtp_server(context) as (box, port):
        yield box, {**entry, "smtp_host": "127.0.0.1", "smtp_port": port}


def test_a_mail_goes_over_tls_with_a_login(
    courier: Courier, smtp: tuple[Mailbox, dict[str, Any]], tmp_path: Path
) -> None:
    box, entry = smtp
    name = secrets(tmp_path, "USERNAME=coldchain", "PASSWORD=s3cret")
    entry = {**entry, "credentials_file": name, "sender": "backup@example.org", "send_log": True}
    assert told(courier, entry) == DeliveryAttempt(SENT, "taken by the server")
    assert box.logins == [(b"coldchain", b"s3cret")]
    [(recipients, raw)] = box.mails
    message = email.message_from_string(raw, policy=email.policy.default)
    assert recipients == entry["to"]
    assert message["Subject"] == MESSAGE["title"]
    assert message["Message-ID"] == "<run-1-failure@web1>"
    assert message["From"] == "backup@example.org"
    assert message.get_content().replace("\r", "") == "two\nlines\n\nthe log\n"


def test_a_mail_that_cannot_go_says_why(
    courier: Courier, smtp: tuple[Mailbox, dict[str, Any]], tmp_path: Path
) -> None:
    box, entry = smtp
    name = secrets(tmp_path, "USERNAME=coldchain", "PASSWORD=wr0ng")
    refused = told(courier, {**entry, "credentials_file": name})
    assert refused.detail.startswith("SMTP 535") and "wr0ng" not in refused.detail
    untrusted = told(courier, {**entry, "ca_cert": ""})
    assert "certificate is not trusted" in untrusted.detail
    plain = told(courier, {**entry, "smtp_tls": "none", "credentials_file": name})
    assert "a password goes over TLS only" in plain.detail
    secrets(tmp_path, "USERNAME=coldchain", "PASSWORD=s3cret")
    box.refuse = "b@example.org"
    half = told(courier, {**entry, "credentials_file": name})
    assert half == DeliveryAttempt(SENT, "taken for 1 of 2")
    nobody = told(courier, {**entry, "to": "b@example.org", "credentials_file": name})
    assert nobody == DeliveryAttempt(FAILED, "SMTP 550: no such user", refused=True)
    hostile = told(courier, {**entry, "to": ["a@b\nBcc: x@y"], "credentials_file": name})
    assert hostile.refused and "no address" in hostile.detail
    assert [recipients for recipients, _raw in box.mails] == [["a@example.org"]]


@pytest.mark.parametrize("goodbye", ["421 too many", "250 OK", "500 what?"])
def test_a_mail_that_was_taken_is_sent_whatever_the_server_says_to_goodbye(
    courier: Courier, smtp: tuple[Mailbox, dict[str, Any]], tmp_path: Path, goodbye: str
) -> None:
    box, entry = smtp
    box.goodbye = goodbye
    name = secrets(tmp_path, "USERNAME=coldchain", "PASSWORD=s3cret")
    entry = {**entry, "credentials_file": name}
    assert told(courier, entry) == DeliveryAttempt(SENT, "taken by the server")
    box.refuse = "b@example.org"
    refused = told(courier, {**entry, "to": "b@example.org"})
    assert refused == DeliveryAttempt(FAILED, "SMTP 550: no such user", refused=True)


def test_without_a_server_the_hosts_own_sendmail_takes_the_mail(
    courier: Courier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "bin" / "sendmail"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/words\ncat > {tmp_path}/mail\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    entry = {"type": "mail", "to": "root"}
    assert told(courier, entry, title="a\nBcc: x@y") == DeliveryAttempt(SENT, "taken by sendmail")
    assert (tmp_path / "words").read_text() == "-i -- root\n"
    message = email.message_from_string((tmp_path / "mail").read_text())
    assert message["Bcc"] is None and "Bcc" in message["Subject"]
    program.write_text("#!/bin/sh\necho queue is full; exit 75\n")
    assert told(courier, entry).detail == "sendmail ended with 75: queue is full"
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(mail, "_SENDMAIL", ())
    assert "install one, or write smtp_host" in told(courier, entry).detail


# -- command


def test_a_command_gets_the_message_and_its_secrets_but_not_in_its_words(
    courier: Courier, tmp_path: Path
) -> None:
    name = secrets(tmp_path, "CHAT_TOKEN=s3cret")
    script = "cat > got; env > env; tr '\\0' ' ' < /proc/$$/cmdline > argv"
    script = f"cd {tmp_path}; {script}"
    entry = {"type": "command", "command": ["sh", "-c", script], "credentials_file": name}
    assert told(courier, entry) == DeliveryAttempt(SENT, "exit code 0")
    assert json.loads((tmp_path / "got").read_text()) == MESSAGE
    variables = (tmp_path / "env").read_text()
    assert "CHAT_TOKEN=s3cret\n" in variables and "COLDCHAIN_KIND=failure\n" in variables
    assert f"COLDCHAIN_TITLE={MESSAGE['title']}\n" in variables
    assert "s3cret" not in (tmp_path / "argv").read_text()


def test_a_command_that_fails_or_leaves_something_behind(
    courier: Courier, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt = told(courier, {"type": "command", "command": "sh -c 'echo no way; exit 3'"})
    assert attempt == DeliveryAttempt(FAILED, "sh ended with 3: no way")
    missing = told(courier, {"type": "command", "command": ["no-such-program"]})
    assert "there is no program 'no-such-program'" in missing.detail
    behind = ["sh", "-c", "sleep 0.5 & exit 0"]
    assert told(courier, {"type": "command", "command": behind}).result == SENT
    deaf = ["true"]  # which reads nothing
    assert told(courier, {"type": "command", "command": deaf}, text="x" * 200_000).result == SENT
    monkeypatch.setattr(program, "LONGEST", 0.1)
    with waiting.at_most():
        attempt = told(courier, {"type": "command", "command": ["sh", "-c", "sleep 60"]})
    assert attempt.detail == "sh took longer than 0.1 s"


def test_a_program_that_cannot_be_started_is_named_with_the_reason(
    courier: Courier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("sendmail", "pager"):
        (tmp_path / name).write_bytes(b"\x7fELF, of another machine")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    for entry in ({"type": "mail", "to": "root"}, {"type": "command", "command": ["pager", "me"]}):
        name = "sendmail" if entry["type"] == "mail" else "pager"
        assert told(courier, entry) == DeliveryAttempt(FAILED, f"{name}: Exec format error")


def test_a_command_that_says_something_for_ever_does_not_fill_the_disk(courier: Courier) -> None:
    much = 50_000_000
    waits = f"until [ $(stat -Lc %s /proc/$$/fd/2) -lt {much} ]; do sleep 0.05; done"
    words = ["sh", "-c", f"head -c {much} /dev/zero; {waits}; echo the end; exit 3"]
    with waiting.at_most():
        attempt = told(courier, {"type": "command", "command": words})
    assert attempt.detail.startswith("sh ended with 3: ") and attempt.detail.endswith("the end")


LEAVES = {
    "in its group": "sleep 600 & echo $! >>{pids}",
    "in another session": "setsid sh -c 'echo $$ >>{pids}; exec sleep 600' &",
    "without its environment": "env -i setsid sh -c 'echo $$ >>{pids}; exec sleep 600' &",
    "an orphan": "(setsid sh -c 'echo $$ >>{pids}; exec sleep 600' &)",
}


@pytest.mark.parametrize("how", LEAVES)
@pytest.mark.parametrize("end", ["exec sleep 600", "exit 3"])
@pytest.mark.parametrize("kind", ["command", "sendmail"])
def test_nothing_stays_of_an_attempt_that_failed(
    courier: Courier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, end: str, kind: str
) -> None:
    """However the program has left it in the background: the next attempt would leave more."""
    pids, script = tmp_path / "pids", tmp_path / "sendmail"
    began = f"until [ -s {pids} ]; do sleep 0.02; done; touch {pids}.all"
    script.write_text(f"#!/bin/sh\n{LEAVES[how].format(pids=pids)}\n{began}\n{end}\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    slow = end.endswith("600")
    monkeypatch.setattr(program, "LONGEST", 1.0 if slow else 600.0)
    entry = {"type": "mail", "to": "a@b"} if kind == "sendmail" else {"type": "command"}
    with waiting.at_most():
        attempt = told(courier, {**entry, "command": [str(script)]})
    assert attempt.result == FAILED, attempt
    assert slow or (tmp_path / "pids.all").exists(), "the program has ended before"
    for pid in pids.read_text().split() if pids.exists() else ():
        waiting.until(lambda pid=pid: waiting.gone(int(pid)))


def test_commands_are_off_where_actions_that_run_commands_are(tmp_path: Path) -> None:
    box, watched = Outbox(tmp_path), Background.watched
    courier = Courier(box, {}, lambda job, run: tmp_path, watched, allow_commands=False)
    attempt = told(courier, {"type": "command", "command": ["touch", str(tmp_path / "x")]})
    assert "allow_exec" in attempt.detail and not (tmp_path / "x").exists()


def test_a_server_may_keep_what_it_says_short() -> None:
    assert base.TIMEOUT < delivery.DEADLINE < 60
    assert ssl.create_default_context().verify_mode == ssl.CERT_REQUIRED
