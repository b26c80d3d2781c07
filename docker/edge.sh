#!/bin/sh
# Lets the node join with the token in $HEADWATER_JOIN_FILE, if there is one, and starts its agent. A node that has joined before starts also
# where the token lets nobody in any more (1), or nobody answers: then the token stays for the next start.
set -eu
if [ -s "$HEADWATER_JOIN_FILE" ]; then
    code=0
    headwater-edge join --token-file "$HEADWATER_JOIN_FILE" || code=$?
    [ "$code" -eq 0 ] || [ -s "$HEADWATER_NODE_DIR/state.json" ] || exit "$code"
    [ "$code" -gt 1 ] || rm -f "$HEADWATER_JOIN_FILE"
fi
exec headwater-edge
