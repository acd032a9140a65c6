#!/bin/sh
# Outlives the 10 s class: it is promoted to the next one.
echo "Attempt $TIDEMILL_ATTEMPT may take $TIDEMILL_TIMEOUT_SECONDS s; it needs 14."
sleep 14
echo "Done."
