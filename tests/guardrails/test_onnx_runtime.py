"""onnxruntime leaves nothing behind and calls nobody."""

import os
import subprocess
import sys
from pathlib import Path

JUDGE = """
import asyncio, socket

def refuse(*_):
    raise AssertionError("something calls somebody")

socket.socket.connect = refuse
from bartizan.guardrails.toxicity import Toxicity, ToxicityConfig
from bartizan.plugins.contract import Role, Text

async def main():
    guardrail = Toxicity(ToxicityConfig(second_look=True))
    [found] = await guardrail.check([Text(Role.USER, "You are a stupid, worthless idiot.")])
    assert found
    await guardrail.aclose()

asyncio.run(main())
"""


def test_it_writes_no_file_of_its_own(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path), "HOME": str(tmp_path)}
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    subprocess.run([sys.executable, "-c", JUDGE], env=environment, check=True, timeout=60)
    assert list(tmp_path.iterdir()) == []
