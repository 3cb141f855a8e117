#!/bin/bash
# mutate.sh FILE 'python-old' 'python-new' TESTS...
cd $M; cp $1 /tmp/g6a-mut.bak
python3 - "$1" "$2" "$3" <<'P'
import sys
p,a,b=sys.argv[1:4]; s=open(p).read()
assert a in s, "NOT FOUND "+a
open(p,'w').write(s.replace(a,b,1))
P
F=$1; N=$2; shift 3
echo "--- $F: $N"; timeout 120 node --test "$@" 2>&1 | grep "^✖" | sort -u | grep -v "failing tests" | cut -c1-130 | head -4
cp /tmp/g6a-mut.bak $F
