#!/bin/sh
# Fails twice, then succeeds.
if [ "$TIDEMILL_ATTEMPT" -lt 3 ]; then
  echo "Attempt $TIDEMILL_ATTEMPT fails." >&2
  exit 1
fi
echo "Attempt $TIDEMILL_ATTEMPT succeeds."
