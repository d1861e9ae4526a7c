# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every field of the job document, once.

The JSON Schema, the spelling rules, the canonical form, docs/reference/document.md and the
Ansible argument specs all read this table and hold no field list of their own.

``LEVELS`` maps the name of a level to its fields, in canonical order:

    job, job_schedule, missed, dst, blackout, job_action, freezer_action

``Field.fields`` names the level that a ``dict`` (or a list of ``dict``) holds.  ``type`` and
``elements`` speak Ansible's words (str, int, float, bool, list, dict, raw); ``form`` says what a
text has to be.  Fields with ``fact`` set are what a run leaves in a document: they are accepted
in one that was read from somewhere, never declared, so they are no module options.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from coldchain.storages import LOCAL, STORAGES

# form -> what a person has to write; also the vocabulary of docs/reference/document.md
FORMS = MappingProxyType(
    {
        "cron": 'a cron-like field: number, name, "*", range, list or step, as "1-6, 9-12"',
        "duration": 'a duration: seconds, or "30 minutes", "2 hours", "1 days"',
        "interval": '"continuous" or a duration',
        "instant": 'an ISO 8601 date and time as "2026-11-24T02:30:00", with or without offset',
        "clock": 'a time of day as "06:00"',
        "zone": 'an IANA time zone as "Europe/Berlin"',
        "path": "an absolute path",
        "rate": 'bytes a second: a number, or "512K", "10M", "1.5G" (K is 1024)',
        "name": "letters, digits and . _ - (at most 128, the first one no dot or dash)",
        "texts": "a text, or a list of texts",
    }
)


@dataclass(frozen=True)
class Field:
    """One field.

    default: what holds when the field is not given (for people; never written into a document);
    None when that is "not set".  choices: what may be declared; also: values accepted beside them
    in documents that come from elsewhere.  minimum, maximum: bounds of a number, included.
    old: older spellings, with underscores.
    ours: not a field of OpenStack Freezer.  since: version of the collection that brought it.
    """

    name: str
    type: str
    description: tuple[str, ...]
    form: str = ""
    elements: str = ""
    choices: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    default: object = None
    minimum: int | None = None
    maximum: int | None = None
    required: bool = False
    old: tuple[str, ...] = ()
    fields: str = ""
    fact: bool = False
    ours: bool = False
    since: str = "0.1.0"


_YEAR = 31_536_000  # seconds
_CENTURY = 36_500  # days
_LEVELS = 100_000


def _text(name: str, *description: str, **more: object) -> Field:
    return Field(name, "str", description, **more)  # type: ignore[arg-type]


def _switch(name: str, *description: str, **more: object) -> Field:
    return Field(name, "bool", description, **more)  # type: ignore[arg-type]


def _whole(name: str, *description: str, **more: object) -> Field:
    return Field(name, "int", description, **more)  # type: ignore[arg-type]


def _cron(name: str, description: str) -> Field:
    return Field(name, "str", (description,), form="cron")


JOB = (
    _text(
        "job_id",
        "Name of the job, unique on its host.",
        "Taken from O(description) or the first backup's name when it is missing.",
        form="name",
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
    _whole("session_tag", "Number of the session's run, as another system counted it."),
    Field(
        "action_defaults",
        "dict",
        ("Options for every action of the job that does not set them itself.",),
        fields="freezer_action",
    ),
    Field(
        "job_actions",
        "list",
        ("What the job does, in this order.",),
        elements="dict",
        required=True,
        old=("job_action",),
        fields="job_action",
    ),
    Field(
        "job_schedule",
        "dict",
        ("When the job runs.", "Without any time in it the job runs once, at once."),
        fields="job_schedule",
    ),
    _text(
        "lock",
        "Jobs with the same lock never run at the same time on a host.",
        form="name",
        ours=True,
    ),
    _text(
        "max_duration",
        "A run that takes longer is ended, and has failed.",
        form="duration",
        ours=True,
    ),
    _whole(
        "priority",
        "Of several jobs that wait for a free place the one with the highest number starts first.",
        default=0,
        minimum=-1_000_000,
        maximum=1_000_000,
        ours=True,
    ),
    _whole("_version", "Revision counter of Freezer's API; ignored.", fact=True),
)

JOB_SCHEDULE = (
    _text(
        "schedule_date",
        "Run once, at this instant.",
        form="instant",
    ),
    _text(
        "schedule_interval",
        "Run again and again at this distance; C(continuous) starts over as soon as a run ends.",
        form="interval",
    ),
    _cron("schedule_year", "Years (four digits) in which the job runs."),
    _cron("schedule_month", "Months, 1-12 or jan-dec."),
    _cron("schedule_day", "Days of the month, 1-31, C(last), or as C(2nd mon), C(last fri)."),
    _cron("schedule_week", "Weeks of the year after ISO 8601, 1-53."),
    _cron("schedule_day_of_week", "Days of the week, mon-sun or 0-6; 0 is Monday."),
    _cron("schedule_hour", "Hours, 0-23."),
    _cron("schedule_minute", "Minutes, 0-59."),
    _cron("schedule_second", "Seconds, 0-59."),
    _text("schedule_start_date", "No run before this instant.", form="instant"),
    _text("schedule_end_date", "No run after this instant.", form="instant"),
    _text(
        "schedule_timezone",
        "Zone of every date and time in the schedule.",
        "The zone of the host when it is not given.",
        form="zone",
        ours=True,
    ),
    _text(
        "schedule_splay",
        "Delay every run by a part of this time, chosen once for each host and job.",
        form="duration",
        ours=True,
    ),
    Field(
        "missed",
        "dict",
        ("What happens with runs that were due while the host or its runner was down.",),
        fields="missed",
        ours=True,
    ),
    Field(
        "dst",
        "dict",
        ("What happens with a time of day that a clock change leaves out or repeats.",),
        fields="dst",
        ours=True,
    ),
    Field(
        "blackout",
        "list",
        ("Windows in which the job does not start.",),
        elements="dict",
        fields="blackout",
        ours=True,
    ),
    _text(
        "status",
        "C(stop) keeps the job without running it; C(scheduled) lets it run.",
        choices=("scheduled", "stop"),
        also=("", "completed", "running", "aborting", "removed"),
        default="scheduled",
    ),
    _text(
        "event",
        "A request that a document from elsewhere still carries.",
        choices=("", "start", "stop", "abort", "remove"),
        fact=True,
    ),
    _text(
        "result",
        "Result of the last run.",
        choices=("", "success", "fail", "aborted"),
        fact=True,
    ),
    _whole("time_created", "When the job was made, in seconds since 1970.", fact=True),
    _whole("time_started", "When its last run started, in seconds since 1970.", fact=True),
    _whole("time_ended", "When its last run ended, in seconds since 1970.", fact=True),
    _text("schedule_time", "Instant for which the last run was scheduled.", fact=True),
    _whole("current_pid", "Process of a run in progress.", fact=True),
)

MISSED = (
    _text(
        "run",
        "C(once): make up for the newest one; C(all): for each of them; C(skip): for none.",
        choices=("skip", "once", "all"),
        default="once",
        ours=True,
    ),
    _text(
        "max_age",
        "Older ones are not made up for.",
        form="duration",
        default="1 hours",
        ours=True,
    ),
    _text(
        "not_after",
        "Time of day after which nothing is made up for.",
        form="clock",
        ours=True,
    ),
)

DST = (
    _text(
        "gap",
        "A time that does not exist: C(next) runs at the first instant after the gap, C(shift)"
        " as much later as the clock moved, C(skip) not at all.",
        choices=("next", "skip", "shift"),
        default="next",
        ours=True,
    ),
    _text(
        "overlap",
        "A time that comes twice: run at the first, the second, or both.",
        choices=("first", "second", "both"),
        default="first",
        ours=True,
    ),
)

BLACKOUT = (
    _text("start", "Begin of the window.", form="clock", required=True, ours=True),
    _text(
        "end",
        "End of the window; one that is not after the begin lies on the next day.",
        form="clock",
        required=True,
        ours=True,
    ),
    _text(
        "day_of_week",
        "Days on which the window begins, as C(mon-fri); every day when not given.",
        form="cron",
        ours=True,
    ),
    _text(
        "timezone",
        "Zone of the window; that of the schedule when not given.",
        form="zone",
        ours=True,
    ),
)

JOB_ACTION = (
    Field(
        "freezer_action",
        "dict",
        ("The action and its options.",),
        required=True,
        fields="freezer_action",
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
        old=("max_retry_interval",),
    ),
    _text(
        "timeout",
        "An attempt that takes longer is ended, and has failed.",
        form="duration",
        ours=True,
    ),
    Field(
        "retry_backoff",
        "float",
        ("Factor by which the time before the next attempt grows with each one.",),
        default=1,
        minimum=1,
        maximum=1000,
        ours=True,
    ),
    _whole(
        "retry_jitter",
        "Up to so many seconds, at random, are added before each further attempt.",
        default=0,
        minimum=0,
        maximum=_YEAR,
        ours=True,
    ),
    _text("exit_status", "Result of the action's last run.", fact=True),
    _text("action_id", "Number of the action in Freezer's API.", fact=True),
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
    _text("mode", "What is backed up: files (C(fs)).", choices=("fs",), default="fs"),
    _text(
        "engine_name",
        "How it is backed up: GNU tar, in freezer-agent's own layout.",
        choices=("tar",),
        default="tar",
        old=("engine",),
    ),
    _text(
        "storage",
        "Where it is kept: on this host's disk (C(local)); all others need the program rclone.",
        "C(rclone) is any remote of an C(rclone.conf).",
        choices=tuple(STORAGES),
        default=LOCAL,
    ),
    _text(
        "path_to_backup",
        "File or directory to back up.",
        form="path",
        old=("src_file",),
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
        form="path",
    ),
    _text(
        "ssh_known_hosts",
        "File with the keys of SSH servers; one that it does not name is refused.",
        "What ssh itself reads, C(~/.ssh/known_hosts) and C(/etc/ssh/ssh_known_hosts), when it is"
        " not given.",
        form="path",
        ours=True,
    ),
    _text("ftp_host", "Name or address of the FTP server."),
    _whole("ftp_port", "Its port.", default=21, minimum=1, maximum=65_535),
    _text("ftp_username", "User on the FTP server."),
    _text("ftp_certfile", "Certificate to show to an FTPS server that wants one.", form="path"),
    _text("ftp_keyfile", "Private key of that certificate.", form="path"),
    _text("endpoint", "URL of the S3 service."),
    _text("access_key", "Name of the key for S3; its secret half is a credential."),
    _text(
        "ca_cert",
        "File with the certificate authorities to trust instead of the system's.",
        form="path",
        ours=True,
    ),
    _text(
        "rclone_config",
        "The C(rclone.conf) with the remote.",
        "rclone's own default, that of the user who runs the runner, when it is not given.",
        form="path",
        ours=True,
    ),
    _text(
        "credentials_file",
        "File of mode 0600 with lines NAME=VALUE for the storage: C(SSH_PASSWORD), C(FTP_PASSWORD),"
        " C(ACCESS_KEY), C(SECRET_KEY), or the variables of an openrc.",
        "A name without a slash is one of C(runner_credentials) of role C(runner), or a systemd"
        " credential of the runner's unit.",
        "The runner's environment is asked for what the file does not hold.",
        ours=True,
    ),
    _text(
        "hostname",
        "Host part of the backup's name; to restore what another host has written, its name.",
        "The host's own name when it is not given.",
        old=("restore_from_host",),
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
        old=("max_backup_level",),
    ),
    _whole(
        "always_level",
        "After this level every backup has this level again.",
        minimum=0,
        maximum=_LEVELS,
        old=("always_backup_level",),
    ),
    Field(
        "restart_always_level",
        "float",
        ("Start a new chain when the full backup that began it is older than so many days.",),
        minimum=0,
        maximum=_CENTURY,
        old=("restart_always_backup",),
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
        ("Pattern of paths to leave out, or a list of them.",),
        form="texts",
    ),
    _text(
        "dereference_symlink",
        "Follow links: symbolic ones (C(soft)), hard ones (C(hard)) or both (C(all)).",
        choices=("soft", "hard", "all"),
    ),
    _text("encrypt_pass_file", "File with the password for encryption.", form="path"),
    _text(
        "encrypt_scheme",
        "C(freezer) is what freezer-agent can read, C(strong) derives a better key and has a seal.",
        "That of the chain when it is not given, and C(strong) for a new one.",
        choices=("freezer", "strong"),
        ours=True,
    ),
    _switch("overwrite", "Restore into a directory that is not empty.", default=False),
    _text(
        "upload_limit",
        "Write at most so many bytes a second to the container.",
        "C(-1) and C(0) mean no limit.",
        form="rate",
    ),
    _text(
        "download_limit",
        "Read at most so many bytes a second from the container.",
        "C(-1) and C(0) mean no limit.",
        form="rate",
    ),
    _switch("sync", "Write the file system's buffers out before a backup.", default=True),
    _switch("dry_run", "Do everything but write.", default=False),
    _switch(
        "max_priority",
        "Run with the highest priority for CPU and disk.",
        default=False,
        old=("max_cpu_priority",),
    ),
    _text("log_file", "File that the action's messages are appended to as well.", form="path"),
    _switch(
        "consistency_check",
        "Report a checksum of the files with a backup, and compare it after a restore.",
        default=False,
    ),
    _text("consistency_checksum", "Checksum that the restored files must have."),
    _text("restore_abs_path", "Directory to restore into.", form="path"),
    _text(
        "restore_from_date",
        "Restore what was there at this instant.",
        "The newest backup when it is not given.",
        form="instant",
    ),
    Field(
        "restore_paths",
        "list",
        ("Restore only these paths of the backup.", "All of them when not given."),
        elements="str",
        ours=True,
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
        old=("remove_older_then",),
    ),
    _text(
        "remove_before_date",
        "Remove chains whose newest backup is from before this instant.",
        "As O(remove_older_than) otherwise.",
        form="instant",
        old=("remove_from_date",),
    ),
    _switch(
        "force",
        "Remove even the last chain that can be restored.",
        default=False,
        ours=True,
    ),
    _text(
        "on_read_error",
        "Whether a file that cannot be read fails the backup or is only reported.",
        choices=("fail", "warn"),
        default="warn",
        ours=True,
    ),
    Field(
        "command",
        "raw",
        (
            "Command for C(exec): a list of arguments, or a text that is split like a shell does.",
            "No shell takes part unless O(shell) says so.",
        ),
        form="texts",
    ),
    Field(
        "environment",
        "dict",
        ("Variables that the command gets in addition.",),
        ours=True,
    ),
    _text("working_directory", "Directory to run the command in.", form="path", ours=True),
    _text("user", "User to run the command as, with its HOME, USER, LOGNAME and SHELL.", ours=True),
    _switch("shell", "Give the command to C(/bin/sh -c).", default=False, ours=True),
)

LEVELS = MappingProxyType(
    {
        "job": JOB,
        "job_schedule": JOB_SCHEDULE,
        "missed": MISSED,
        "dst": DST,
        "blackout": BLACKOUT,
        "job_action": JOB_ACTION,
        "freezer_action": FREEZER_ACTION,
    }
)

CRON_FIELDS = tuple(field.name for field in JOB_SCHEDULE if field.form == "cron")

# Options of freezer-agent without an effect in these modes: left out with a warning.
_WITHOUT_EFFECT = """
quiet insecure proxy config temp_resource_prefix os_trust_id user_credentials
max_segment_size rsync_block_size timeout priority
"""
WITHOUT_EFFECT = frozenset(_WITHOUT_EFFECT.split())

# Options of freezer-agent that would change what happens, and that nothing here implements.
_UNSUPPORTED = """
snapshot lvm_srcvol lvm_volgroup lvm_snapname lvm_snapperm lvm_snap_perm lvm_snapsize lvm_dirmount
metadata_out project_id mysql_conf sql_server_conf
cinder_vol_id cinder_vol_name cinderbrick_vol_id cindernative_vol_id cindernative_backup_id
cindernative_backup_az cindernative_backup_container cindernative_freezer_only fullbackup_rotation
nova_inst_id nova_inst_name nova_restore_network
glance_image_id glance_image_name glance_image_name_filter
"""
UNSUPPORTED = frozenset(_UNSUPPORTED.split())
