#!/bin/sh
# `npm test`: sets up what is missing, then runs every test, or those named as arguments.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
. "$root/scripts/setup.sh"
cd "$root"

# Official client libraries, for the tests in test/sdk only. Without them those tests fail and say why.
setup_sdk() {
  wanted=$(cksum <"$root/test/sdk/package-lock.json")
  stamp=$root/test/sdk/node_modules/.cordon-setup
  if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then return 0; fi
  say "installing the client libraries of test/sdk (about 130 MB, no install scripts) …"
  (cd "$root/test/sdk" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error) >&2 || return 1
  printf '%s\n' "$wanted" >"$stamp"
}

setup_modules
setup_node
# A test that starts `node` by name gets the Node that runs the tests.
PATH=$(dirname -- "$node"):$PATH
export PATH
if ! setup_sandbox_tools; then say "going on without: tests that need a real sandbox will fail or say why they skip"; fi
case "$* " in
  " " | *test/sdk*) setup_sdk || say "going on without: the tests in test/sdk will fail" ;;
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
# After a failure the details come last; the counts are worth repeating below them.
[ "$code" -eq 0 ] || grep -E '^# (tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) ' "$summary" || true
exit "$code"
