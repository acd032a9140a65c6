"""The program of all jobs: it writes down its own life, and fails by chance that its run and attempt decide."""

from __future__ import annotations

PROGRAM = r"""#!/bin/bash
# One printf is one write with O_APPEND, so lines of many processes do not mix.
note() {
  local boot rest
  read -r boot rest < /proc/uptime
  local line='{"event":"%s","run_id":"%s","attempt":%d,"token":%d,"nominal":"%s"'
  printf "$line"',"pid":%d,"boot":%s,"real":%s,"code":%s}\n' \
    "$1" "$TIDEMILL_RUN_ID" "$TIDEMILL_ATTEMPT" "$TIDEMILL_FENCING_TOKEN" "$TIDEMILL_NOMINAL_TIME" \
    "$$" "$boot" "$EPOCHREALTIME" "$2" >> "$CHAOS_JOURNAL"
}
term() {
  note term null
  [ "$CHAOS_STUBBORN" = yes ] || exit 143
}
trap term TERM
note start null

# What happens depends on the seed, the run and the attempt alone.
word="$CHAOS_SEED/$TIDEMILL_RUN_ID/$TIDEMILL_ATTEMPT"
roll=17
for ((i = 0; i < ${#word}; i++)); do
  printf -v letter %d "'${word:i:1}"
  roll=$(((roll * 31 + letter) % 1000003))
done
left=$((CHAOS_LEAST_MS + roll % (CHAOS_MOST_MS - CHAOS_LEAST_MS + 1)))
while ((left > 0)); do
  step=$((left < 1000 ? left : 1000))
  printf -v seconds %d.%03d $((step / 1000)) $((step % 1000))
  sleep "$seconds" &
  wait $!
  left=$((left - step))
  ((left > 0)) && note alive null
done

if [ -n "$CHAOS_DSN" ]; then
  "$CHAOS_PSQL" -qX "$CHAOS_DSN" -v ON_ERROR_STOP=1 -v run="$TIDEMILL_RUN_ID" -v attempt="$TIDEMILL_ATTEMPT" \
    -v token="$TIDEMILL_FENCING_TOKEN" <<'SQL' || { note end 75; exit 75; }
begin;
select tidemill.fence(:'run', :token) \g /dev/null
insert into public.chaos_effects (run_id, attempt, token) values (:'run', :attempt, :token);
commit;
SQL
fi
if ((roll / 7 % 100 < CHAOS_FAILS)); then
  note end 7
  exit 7
fi
note end 0
"""
