"""What candidates in the shadow said."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """From 0002."""
    op.create_table(
        "shadows",
        sa.Column("request_id", sa.String(64), primary_key=True),
        sa.Column("update_id", sa.String(80), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("prediction", sa.Text),
        sa.Column("failed", sa.Boolean, nullable=False),
        sa.Column("latency_ms", sa.Float, nullable=False),
    )
    op.create_index("shadows_by_update", "shadows", ["update_id", "failed"])
