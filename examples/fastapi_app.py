"""A web service whose requests continue the caller's traces.

pip install fastapi uvicorn
uvicorn --app-dir examples fastapi_app:app
curl localhost:8000/ask?question=Why -H 'x-user: u-17'
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse

from bartizan.client import Bartizan

bz = Bartizan(agent="web-agent", environment="example")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield
    # What is left is sent before the process ends.
    bz.shutdown()


app = FastAPI(lifespan=lifespan)


@app.middleware("http")
async def trace(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
    caller = request.headers
    session = bz.session(caller.get("x-session", ""), user=caller.get("x-user", ""))
    work = f"{request.method} {request.url.path}"
    with bz.continue_trace(caller), session, bz.span(work, kind="workflow") as span:
        response = await answer(request)
        response.headers["x-trace-id"] = span.trace_id
        return response


@app.get("/ask")
async def ask(question: str) -> dict[str, str]:
    return {"answer": await think(question)}


@app.get("/stream")
async def stream(question: str) -> StreamingResponse:
    return StreamingResponse(speak(question), media_type="text/plain")


@bz.trace(model="gpt-4o-mini")
async def think(question: str) -> str:
    return f"Because of {question!r}."


@bz.trace(model="gpt-4o-mini")
async def speak(question: str) -> AsyncIterator[str]:
    for word in ("Because ", "it ", "is."):
        yield word
