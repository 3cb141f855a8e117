#!/bin/sh
# For the operator of a machine, as root: lets an ordinary user limit what his sandboxes use. `sh scripts/allow-rootless.sh USER`
# makes one control group a hierarchy and gives it to USER, who can make groups below it and can give them no more than it has.
# After every boot, for groups do not outlast one. `--undo USER` takes them away again.
#
# On version 2 of control groups, where nobody but root moves a process into such a group, name a process of USER's, too:
# `sudo sh scripts/allow-rootless.sh "$USER" $$` brings the shell that says so into it, with all that it starts from then on.
# Once in each such shell; where systemd's manager of USER runs, none of it is needed.
set -eu

undo=no
if [ "${1-}" = --undo ]; then
  undo=yes
  shift
fi
uid=$(id -u -- "${1:?name a user: sh scripts/allow-rootless.sh USER [PID]}")
name=$1
pid=${2-}
base=/sys/fs/cgroup

# A process is who it is, since when it runs: its number is another's when it has ended.
look() {
  tr '\n' ' ' <"/proc/$pid/stat" | sed 's/.*) //' | cut -d ' ' -f 20
  sed -n 's/^Uid:[[:space:]]*//p' -- "/proc/$pid/status" | tr '\t' ' '
}
not_his() {
  echo "process $pid is not one of $name" >&2
  exit 1
}

# Whoever may write a group's list of processes may end them and hold them up: nobody else's are brought in.
if [ -n "$pid" ]; then
  case $pid in *[!0-9]*) not_his ;; esac
  looked=$(look) || not_his
  [ "${looked#*
}" = "$uid $uid $uid $uid" ] || not_his
fi

# Version 2: one hierarchy, and in a group whose members are limited no process of its own. Those of the mesh are in `mesh`.
version_two() {
  group=$base/cordon-user-$uid
  if [ "$undo" = yes ]; then
    [ -d "$group" ] || return 0
    for leaf in "$group/mesh" "$group"; do
      # Who is still there goes to where every process of the machine has started.
      [ ! -d "$leaf" ] || while read -r each; do echo "$each" >"$base/cgroup.procs"; done <"$leaf/cgroup.procs"
      [ ! -d "$leaf" ] || rmdir -- "$leaf"
    done
    return 0
  fi
  for controller in memory cpu pids; do
    if ! echo "+$controller" >"$base/cgroup.subtree_control"; then
      echo "$controller cannot be limited here: the kernel has it not, or this is a container with processes in its own group" >&2
      exit 1
    fi
  done
  mkdir -p -- "$group"
  chmod 0700 -- "$group"
  # Until it is known who has come, the group is nobody's but root's.
  chown -h 0 -- "$group" "$group/cgroup.procs"
  # One that the user has made has files of his.
  if [ -d "$group/mesh" ] && [ "$(stat -c %u -- "$group/mesh/cgroup.events")" != 0 ] && ! rmdir -- "$group/mesh"; then
    echo "end the processes of $name in $group/mesh first" >&2
    exit 1
  fi
  mkdir -p -- "$group/mesh"
  chown -h 0 -- "$group/mesh" "$group/mesh/cgroup.procs"
  right=yes
  if [ -n "$pid" ]; then
    before=$(tr '\n' ' ' <"$group/mesh/cgroup.procs")
    echo "$pid" >"$group/mesh/cgroup.procs"
    if [ "$(look)" != "$looked" ]; then
      right=no
      while read -r each; do
        case " $before" in *" $each "*) ;; *) echo "$each" >"$base/cgroup.procs" || : ;; esac
      done <"$group/mesh/cgroup.procs"
    fi
  fi
  # As the kernel's rules of delegation have it, and no other file.
  for each in "$group" "$group/mesh"; do
    chown -h "$uid" -- "$each" "$each/cgroup.procs" "$each/cgroup.threads" "$each/cgroup.subtree_control"
  done
  [ "$right" = yes ] || not_his
}

if [ -e "$base/cgroup.controllers" ]; then
  version_two
  exit 0
fi

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
