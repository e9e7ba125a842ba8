"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Documents and their history, answers and what came true."""
    _record()
    _traffic()


def _record() -> None:
    op.create_table(
        "documents",
        sa.Column("kind", sa.String(32), primary_key=True),
        sa.Column("id", sa.String(160), primary_key=True),
        sa.Column("model", sa.String(64), index=True),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("first_seq", sa.BigInteger, nullable=False, index=True),
        sa.Column("event_seq", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "evidence",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_table(
        "events",
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("model", sa.String(64), index=True),
        sa.Column("subject", sa.String(200), nullable=False, index=True),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("leaf", sa.String(64), nullable=False),
    )
    op.create_table(
        "ledger_head",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("frontier", sa.Text, nullable=False),
        sa.Column("root", sa.String(64), nullable=False),
    )


def _traffic() -> None:
    op.create_table(
        "predictions",
        sa.Column("id", _NUMBER, primary_key=True, autoincrement=True),
        sa.Column("request_id", sa.String(64), nullable=False, unique=True),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("arm", sa.String(16), nullable=False),
        sa.Column("update_id", sa.String(80)),
        sa.Column("step", sa.Integer),
        sa.Column("key", sa.Text),
        sa.Column("prediction", sa.Text, nullable=False),
        sa.Column("features", sa.Text, nullable=False),
        sa.Column("failed", sa.Boolean, nullable=False),
        sa.Column("latency_ms", sa.Float, nullable=False),
        sa.Column("at", sa.String(40), nullable=False),
    )
    op.create_index("predictions_by_model", "predictions", ["model", "version"])
    op.create_index("predictions_by_update", "predictions", ["update_id", "failed"])
    op.create_table(
        "labels",
        sa.Column("seq", _NUMBER, primary_key=True, autoincrement=True),
        sa.Column(
            "prediction_id",
            _NUMBER,
            sa.ForeignKey("predictions.id"),
            nullable=False,
            unique=True,
        ),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("at", sa.String(40), nullable=False),
    )
