#!/usr/bin/env bash
# Makes the secrets that docker/compose.yml mounts: one file each below docker/secrets/. What is there already stays.
#
# Always: only their owner reaches them, because only the owner may enter the folder (mode 700). The files themselves
# may be read by anyone: Compose mounts each as it is, owner and mode included, into containers whose users have other
# numbers than the owner. Absent on purpose: the signing key, which `headwater install` makes and which leaves its
# volume only by your hand.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

readonly folder=${1:-secrets}

# random BYTES — so many random bytes, in hex.
random() { od -An -v -tx1 -N "$1" /dev/urandom | tr -d ' \n'; }

# keep NAME TEXT — written beside its place and moved, so that no half of it is ever found there.
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
for name in postgres_password app_password replication_password nats_password; do
    keep "$name" "$(random 32)"
done
keep admin_token "hw_$(random 32)"
