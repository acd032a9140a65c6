#!/usr/bin/env python3
"""The steps of etl.yaml: `etl.py STEP` runs one step, which reads objects from S3 and writes its own objects there.

A step passes numbers and names to later steps as its result, and data through S3. Each DAG run writes below its own
prefix, each object is written as a whole, and the same input gives the same bytes: so a step can be retried at any
time. The script needs only Python; the S3 keys are a secret (see etl.yaml).
"""

from __future__ import annotations

import csv
import hashlib
import hmac
import io
import json
import os
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit
from urllib.request import Request, urlopen

SOURCE = "examples/orders.csv"
EPOCH = os.environ["TIDEMILL_RUN_ID"].partition("/")[0]
"""The DAG run's id; after the `/` follows the node."""
Result = dict[str, Any]


def extract() -> Result:
    """Copy the export, without invalid lines and duplicates."""
    rows = read(SOURCE)
    orders = {row["order_id"]: row for row in rows if row["quantity"].isdigit()}
    write(f"etl/{EPOCH}/orders.csv", list(orders.values()))
    print(f"{len(orders)} orders in {len(rows)} lines")
    return {"lines": len(rows), "orders": len(orders)}


def transform(column: str) -> Result:
    """Sum the sales by one column."""
    cents: Counter[str] = Counter()
    for order in read(f"etl/{EPOCH}/orders.csv"):
        cents[order[column]] += int(order["quantity"]) * int(order["price_cents"])
    key = f"etl/{EPOCH}/by_{column}.csv"
    write(key, [{"name": name, "cents": sold} for name, sold in sorted(cents.items())])
    return {"by": column, "key": key, "rows": len(cents), "cents": cents.total()}


def load() -> Result:
    """Load the results of the transforms into one table; their sums must be equal."""
    made = results()
    if len({each["cents"] for each in made}) != 1:
        sys.exit(f"the transforms have different sums: {made}")
    with tempfile.NamedTemporaryFile() as file:
        warehouse = sqlite3.connect(file.name)
        warehouse.execute("create table sales (by text, name text, cents integer, primary key (by, name))")
        for each in made:
            rows = [(each["by"], row["name"], row["cents"]) for row in read(each["key"])]
            warehouse.executemany("insert into sales values (?, ?, ?)", rows)
        warehouse.commit()
        warehouse.close()
        s3("PUT", f"etl/{EPOCH}/warehouse.sqlite", Path(file.name).read_bytes())
    return {"cents": made[0]["cents"], "rows": {each["by"]: each["rows"] for each in made}}


def report() -> Result:
    (loaded,) = results()
    lines = [f"# Sales at {os.environ['TIDEMILL_NOMINAL_TIME']}: {loaded['cents'] / 100:.2f}"]
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(s3("GET", f"etl/{EPOCH}/warehouse.sqlite"))
        warehouse = sqlite3.connect(file.name)
        for column, count in loaded["rows"].items():
            best_first = "select name, cents from sales where by = ? order by cents desc, name"
            lines += ["", f"| {column} ({count}) | sold |", "|---|---|"]
            lines += [f"| {name} | {cents / 100:.2f} |" for name, cents in warehouse.execute(best_first, [column])]
        warehouse.close()
    text = "\n".join(lines) + "\n"
    key = f"etl/{EPOCH}/report.md"
    s3("PUT", key, text.encode())
    print(text, end="")
    return {"key": key, "bytes": len(text.encode())}


def results() -> list[Result]:
    """The results of the steps that this step depends on, sorted by name."""
    found: dict[str, Result] = json.load(sys.stdin)["results"]
    return [found[name] for name in sorted(found)]


def read(key: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(s3("GET", key).decode())))


def write(key: str, rows: list[dict[str, object]] | list[dict[str, str]]) -> None:
    file = io.StringIO()
    table = csv.DictWriter(file, list(rows[0]))
    table.writeheader()
    table.writerows(rows)
    s3("PUT", key, file.getvalue().encode())


def s3(method: str, key: str, body: bytes = b"") -> bytes:
    """Send one request, signed with AWS Signature Version 4, as S3 requires; boto3 could do the same."""
    store = json.loads(os.environ["S3"])
    url = urlsplit(f"{store['endpoint']}/{store['bucket']}/{quote(key)}")
    at = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    sent = {
        "content-type": "application/octet-stream",
        "host": url.netloc,
        "x-amz-content-sha256": hashlib.sha256(body).hexdigest(),
        "x-amz-date": at,
    }
    names = ";".join(sent)
    headers = "".join(f"{name}:{value}\n" for name, value in sent.items())
    request = f"{method}\n{url.path}\n\n{headers}\n{names}\n{sent['x-amz-content-sha256']}"
    scope = f"{at[:8]}/{store['region']}/s3/aws4_request"
    signed = f"AWS4-HMAC-SHA256\n{at}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    secret = f"AWS4{store['secret_key']}".encode()
    for part in (*scope.split("/"), signed):
        secret = hmac.digest(secret, part.encode(), "sha256")
    sent["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={store['access_key']}/{scope}, SignedHeaders={names}, Signature={secret.hex()}"
    )
    with urlopen(Request(url.geturl(), body if method == "PUT" else None, sent, method=method), timeout=30) as answer:
        content: bytes = answer.read()
    return content


STEPS: dict[str, Callable[..., Result]] = {"extract": extract, "transform": transform, "load": load, "report": report}

if __name__ == "__main__":
    result = STEPS[sys.argv[1]](*sys.argv[2:])
    Path(os.environ["TIDEMILL_RESULT"]).write_text(json.dumps(result))  # later steps get it on standard input
