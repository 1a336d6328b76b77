"""The tables that readers query, as SQLAlchemy sees them. Migrations make them; nothing here does.

Only columns that a reader uses are named.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    Integer,
    MetaData,
    SmallInteger,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import ARRAY

from bartizan.server.ingest.summary import TOTALS

metadata = MetaData()
_time = DateTime(timezone=True)
_texts = ARRAY(Text)


def _totals() -> list["Column[int]"]:
    return [Column(name, BigInteger) for name in TOTALS]


traces = Table(
    "traces",
    metadata,
    Column("project_id", Integer, primary_key=True),
    Column("trace_id", Uuid, primary_key=True),
    Column("start_time", _time),
    Column("end_time", _time),
    Column("root_seen", Boolean),
    Column("root_status", SmallInteger),
    Column("display_name", Text),
    Column("user_id", Text),
    Column("session_id", Text),
    Column("environment", Text),
    Column("machine", Text),
    Column("workspace", Text),
    Column("agents", _texts),
    Column("models", _texts),
    Column("tags", _texts),
    Column("categories", _texts),
    Column("update_time", _time),
    Column("update_xid", BigInteger),
    *_totals(),
)

sessions = Table(
    "sessions",
    metadata,
    Column("project_id", Integer, primary_key=True),
    Column("session_id", Text, primary_key=True),
    Column("start_time", _time),
    Column("end_time", _time),
    Column("trace_count", BigInteger),
    Column("user_id", Text),
    Column("environment", Text),
    Column("agents", _texts),
    *_totals(),
)

spans = Table(
    "spans",
    metadata,
    Column("project_id", Integer),
    Column("trace_id", Uuid),
    Column("span_id", BigInteger),
    Column("parent_span_id", BigInteger),
    Column("start_time", _time),
    Column("start_nanos", SmallInteger),
    Column("duration_ns", BigInteger),
    Column("input_tokens", Integer),
    Column("output_tokens", Integer),
    Column("cache_read_tokens", Integer),
    Column("cache_write_tokens", Integer),
    Column("reasoning_tokens", Integer),
    Column("first_token_ns", BigInteger),
    Column("finding_count", SmallInteger),
    Column("cost_nano_usd", BigInteger),
    Column("kind", SmallInteger),
    Column("status", SmallInteger),
    Column("agent", Text),
    Column("environment", Text),
    Column("model", Text),
    Column("provider", Text),
    Column("machine", Text),
    Column("workspace", Text),
    Column("tool_name", Text),
    Column("error_type", Text),
    Column("name", Text),
    Column("user_id", Text),
    Column("session_id", Text),
    Column("tags", _texts),
)

span_payloads = Table(
    "span_payloads",
    metadata,
    Column("project_id", Integer),
    Column("trace_id", Uuid),
    Column("span_id", BigInteger),
    Column("start_time", _time),
    Column("input", Text),
    Column("output", Text),
    Column("attributes", Text),
    Column("events", Text),
    Column("links", Text),
    Column("extra", Text),
)

feedback = Table(
    "feedback",
    metadata,
    Column("project_id", Integer, primary_key=True),
    Column("feedback_id", Uuid, primary_key=True),
    Column("trace_id", Uuid),
    Column("span_id", BigInteger),
    Column("session_id", Text),
    Column("name", Text),
    Column("thumbs_up", Boolean),
    Column("rating", Float),
    Column("label", Text),
    Column("comment", Text),
    Column("correction", Text),
    Column("user_id", Text),
    Column("source", SmallInteger),
    Column("create_time", _time),
)

findings = Table(
    "findings",
    metadata,
    Column("project_id", Integer),
    Column("trace_id", Uuid),
    Column("span_id", BigInteger),
    Column("start_time", _time),
    Column("field", Text),
    Column("category", Text),
    Column("score", Float),
    Column("start_offset", Integer),
    Column("end_offset", Integer),
    Column("code", Text),
    Column("rule", Text),
    Column("rule_version", Text),
    Column("verdict", SmallInteger),
    Column("action", SmallInteger),
    Column("shadow", Boolean),
    Column("severity", SmallInteger),
)

finding_labels = Table(
    "finding_labels",
    metadata,
    Column("project_id", Integer),
    Column("trace_id", Uuid),
    Column("span_id", BigInteger),
    Column("field", Text),
    Column("category", Text),
    Column("start_offset", Integer),
    Column("end_offset", Integer),
    Column("is_right", Boolean),
    Column("author", Text),
    Column("create_time", _time),
)
