# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of freezer-agent that are no fields here, and what becomes of each.

freezer-agent registers about 110 options, 35 of them for its log, and Horizon's forms, the API and
the scheduler write many of them into every document.  One that says nothing (null, empty, false,
or Freezer's own default) is dropped in silence; one that changes nothing here is dropped with a
warning; one that would change what happens is refused, by name and with what to do instead.
"""

from __future__ import annotations

from types import MappingProxyType

# Identity in Freezer's database; the API puts it into every action.
_IDENTITY = ("project_id", "user_id", "action_id", "_version")
IDENTITY = frozenset(_IDENTITY)

_WITHOUT_EFFECT = """
quiet insecure proxy config temp_resource_prefix os_trust_id user_credentials version
max_segment_size rsync_block_size timeout priority os_identity_api_version os_auth_ver
log_level lock_path result time_elapsed report_date
"""
# Those of oslo.log, which every program of OpenStack has.
_OF_THE_LOG = """
config_source shell_completion debug verbose log_config_append log_date_format log_dir use_syslog
use_journal syslog_log_facility use_json use_stderr log_color log_rotate_interval
log_rotate_interval_type max_logfile_count max_logfile_size_mb log_rotation_type
logging_context_format_string logging_default_format_string logging_debug_format_suffix
logging_exception_prefix logging_user_identity_format default_log_levels publish_errors
instance_format instance_uuid_format rate_limit_interval rate_limit_burst rate_limit_except_level
"""
OF_THE_LOG = frozenset(_OF_THE_LOG.split())
WITHOUT_EFFECT = frozenset(_WITHOUT_EFFECT.split()) | OF_THE_LOG

# What nothing here implements, and what to do instead.
_SNAPSHOT = "snapshots are not taken here: make one in an exec action before, and back up its path"
_DATABASE = "dump the database in an exec action before the backup, and back up the dump"
_CLOUD = "leave jobs of OpenStack's own resources with freezer-agent"
_WINDOWS = "hosts are Linux here"
_REMEDIES = {
    _SNAPSHOT: """
        snapshot lvm_srcvol lvm_volgroup lvm_snapname lvm_snapperm lvm_snap_perm lvm_snapsize
        lvm_dirmount lvm_auto_snap
    """,
    _DATABASE: "mysql_conf sql_server_conf",
    _CLOUD: """
        cinder_vol_id cinder_vol_name cinderbrick_vol_id cindernative_vol_id
        cindernative_backup_id cindernative_backup_az cindernative_backup_container
        cindernative_freezer_only fullbackup_rotation nova_inst_id nova_inst_name
        nova_restore_network glance_image_id glance_image_name glance_image_name_filter backup_id
    """,
    _WINDOWS: "shadow shadow_path volume windows_volume",
    "what a backup was is in its own directory, and in coldchain backups": "metadata_out",
    'write "encrypt_pass_file" for the file with the password': "encryption_password",
    'write "restore_abs_path", and "restore_paths" for single files': "get_object dst_file",
}
REMEDIES = MappingProxyType(
    {name: remedy for remedy, names in _REMEDIES.items() for name in names.split()}
)
UNSUPPORTED = frozenset(REMEDIES)

# Options whose value is a secret.
SECRETS = frozenset({"ssh_password", "ftp_password", "secret_key"})

# Freezer's defaults, as text, of options that are no fields here, and of fields whose default here
# is another or is not in the field table.
DEFAULTS = MappingProxyType(
    {
        "max_segment_size": "33554432",
        "rsync_block_size": "4096",
        "timeout": "120",
        "temp_resource_prefix": "freezer_",
        "os_identity_api_version": "3",
        "os_auth_ver": "3",
        "log_level": "info",
        "lvm_snapperm": "ro",
        "lvm_snap_perm": "ro",
        "lvm_snapsize": "1G",
        "cindernative_backup_container": "$container",
        "cindernative_freezer_only": "true",
        "fullbackup_rotation": "1",
        "ssh_port": "22",
        "ssh_key": "~/.ssh/id_rsa",
        "ftp_port": "21",
    }
)


def says_nothing(name: str, value: object) -> bool:
    """Whether freezer-agent would do the same without the option *name* (with underscores)."""
    if name in OF_THE_LOG or value is None or value is False or value in ("", -1, "-1"):
        return True
    if isinstance(value, (dict, list)):
        return not value
    text = str(value).strip().lower()
    if name == "ssh_key":
        return text.endswith("/.ssh/id_rsa")
    return text in ("false", "none", DEFAULTS.get(name, "").lower())
