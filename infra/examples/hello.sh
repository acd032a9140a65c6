#!/bin/sh
# Says who it is.
echo "Hello from $TIDEMILL_RUN_ID, attempt $TIDEMILL_ATTEMPT, due at $TIDEMILL_NOMINAL_TIME."
