"""Examples for the `--help` of each command: lines that the user can copy."""

from __future__ import annotations

import typer
from rich.markup import escape

EXAMPLES = {
    "up": ("tidemill up", "tidemill up --detach --workers 2 --executors 2"),
    "down": ("tidemill down", "tidemill down --data /tmp/another"),
    "status": ("tidemill status", "tidemill status --json | jq .lag"),
    "doctor": ("tidemill doctor", "tidemill doctor --no-probe --json | jq .findings"),
    "migrate": ("tidemill migrate", "tidemill migrate --tables-only"),
    "cluster show": ("tidemill cluster show",),
    "cluster set": ("tidemill cluster set timeout_classes=10s,1m,1h,6h", "tidemill cluster set lease=PT60S"),
    "restored": ("tidemill restored",),
    "demo": ("tidemill demo 90",),
    "sql": ("tidemill sql", "tidemill sql -c 'SELECT state, count(*) FROM runs GROUP BY state'"),
    "run": (
        "tidemill run nightly",
        "tidemill run invoice --request-id invoice-42 --payload '{\"invoice\": 42}' --wait",
    ),
    "cancel": ("tidemill cancel 'nightly#r1' --note 'wrong input'", "tidemill cancel --job nightly --wait"),
    "terminate": ("tidemill terminate 'nightly#r1'", "tidemill terminate --job nightly --note 'it hangs'"),
    "rerun": (
        "tidemill rerun 'nightly#r1'",
        "tidemill rerun --job nightly --state failed --since 2h",
        "tidemill rerun 'nightly#r2' --payload '{\"day\": 1}'",
        "tidemill rerun 'etl#r1/clean' --downstream --note 'a rule was wrong'",
    ),
    "backfill": (
        "tidemill backfill nightly --from 7d --dry-run",
        "tidemill backfill nightly --from 2026-11-01T00:00:00Z --to 2026-11-21T00:00:00Z --reprocess failed --wait",
    ),
    "backfills": ("tidemill backfills", "tidemill backfills --job nightly --json"),
    "runs": ("tidemill runs", "tidemill runs --job nightly --state failed --state dead --since 2d --json"),
    "show": ("tidemill show 'nightly#r1'",),
    "explain": (
        "tidemill explain nightly",
        "tidemill explain nightly --at '2026-11-21 03:00'",
        "tidemill explain 'nightly@2026-11-21T02:00:00Z' --json",
    ),
    "overdue": ("tidemill overdue", "tidemill overdue --json | jq -r '.[].name'"),
    "simulate": (
        "tidemill simulate --job nightly --set schedule='0 4 * * *' --to 7d",
        "tidemill simulate --job poll --set overlap_policy=buffer_all --takes 90s --json",
        "tidemill simulate --dag etl --from tomorrow --to 2d",
    ),
    "audit": (
        "tidemill audit",
        "tidemill audit --from 12h --job nightly --against both",
        "tidemill audit --from 2026-11-21T00:00:00Z --to 2026-11-22T00:00:00Z --json",
    ),
    "logs": ("tidemill logs 'nightly#r1'", "tidemill logs 'nightly#r1' --follow"),
    "changes": ("tidemill changes --since 1h", "tidemill changes nightly --who anna"),
    "problems": ("tidemill problems --since 1h",),
    "next": ("tidemill next nightly -n 3", "tidemill next --schedule '0 3 * * *' --timezone Europe/Berlin"),
    "job put": (
        "tidemill job put nightly --schedule '0 3 * * *' --timezone Europe/Berlin --executable ./nightly",
        "tidemill job put hello --schedule '@every 90s' --command 'echo hello' --timeout 30s --max-attempts 3",
        "tidemill job put nightly --set misfire_grace='5 minutes'",
        "tidemill job put report --python shop.report:main --project ./shop",
        "tidemill job put nightly --sandbox strict --memory 512MB --set pids=50",
    ),
    "job list": ("tidemill job list", "tidemill job list --tenant reports --json"),
    "job show": ("tidemill job show nightly",),
    "job pause": ("tidemill job pause nightly --note 'while we migrate'",),
    "job resume": ("tidemill job resume nightly",),
    "job delete": ("tidemill job delete nightly",),
    "import crontab": (
        "tidemill import crontab /etc/crontab",
        "tidemill import crontab my.cron --prefix web1- --write",
    ),
    "import kubernetes": ("tidemill import kubernetes cronjobs.yaml --write",),
    "import celery": ("tidemill import celery proj.celery:app --python ./venv/bin/python",),
    "dag put": ("tidemill dag put examples/etl/etl.yaml",),
    "dag list": ("tidemill dag list --json",),
    "dag show": (
        "tidemill dag show etl",
        "tidemill dag show 'etl#r1'",
        "tidemill dag show 'etl#r1' --all",
        "tidemill dag show etl --dot | dot -Tsvg -O",
    ),
    "dag runs": ("tidemill dag runs", "tidemill dag runs --dag etl --state failed --since 2d --json"),
    "dag mark": ("tidemill dag mark 'etl#r1/load' succeeded --note 'loaded by hand'",),
    "dag pause": ("tidemill dag pause etl --note 'while we migrate'",),
    "dag resume": ("tidemill dag resume etl",),
    "dag delete": ("tidemill dag delete etl",),
}


def add_examples(app: typer.Typer, prefix: str = "") -> None:
    """Add the examples to every command of `app` and of its groups."""
    for command in app.registered_commands:
        name = command.name or (command.callback.__name__ if command.callback else "")
        command.epilog = "For example:\n\n" + escape("\n".join(EXAMPLES.get(f"{prefix}{name}", ())))
    for group in app.registered_groups:
        if group.typer_instance:
            add_examples(group.typer_instance, f"{prefix}{group.name} ")
