#!/bin/sh
# SPDX-FileCopyrightText: 2026 coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# What the role must know about a host, as KEY=VALUE lines: one look instead of a dozen tasks, and no gathered facts.
# Sent as it is, so that a host without a usable Python gets an answer too.  Changes nothing and is given no secret.
#   probe.sh PROGRAM COMMAND PYTHON UNIT ETC CONTAINERS FILES DIRECTORIES LOADED LIB SECRETS
# The last three before LIB are lists, a path a line: digests are told of FILES, modes of DIRECTORIES, and which of LOADED is missing.
# SECRETS is a directory or empty: modes and digests of its files are told.  The digest of a short password gives it away,
# so whoever asks for them must not show the answer.
program=$1 command=$2 wanted=$3 unit=$4 etc=$5 containers=$6 files=$7 directories=$8 loaded=$9
shift 9
lib=$1 secrets=$2
SYSTEMD_PAGER='' PAGER=cat # there may be a terminal
export SYSTEMD_PAGER PAGER

# What the runner imports that a stripped python3 (Debian's python3-minimal) may lack.
check="
import sys
if sys.version_info < (3, 9): sys.exit(1)
import bz2, json, logging, lzma, selectors, subprocess, zlib, zoneinfo
print('tag=' + sys.implementation.cache_tag)"
python="" tag="" seen=""
for name in ${wanted:-/usr/bin/python3 python3.14 python3.13 python3.12 python3.11 python3.10 python3.9}; do
  path=$(command -v "$name") || continue
  seen="$seen, $path ($("$path" -V 2>&1 | head -n 1))"
  tag=$("$path" -I -c "$check" 2> /dev/null)
  case $tag in tag=?*)
    python=$path
    break
    ;;
  esac
done
echo "python=$python"
echo "${tag:-tag=}"
echo "seen=${seen#, }"
system=$(sed -n "s/^ID\(_LIKE\)\{0,1\}=//p" /etc/os-release 2> /dev/null | tr -d "\"" | tr "\n" " ")
echo "system=${system% }"

case $(tar --version 2> /dev/null) in
  *"GNU tar"*) echo tar=gnu ;;
  "") echo tar= ;;
  *) echo tar=other ;;
esac
echo "uid=$(id -u)"

name_of() { link=$(readlink "$1") && echo "${link##*/}"; }
current=$(name_of "$program/current")
echo "current=$current"
echo "previous=$(name_of "$program/previous")"
releases="" busy=""
for manifest in "$program"/releases/*/bundle.json; do # written last: the release is complete
  [ -f "$manifest" ] || continue
  directory=${manifest%/*}
  releases="$releases ${directory##*/}"
  # A backup of ten hours may outlive two upgrades; its modules must stay.
  grep -qszF "$directory" /proc/[0-9]*/cmdline && busy="$busy ${directory##*/}"
done
echo "releases=${releases# }"
echo "busy=${busy# }"
if [ -f "$program/current/bundle.json" ]; then echo complete=yes; else echo complete=no; fi
compiled=no
[ -e "$program/current/coldchain/__pycache__/__init__.${tag#tag=}.pyc" ] && compiled=yes
echo "compiled=$compiled"

# Where the command was before, by the link in the program's directory or by default.
moved=""
linked=$(readlink "$program/command")
for path in "$linked" /usr/local/bin/coldchain; do
  [ "$path" != "$command" ] && grep -qs "role coldchain.freezer.runner" "$path" && moved="$moved$path "
done
echo "command=${linked:-}"
case $program in /opt/coldchain) echo "moved=${moved% }" ;; *) echo "moved=" ;; esac

# What the host's own settings say counts; CONTAINERS is where they say nothing, or are gone.
named=$(sed -n "s/^containers_dir *[=:] *//p" "$etc/runner.conf" 2> /dev/null)
containers=${named:-$containers}
[ -n "$(ls -A "$containers" 2> /dev/null)" ] || containers=""
echo "containers=$containers"
if [ -d "$etc/credentials" ]; then echo credentials=yes; else echo credentials=no; fi
for path in "$secrets"/* "$secrets"/.*; do
  [ -n "$secrets" ] || break
  name=${path##*/} mode=none digest=none
  case $name in . | ..) continue ;; esac
  [ -e "$path" ] || [ -L "$path" ] || continue # a pattern without a match
  case $name in *[!A-Za-z0-9_.@-]*) name="/" ;; esac # none of ours, and it could make lines of its own
  if [ -f "$path" ]; then
    mode=$(stat -c %a "$path") digest=$(sha256sum < "$path")
  fi
  echo "secret=$mode ${digest%% *} $name"
done

# Below what is there already: is it on a file system that can be written, by this user?
locked="" missing=""
IFS="
"
for path in $files; do
  digest=$(sha256sum "$path" 2> /dev/null)
  echo "digest:$path=${digest%% *}"
done
for path in ${command%/*} $directories; do
  mode=$(stat -c %a "$path" 2> /dev/null)
  echo "mode:$path=$mode"
  place=$path
  while [ ! -e "$place" ]; do
    case $place in */*) place=${place%/*} ;; *) place=. ;; esac
    [ -n "$place" ] || place=/
  done
  [ -w "$place" ] || locked="$locked, $path"
done
for path in $loaded; do
  [ -f "$path" ] || missing="$missing, $path"
done
unset IFS
echo "locked=${locked#, }"
echo "missing=${missing#, }"

# The runner of a home has no manager to ask: it is the one "PYTHON -I COMMAND ... serve", from wherever it was
# started (bin/coldchain serve) and through whatever link.
pid="" resolved=$(readlink -f "$command")
# shellcheck disable=SC2013  # paths of /proc have no blanks
for line in $(grep -lszxF serve /proc/[0-9]*/cmdline); do
  process=${line%/cmdline}
  said=$({ tr "\0" "\n" < "$line"; } 2> /dev/null | sed -n "/^-I\$/{n;p;q;}")
  case $said in
    "") continue ;;
    /*) ;;
    *) said=$process/cwd/$said ;;
  esac
  if [ "$said" = "$command" ] || [ "$(readlink -f "$said")" = "$resolved" ]; then pid=${process#/proc/}; fi
done
echo "serving=$pid"
if [ -d /run/systemd/system ]; then
  echo systemd=yes
  active=$(systemctl is-active "$unit" 2> /dev/null)
  echo "active=$active"
  if [ "$active" = active ]; then echo started=yes; else echo started=no; fi
  if [ "$(systemctl is-enabled "$unit" 2> /dev/null)" = enabled ]; then echo enabled=yes; else echo enabled=no; fi
  echo "pid=$(systemctl show -p MainPID --value "$unit" 2> /dev/null)"
  echo "stale=$(systemctl show -p NeedDaemonReload --value "$unit" 2> /dev/null)"
else
  active=""
  printf "%s\n" systemd=no active= started=no enabled=no pid= stale=
fi
# A runner that has begun before one of its files was written: a play ended between that and its handlers.
untold=no
case $program in
  /opt/coldchain) own=/etc/systemd/system/$unit alive=$active ;;
  *) own="" alive=${pid:+active} ;;
esac
began=$(stat -c %Y "$lib/runner.json" 2> /dev/null)
if [ "$alive" = active ] && [ -n "$began" ]; then
  for path in "$program/current" "$command" "$etc/runner.conf" $own; do
    written=$(stat -c %Y "$path" 2> /dev/null) && [ "$written" -gt "$began" ] && untold=yes
  done
fi
echo "untold=$untold"
if [ -e "/etc/systemd/system/$unit" ]; then echo unit=yes; else echo unit=no; fi
echo end=yes
