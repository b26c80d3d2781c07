#!/bin/sh
# Starts nats-server in a container, with the settings beside this script and the file of `headwater bus init` that HEADWATER_NATS_BUS_CONF
# names: nats-server looks for what it includes below the folder of its configuration, so all of it is copied into one.
#
# The limits are left out for a server that does not know them.
set -eu
here=$(dirname "$0")
settings=$(mktemp -d)

cp "$here/headwater.conf" "$here/container.conf" "$settings"
cp "$HEADWATER_NATS_BUS_CONF" "$settings/bus.conf"
version=$(nats-server --version | sed 's/^[^0-9]*//')
major=${version%%.*} rest=${version#*.}
minor=${rest%%.*}
if [ "$major" -gt 2 ] || [ "$minor" -ge 15 ]; then cp "$here/limits.conf" "$settings"; else : >"$settings/limits.conf"; fi

exec nats-server --config "$settings/container.conf"
