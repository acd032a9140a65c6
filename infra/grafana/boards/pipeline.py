"""The pipeline from inside: hops, lags, the replication slot, transactions, processes."""

from __future__ import annotations

from infra.grafana.boards.executors import quantiles
from infra.grafana.dashboard import KAFKA_VARIABLE, METRICS, Dashboard, Section, textbox
from infra.grafana.panels import RED, SOME, bars, lines, number, ranking, table
from infra.grafana.sources import PromQL, Tail
from observe.catalogue.monitor import HOP_SECONDS

HOPS = Section(
    title="The canary",
    panels=(
        ranking(
            "Hops of the canary",
            "Where the time between a row and its result goes: 95 of 100 canary runs of the chosen range were faster.",
            tuple(
                PromQL(
                    expr="histogram_quantile(0.95, sum by (le) (increase("
                    f'tidemill_hop_seconds_bucket{{hop="{hop}"}}[$__range])))',
                    legend=hop,
                    only_now=True,
                )
                for hop in HOP_SECONDS.values["hop"]
            ),
            "s",
        ),
        quantiles(
            "Canary",
            "From the row of a canary run to its end in the read model.",
            "tidemill_canary_seconds",
        ),
        bars(
            "Canary runs",
            "Canary runs that were requested, and those that were lost.",
            (
                PromQL(expr="sum(increase(tidemill_canary_runs_total[$__rate_interval]))", legend="requested"),
                PromQL(expr="sum(increase(tidemill_canary_lost_total[$__rate_interval]))", legend="lost"),
            ),
        ),
        lines(
            "Records that wait",
            "Records that wait for a reader, by reader.",
            (PromQL(expr="max by (reader) (tidemill_waiting_records)", legend="{{reader}}"),),
            "short",
        ),
        lines(
            "Oldest waiting record",
            "For how long the oldest of these records has waited, by reader.",
            (PromQL(expr="max by (reader) (tidemill_waiting_oldest_seconds)", legend="{{reader}}"),),
            "s",
            limit=60,
        ),
        lines(
            "Overdue jobs",
            "Overdue jobs, and all jobs that the monitor has judged.",
            (
                PromQL(expr="max(tidemill_overdue_jobs)", legend="overdue"),
                PromQL(expr="max(tidemill_judged_jobs)", legend="judged"),
                PromQL(expr="max(tidemill_unjudged_jobs)", legend="not judged yet"),
            ),
            "short",
        ),
    ),
)
SOURCE = Section(
    title="From Postgres to Kafka",
    panels=(
        lines(
            "Replication slot",
            "WAL that the connector has not confirmed, and WAL that Postgres keeps for the slot.",
            (
                PromQL(expr="max(tidemill_slot_lag_bytes)", legend="not confirmed"),
                PromQL(expr="max(tidemill_slot_kept_bytes)", legend="kept"),
            ),
            "bytes",
        ),
        quantiles(
            "Row to owner", "From the write of a row until its owner has applied it.", "tidemill_cdc_lag_seconds"
        ),
        lines(
            "Connector",
            "1 if the connector runs, and 1 if its slot is lost.",
            (
                PromQL(expr="max(tidemill_connector_running)", legend="runs"),
                PromQL(expr="max(tidemill_slot_lost)", legend="slot lost"),
            ),
            "short",
        ),
        bars(
            "Actions of the supervisor",
            "What it did to the connector.",
            (
                PromQL(
                    expr="sum by (action) (increase(tidemill_connector_actions_total[$__rate_interval]))",
                    legend="{{action}}",
                ),
            ),
        ),
    ),
)
OWNERS = Section(
    title="Owners of the partitions",
    panels=(
        lines(
            "Watermark lag",
            "How far the decisions of a partition are behind the time; above 30 s nothing becomes due.",
            (PromQL(expr="min by (partition) (tidemill_watermark_lag_seconds)", legend="{{partition}}"),),
            "s",
            limit=30,
        ),
        lines(
            "Input that is not applied",
            "Offsets that the owners have not applied, by topic.",
            (PromQL(expr="sum by (topic) (tidemill_applied_lag_records)", legend="{{topic}}"),),
            "short",
        ),
        quantiles(
            "Transactions of the owners",
            "How long the commit of a transaction takes.",
            "tidemill_transaction_seconds",
        ),
        lines(
            "Records in a transaction",
            "The mean number of records that a transaction writes.",
            (
                PromQL(
                    expr="sum(rate(tidemill_transaction_records_sum[$__rate_interval]))"
                    " / sum(rate(tidemill_transaction_records_count[$__rate_interval]))",
                    legend="records",
                ),
            ),
            "short",
        ),
        lines(
            "Bytes in a transaction",
            "The mean size of a transaction.",
            (
                PromQL(
                    expr="sum(rate(tidemill_transaction_bytes_sum[$__rate_interval]))"
                    " / sum(rate(tidemill_transaction_bytes_count[$__rate_interval]))",
                    legend="bytes",
                ),
            ),
            "bytes",
        ),
        bars(
            "Owned partitions",
            "Partitions for which each worker decides, and partitions without an owner.",
            (
                PromQL(expr="sum by (instance) (tidemill_partition_owned)", legend="{{instance}}"),
                PromQL(expr="max(tidemill_unowned_partitions)", legend="without an owner"),
            ),
        ),
        lines(
            "Takeovers",
            "The longest takeover of a partition since its worker started, as the bound of its bucket.",
            (
                PromQL(
                    expr="histogram_quantile(1, sum by (instance, le) (tidemill_recovery_seconds_bucket))",
                    legend="{{instance}}",
                ),
            ),
            "s",
        ),
        bars(
            "Failures of owners",
            "Times an owner discarded its memory and started again, by cause.",
            (
                PromQL(
                    expr="sum by (instance, cause) (increase(tidemill_owner_failures_total[$__rate_interval]))",
                    legend="{{instance}} {{cause}}",
                ),
            ),
        ),
        lines(
            "Jobs",
            "Jobs and DAGs by worker; those that the owners ignore because the core failed on them, and those whose"
            " schedule is not followed.",
            (
                PromQL(expr="sum by (instance) (tidemill_jobs)", legend="{{instance}}"),
                PromQL(expr="sum(tidemill_quarantined_jobs)", legend="ignored"),
                PromQL(expr="sum(tidemill_unscheduled_jobs)", legend="without a schedule"),
            ),
            "short",
        ),
        lines(
            "Clocks",
            "1 if a worker knows the time; and by how much the clocks of Postgres and the brokers differ.",
            (
                PromQL(expr="tidemill_clock_steady", legend="{{instance}} knows the time"),
                PromQL(expr="max(tidemill_clock_difference_seconds)", legend="difference in seconds"),
            ),
            "short",
        ),
    ),
)
SINK = Section(
    title="From Kafka to the read model",
    panels=(
        lines(
            "Lag of the sink",
            "How old the last written record was when it was written.",
            (PromQL(expr="max(tidemill_sink_lag_seconds)", legend="sink"),),
            "s",
            limit=60,
        ),
        lines(
            "Records that the sink has not written",
            "By topic; transaction markers count too.",
            (PromQL(expr="sum by (topic) (tidemill_sink_lag_records)", legend="{{topic}}"),),
            "short",
        ),
        quantiles(
            "Transactions of the sink",
            "How long one transaction in Postgres takes.",
            "tidemill_sink_transaction_seconds",
        ),
        lines(
            "Records in a transaction of the sink",
            "The mean number of records that one transaction writes.",
            (
                PromQL(
                    expr="sum(rate(tidemill_sink_batch_records_sum[$__rate_interval]))"
                    " / sum(rate(tidemill_sink_batch_records_count[$__rate_interval]))",
                    legend="records",
                ),
            ),
            "short",
        ),
        bars(
            "Interruptions of the sink, and problems",
            "Times the sink began again, and problems that it wrote, by code.",
            (
                PromQL(
                    expr="sum(increase(tidemill_sink_interruptions_total[$__rate_interval]))", legend="interruptions"
                ),
                PromQL(
                    expr="sum by (code) (increase(tidemill_problems_total[$__rate_interval])) > 0", legend="{{code}}"
                ),
            ),
        ),
        lines(
            "Records of status that are not counted",
            "Records that `python -m connectors.metrics` has not read: while they wait, figures of runs are old. What"
            " cannot be read is left out.",
            (
                PromQL(expr="max(tidemill_status_lag_records)", legend="not read yet"),
                PromQL(
                    expr="sum(increase(tidemill_status_unreadable_total[$__rate_interval]))", legend="cannot be read"
                ),
            ),
            "short",
        ),
    ),
)
PROCESSES = Section(
    title="Processes and servers",
    panels=(
        number(
            "Processes",
            "Processes that answer Prometheus.",
            PromQL(expr="count(up == 1)", only_now=True),
            "short",
        ),
        number(
            "Do not answer",
            "Processes that Prometheus does not reach.",
            PromQL(expr="count(up == 0) or vector(0)", only_now=True),
            "short", ((RED, SOME),),
        ),
        number(
            "Not ready",
            "Processes that run and do not do their work; `/readyz` of each says why.",
            PromQL(expr="count(tidemill_process_ready == 0) or vector(0)", only_now=True),
            "short", ((RED, SOME),),
        ),
        number(
            "Servers down",
            "Postgres, Kafka, Connect and S3, as the monitor sees them.",
            PromQL(expr="count(max by (part) (tidemill_part_up) == 0) or vector(0)", only_now=True),
            "short", ((RED, SOME),),
        ),
        number(
            "Newest release",
            "Processes of the release that most processes have; during an upgrade it is less than all.",
            PromQL(expr="max(count by (version) (tidemill_process_info))", only_now=True),
            "short",
        ),
        number(
            "Releases",
            "Different releases that run now.",
            PromQL(expr="count(count by (version) (tidemill_process_info))", only_now=True),
            "short",
        ),
        lines(
            "Processor time",
            "Cores that each process uses.",
            (PromQL(expr="rate(process_cpu_seconds_total[$__rate_interval])", legend="{{instance}}"),),
            "short",
        ),
        lines(
            "Memory",
            "Resident memory of each process.",
            (PromQL(expr="process_resident_memory_bytes", legend="{{instance}}"),),
            "bytes",
        ),
    ),
)  # fmt: skip
READERS = Section(
    title="Web page and traces",
    panels=(
        lines(
            "Web page",
            "How long the server takes for a page, by route: 95 of 100 are faster. 0 if no page was asked for.",
            (
                PromQL(
                    expr="histogram_quantile(0.95, sum by (route, le) (rate("
                    "tidemill_page_seconds_bucket[$__rate_interval]))) or vector(0)",
                    legend="{{route}}",
                ),
            ),
            "s",
            width=8,
        ),
        bars(
            "Traces",
            "Runs whose trace was sent, left out or refused. 0 if `python -m connectors.traces` does not run.",
            (
                PromQL(
                    expr="sum by (outcome) (increase(tidemill_traces_total[$__rate_interval])) or vector(0)",
                    legend="{{outcome}}",
                ),
            ),
            width=8,
        ),
        lines(
            "Records of status that are not traced",
            "Records that `python -m connectors.traces` has not read. 0 if it does not run.",
            (PromQL(expr="max(tidemill_traces_lag_records) or vector(0)", legend="traces"),),
            "short",
            width=8,
        ),
    ),
)
LIVE = Section(
    title="The topic status, live (needs the plugin hamedkarbasi93-kafka-datasource)",
    collapsed=True,
    panels=(
        table(
            "Records of status",
            "The records as the owners write them. The plugin is optional; no other panel needs it.",
            (Tail(topic="${topic_prefix}status", last=50),),
            height=12,
        ),
    ),
)
DASHBOARD = Dashboard(
    uid="tidemill-pipeline",
    title="Pipeline",
    says="Which hop is slow, who owns which partition, whether the connector reads and the sink writes.",
    sections=(HOPS, SOURCE, OWNERS, SINK, PROCESSES, READERS, LIVE),
    variables=(*METRICS, KAFKA_VARIABLE, textbox("topic_prefix", "Prefix of the topics", "tidemill.")),
)
