#!/usr/bin/env python3
"""A job that pays out once, however often it is attempted: the fence, the mark and the money are one transaction."""

from __future__ import annotations

import json
import os
import sys

import psycopg


def main() -> None:
    run_id, token = os.environ["TIDEMILL_RUN_ID"], int(os.environ["TIDEMILL_FENCING_TOKEN"])
    payout = json.load(sys.stdin) | {"run_id": run_id}
    with psycopg.connect(os.environ["BANK_DSN"]) as bank:  # one transaction: it is committed where the block ends
        bank.execute("select tidemill.fence(%s, %s)", (run_id, token))  # an error, unless this attempt still counts
        marked = bank.execute(
            """insert into payouts (run_id, account, cents) values (%(run_id)s, %(account)s, %(cents)s)
               on conflict do nothing returning run_id""",
            payout,
        ).fetchone()
        if marked is None:
            print(f"{run_id} was paid by an attempt before this one")
            return
        bank.execute("update accounts set cents = cents + %(cents)s where account = %(account)s", payout)
    print(f"{run_id} is paid")


if __name__ == "__main__":
    main()
