#!/usr/bin/env bash
# Creates the secrets that docker/compose.yml mounts: one file each below docker/secrets/. Existing files stay.
#
# Only the owner can enter the folder (mode 700). The files themselves have mode 444: Compose mounts each with the owner and
# mode that it has here, into containers that run as other users. The signing key is not here: `headwater install` creates
# it in a volume, the keys of NATS are made by `headwater bus init` in another.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

readonly folder=${1:-secrets}

# random BYTES: random bytes in hex.
random() { od -An -v -tx1 -N "$1" /dev/urandom | tr -d ' \n'; }

# keep NAME TEXT: writes a file beside its place and renames it, so that it is never incomplete.
keep() {
    if [ -s "$folder/$1" ]; then return; fi
    printf '%s\n' "$2" >"$folder/.$1"
    chmod 444 "$folder/.$1"
    mv -f "$folder/.$1" "$folder/$1"
    printf 'made %s\n' "$folder/$1"
}

umask 077
mkdir -p "$folder"
chmod 700 "$folder"
for name in postgres_password app_password replication_password; do
    keep "$name" "$(random 32)"
done
keep admin_token "hw_$(random 32)"
