"""Gateways, and how far each has followed the record."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """From 0001."""
    op.create_table(
        "gateways",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("seen", sa.BigInteger, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
    )
