#!/bin/sh
# Makes a token with which the node $HEADWATER_NODE joins, and nobody else, and puts it into $HEADWATER_JOIN_FILE. The token is good once,
# and for a day.
set -eu
umask 077
HEADWATER_TOKEN=$(cat "$HEADWATER_ADMIN_TOKEN_FILE")
export HEADWATER_TOKEN
headwater node token create --node "$HEADWATER_NODE" >"$HEADWATER_JOIN_FILE.new"
mv "$HEADWATER_JOIN_FILE.new" "$HEADWATER_JOIN_FILE"
