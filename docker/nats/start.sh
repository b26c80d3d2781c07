#!/bin/sh
# Starts nats-server in a container, with the settings beside this script and the password in the file that
# HEADWATER_NATS_PASSWORD_FILE names. The server can read a password from a variable, but not from a file.
#
# The password is on no command line; the limits are left out for a server that does not know them.
set -eu
here=$(dirname "$0")
settings=$(mktemp -d)

cp "$here/headwater.conf" "$here/container.conf" "$settings"
cp "$here/password.conf" "$settings/bus.conf"
version=$(nats-server --version | sed 's/^[^0-9]*//')
major=${version%%.*} rest=${version#*.}
minor=${rest%%.*}
if [ "$major" -gt 2 ] || [ "$minor" -ge 15 ]; then cp "$here/limits.conf" "$settings"; else : >"$settings/limits.conf"; fi

# The server parses the variable like its file: the value must be quoted, and quotes in it escaped.
export HEADWATER_NATS_PASSWORD
# shellcheck disable=SC2089 # the quotes are meant literally
HEADWATER_NATS_PASSWORD="\"$(sed 's/["\\]/\\&/g' "$HEADWATER_NATS_PASSWORD_FILE")\""
exec nats-server --config "$settings/container.conf"
