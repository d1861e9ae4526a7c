# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A mail, through an SMTP server with TLS or through the host's own sendmail."""

from __future__ import annotations

import contextlib
import email.message
import email.policy
import email.utils
import os
import shutil
import smtplib
import socket
import ssl
from collections.abc import Iterator

from coldchain.core.text import printable
from coldchain.observe.notifiers.base import TIMEOUT, Task, Undelivered
from coldchain.observe.notifiers.program import run

_PORTS = {"starttls": 587, "tls": 465, "none": 25}
_SENDMAIL = ("/usr/sbin/sendmail", "/usr/lib/sendmail")


def send(task: Task) -> str:
    """Hand the mail over; what took it."""
    to = task.entry["to"]
    recipients = [to] if isinstance(to, str) else list(to)
    mail = _mail(task, recipients)
    host = str(task.entry.get("smtp_host") or "")
    return _by_smtp(task, host, mail, recipients) if host else _by_sendmail(task, mail, recipients)


def _mail(task: Task, recipients: list[str]) -> email.message.EmailMessage:
    message = task.message
    mail = email.message.EmailMessage(email.policy.SMTP)
    try:
        mail["From"] = str(task.entry.get("sender") or f"coldchain@{socket.getfqdn()}")
        mail["To"] = ", ".join(recipients)
        mail["Subject"] = printable(str(message["title"]))
    except (ValueError, IndexError) as error:
        raise Undelivered(f"sender or to is no address: {error}", refused=True) from None
    mail["Date"] = email.utils.formatdate(localtime=True)
    # The same for each attempt: a mail that comes twice is known by it.
    mail["Message-ID"] = f"<{message['id']}@{_domain(str(message['host']))}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Coldchain-Kind"] = str(message["kind"])
    mail.set_content(task.body)
    return mail


def _domain(host: str) -> str:
    return "".join(sign if sign.isalnum() or sign in ".-" else "-" for sign in host) or "localhost"


def _by_smtp(task: Task, host: str, mail: email.message.EmailMessage, recipients: list[str]) -> str:
    tls = str(task.entry.get("smtp_tls") or "starttls")
    port = int(task.entry.get("smtp_port") or _PORTS[tls])
    user, password = task.credentials.get("USERNAME"), task.credentials.get("PASSWORD", "")
    if user and tls == "none":
        raise Undelivered("smtp_tls is none: a password goes over TLS only", refused=True)
    try:
        context = ssl.create_default_context(cafile=task.text("ca_cert") or None)
        if tls == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(host, port, timeout=TIMEOUT, context=context)
        else:
            server = smtplib.SMTP(host, port, timeout=TIMEOUT)
        with _goodbye(server):
            if tls == "starttls":
                server.starttls(context=context)
            if user:
                server.login(user, password)
            refused = server.send_message(mail, to_addrs=recipients)
    except smtplib.SMTPNotSupportedError as error:
        raise Undelivered(printable(str(error)), refused=True) from None
    except smtplib.SMTPRecipientsRefused as error:
        raise _refusal(*next(iter(error.recipients.values()))) from None
    except smtplib.SMTPResponseException as error:
        raise _refusal(error.smtp_code, error.smtp_error) from None
    except ssl.SSLCertVerificationError as error:
        raise Undelivered(f"its certificate is not trusted: {error.verify_message}") from None
    except (OSError, smtplib.SMTPException, ValueError) as error:
        text = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise Undelivered(printable(str(text))[:200]) from None
    taken = len(recipients) - len(refused)
    return "taken by the server" if not refused else f"taken for {taken} of {len(recipients)}"


@contextlib.contextmanager
def _goodbye(server: smtplib.SMTP) -> Iterator[None]:
    """End the session after the block; what the server has to say to that changes nothing: it has
    taken the mail, or has said why not."""
    try:
        yield
    finally:
        with contextlib.suppress(OSError, smtplib.SMTPException, ValueError):
            server.quit()
        server.close()


def _refusal(code: int, answer: object) -> Undelivered:
    text = answer.decode("utf-8", "replace") if isinstance(answer, bytes) else str(answer)
    text = printable(" ".join(text.split()))[:200]
    return Undelivered(f"SMTP {code}: {text}", refused=500 <= code < 600)


def _by_sendmail(task: Task, mail: email.message.EmailMessage, recipients: list[str]) -> str:
    program = shutil.which("sendmail") or next(filter(os.path.exists, _SENDMAIL), None)
    if program is None:
        raise Undelivered("there is no sendmail here: install one, or write smtp_host")
    raw = mail.as_bytes(policy=email.policy.SMTP.clone(linesep="\n"))
    run(task.watched, [program, "-i", "--", *recipients], raw, os.environ, "sendmail")
    return "taken by sendmail"
