#!/bin/sh
# Makes the keys of the servers for NATS in $HEADWATER_BUS_DIR, where they are missing, and puts the configuration of nats-server that follows
# from them where nats-server reads it: it sees no key.
set -eu
headwater bus init
cp "$HEADWATER_BUS_DIR/bus.conf" "$HEADWATER_NATS_BUS_CONF.new"
mv "$HEADWATER_NATS_BUS_CONF.new" "$HEADWATER_NATS_BUS_CONF"
