"""What gateways say of versions that they do not route."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """From 0003."""
    op.add_column("gateways", sa.Column("notes", sa.Text, nullable=False, server_default="[]"))
