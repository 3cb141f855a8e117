#!/bin/sh
# `npm test`: sets up what is missing, then runs every test, or those named as arguments.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
. "$root/scripts/setup.sh"
cd "$root"

# What stands on the other side in some tests: official client libraries, an OAuth server. None of it ships; without it
# those tests fail and say why.
setup_peers() {
  folder=$1
  wanted=$(cksum <"$folder/package-lock.json")
  stamp=$folder/node_modules/.cordon-setup
  if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then return 0; fi
  say "installing the packages of ${folder#"$root/"} (no install scripts) …"
  (cd "$folder" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error) >&2 || return 1
  printf '%s\n' "$wanted" >"$stamp"
}

# The contract of sandbox backends runs on gVisor and on a docker engine of its own, too. They are installed only where
# that starts no service: on a machine with an init system they are its owner's to install, and the tests say so.
setup_backends() {
  if { have runsc && have dockerd && have tcpdump; } || [ -d /run/systemd/system ] || [ "$(id -u)" -ne 0 ]; then return 0; fi
  install_from_apt "the contract tests run on gVisor and docker, and capture packets" runsc docker.io tcpdump
}

# An ordinary user's sandboxes: what hands out his ids and what serves his /data. Neither is a service.
setup_rootless() {
  if [ -d /run/systemd/system ] || [ "$(id -u)" -ne 0 ]; then return 0; fi
  # Where no udev has done it.
  [ ! -c /dev/fuse ] || chmod 666 /dev/fuse || return 1
  if have newuidmap && have fuse2fs; then return 0; fi
  install_from_apt "the contract tests run sandboxes as an ordinary user, too" uidmap fuse2fs
}

# Git over SSH is tested at a real server. Installed where that starts no service, like the above.
setup_git_server() {
  if { [ -x /usr/sbin/sshd ] && have git; } || [ -d /run/systemd/system ] || [ "$(id -u)" -ne 0 ]; then return 0; fi
  install_from_apt "the tests of the broker for git run at a real SSH server" openssh-server git
}

setup_modules
setup_node
# A test that starts `node` by name gets the Node that runs the tests.
PATH=$(dirname -- "$node"):$PATH
export PATH
if ! setup_sandbox_tools; then say "going on without: tests that need a real sandbox will fail or say why they skip"; fi
case "$* " in
  " " | *test/contract/sandbox-*)
    setup_backends || say "going on without: their tests say SKIPPED"
    setup_rootless || say "going on without: their tests say SKIPPED"
    ;;
esac
case "$* " in
  " " | *broker-ssh*) setup_git_server || say "going on without: their tests say SKIPPED" ;;
esac
for lock in "$root"/test/*/package-lock.json; do
  folder=${lock%/*}
  case "$* " in
    " " | *"${folder#"$root/"}"*) setup_peers "$folder" || say "going on without: the tests in ${folder#"$root/"} will fail" ;;
  esac
done
case "$* " in
  " " | *test/guests*) setup_peers "$root/examples/guests" || say "going on without: the tests in test/guests will fail" ;;
esac

if [ "$#" -eq 0 ]; then
  # Benchmarks and browser tests have commands of their own.
  set -- $(find lib protocol mesh user agent test -name node_modules -prune -o -path test/performance -prune \
    -o -path test/browser -prune -o -name '*.test.ts' -print | LC_ALL=C sort)
fi
if [ "$#" -eq 0 ]; then
  say "no test file was found"
  exit 1
fi
summary=$(mktemp)
trap 'rm -f "$summary"' EXIT
code=0
"$node" --disable-warning=ExperimentalWarning --test --test-concurrency=2 --test-timeout=300000 \
  --test-reporter=spec --test-reporter-destination=stdout \
  --test-reporter=tap --test-reporter-destination="$summary" "$@" || code=$?
# After a failure the details come last, and they are long: what failed, where and why is worth repeating below them.
[ "$code" -eq 0 ] || awk '
  /^ *not ok / { print; told = 8 }
  /^ *(location|failureType|error): / && told > 0 { reason = /error: \|-$/ ? 6 : 1 }
  reason > 0 && told > 0 { print "  " $0; reason--; told-- }
  /^# (tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) /' "$summary" | tail -n 200
exit "$code"
