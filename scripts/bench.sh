#!/bin/sh
# `npm run bench [FILE…] [-- WORDS]`: all benchmarks, or those that are named. Read the ratios, not the figures.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
. "$root/scripts/setup.sh"
cd "$root"

setup_modules
setup_node
# What is no file is for each of the benchmarks: `npm run bench test/performance/gateway.ts -- --rounds 1`.
files='' words=''
for word in "$@"; do
  case $word in
  *.ts) files="$files $word" ;;
  *) words="$words $word" ;;
  esac
done
for benchmark in ${files:-test/performance/*.ts}; do
  [ -f "$benchmark" ] || {
    say "no benchmark was found at \`$benchmark\`"
    exit 1
  }
  printf '\n== %s\n' "$benchmark"
  # shellcheck disable=SC2086 # words are split on purpose
  "$node" --disable-warning=ExperimentalWarning "$benchmark" $words
done
