"""The kinds of panels: a number, lines, bars, a table, a timeline of states."""

from __future__ import annotations

import msgspec

from infra.grafana import states
from infra.grafana.sources import PromQL, Query, Sql, Tail
from infra.grafana.states import Json

GREEN, ORANGE, RED = "green", "orange", "red"
LEGEND = {"calcs": ["lastNotNull", "max"], "displayMode": "table", "placement": "bottom", "showLegend": True}
NO_LEGEND = {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": False}
TOOLTIP = {"mode": "multi", "sort": "desc"}
REDUCE = {"calcs": ["lastNotNull"], "fields": "", "values": False}
SOME = 0.5
"""The step for what should be 0: `increase` estimates, so one event may count as 0.9."""
SMALL = 4
"""The height of a number, and the width of the smallest one."""


class Panel(msgspec.Struct, frozen=True, kw_only=True):
    kind: str
    title: str
    says: str
    queries: tuple[Query, ...]
    width: int = 12
    """Of 24 columns."""
    height: int = 8
    options: Json
    defaults: Json
    overrides: tuple[Json, ...] = ()
    transformations: tuple[Json, ...] = ()

    def json(self, number: int, x: int, y: int) -> Json:
        targets = [query.target(place) for place, query in enumerate(self.queries)]
        panel = {
            "datasource": targets[0]["datasource"],
            "description": self.says,
            "fieldConfig": {"defaults": self.defaults, "overrides": list(self.overrides)},
            "gridPos": {"h": self.height, "w": self.width, "x": x, "y": y},
            "id": number,
            "options": self.options,
            "targets": targets,
            "title": self.title,
            "type": self.kind,
        }
        return panel | ({"transformations": list(self.transformations)} if self.transformations else {})


def number(
    title: str,
    says: str,
    query: PromQL | Sql,
    unit: str,
    steps: tuple[tuple[str, float], ...] = (),
    *,
    width: int = SMALL,
) -> Panel:
    """`steps`: the colors from these values on; below the first it is green."""
    return Panel(
        kind="stat", title=title, says=says, queries=(query,), width=width, height=SMALL,
        options={
            "colorMode": "background" if steps else "value", "graphMode": "none", "justifyMode": "auto",
            "orientation": "auto", "reduceOptions": REDUCE, "textMode": "auto", "wideLayout": True,
        },
        defaults={"unit": unit, "color": {"mode": "thresholds"}, "thresholds": _thresholds(steps)}
        | ({"decimals": 0} if unit == "short" else {}),
    )  # fmt: skip


def state(title: str, says: str, query: Sql, *, width: int = SMALL) -> Panel:
    """The number of a state, shown as its word."""
    plain = number(title, says, query, "none", width=width)
    shown = {
        "unit": "none",
        "color": {"mode": "thresholds"},
        "mappings": states.as_text(),
        "thresholds": _thresholds(()),
    }
    return msgspec.structs.replace(plain, defaults=shown, options=plain.options | {"colorMode": "background"})


def lines(
    title: str, says: str, queries: tuple[PromQL | Sql, ...], unit: str, *, width: int = 12, limit: float | None = None
) -> Panel:
    """`limit`: the value from which it is bad, drawn as a line."""
    custom: Json = {"drawStyle": "line", "fillOpacity": 8, "lineWidth": 1, "showPoints": "auto", "spanNulls": False}
    defaults: Json = {"unit": unit, "min": 0, "custom": custom}
    if limit is not None:
        custom["thresholdsStyle"] = {"mode": "dashed"}
        defaults["thresholds"] = _thresholds(((RED, limit),))
    return Panel(
        kind="timeseries", title=title, says=says, queries=queries, width=width, height=8,
        options={"legend": LEGEND, "tooltip": TOOLTIP}, defaults=defaults,
    )  # fmt: skip


def bars(title: str, says: str, queries: tuple[PromQL | Sql, ...], *, unit: str = "short", width: int = 12) -> Panel:
    """Stacked; a series that is named as a state has the color of the state."""
    custom = {
        "drawStyle": "bars", "fillOpacity": 80, "lineWidth": 0, "showPoints": "never",
        "stacking": {"group": "A", "mode": "normal"},
    }  # fmt: skip
    return Panel(
        kind="timeseries", title=title, says=says, queries=queries, width=width, height=8,
        options={"legend": LEGEND, "tooltip": TOOLTIP},
        defaults={"unit": unit, "min": 0, "custom": custom}, overrides=tuple(states.by_name()),
    )  # fmt: skip


def ranking(title: str, says: str, queries: tuple[PromQL | Sql, ...], unit: str, *, width: int = 12) -> Panel:
    """One horizontal bar for each series or row."""
    return Panel(
        kind="bargauge", title=title, says=says, queries=queries, width=width, height=8,
        options={
            "displayMode": "basic", "legend": NO_LEGEND, "maxVizHeight": 30, "minVizHeight": 12, "minVizWidth": 8,
            "namePlacement": "auto", "orientation": "horizontal",
            "reduceOptions": REDUCE | {"values": isinstance(queries[0], Sql)}, "showUnfilled": True, "sizing": "auto",
            "valueMode": "color",
        },
        defaults={"unit": unit, "min": 0, "color": {"mode": "palette-classic"}},
    )  # fmt: skip


def timeline(title: str, says: str, query: Sql, *, width: int = 24, kind: str = "state-timeline") -> Panel:
    """The state of each `metric` over time: from change to change, or (`status-history`) one box for each time."""
    extra: Json = {"mergeValues": True, "alignValue": "left"} if kind == "state-timeline" else {"colWidth": 0.9}
    options = {"legend": NO_LEGEND, "rowHeight": 0.9, "showValue": "never", "tooltip": TOOLTIP} | extra
    return Panel(
        kind=kind, title=title, says=says, queries=(query,), width=width, height=8, options=options,
        defaults={
            "unit": "none", "color": {"mode": "thresholds"}, "mappings": states.as_text(),
            "thresholds": _thresholds(()),
            "custom": {"fillOpacity": 80, "lineWidth": 0},
        },
    )  # fmt: skip


def table(
    title: str,
    says: str,
    queries: tuple[PromQL | Sql | Tail, ...],
    *,
    width: int = 24,
    height: int = 8,
    units: dict[str, str] | None = None,
    links: dict[str, str] | None = None,
) -> Panel:
    """`units` and `links`: by column. A column `state` has the colors of the states."""
    overrides = [_override(column, "unit", unit) for column, unit in (units or {}).items()]
    overrides += [_override(column, "links", [_link(column, path)]) for column, path in (links or {}).items()]
    state_column = _override("state", "mappings", states.words())
    state_column["properties"].append({"id": "custom.cellOptions", "value": {"type": "color-text"}})
    return Panel(
        kind="table", title=title, says=says, queries=queries, width=width, height=height,
        options={"cellHeight": "sm", "showHeader": True},
        defaults={"unit": "none", "custom": {"align": "auto", "filterable": True}},
        overrides=(*overrides, state_column),
    )  # fmt: skip


def _override(column: str, name: str, value: object) -> Json:
    return {"matcher": {"id": "byName", "options": column}, "properties": [{"id": name, "value": value}]}


def _link(column: str, path: str) -> Json:
    """Grafana encodes the variables of a link; the address of the web page must stay as it is."""
    return {"title": f"Open this {column}", "url": "${web:raw}" + path, "targetBlank": True}


def _thresholds(steps: tuple[tuple[str, float], ...]) -> Json:
    first: Json = {"color": GREEN, "value": None}
    return {"mode": "absolute", "steps": [first, *({"color": color, "value": value} for color, value in steps)]}
