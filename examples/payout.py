#!/usr/bin/env python3
"""A job that pays once, however many attempts it has: the fence, the mark and the payment are one transaction."""

from __future__ import annotations

import json
import os
import sys

import psycopg


def main() -> None:
    run_id, token = os.environ["TIDEMILL_RUN_ID"], int(os.environ["TIDEMILL_FENCING_TOKEN"])
    payout = json.load(sys.stdin) | {"run_id": run_id}
    with psycopg.connect(os.environ["BANK_DSN"]) as bank:  # one transaction, committed at the end of the block
        bank.execute("select tidemill.fence(%s, %s)", (run_id, token))  # raises an error if a newer attempt exists
        marked = bank.execute(
            """insert into payouts (run_id, account, cents) values (%(run_id)s, %(account)s, %(cents)s)
               on conflict do nothing returning run_id""",
            payout,
        ).fetchone()
        if marked is None:
            print(f"{run_id} was paid by an earlier attempt")
            return
        bank.execute("update accounts set cents = cents + %(cents)s where account = %(account)s", payout)
    print(f"{run_id} is paid")


if __name__ == "__main__":
    main()
