"""The tables, as SQLAlchemy sees them. What changes here takes a migration."""

import sqlalchemy as sa

#: The newest revision in ``migrations/versions``.
REVISION = "0004"

metadata = sa.MetaData()

#: A row number that the database gives: 64 bits everywhere.
_Number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

#: The present state: one row a document, as its newest event left it; numbers of events.
documents = sa.Table(
    "documents",
    metadata,
    sa.Column("kind", sa.String(32), primary_key=True),
    sa.Column("id", sa.String(160), primary_key=True),
    sa.Column("model", sa.String(64), index=True),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("first_seq", sa.BigInteger, nullable=False, index=True),
    sa.Column("event_seq", sa.BigInteger, nullable=False),
)

#: Evidence by the digest of its canonical JSON; never changed.
evidence = sa.Table(
    "evidence",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("body", sa.Text, nullable=False),
)

#: The history: one leaf of the Merkle tree a row, in order from 1, without gaps.
events = sa.Table(
    "events",
    metadata,
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("model", sa.String(64), index=True),
    sa.Column("subject", sa.String(200), nullable=False, index=True),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("leaf", sa.String(64), nullable=False),
)

#: The Merkle tree over all events: its size, the roots of its perfect subtrees, its root.
ledger_head = sa.Table(
    "ledger_head",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("frontier", sa.Text, nullable=False),
    sa.Column("root", sa.String(64), nullable=False),
)

#: Every answer given on traffic.
predictions = sa.Table(
    "predictions",
    metadata,
    sa.Column("id", _Number, primary_key=True, autoincrement=True),
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
    sa.Index("predictions_by_model", "model", "version"),
    sa.Index("predictions_by_update", "update_id", "failed"),
)

#: What a candidate in the shadow said to a request that the champion answered, whose row holds the
#: rest; nothing where it failed. A pair with its row of ``predictions``, however they came.
shadows = sa.Table(
    "shadows",
    metadata,
    sa.Column("request_id", sa.String(64), primary_key=True),
    sa.Column("update_id", sa.String(80), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("prediction", sa.Text),
    sa.Column("failed", sa.Boolean, nullable=False),
    sa.Column("latency_ms", sa.Float, nullable=False),
    sa.Index("shadows_by_update", "update_id", "failed"),
)

#: Gateways that run, the size of the record that each routes by, and when it said so (seconds since
#: 1970, by its own clock); its ``notes`` on versions are JSON.
gateways = sa.Table(
    "gateways",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("seen", sa.BigInteger, nullable=False),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("notes", sa.Text, nullable=False, server_default="[]"),
)

#: What came true, in the order it was told; at most one label an answer.
labels = sa.Table(
    "labels",
    metadata,
    sa.Column("seq", _Number, primary_key=True, autoincrement=True),
    sa.Column(
        "prediction_id", _Number, sa.ForeignKey("predictions.id"), nullable=False, unique=True
    ),
    sa.Column("label", sa.Text, nullable=False),
    sa.Column("at", sa.String(40), nullable=False),
)
