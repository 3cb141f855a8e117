#!/bin/sh
# `npm run bench`: the benchmarks one after the other, or those named as arguments. Read the ratios, not the figures.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
. "$root/scripts/setup.sh"
cd "$root"

setup_modules
setup_node
[ "$#" -gt 0 ] || set -- test/performance/*.ts
[ -f "$1" ] || {
  say "no benchmark was found at \`$1\`"
  exit 1
}
for benchmark in "$@"; do
  printf '\n== %s\n' "$benchmark"
  "$node" --disable-warning=ExperimentalWarning "$benchmark"
done
