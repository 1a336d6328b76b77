"""Sends one trace with the OpenTelemetry SDK and nothing of Bartizan.

pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-grpc
export OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4317
export OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer%20$BARTIZAN_API_KEY"
python examples/opentelemetry_sdk.py
"""

import json

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor


def message(role: str, text: str) -> str:
    """Returns one message in the form of the GenAI semantic conventions."""
    return json.dumps([{"role": role, "parts": [{"type": "text", "content": text}]}])


provider = TracerProvider(resource=Resource.create({"deployment.environment.name": "example"}))
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
tracer = trace.get_tracer("example", tracer_provider=provider)

with (
    tracer.start_as_current_span("invoke_agent support-bot") as agent,
    tracer.start_as_current_span("chat gpt-4o") as chat,
):
    agent.set_attributes(
        {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.name": "support-bot",
            "gen_ai.conversation.id": "chat-1",
        }
    )
    chat.set_attributes(
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "gpt-4o",
            "gen_ai.usage.input_tokens": 12,
            "gen_ai.usage.output_tokens": 6,
            "gen_ai.input.messages": message("user", "Where is my order? I am ada@example.com."),
            "gen_ai.output.messages": message("assistant", "It is on its way."),
        }
    )

# Sends what is left and waits for it.
provider.shutdown()
