"""Tables of the energy ledger."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from seedcore.db.metadata.base import column, metadata, time

energy_tx = sa.Table(
    "energy_tx",
    metadata,
    sa.Column("tx_id", sa.Text, primary_key=True),
    sa.Column("seq", sa.BigInteger, sa.Identity(), nullable=False),
    column("ts", time),
    column("scope", sa.Text()),
    column("scope_id", sa.Text()),
    column("step_id", sa.Text(), null=True),
    column("delta_e", sa.Double()),
    column("cost", sa.Double()),
    column("balance_after", sa.Double()),
    column("breakdown", JSONB()),
    column("meta", JSONB()),
    sa.UniqueConstraint("seq", name="uq_energy_tx_seq"),
    sa.Index("ix_energy_tx_scope", "scope", "scope_id", "seq"),
)

energy_balance = sa.Table(
    "energy_balance",
    metadata,
    column("scope", sa.Text()),
    column("scope_id", sa.Text()),
    column("balance", sa.Double()),
    column("tx_count", sa.BigInteger()),
    column("last_tx_id", sa.Text(), null=True),
    column("updated_at", time),
    sa.PrimaryKeyConstraint("scope", "scope_id", name="pk_energy_balance"),
)
