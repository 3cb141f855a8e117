#!/bin/sh
# For the operator of a machine, as root: lets an ordinary user limit what his sandboxes use. `sh scripts/allow-rootless.sh USER`
# makes one control group a hierarchy and gives it to USER, who can make groups below it and can give them no more than it has.
# After every boot, for groups do not outlast one. `--undo USER` takes them away again.
set -eu

undo=no
if [ "${1-}" = --undo ]; then
  undo=yes
  shift
fi
uid=$(id -u -- "${1:?name a user: sh scripts/allow-rootless.sh USER}")

# Version 1 only: a hierarchy of a name of its own (systemd's) limits nothing.
grep -E ' - cgroup ' /proc/self/mountinfo | grep -v 'name=' | cut -d ' ' -f 5 | while read -r mount; do
  group=$mount/cordon-user-$uid
  if [ "$undo" = yes ]; then
    [ ! -d "$group" ] || rmdir -- "$group"
    continue
  fi
  mkdir -p -- "$group"
  # A group of this controller has no processor and no memory until it is told.
  for file in cpuset.cpus cpuset.mems; do
    [ ! -e "$group/$file" ] || [ -n "$(cat "$group/$file")" ] || cat "$mount/$file" >"$group/$file"
  done
  # A mesh holds its group by a lock, which whoever may open it could take instead.
  chmod 0700 -- "$group"
  # No other file: the limits of the group itself stay the operator's.
  chown -h "$uid" -- "$group" "$group/cgroup.procs"
done
