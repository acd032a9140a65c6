#!/bin/sh
# Runs longer than the 10 s class allows, so Tidemill promotes it to the next class.
echo "Attempt $TIDEMILL_ATTEMPT may take $TIDEMILL_TIMEOUT_SECONDS s; it needs 14."
sleep 14
echo "Done."
