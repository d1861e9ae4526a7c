#!/bin/sh
# SPDX-FileCopyrightText: 2026 coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# probe.sh PROGRAM COMMAND PYTHON UNIT SETTINGS CONTAINERS: what the role must know about a host, as key=value lines.
# One look instead of a dozen tasks, and no gathered facts.  Changes nothing.
program=$1 command=$2 wanted=$3 unit=$4 settings=$5 containers=$6

# What the runner imports that a stripped python3 (Debian's python3-minimal) may lack.
check='
import sys
if sys.version_info < (3, 9): sys.exit(1)
import bz2, json, logging, lzma, selectors, subprocess, zlib, zoneinfo
print("tag=" + sys.implementation.cache_tag)'
python='' tag='' seen=''
for name in ${wanted:-/usr/bin/python3 python3.14 python3.13 python3.12 python3.11 python3.10 python3.9}; do
  path=$(command -v "$name") || continue
  seen="$seen $path ($("$path" -V 2>&1))"
  tag=$("$path" -I -c "$check" 2>/dev/null)
  case $tag in tag=?*)
    python=$path
    break
    ;;
  esac
done
echo "python=$python"
echo "${tag:-tag=}"
echo "seen=${seen# }"

case $(tar --version 2>/dev/null) in
  *'GNU tar'*) echo tar=gnu ;;
  '') echo tar= ;;
  *) echo tar=other ;;
esac
echo "uid=$(id -u)"

name_of() { link=$(readlink "$1") && echo "${link##*/}"; }
echo "current=$(name_of "$program/current")"
echo "previous=$(name_of "$program/previous")"
releases='' busy=''
for manifest in "$program"/releases/*/bundle.json; do # written last: the release is complete
  [ -f "$manifest" ] || continue
  directory=${manifest%/*}
  releases="$releases ${directory##*/}"
  # A backup of ten hours may outlive two upgrades; its modules must stay.
  grep -qszF "$directory" /proc/[0-9]*/cmdline && busy="$busy ${directory##*/}"
done
echo "releases=${releases# }"
echo "busy=${busy# }"

# What the host's own settings say counts; CONTAINERS is where they say nothing, or are gone.
named=$(sed -n 's/^containers_dir *[=:] *//p' "$settings" 2>/dev/null)
containers=${named:-$containers}
[ -n "$(ls -A "$containers" 2>/dev/null)" ] || containers=''
echo "containers=$containers"

if [ -d "${settings%/*}/credentials" ]; then echo credentials=yes; else echo credentials=no; fi

# The runner of a home has no manager to ask: it is the one "PYTHON -I COMMAND ... serve".
pid=''
# shellcheck disable=SC2013  # paths of /proc have no blanks
for line in $(grep -lszxF "$command" /proc/[0-9]*/cmdline); do
  case $(tr '\0' ' ' < "$line" 2>/dev/null) in
    *" -I $command "*'serve '*) pid=${line#/proc/} pid=${pid%/cmdline} ;;
  esac
done
echo "serving=$pid"
if [ -d /run/systemd/system ]; then
  echo systemd=yes
  echo "active=$(systemctl is-active "$unit")"
  echo "pid=$(systemctl show -p MainPID --value "$unit")"
  echo "stale=$(systemctl show -p NeedDaemonReload --value "$unit")"
else
  printf '%s\n' systemd=no active= pid= stale=
fi
if [ -e "/etc/systemd/system/$unit" ]; then echo unit=yes; else echo unit=no; fi
exit 0
