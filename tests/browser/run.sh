#!/usr/bin/env bash
# Drives the page of `retain serve` in Debian's chromium: `tests/browser/run.sh [DIR]`
# leaves screenshots in DIR. Skips, and says so, where no browser can be had.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
shots=${1:-}
retain=${RETAIN:-$root/target/debug/retain}

skip() {
    echo "the page is not tested here: $1"
    exit 0
}

command -v node >/dev/null && command -v npm >/dev/null || skip "there is no node"
if ! command -v chromium >/dev/null; then
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || skip "there is no chromium"
    { apt-get update -qq && apt-get install -y -qq chromium; } >/dev/null 2>&1 ||
        skip "chromium cannot be installed"
fi
(cd "$here" && npm ci --no-audit --no-fund --loglevel=error) || skip "npm has no playwright-core"
[ -x "$retain" ] || (cd "$root" && cargo build --locked)

room=$(mktemp -d)
service=
end() {
    if [ -n "$service" ]; then
        kill "$service" 2>/dev/null || true
        wait "$service" 2>/dev/null || true
    fi
    rm -rf "$room"
}
trap end EXIT

port=$(node -e 'const s=require("node:net").createServer();s.listen(0,"127.0.0.1",()=>{console.log(s.address().port);s.close()})')
node "$here/tree.mjs" "$room" "$port"
"$retain" --config "$room/retain.toml" serve >"$room/log" 2>&1 &
service=$!
for _ in $(seq 100); do
    if node -e "fetch('http://127.0.0.1:$port/readyz').then(r=>process.exit(r.ok?0:1),()=>process.exit(1))"; then
        break
    fi
    kill -0 "$service" 2>/dev/null || {
        cat "$room/log" >&2
        exit 1
    }
    sleep 0.1
done
if ! ROOM=$room node "$here/page.mjs" "http://127.0.0.1:$port" "$shots"; then
    echo "-- the service's log:" >&2
    tail -40 "$room/log" >&2
    exit 1
fi
