#!/bin/bash
# What a page of docs/applications has its reader install, tests/setup installs for the test of that page, so that both have the
# same. Needs neither the module nor an emulator.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
wanted=$(cat "$root"/docs/applications/*.md | sed -n 's/^ *apt-get install //p' | tr -s ' ' '\n' | sort -u)
missing=$(comm -23 - <("$root/tests/setup" names) <<<"$wanted")

passed=0 failed=0
# Without any name the pages have come to say it in another way, which is not read here.
if [ -n "$wanted" ] && [ -z "$missing" ]; then
    passed=1
    echo "ok      packages: tests/setup installs what the pages name"
else
    failed=1
    echo "FAILED  packages: tests/setup installs what the pages name; it does not:" "${missing:-they name none}"
fi
[ -z "${P11REST_TALLY:-}" ] || echo "$passed $failed" >>"$P11REST_TALLY"
[ "$failed" -eq 0 ]
