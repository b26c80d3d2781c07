#!/bin/sh
# Lets the node join with the token in $HEADWATER_JOIN_FILE, if there is one, and starts its agent. The token is used up then. A node that has
# joined before starts also where the token lets nobody in any more.
set -eu
if [ -s "$HEADWATER_JOIN_FILE" ]; then
    headwater-edge join --token-file "$HEADWATER_JOIN_FILE" || [ -s "$HEADWATER_NODE_DIR/state.json" ]
    rm -f "$HEADWATER_JOIN_FILE"
fi
exec headwater-edge
