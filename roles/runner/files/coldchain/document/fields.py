# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every field of the job document, once.

The JSON Schema, the spelling rules, the canonical form, docs/reference/document.md and the
Ansible argument specs all read this table and hold no field list of their own.

``LEVELS`` maps the name of a level to its fields, in canonical order:

    job, guard, job_schedule, missed, dst, blackout, notify, job_action, freezer_action

``Field.nested`` names the level that a ``dict`` (or a list of ``dict``) holds.  ``type`` and
``elements`` speak Ansible's words (str, int, float, bool, list, dict, raw); ``format`` says what a
text has to be.  Fields that are ``read_only`` are what a run leaves in a document: they are taken
in one that was read from somewhere, never declared, so they are no module options.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from coldchain.core.names import NAME_FORM
from coldchain.document.vocabulary import Vocabulary

# format -> what a person has to write; also the vocabulary of docs/reference/document.md
FORMATS = MappingProxyType(
    {
        "cron": 'a cron-like field: number, name, "*", range, list or step, as "1-6, 9-12"',
        "duration": 'a duration: seconds, or "30 minutes", "2 hours", "1 days"',
        "interval": '"continuous" or a duration',
        "instant": 'an ISO 8601 date and time as "2026-11-24T02:30:00", with or without offset',
        "clock": 'a time of day as "06:00"',
        "zone": 'an IANA time zone as "Europe/Berlin"',
        "path": "an absolute path",
        "rate": 'bytes a second: a number, or "512K", "10M", "1.5G" (K is 1024)',
        "name": NAME_FORM,
        "texts": "a text, or a list of texts",
        "url": "a URL that begins with https:// or http://",
    }
)


class Field(NamedTuple):
    """One field.

    default: what holds when the field is not given (for people; never written into a document);
    None when that is "not set".  choices: what may be declared; names: of which kind
    they are where a vocabulary has them; accepts: values taken beside them in documents that come
    from elsewhere.  minimum, maximum: bounds of a number, included.
    aliases: older spellings, with underscores.
    extension: not a field of OpenStack Freezer.  since: version of the collection that brought it.
    """

    name: str
    type: str
    description: tuple[str, ...]
    format: str = ""
    elements: str = ""
    choices: tuple[str, ...] = ()
    names: str = ""
    accepts: tuple[str, ...] = ()
    default: object = None
    minimum: int | None = None
    maximum: int | None = None
    required: bool = False
    aliases: tuple[str, ...] = ()
    nested: str = ""
    read_only: bool = False
    extension: bool = False
    since: str = "0.1.0"


_YEAR = 31_536_000  # seconds
_CENTURY = 36_500  # days
_LEVELS = 100_000


def _text(name: str, *description: str, **more: Any) -> Field:
    return Field(name, "str", description, **more)


def _switch(name: str, *description: str, **more: Any) -> Field:
    return Field(name, "bool", description, **more)


def _whole(name: str, *description: str, **more: Any) -> Field:
    return Field(name, "int", description, **more)


def _cron(name: str, description: str) -> Field:
    return Field(name, "str", (description,), format="cron")


JOB = (
    _text(
        "job_id",
        "Name of the job, unique on its host.",
        "Taken from O(description) or the first backup's name when it is missing.",
        "An action alone needs one to be declared.",
        format="name",
        required=True,
    ),
    _text(
        "client_id",
        "The host that the job is for.",
        "A document for another host is refused; Freezer's form C(PROJECT_HOST) is understood.",
    ),
    _text("user_id", "Owner of the job in OpenStack; kept, not used."),
    _text("project_id", "Project of the job in OpenStack; kept, not used."),
    _text("description", "What the job is for, in words."),
    _text("session_id", "Jobs of several hosts with one session belong together."),
    _text("session_name", "Name of the session, for people."),
    _whole(
        "session_tag", "Number of the session's run, as another system counted it.", read_only=True
    ),
    Field(
        "action_defaults",
        "dict",
        ("Options for every action of the job that does not set them itself.",),
        nested="freezer_action",
    ),
    Field(
        "job_actions",
        "list",
        ("What the job does, in this order.",),
        elements="dict",
        required=True,
        aliases=("job_action",),
        nested="job_action",
    ),
    Field(
        "job_schedule",
        "dict",
        ("When the job runs.", "Without any time in it the job runs once, at once."),
        nested="job_schedule",
    ),
    _text(
        "lock",
        "Jobs with the same lock never run at the same time on a host.",
        format="name",
        extension=True,
    ),
    _text(
        "slot",
        "A window of time that jobs of many hosts share, of which only some shall run at once.",
        "The role C(coldchain.freezer.jobs) gives each of them its place in it, by what"
        " C(coldchain_slots) says of the window.",
        format="name",
        extension=True,
    ),
    _text(
        "max_duration",
        "A run that takes longer is ended, and has failed.",
        format="duration",
        extension=True,
    ),
    _text(
        "expect_success_within",
        "A job whose last success is older than this is stale, which C(coldchain status) tells.",
        "The longest gap of its schedule, its longest run and ten minutes when it is not given; a"
        " job that runs once expects nothing then.",
        format="duration",
        extension=True,
    ),
    Field(
        "guard",
        "dict",
        (
            "How runs are compared with those before.",
            "What is unusual is told in C(coldchain status).",
        ),
        nested="guard",
        extension=True,
    ),
    _whole(
        "priority",
        "Of several jobs that wait for a free place the one with the highest number starts first.",
        default=0,
        minimum=-1_000_000,
        maximum=1_000_000,
        extension=True,
    ),
    Field(
        "notify",
        "list",
        (
            "Who is told of the job's runs, beside those who are told of all jobs of the host.",
            "Only what came of a run after its last attempt is told.",
        ),
        elements="dict",
        nested="notify",
        extension=True,
    ),
    _whole("_version", "Revision counter of Freezer's API; ignored.", read_only=True),
)

GUARD = (
    _switch("enabled", "Whether anything is compared.", default=True, extension=True),
    _switch("short", "Tell of a run that ended far too soon.", default=True, extension=True),
    _switch("long", "Tell of a run that took far too long.", default=True, extension=True),
    _switch(
        "shrank", "Tell of a source with far fewer bytes than before.", default=True, extension=True
    ),
    _switch(
        "grew", "Tell of a source with far more bytes than before.", default=True, extension=True
    ),
    _switch(
        "halved",
        "Tell of a source of which half of the files are gone.",
        default=True,
        extension=True,
    ),
    _switch(
        "changed",
        "Tell of an increment for which most files have changed.",
        default=True,
        extension=True,
    ),
    _switch(
        "incompressible",
        "Tell of a source that can no longer be compressed.",
        default=True,
        extension=True,
    ),
    _switch("often", "Tell of a job that runs far too often.", default=True, extension=True),
)

JOB_SCHEDULE = (
    _text(
        "schedule_date",
        "Run once, at this instant.",
        format="instant",
    ),
    _text(
        "schedule_interval",
        "Run again and again at this distance; C(continuous) starts over as soon as a run ends.",
        format="interval",
    ),
    _cron("schedule_year", "Years (four digits) in which the job runs."),
    _cron("schedule_month", "Months, 1-12 or jan-dec."),
    _cron("schedule_day", "Days of the month, 1-31, C(last), or as C(2nd mon), C(last fri)."),
    _cron("schedule_week", "Weeks of the year after ISO 8601, 1-53."),
    _cron("schedule_day_of_week", "Days of the week, mon-sun or 0-6; 0 is Monday."),
    _cron("schedule_hour", "Hours, 0-23."),
    _cron("schedule_minute", "Minutes, 0-59."),
    _cron("schedule_second", "Seconds, 0-59."),
    _switch(
        "schedule_boot",
        "Run once after each boot of the host, as soon as its runner is at work.",
        "A schedule of its own, like cron's @reboot.",
        extension=True,
    ),
    _text("schedule_start_date", "No run before this instant.", format="instant"),
    _text("schedule_end_date", "No run after this instant.", format="instant"),
    _text(
        "schedule_timezone",
        "Zone of every date and time in the schedule.",
        "The zone of the host when it is not given.",
        format="zone",
        extension=True,
    ),
    _text(
        "schedule_splay",
        "Delay every run by a part of this time, chosen once for each host and job.",
        format="duration",
        extension=True,
    ),
    _text(
        "schedule_offset",
        "The part of O(schedule_splay) that every run is delayed by, instead of one that follows"
        " from the names of host and job.",
        "The role C(coldchain.freezer.jobs) writes it for a job with a C(slot).",
        format="duration",
        extension=True,
    ),
    Field(
        "missed",
        "dict",
        ("What happens with runs that were due while the host or its runner was down.",),
        nested="missed",
        extension=True,
    ),
    Field(
        "dst",
        "dict",
        ("What happens with a time of day that a clock change leaves out or repeats.",),
        nested="dst",
        extension=True,
    ),
    Field(
        "blackout",
        "list",
        ("Windows in which the job does not start.",),
        elements="dict",
        nested="blackout",
        extension=True,
    ),
    _text(
        "status",
        "C(stop) keeps the job without running it; C(scheduled) lets it run.",
        choices=("scheduled", "stop"),
        accepts=("", "completed", "running", "aborting", "aborted", "removed"),
        default="scheduled",
    ),
    _text(
        "event",
        "A request that a document from elsewhere still carries.",
        choices=("", "start", "stop", "abort", "remove"),
        read_only=True,
    ),
    _text(
        "result",
        "Result of the last run.",
        choices=("", "success", "fail", "aborted"),
        read_only=True,
    ),
    _whole("time_created", "When the job was made, in seconds since 1970.", read_only=True),
    _whole("time_started", "When its last run started, in seconds since 1970.", read_only=True),
    _whole("time_ended", "When its last run ended, in seconds since 1970.", read_only=True),
    _text("schedule_time", "Instant for which the last run was scheduled.", read_only=True),
    _whole("current_pid", "Process of a run in progress.", read_only=True),
)

MISSED = (
    _text(
        "run",
        "C(once): make up for the newest one; C(all): for each of them; C(skip): for none.",
        choices=("skip", "once", "all"),
        default="once",
        extension=True,
    ),
    _text(
        "max_age",
        "Older ones are not made up for.",
        format="duration",
        default="1 hours",
        extension=True,
    ),
    _text(
        "not_after",
        "Time of day after which nothing is made up for.",
        format="clock",
        extension=True,
    ),
)

DST = (
    _text(
        "gap",
        "A time that does not exist: C(next) runs at the first instant after the gap, C(shift)"
        " as much later as the clock moved, C(skip) not at all.",
        choices=("next", "skip", "shift"),
        default="next",
        extension=True,
    ),
    _text(
        "overlap",
        "A time that comes twice: run at the first, the second, or both.",
        choices=("first", "second", "both"),
        default="first",
        extension=True,
    ),
)

BLACKOUT = (
    _text("start", "Begin of the window.", format="clock", required=True, extension=True),
    _text(
        "end",
        "End of the window; one that is not after the begin lies on the next day.",
        format="clock",
        required=True,
        extension=True,
    ),
    _text(
        "day_of_week",
        "Days on which the window begins, as C(mon-fri); every day when not given.",
        format="cron",
        extension=True,
    ),
    _text(
        "timezone",
        "Zone of the window; that of the schedule when not given.",
        format="zone",
        extension=True,
    ),
)

NOTIFY = (
    _text(
        "type",
        "How they are told: pings in the way of C(healthchecks), JSON or a text of your own to a"
        " C(webhook), a push message through C(ntfy), a C(mail), or a C(command).",
        names="notifiers",
        required=True,
        extension=True,
    ),
    Field(
        "tell",
        "list",
        (
            "Of what: a run's C(start), C(success), C(failure); C(recovery) after a failure.",
            "C(silence): no success in the time in which one is expected; C(finding) of the guard.",
            "When not set: C(failure), C(recovery), C(silence).",
            "For C(healthchecks): C(start), C(success), C(failure).",
        ),
        elements="str",
        choices=("start", "success", "failure", "recovery", "silence", "finding"),
        aliases=("on", "true", "True"),  # what people write, and what YAML 1.1 makes of it
        extension=True,
    ),
    _text(
        "url",
        "Where to (C(healthchecks), C(webhook), C(ntfy)).",
        "Whoever knows it can often use it: then it belongs into O(credentials_file) as C(URL)."
        " What follows the host in it is never shown.",
        format="url",
        extension=True,
    ),
    Field("to", "raw", ("Who gets the C(mail).",), format="texts", extension=True),
    Field(
        "command",
        "raw",
        (
            "What C(command) runs: a list of arguments, or a text of words and quotes.",
            "It gets the message as JSON on its standard input, and credentials as variables.",
        ),
        format="texts",
        extension=True,
    ),
    _text(
        "credentials_file",
        "File of mode 0600 with lines NAME=VALUE: C(URL), C(TOKEN), C(USERNAME), C(PASSWORD);"
        " for C(command) any variables.",
        "A name without a slash is one of C(coldchain_credentials) of role C(runner), or a systemd"
        " credential of the runner's unit.",
        extension=True,
    ),
    Field(
        "headers",
        "dict",
        ("Headers that a C(webhook) gets in addition; none of them secret.",),
        extension=True,
    ),
    _text(
        "template",
        "What a C(webhook) gets instead of the message: a text with C($title), C($text), C($kind),"
        " C($host), C($job_id), C($run_id), C($time), C($result), C($log).",
        "Values are escaped when it begins as JSON does.",
        extension=True,
    ),
    _text(
        "sender", "Sender of the C(mail); C(coldchain) at this host when not given.", extension=True
    ),
    _text(
        "smtp_host",
        "SMTP server for the C(mail); the host's own C(sendmail) when it is not given.",
        extension=True,
    ),
    _whole(
        "smtp_port",
        "Its port; 587, with C(tls) 465, with C(none) 25 when it is not given.",
        minimum=1,
        maximum=65_535,
        extension=True,
    ),
    _text(
        "smtp_tls",
        "How it is reached: C(none) is for a server on this host, and takes no password.",
        choices=("starttls", "tls", "none"),
        default="starttls",
        extension=True,
    ),
    _text(
        "ca_cert",
        "File with the certificate authorities to trust instead of the system's.",
        format="path",
        extension=True,
    ),
    _switch(
        "send_log",
        "Send the end of the run's log, too.",
        default=False,
        extension=True,
    ),
)

JOB_ACTION = (
    Field(
        "freezer_action",
        "dict",
        ("The action and its options.",),
        required=True,
        nested="freezer_action",
    ),
    _switch(
        "mandatory",
        "Run this action even though an earlier one has failed.",
        default=False,
    ),
    _whole(
        "max_retries", "Further attempts after a failure.", default=0, minimum=0, maximum=10_000
    ),
    _whole(
        "max_retries_interval",
        "Seconds before the next attempt.",
        default=60,
        minimum=0,
        maximum=_YEAR,
        aliases=("max_retry_interval",),
    ),
    _text(
        "timeout",
        "An attempt that takes longer is ended, and has failed.",
        format="duration",
        extension=True,
    ),
    Field(
        "retry_backoff",
        "float",
        ("Factor by which the time before the next attempt grows with each one.",),
        default=1,
        minimum=1,
        maximum=1000,
        extension=True,
    ),
    _whole(
        "retry_jitter",
        "Up to so many seconds, at random, are added before each further attempt.",
        default=0,
        minimum=0,
        maximum=_YEAR,
        extension=True,
    ),
    _text("exit_status", "Result of the action's last run.", read_only=True),
)

FREEZER_ACTION = (
    _text(
        "action",
        "What to do.",
        "C(backup) and C(restore) a path, print C(info) about backups, remove old ones"
        " (C(admin)), or run a command (C(exec)).",
        choices=("backup", "restore", "info", "admin", "exec"),
        default="backup",
    ),
    _text("mode", "What is backed up: files (C(fs)).", names="modes", default="fs"),
    _text(
        "engine_name",
        "How it is backed up: GNU tar, in freezer-agent's own layout.",
        names="engines",
        default="tar",
        aliases=("engine",),
    ),
    _text(
        "storage",
        "Where it is kept: on this host's disk (C(local)); all others need the program rclone.",
        "C(rclone) is any remote of an C(rclone.conf).",
        names="storages",
        default="local",
    ),
    _text(
        "path_to_backup",
        "File or directory to back up.",
        format="path",
        aliases=("src_file",),
    ),
    _text("backup_name", "Name of the backup within the container."),
    _text(
        "container",
        "What holds the backups: a directory (C(local), C(ssh), C(ftp), C(ftps)), C(bucket) or"
        " C(bucket/prefix) (C(s3)), a container (C(swift)), C(remote:path) (C(rclone)).",
        "A relative directory lies under the host's directory for containers, on a server under the"
        " one where its user arrives.",
    ),
    _text("ssh_host", "Name or address of the SSH server."),
    _whole("ssh_port", "Its port.", default=22, minimum=1, maximum=65_535),
    _text("ssh_username", "User on the SSH server."),
    _text(
        "ssh_key",
        "File with the private key, without a passphrase.",
        "C(~/.ssh/id_rsa) when it is not given.",
        format="path",
    ),
    _text(
        "ssh_known_hosts",
        "File with the keys of SSH servers; one that it does not name is refused.",
        "What ssh itself reads, C(~/.ssh/known_hosts) and C(/etc/ssh/ssh_known_hosts), when it is"
        " not given.",
        format="path",
        extension=True,
    ),
    _text("ftp_host", "Name or address of the FTP server."),
    _whole("ftp_port", "Its port.", default=21, minimum=1, maximum=65_535),
    _text("ftp_username", "User on the FTP server."),
    _text("ftp_certfile", "Certificate to show to an FTPS server that wants one.", format="path"),
    _text("ftp_keyfile", "Private key of that certificate.", format="path"),
    _text("endpoint", "URL of the S3 service."),
    _text("access_key", "Name of the key for S3; its secret half is a credential."),
    _text(
        "ca_cert",
        "File with the certificate authorities to trust instead of the system's.",
        format="path",
        extension=True,
    ),
    _text(
        "rclone_config",
        "The C(rclone.conf) with the remote.",
        "rclone's own default, that of the user who runs the runner, when it is not given.",
        format="path",
        extension=True,
    ),
    _text(
        "credentials_file",
        "File of mode 0600 with lines NAME=VALUE for the storage: C(SSH_PASSWORD), C(FTP_PASSWORD),"
        " C(ACCESS_KEY), C(SECRET_KEY), or the variables of an openrc.",
        "A name without a slash is one of C(coldchain_credentials) of role C(runner), or a systemd"
        " credential of the runner's unit.",
        "The runner's environment is asked for what the file does not hold.",
        extension=True,
    ),
    _text(
        "hostname",
        "Host part of the backup's name; to restore what another host has written, its name.",
        "The host's own name when it is not given.",
        aliases=("restore_from_host",),
    ),
    _switch(
        "incremental",
        "Continue the chain with what has changed since the last backup.",
        "True as soon as a level option is given, and else false.",
    ),
    _whole(
        "max_level",
        "Highest level; the backup after it starts a new chain.",
        minimum=0,
        maximum=_LEVELS,
        aliases=("max_backup_level",),
    ),
    _whole(
        "always_level",
        "After this level every backup has this level again.",
        minimum=0,
        maximum=_LEVELS,
        aliases=("always_backup_level",),
    ),
    Field(
        "restart_always_level",
        "float",
        ("Start a new chain when the full backup that began it is older than so many days.",),
        minimum=0,
        maximum=_CENTURY,
        aliases=("restart_always_backup",),
    ),
    _text(
        "compression",
        "How the archive is compressed.",
        choices=("gzip", "bzip2", "xz", "zstd"),
        default="gzip",
    ),
    Field(
        "exclude",
        "raw",
        (
            "Pattern of paths to leave out, or a list of them.",
            (
                "A backslash takes the next character as it is, as tar reads such patterns; in"
                " O(restore_paths) it begins the escape of a byte."
            ),
        ),
        format="texts",
    ),
    _text(
        "dereference_symlink",
        "Follow links: symbolic ones (C(soft)), hard ones (C(hard)) or both (C(all)).",
        choices=("soft", "hard", "all"),
    ),
    _text("encrypt_pass_file", "File with the password for encryption.", format="path"),
    _text(
        "encrypt_scheme",
        "C(freezer) is what freezer-agent can read, C(strong) derives a better key and has a seal.",
        "C(strong) when it is not given. A restore refuses levels of any other kind.",
        choices=("freezer", "strong"),
        extension=True,
    ),
    _switch(
        "accept_unsealed",
        "Restore levels without a seal with those of C(strong); nobody can tell who wrote them.",
        default=False,
        extension=True,
    ),
    _switch("overwrite", "Restore into a directory that is not empty.", default=False),
    _switch(
        "trust_target",
        "Let root restore to a place although other users could change the way to it.",
        default=False,
        extension=True,
    ),
    _switch(
        "numeric_owner",
        "Give files to the user and group numbers that they had, not to those of the same names.",
        "For a rescue system, which has other names for the same numbers.",
        default=False,
        extension=True,
    ),
    _text(
        "upload_limit",
        "Write at most so many bytes a second to the container.",
        "C(-1) and C(0) mean no limit.",
        format="rate",
    ),
    _text(
        "download_limit",
        "Read at most so many bytes a second from the container.",
        "C(-1) and C(0) mean no limit.",
        format="rate",
    ),
    _switch("sync", "Write the file system's buffers out before a backup.", default=True),
    _switch("dry_run", "Do everything but write.", default=False),
    _switch(
        "max_priority",
        "Run with the highest priority for CPU and disk.",
        default=False,
        aliases=("max_cpu_priority",),
    ),
    _text("log_file", "File that the action's messages are appended to as well.", format="path"),
    _switch(
        "consistency_check",
        "Report a checksum of the files with a backup, and compare it after a restore.",
        default=False,
    ),
    _text("consistency_checksum", "Checksum that the restored files must have."),
    _text("restore_abs_path", "Directory to restore into.", format="path"),
    _text(
        "restore_from_date",
        "Restore what was there at this instant.",
        "The newest backup when it is not given.",
        format="instant",
    ),
    Field(
        "restore_paths",
        "list",
        ("Restore only these paths of the backup.", "All of them when not given."),
        elements="str",
        extension=True,
    ),
    Field(
        "remove_older_than",
        "float",
        (
            "Remove chains whose newest backup is older than so many days.",
            "With C(admin), or after a backup or a restore that succeeded.",
            "Never the last chain that can be restored, and never the one just restored from.",
        ),
        minimum=0,
        maximum=_CENTURY,
        aliases=("remove_older_then",),
    ),
    _text(
        "remove_before_date",
        "Remove chains whose newest backup is from before this instant.",
        "As O(remove_older_than) otherwise.",
        format="instant",
        aliases=("remove_from_date",),
    ),
    _switch(
        "remove_ahead",
        "Remove chains with a backup that is dated later than now.",
        "One that ran while the clock was ahead never grows old otherwise.",
        default=False,
        extension=True,
    ),
    _switch(
        "force",
        "Remove even the last chain that can be restored.",
        default=False,
        extension=True,
    ),
    _text(
        "on_read_error",
        "Whether a file that cannot be read fails the backup or is only reported.",
        choices=("fail", "warn"),
        default="warn",
        extension=True,
    ),
    Field(
        "command",
        "raw",
        (
            "Command for C(exec): a list of arguments, or a text of words, quotes and pipes.",
            "All programs of C(mysqldump db | gzip) run; one that fails lets the action fail.",
            "No shell takes part unless O(shell) says so: any other sign of a shell is refused.",
        ),
        format="texts",
    ),
    Field(
        "environment",
        "dict",
        ("Variables that the command gets in addition.",),
        extension=True,
    ),
    _text("working_directory", "Directory to run the command in.", format="path", extension=True),
    _text(
        "user",
        "User to run the command as, with its HOME, USER, LOGNAME and SHELL.",
        extension=True,
    ),
    _switch("shell", "Give the command to C(/bin/sh -c).", default=False, extension=True),
)

LEVELS = MappingProxyType(
    {
        "job": JOB,
        "job_schedule": JOB_SCHEDULE,
        "guard": GUARD,
        "missed": MISSED,
        "dst": DST,
        "blackout": BLACKOUT,
        "notify": NOTIFY,
        "job_action": JOB_ACTION,
        "freezer_action": FREEZER_ACTION,
    }
)

_PLACES = {
    level: {field.name: (place, field) for place, field in enumerate(fields)}
    for level, fields in LEVELS.items()
}

CRON_FIELDS = tuple(field.name for field in JOB_SCHEDULE if field.format == "cron")


def fields_of(value: Mapping[str, Any], level: str) -> list[Field]:
    """The fields of *level* that *value* has, in canonical order."""
    # A level has up to fifty of them, and an object mostly five.
    places = _PLACES[level]
    return [field for _place, field in sorted(places[name] for name in value if name in places)]


def choices_of(field: Field, vocabulary: Vocabulary) -> tuple[str, ...]:
    """What may be declared in *field*: its own choices, or the names in the vocabulary."""
    return vocabulary.choices(field.names) if field.names else field.choices
