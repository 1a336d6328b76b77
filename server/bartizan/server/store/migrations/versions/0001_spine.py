"""Tenancy, spans with their payloads and findings, summaries, rollups, the ledger and streams."""

from collections.abc import Iterator

from alembic import op

revision = "0001"
down_revision = None

TENANCY = """
CREATE TABLE organizations (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    slug text NOT NULL UNIQUE,
    display_name text NOT NULL DEFAULT '',
    uid uuid NOT NULL DEFAULT gen_random_uuid(),
    create_time timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE projects (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organization_id int NOT NULL REFERENCES organizations,
    slug text NOT NULL,
    display_name text NOT NULL DEFAULT '',
    retention_days int NOT NULL DEFAULT 365 CHECK (retention_days BETWEEN 1 AND 3650),
    max_spans_per_second bigint NOT NULL DEFAULT 0 CHECK (max_spans_per_second >= 0),
    version int NOT NULL DEFAULT 1,
    uid uuid NOT NULL DEFAULT gen_random_uuid(),
    create_time timestamptz NOT NULL DEFAULT now(),
    update_time timestamptz NOT NULL DEFAULT now(),
    UNIQUE (organization_id, slug)
);
CREATE TABLE api_keys (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project_id int NOT NULL REFERENCES projects,
    slug text NOT NULL,
    display_name text NOT NULL DEFAULT '',
    prefix text NOT NULL,
    secret_sha256 bytea NOT NULL UNIQUE,
    scopes smallint[] NOT NULL CHECK (cardinality(scopes) > 0),
    request_id uuid,
    create_time timestamptz NOT NULL DEFAULT now(),
    expire_time timestamptz,
    revoke_time timestamptz,
    last_used_time timestamptz,
    UNIQUE (project_id, slug),
    UNIQUE (project_id, request_id)
);
-- What every server process must agree on: keys for hashes and page tokens.
CREATE TABLE secrets (
    name text PRIMARY KEY,
    value bytea NOT NULL
);
"""

# start_time is cut to microseconds, which is all that timestamptz holds; start_nanos is the rest.
# parent_span_id is 0 for a root: a zero id is never valid. A cost that is not known is null, one of
# 0 is free.
SPANS = """
CREATE TABLE spans (
    project_id int NOT NULL,
    trace_id uuid NOT NULL,
    span_id bigint NOT NULL,
    parent_span_id bigint NOT NULL,
    start_time timestamptz NOT NULL,
    start_nanos smallint NOT NULL,
    duration_ns bigint NOT NULL,
    input_tokens int NOT NULL,
    output_tokens int NOT NULL,
    cache_read_tokens int NOT NULL,
    cache_write_tokens int NOT NULL,
    reasoning_tokens int NOT NULL,
    first_token_ns bigint NOT NULL,
    finding_count smallint NOT NULL,
    ingest_time timestamptz NOT NULL,
    cost_nano_usd bigint,
    kind smallint NOT NULL,
    status smallint NOT NULL,
    agent text NOT NULL,
    environment text NOT NULL,
    model text NOT NULL,
    provider text NOT NULL,
    machine text NOT NULL,
    workspace text NOT NULL,
    tool_name text NOT NULL,
    error_type text NOT NULL,
    name text NOT NULL,
    user_id text NOT NULL,
    session_id text NOT NULL,
    tags text[] NOT NULL
) {partitioned};
CREATE UNIQUE INDEX spans_key ON spans (trace_id, span_id, project_id, start_time);
CREATE INDEX spans_start_time ON spans USING brin (start_time);

CREATE TABLE span_payloads (
    project_id int NOT NULL,
    trace_id uuid NOT NULL,
    span_id bigint NOT NULL,
    start_time timestamptz NOT NULL,
    input text,
    output text,
    attributes text,
    events text,
    links text,
    extra text
) {partitioned};
CREATE INDEX span_payloads_trace ON span_payloads (trace_id);

CREATE TABLE findings (
    project_id int NOT NULL,
    trace_id uuid NOT NULL,
    span_id bigint NOT NULL,
    start_time timestamptz NOT NULL,
    field text NOT NULL,
    category text NOT NULL,
    score real NOT NULL,
    start_offset int NOT NULL,
    end_offset int NOT NULL,
    code text NOT NULL,
    rule text NOT NULL,
    rule_version text NOT NULL,
    verdict smallint NOT NULL,
    action smallint NOT NULL,
    shadow boolean NOT NULL
) {partitioned};
CREATE INDEX findings_trace ON findings (trace_id);
"""

TOTALS = """
    span_count bigint NOT NULL,
    error_count bigint NOT NULL,
    finding_count bigint NOT NULL,
    input_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    cache_read_tokens bigint NOT NULL,
    cache_write_tokens bigint NOT NULL,
    reasoning_tokens bigint NOT NULL,
    cost_nano_usd bigint NOT NULL
"""

# Numbers for all that a filter can ask of a trace, so that one index finds what is rare, whatever
# it is. A hash is seeded with the project and the kind; a duration or a cost counts by its
# logarithm; a category brings those above it, and *. PL/pgSQL, as the same in SQL takes ten times
# as long. The index's pending list is kept short: the writer that fills it has to empty it.
LABELS = """
CREATE FUNCTION trace_labels(project_id int, agents text[], models text[], tags text[],
    categories text[], environment text, machine text, workspace text, root_seen boolean,
    root_status smallint, error_count bigint, start_time timestamptz, end_time timestamptz,
    cost_nano_usd bigint) RETURNS bigint[]
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 1000 AS $$
DECLARE
    seed bigint := project_id * 16::bigint;
    status int := CASE WHEN root_seen THEN root_status WHEN error_count > 0 THEN 2 ELSE 0 END;
    millis float8 := greatest(extract(epoch FROM end_time - start_time) * 1000, 0);
    labels bigint[] := ARRAY[
        hashtextextended(environment, seed + 4), hashtextextended(machine, seed + 5),
        hashtextextended(workspace, seed + 6), hashtextextended(status::text, seed + 7),
        hashtextextended(floor(ln(1 + millis) * 8)::text, seed + 8),
        hashtextextended(floor(ln(1 + cost_nano_usd::float8) * 8)::text, seed + 9)];
    label text;
BEGIN
    FOREACH label IN ARRAY agents LOOP
        labels := labels || hashtextextended(label, seed);
    END LOOP;
    FOREACH label IN ARRAY models LOOP
        labels := labels || hashtextextended(label, seed + 1);
    END LOOP;
    FOREACH label IN ARRAY tags LOOP
        labels := labels || hashtextextended(label, seed + 2);
    END LOOP;
    FOREACH label IN ARRAY categories LOOP
        labels := labels || hashtextextended('*', seed + 3);
        WHILE label <> '' LOOP
            labels := labels || hashtextextended(label, seed + 3);
            label := left(label, -strpos(reverse(label) || '.', '.'));
        END LOOP;
    END LOOP;
    RETURN labels;
END $$
"""

# update_xid is the transaction that last changed a trace: what a tail follows.
SUMMARIES = f"""
CREATE TABLE traces (
    project_id int NOT NULL,
    trace_id uuid NOT NULL,
    start_time timestamptz NOT NULL,
    end_time timestamptz NOT NULL,
    root_seen boolean NOT NULL,
    root_status smallint NOT NULL,
    display_name text NOT NULL,
    user_id text NOT NULL,
    session_id text NOT NULL,
    environment text NOT NULL,
    machine text NOT NULL,
    workspace text NOT NULL,
    agents text[] NOT NULL,
    models text[] NOT NULL,
    tags text[] NOT NULL,
    categories text[] NOT NULL,
    update_time timestamptz NOT NULL,
    update_xid bigint NOT NULL,
    {TOTALS},
    PRIMARY KEY (project_id, trace_id)
) WITH (fillfactor = 85);
CREATE INDEX traces_start_time ON traces (project_id, start_time DESC, trace_id DESC);
CREATE INDEX traces_update_xid ON traces (project_id, update_xid);
CREATE INDEX traces_session ON traces (project_id, session_id, start_time DESC)
    WHERE session_id <> '';
CREATE INDEX traces_user ON traces (project_id, user_id, start_time DESC) WHERE user_id <> '';
CREATE INDEX traces_labels ON traces USING gin (trace_labels(project_id, agents, models, tags,
    categories, environment, machine, workspace, root_seen, root_status, error_count, start_time,
    end_time, cost_nano_usd)) WITH (gin_pending_list_limit = 256);

CREATE TABLE sessions (
    project_id int NOT NULL,
    session_id text NOT NULL,
    start_time timestamptz NOT NULL,
    end_time timestamptz NOT NULL,
    trace_count bigint NOT NULL,
    user_id text NOT NULL,
    environment text NOT NULL,
    agents text[] NOT NULL,
    {TOTALS},
    PRIMARY KEY (project_id, session_id)
) WITH (fillfactor = 85);
CREATE INDEX sessions_end_time ON sessions (project_id, end_time DESC, session_id DESC);
"""

DIMENSIONS = """
    kind smallint NOT NULL,
    status smallint NOT NULL,
    agent text NOT NULL,
    environment text NOT NULL,
    model text NOT NULL,
    provider text NOT NULL,
    machine text NOT NULL,
    workspace text NOT NULL,
    tool_name text NOT NULL,
    error_type text NOT NULL
"""
COUNTERS = """
    span_count bigint NOT NULL,
    root_count bigint NOT NULL,
    finding_count bigint NOT NULL,
    input_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    cache_read_tokens bigint NOT NULL,
    cache_write_tokens bigint NOT NULL,
    reasoning_tokens bigint NOT NULL,
    cost_nano_usd bigint NOT NULL,
    duration_ns numeric NOT NULL
"""
LEVELS = ("minute", "hour", "day")

# Ingest only appends deltas, so that no two transactions wait for one counter; a job folds them
# into the levels. Whoever reads adds both, which is exact at every instant. Dimensions are indexed
# by their hash, as the longest do not fit into an index.
ROLLUPS = f"""
CREATE TABLE rollup_deltas (
    project_id int NOT NULL,
    minute timestamptz NOT NULL,
    {DIMENSIONS},
    {COUNTERS},
    latency_buckets smallint[] NOT NULL,
    latency_counts int[] NOT NULL
);
CREATE INDEX rollup_deltas_minute ON rollup_deltas (project_id, minute);
CREATE TABLE dimension_sets (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project_id int NOT NULL,
    {DIMENSIONS}
);
CREATE INDEX dimension_sets_key ON dimension_sets (hash_record_extended(ROW(project_id, kind,
    status, agent, environment, model, provider, machine, workspace, tool_name, error_type), 0));
CREATE INDEX dimension_sets_project ON dimension_sets (project_id);
"""

LEDGER = """
CREATE TABLE ledger (
    project_id int NOT NULL,
    minute timestamptz NOT NULL,
    outcome text NOT NULL CHECK (
        outcome IN ('received', 'stored', 'duplicate', 'rejected', 'quarantined')),
    reason text NOT NULL,
    spans bigint NOT NULL,
    PRIMARY KEY (project_id, minute, outcome, reason)
) WITH (fillfactor = 50);
CREATE TABLE streams (
    project_id int NOT NULL,
    stream_key text NOT NULL,
    last_seq bigint NOT NULL,
    update_time timestamptz NOT NULL,
    PRIMARY KEY (project_id, stream_key)
) WITH (fillfactor = 50);
CREATE TABLE quarantine (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project_id int NOT NULL,
    trace_id uuid NOT NULL,
    span_id bigint NOT NULL,
    ingest_time timestamptz NOT NULL,
    reason text NOT NULL,
    document text NOT NULL,
    UNIQUE (project_id, trace_id, span_id)
);
"""

PARTITIONED = ("spans", "span_payloads", "findings")
PLAIN = (
    "quarantine", "streams", "ledger", "dimension_sets", "rollup_deltas", "sessions", "traces",
    "secrets", "api_keys", "projects", "organizations",
)  # fmt: skip


def upgrade() -> None:
    """Makes everything; hypertables where TimescaleDB is, native range partitions elsewhere."""
    timescale = _has_timescale()
    _execute(TENANCY)
    clause = "" if timescale else "PARTITION BY RANGE (start_time)"
    _execute(SPANS.format(partitioned=clause))
    for table in PARTITIONED if timescale else ():
        op.execute(
            f"SELECT create_hypertable('{table}', by_range('start_time', INTERVAL '1 day'),"
            " create_default_indexes => false)"
        )
    if timescale and _has_columnstore():
        for table in PARTITIONED:
            op.execute(
                f"ALTER TABLE {table} SET (timescaledb.enable_columnstore,"
                " timescaledb.segmentby = 'project_id',"
                " timescaledb.orderby = 'start_time DESC, trace_id, span_id')"
            )
            op.execute(f"CALL add_columnstore_policy('{table}', after => INTERVAL '7 days')")
    op.execute(LABELS)
    for script in (SUMMARIES, ROLLUPS, LEDGER, *_level_tables()):
        _execute(script)


def downgrade() -> None:
    """Removes everything, data included."""
    for level in LEVELS:
        op.execute(f"DROP TABLE rollup_{level}, latency_{level}")
    for table in (*PARTITIONED, *PLAIN):
        op.execute(f"DROP TABLE {table}")
    op.execute("DROP FUNCTION trace_labels")


def _execute(script: str) -> None:
    # The driver prepares what it runs, and takes one statement at a time.
    for statement in script.split(";\n"):
        if statement.strip():
            op.execute(statement)


def _level_tables() -> Iterator[str]:
    for level in LEVELS:
        yield f"""
            CREATE TABLE rollup_{level} (
                dimension_set_id int NOT NULL,
                bucket_time timestamptz NOT NULL,
                {COUNTERS},
                PRIMARY KEY (dimension_set_id, bucket_time)
            );
            CREATE TABLE latency_{level} (
                dimension_set_id int NOT NULL,
                bucket_time timestamptz NOT NULL,
                bucket smallint NOT NULL,
                span_count bigint NOT NULL,
                PRIMARY KEY (dimension_set_id, bucket_time, bucket)
            );
        """


def _has_columnstore() -> bool:
    # The Apache edition of TimescaleDB has none.
    return op.get_bind().exec_driver_sql("SHOW timescaledb.license").scalar() == "timescale"


def _has_timescale() -> bool:
    query = "SELECT 1 FROM pg_extension WHERE extname = 'timescaledb'"
    return op.get_bind().exec_driver_sql(query).scalar() is not None
