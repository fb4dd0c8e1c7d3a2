"""The columns of the registry commands."""

from __future__ import annotations

from seedcore_cli.humanize import moment, seconds
from seedcore_cli.output import Column

STATUS = Column(
    "status",
    colors={"alive": "green", "starting": "cyan", "draining": "yellow", "dead": "red"},
)
INSTANCE = Column("instance_id", header="INSTANCE", id=True)

EPOCH = (
    Column("epoch", id=True),
    Column("since", format=moment),
    Column("alive", align="right"),
    Column("starting", align="right"),
    Column("draining", align="right"),
    Column("of_old_epochs", align="right"),
)

ROTATED = (
    Column("new", id=True),
    Column("old"),
    Column("expired", align="right"),
    Column("drained", align="right"),
)

HISTORY = (
    Column("epoch", id=True),
    Column("previous_epoch", header="FROM"),
    Column("set_at", format=moment),
    Column("actor"),
    Column("reason"),
)

LIST = (
    INSTANCE,
    Column("logical_id"),
    STATUS,
    Column("heartbeat_age_s", header="SILENT", align="right", format=seconds),
    Column("epoch_current", wide=True),
    Column("epoch", wide=True),
    Column("actor_name", wide=True),
    Column("serve_route", header="ROUTE"),
    Column("node_id", header="NODE"),
    Column("ip_address", wide=True),
    Column("pid", align="right"),
)

SHOWN = (
    INSTANCE,
    Column("logical_id"),
    STATUS,
    Column("leases", align="right"),
    Column("epoch"),
    Column("epoch_current"),
    Column("heartbeat_age_s", header="SILENT", format=seconds),
    Column("actor_name"),
    Column("serve_route"),
    Column("node_id"),
    Column("ip_address"),
    Column("pid"),
    Column("started_at", format=moment),
    Column("stopped_at", format=moment),
    Column("last_heartbeat", format=moment),
)

CHANGES = (
    Column("at"),
    Column("change"),
    INSTANCE,
    Column("logical_id"),
    STATUS,
    Column("heartbeat_age_s", header="SILENT", align="right", format=seconds),
    Column("node_id", header="NODE"),
)

REGISTERED = (INSTANCE, Column("epoch"), STATUS)

BEAT = (Column("at"), STATUS, Column("epoch_current"))

MOVED = (INSTANCE, Column("before"), Column("after"))

DRAINED = (
    INSTANCE,
    Column("logical_id"),
    Column("leases", align="right"),
    Column("before", wide=True),
    STATUS,
)

EXPIRED = (
    INSTANCE,
    Column("logical_id"),
    Column("heartbeat_age_s", header="SILENT", align="right", format=seconds),
    Column("old_epoch"),
    Column("node_id", header="NODE", wide=True),
)

LOCATED = (
    INSTANCE,
    Column("logical_id"),
    Column("serve_route", header="ROUTE"),
    Column("actor_name", header="ACTOR"),
    Column("node_id", header="NODE"),
    Column("ip_address", wide=True),
    Column("pid", align="right", wide=True),
)
