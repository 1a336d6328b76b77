"""Asks for verdicts at a steady rate. Prints JSON."""

import argparse
import asyncio
import json
import sys
import time
from collections import Counter

import grpc
from tests.bench.judge_texts import texts
from tests.bench.plan import percentiles

from bartizan.v1 import common_pb2, guardrail_pb2, guardrail_pb2_grpc

SIZE = 200


async def run(target: str, key: str, rate: float, seconds: float) -> dict[str, object]:
    """Returns percentiles in milliseconds, counted from when each request was due."""
    count = int(rate * seconds)
    requests = [
        guardrail_pb2.CheckRequest(
            messages=[common_pb2.Message(role=common_pb2.ROLE_USER, content=text.value)]
        )
        for text in texts(SIZE, count, seed=3)
    ]
    latencies: list[float] = []
    errors: Counter[str] = Counter()
    async with grpc.aio.insecure_channel(target) as channel:
        stub = guardrail_pb2_grpc.GuardrailServiceStub(channel)

        async def ask(number: int, start: float) -> None:
            due = start + number / rate
            await asyncio.sleep(due - time.perf_counter())
            try:
                await stub.Check(requests[number], metadata=(("x-api-key", key),), timeout=10)
            except grpc.aio.AioRpcError as error:
                errors[error.code().name] += 1
            latencies.append(time.perf_counter() - due)

        await stub.Check(requests[0], metadata=(("x-api-key", key),))
        start = time.perf_counter() + 0.5
        await asyncio.gather(*(ask(number, start) for number in range(count)))
    return {**percentiles(latencies), "rate": rate, "errors": dict(errors)}


def main() -> None:
    """Runs as the arguments say."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--target", required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--rate", type=float, default=200.0)
    parser.add_argument("--seconds", type=float, default=6.0)
    given = parser.parse_args()
    figures = asyncio.run(run(given.target, given.key, given.rate, given.seconds))
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
