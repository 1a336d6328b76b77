"""Guardrail rules as documents, labels of findings, and the work of deferred rules."""

from alembic import op

revision = "0003"
down_revision = "0002"

# Rows are never changed: the latest revision of an id is what holds. A null document says that the
# rule was deleted. Revisions are made under a lock, so that they are committed in their order.
# Labels say where in a span a finding stands instead of pointing at a row: a later version of the
# rule that finds the same is judged by the same label.
# A deferred check is one span and the rules that are to look at it. It is leased, not locked: who
# looks at it may take minutes.
RULES = (
    """
CREATE TABLE guardrail_rules (
    revision bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project_id int NOT NULL REFERENCES projects,
    id text NOT NULL,
    version text NOT NULL,
    document jsonb,
    paused boolean NOT NULL DEFAULT false,
    author text NOT NULL,
    create_time timestamptz NOT NULL
)""",
    """
CREATE INDEX guardrail_rules_latest ON guardrail_rules (project_id, id, revision DESC)""",
    """
ALTER TABLE findings ADD COLUMN severity smallint NOT NULL DEFAULT 0""",
    """
CREATE INDEX findings_newest ON findings (project_id, start_time DESC, trace_id, span_id)""",
    """
CREATE TABLE finding_labels (
    project_id int NOT NULL REFERENCES projects,
    trace_id uuid NOT NULL,
    span_id bigint NOT NULL,
    field text NOT NULL,
    category text NOT NULL,
    start_offset int NOT NULL,
    end_offset int NOT NULL,
    is_right boolean NOT NULL,
    author text NOT NULL,
    create_time timestamptz NOT NULL,
    PRIMARY KEY (project_id, trace_id, span_id, field, category, start_offset, end_offset)
)""",
    """
CREATE TABLE deferred_checks (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project_id int NOT NULL,
    trace_id uuid NOT NULL,
    span_id bigint NOT NULL,
    start_time timestamptz NOT NULL,
    rules text[] NOT NULL,
    attempts smallint NOT NULL DEFAULT 0,
    lease_end timestamptz NOT NULL DEFAULT '-infinity'
)""",
)


def upgrade() -> None:
    """Makes the tables."""
    for statement in RULES:
        op.execute(statement)


def downgrade() -> None:
    """Removes the tables, data included."""
    for table in ("deferred_checks", "finding_labels", "guardrail_rules"):
        op.execute(f"DROP TABLE {table}")
    op.execute("DROP INDEX findings_newest")
    op.execute("ALTER TABLE findings DROP COLUMN severity")
