"""Feedback on traces and sessions."""

from alembic import op

revision = "0002"
down_revision = "0001"

# No foreign key: feedback may come before the spans it is about, and outlive them. trace_id is null
# when it is about a whole session. Users and sessions are indexed by their hash, as redaction can
# make them longer than fits into an index.
FEEDBACK = (
    """
CREATE TABLE feedback (
    project_id int NOT NULL,
    feedback_id uuid NOT NULL,
    trace_id uuid,
    span_id bigint,
    session_id text NOT NULL,
    name text NOT NULL,
    thumbs_up boolean,
    rating double precision CHECK (rating BETWEEN 0 AND 100),
    label text NOT NULL,
    comment text NOT NULL,
    correction text NOT NULL,
    user_id text NOT NULL,
    source smallint NOT NULL,
    create_time timestamptz NOT NULL,
    PRIMARY KEY (project_id, feedback_id)
)""",
    """
CREATE INDEX feedback_create_time ON feedback (project_id, create_time DESC, feedback_id DESC)""",
    """
CREATE INDEX feedback_trace ON feedback (project_id, trace_id) WHERE trace_id IS NOT NULL""",
    """
CREATE INDEX feedback_session ON feedback
    (project_id, hashtextextended(session_id, 0), create_time DESC, feedback_id DESC)
    WHERE session_id <> ''""",
    """
CREATE INDEX feedback_user ON feedback
    (project_id, hashtextextended(user_id, 0), create_time DESC, feedback_id DESC)
    WHERE user_id <> ''""",
)


def upgrade() -> None:
    """Makes the table: a plain one, as feedback is rare beside spans."""
    for statement in FEEDBACK:
        op.execute(statement)


def downgrade() -> None:
    """Removes the table, data included."""
    op.execute("DROP TABLE feedback")
