#!/bin/sh
# Prints its run, attempt and time.
echo "Hello from $TIDEMILL_RUN_ID, attempt $TIDEMILL_ATTEMPT, due at $TIDEMILL_NOMINAL_TIME."
