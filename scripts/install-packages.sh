#!/bin/sh
# Brings node_modules in line with package-lock.json; one process at a time. Run by setup_modules of setup.sh.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
. "$root/scripts/setup.sh"

wait_seconds_max=900
report_every_seconds=5
lock=$root/.cache/setup.lock
log=$root/.cache/npm-ci.log

# A symbolic link is made and filled in one step; it points to the process id of its owner and, later, of npm:
# an npm whose caller was killed goes on writing, and must be waited for, too.
take_lock() {
  waited=0
  until ln -s "$$" "$lock" 2>/dev/null; do
    owner=$(readlink "$lock" 2>/dev/null) || continue
    if ! process_lives "${owner%-*}" && ! process_lives "${owner#*-}"; then
      drop_stale_lock "$owner"
    elif [ "$waited" -ge "$wait_seconds_max" ]; then
      say "process $owner has been installing packages for more than $wait_seconds_max s"
      fix "end it and remove \`$lock\`"
      exit 1
    else
      [ $((waited % 10)) -ne 0 ] || say "waiting for process $owner, which is installing packages here …"
      sleep 1
      waited=$((waited + 1))
    fi
  done
}

# shellcheck disable=SC2016 # expanded by the shell that becomes npm
run_npm='ln -sf "$1-$$" "$2.next" && mv -f "$2.next" "$2" &&
  exec npm ci --ignore-scripts --no-audit --no-fund --loglevel=error'

# Moves before it removes: if a newcomer took the lock in between, what was moved is not what was seen, and goes back.
drop_stale_lock() {
  mv "$lock" "$lock.$$" 2>/dev/null || return 0
  moved=$(readlink "$lock.$$")
  [ "$moved" = "$1" ] || ln -s "$moved" "$lock" 2>/dev/null || true
  rm -f "$lock.$$"
}

# A process of another user cannot be signalled, but it is there.
process_lives() {
  case $1 in '' | *[!0-9]*) return 1 ;; esac
  kill -0 "$1" 2>/dev/null || [ -d "/proc/$1" ] || ps -p "$1" >/dev/null 2>&1
}

# Ends by itself when this shell is gone, however that happens. Its sleep may outlive it for a moment and
# must not hold our caller's pipes open.
report_progress() {
  while sleep "$report_every_seconds" </dev/null >/dev/null 2>&1 && kill -0 $$ 2>/dev/null; do
    say "  still installing, $(($(date +%s) - started)) s"
  done
}

install_packages() {
  if ! have npm; then
    say "npm is needed once, to fetch the packages that package-lock.json names; it is not on PATH"
    fix "$(as_root_text)apt-get install -y npm"
    exit 1
  fi
  say "installing the packages that package-lock.json names, Node 26 among them (about 340 MB, no install scripts) …"
  started=$(date +%s)
  rm -f "$modules_stamp"
  report_progress &
  reporter=$!
  code=0
  (cd "$root" && sh -c "$run_npm" sh "$$" "$lock") >"$log" 2>&1 || code=$?
  kill "$reporter" 2>/dev/null || true
  if [ "$code" -ne 0 ]; then
    tail -n 15 "$log" >&2
    say "\`npm ci\` failed with exit code $code (its whole output is in .cache/npm-ci.log)"
    fix "check the network and the free space, then run the same command again: it starts from the beginning"
    exit 1
  fi
  modules_wanted >"$modules_stamp"
  say "packages are ready after $(($(date +%s) - started)) s"
}

if ! mkdir -p "$root/.cache" "$root/node_modules" 2>/dev/null || [ ! -w "$root/.cache" ] || [ ! -w "$root/node_modules" ]; then
  say "packages are to be installed into \`$root/node_modules\`, which user $(id -un) may not write"
  fix "run the same command once as the owner of that folder, or work in a clone of your own"
  exit 1
fi
take_lock
trap 'rm -f "$lock"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
# Somebody else may have finished the same work while we waited.
modules_are_current || install_packages
