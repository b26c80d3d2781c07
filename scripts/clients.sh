#!/usr/bin/env bash
# Programs of others against a real server, from nothing but the OpenAPI document that it serves: schemathesis tries every operation
# with requests that the document allows and forbids, and a client in Python is generated and used.
#
# Always: what was started is ended. CLIENTS_SECONDS is how long schemathesis may take, 120 by default.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly seconds=${CLIENTS_SECONDS:-120}
readonly venv=$PWD/.tools/clients
readonly target=${CARGO_TARGET_DIR:-target}

say() { printf '\n== %s\n' "$*"; }

# The packages are kept between runs, and installed again when their list changes.
install_packages() {
    if cmp -s scripts/clients.txt "$venv/clients.txt"; then return; fi
    say "installing schemathesis and openapi-python-client into .tools/clients"
    if ! python3 -c 'import ensurepip' 2>/dev/null; then
        printf 'clients: this python3 makes no environments: install python3-venv and run this again\n' >&2
        exit 1
    fi
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" --quiet --disable-pip-version-check --timeout 20 --retries 2 install --requirement scripts/clients.txt
    cp scripts/clients.txt "$venv/clients.txt"
}

# in_dev_json MEMBER… — a member of what `dev` wrote.
in_dev_json() { python3 -c 'import json, sys; v = json.load(open(sys.argv[1]))
for name in sys.argv[2:]: v = v[name]
print(v)' "$work/dev/dev.json" "$@"; }

start_dev() {
    say "a server with three nodes"
    "$target/debug/headwater" dev --dir "$work/dev" --nodes 3 >"$work/dev.log" 2>&1 &
    dev=$!
    for _ in $(seq 120); do
        if [ -e "$work/dev/dev.json" ]; then return; fi
        kill -0 "$dev" 2>/dev/null || break
        sleep 0.5
    done
    cat "$work/dev.log"
    printf 'clients: dev did not start\n' >&2
    exit 1
}

cleanup() {
    if [ -n "${dev:-}" ]; then
        kill "$dev" 2>/dev/null || true
        wait "$dev" 2>/dev/null || true
    fi
    rm -rf "$work"
}

work=$(mktemp -d)
trap cleanup EXIT
# PostgreSQL runs as a user of its own and has to reach its folder.
chmod 755 "$work"
install_packages
# As scripts/test.sh builds, so that nothing is built again after it.
cargo build --locked --workspace --bins --tests --quiet
start_dev
HEADWATER_URL=$(in_dev_json http)
HEADWATER_TOKEN=$(in_dev_json tokens admin)
export HEADWATER_URL HEADWATER_TOKEN

say "a client generated from the served document"
python3 -c 'import sys, urllib.request; urllib.request.urlretrieve(*sys.argv[1:])' \
    "$HEADWATER_URL/v1/openapi.json" "$work/openapi.json"
PATH=$venv/bin:$PATH "$venv/bin/openapi-python-client" generate --path "$work/openapi.json" --meta none \
    --output-path "$work/headwater_client" >"$work/generated.log" 2>&1 || { cat "$work/generated.log"; exit 1; }
PYTHONPATH=$work "$venv/bin/python" scripts/generated_client.py

say "schemathesis, for at most $seconds s"
"$venv/bin/schemathesis" run "$HEADWATER_URL/v1/openapi.json" --header "Authorization: Bearer $HEADWATER_TOKEN" \
    --max-time "$seconds" --no-color
