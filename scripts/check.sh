#!/bin/sh
# `npm run check`: types, lint, format, unused code, house rules. Runs all of them, fails if one does.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
. "$root/scripts/setup.sh"
cd "$root"

setup_modules
setup_node
# The tools' own launchers ask for `node`; let them find the one that was chosen.
PATH=$(dirname -- "$node"):$root/node_modules/.bin:$PATH
export PATH

failed=''
check() {
  name=$1
  shift
  say "check: $name"
  "$@" || failed="$failed $name"
}

check types tsc -b
check lint oxlint --deny-warnings --type-aware
check format oxfmt --check
check unused knip
check style node --disable-warning=ExperimentalWarning --test --test-reporter=dot test/style/*.test.ts

if [ -n "$failed" ]; then
  say "failed:$failed"
  exit 1
fi
say "all checks passed"
