# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Storages behind rclone: SSH, S3, Swift, FTP and any remote of an rclone.conf."""
