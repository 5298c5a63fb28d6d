"""The gate before Gradio: which routes there are, how large a body may be, and what one user may ask at once.

Gradio serves more than the page uses (its own recorder, monitoring, run history, a proxy), reads bodies of any
size, and lets one user fill the queue. Nothing of that is a setting, so an ASGI middleware stands before it.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator
from functools import partial
from typing import Any
from urllib.parse import unquote, urlsplit

import gradio as gr
import httpx
import safehttpx
from gradio import processing_utils
from gradio.queueing import Event, Queue
from gradio.utils import get_upload_folder
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.formparsers import MultiPartException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hsm.page.files import room_for

LARGEST_FILE_B = 300_000_000  # ten minutes of stereo at 48 kHz in 32 bit are 230 MB
LARGEST_JSON_B = 1_000_000
LARGEST_TOOL_CALL_B = 64_000_000  # an assistant may send a sound as a data URL, or its address on the web
LARGEST_FORM_B = 100_000  # all but the files of an upload
MOST_FILES = 8  # of one upload
SESSION_SHARE, ADDRESS_SHARE = 6, 18  # requests that may wait or run at once
QUIET_S = 10.0  # a live stream that sends nothing for so long gives its place back
LONGEST_ERROR_B = 100_000

OPEN = {
    "GET": r"/|/(config|theme\.css|favicon\.ico|robots\.txt|manifest\.json|pwa_icon|user|login_check)(/.*)?"
    r"|/(static|assets|svelte)/.*"
    r"|/gradio_api/(info|openapi\.json|app_id|token|user|login_check|startup-events|upload_progress)/?"
    r"|/gradio_api/(heartbeat/.*|queue/(data|status)|call/.*|file=.*|mcp(/.*)?)",
    "POST": r"/gradio_api/(upload|cancel|reset/?|queue/join|(call|run|api)/.*|stream/.*|mcp(/.*)?)",
    "DELETE": r"/gradio_api/mcp(/.*)?",
}
OPEN["HEAD"] = OPEN["GET"]
QUEUED = re.compile(r"/gradio_api/(queue/join|call/.*)")
ASKING = re.compile(r"/gradio_api/(queue/join|(call|run|api)/.*)")
SEPARATE = "/gradio_api/call/separate"
FOLDERS = re.compile(r"(?<![\w:/.])/(?:[^/\s'\"]+/)+(?=[^/\s'\"]+)")


def without_folders(text: str) -> str:
    """A message with the file names of its absolute paths, but not their folders."""
    return FOLDERS.sub("", text)


class Refused(Exception):
    """What a request is answered instead of being passed on."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


class Gate:
    """The middleware; `launch_options` puts it before Gradio's own routes."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.watched: dict[str, asyncio.Task[None]] = {}
        processing_utils.async_transport = Fetching()  # type: ignore[assignment]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        try:
            path = scope["path"].removeprefix(scope.get("root_path", ""))
            if not re.fullmatch(OPEN.get(scope["method"], "-"), path) and scope["method"] != "OPTIONS":
                raise Refused(404, "Not found.")
            if scope["method"] == "POST":
                receive = await self.checked(path, scope, receive)
            await self.app(scope, receive, tidied(send))
            if path == "/gradio_api/queue/join":
                self.watch_streams(queue_of(scope))
        except Refused as refusal:
            await JSONResponse({"detail": refusal.message}, refusal.status)(scope, receive, send)

    async def checked(self, path: str, scope: Scope, receive: Receive) -> Receive:
        """The same body, as far as it is within the limits."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        if path == "/gradio_api/upload":
            return counted_upload(headers, receive)
        tool = path.startswith("/gradio_api/mcp")
        body = await whole_body(receive, LARGEST_TOOL_CALL_B if tool else LARGEST_JSON_B)
        if ASKING.fullmatch(path):
            try:
                request = json.loads(body)
            except (ValueError, RecursionError):
                raise Refused(400, "The body is not JSON.") from None
            if not isinstance(request, dict):
                raise Refused(400, "The body is no JSON object.")
            if QUEUED.fullmatch(path):
                check_share(queue_of(scope), address(scope, headers), request.get("session_hash"))
            data = request.get("data")
            if path == SEPARATE and isinstance(data, list) and len(data) == 4:
                data.append("mask")  # a program written before there was a choice of renderer
            body = json.dumps(with_own_files(request)).encode()
            scope["headers"] = [item for item in scope["headers"] if item[0] != b"content-length"]
            scope["headers"].append((b"content-length", str(len(body)).encode()))
        return replayed(body, receive)

    def watch_streams(self, queue: Queue) -> None:
        """End live streams that fall silent, so that nobody holds a place without using it."""
        for event in queue.event_ids_to_events.values():
            if event.streaming and event._id not in self.watched:
                self.watched[event._id] = task = asyncio.create_task(end_when_quiet(queue, event))
                task.add_done_callback(partial(self.forget, event._id))

    def forget(self, event_id: str, _: asyncio.Task[None]) -> None:
        """A stream has ended."""
        del self.watched[event_id]


def queue_of(scope: Scope) -> Queue:
    """Gradio's queue."""
    found: Queue = scope["app"].get_blocks()._queue
    return found


def address(scope: Scope, headers: dict[str, str]) -> str:
    """Where a user asks from; on a Space all come through its proxy, which says for whom."""
    if os.environ.get("SPACE_ID") and (forwarded := headers.get("x-forwarded-for")):
        return forwarded.split(",")[0].strip()
    return scope["client"][0] if scope.get("client") else ""


def check_share(queue: Queue, user: str, session: str | None) -> None:
    """Refuse a user who has as many requests waiting and running as one may have."""
    theirs = [event for event in queue.event_ids_to_events.values() if address_of(event) == user]
    mine = [event for event in theirs if event.session_hash == (session or event._id)]
    own_machine = user in ("127.0.0.1", "::1")  # whoever can reach the page from here need not be kept fair
    if len(mine) >= SESSION_SHARE or (len(theirs) >= ADDRESS_SHARE and not own_machine):
        raise Refused(
            429,
            f"You have {len(mine)} requests waiting or running; at most {SESSION_SHARE} are taken. Let one end first.",
        )


def address_of(event: Event) -> str:
    """Where a waiting or running request came from."""
    scope = event.request.scope
    return address(scope, {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]})


def has_left(request: gr.Request) -> bool:
    """Whether a user whose request runs has gone away."""
    assert request.request is not None
    queue = queue_of(request.request.scope)
    running = [event for job in queue.active_jobs if job for event in job if event.session_hash == request.session_hash]
    return bool(running) and not any(event.alive for event in running)


async def end_when_quiet(queue: Queue, event: Event) -> None:
    """Close a stream after `QUIET_S` without a new piece."""
    while event._id in queue.event_ids_to_events:
        piece, waiting = event.data, event in queue.event_queue_per_concurrency_id[event.concurrency_id].queue
        await asyncio.sleep(QUIET_S)
        if event.data is piece and not waiting:
            event.run_time, event.closed = float("inf"), True
            event.signal.set()
            return


async def whole_body(receive: Receive, most: int) -> bytes:
    """A body of at most so many bytes."""
    body, more = bytearray(), True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > most:
            raise Refused(413, f"The request is larger than {most / 1e6:g} MB.")
    return bytes(body)


def replayed(body: bytes, receive: Receive) -> Receive:
    """A body that was read, to be read once more."""
    left = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> Message:
        return left.pop() if left else await receive()

    return next_message


def counted_upload(headers: dict[str, str], receive: Receive) -> Receive:
    """An upload, refused as soon as it is too large, holds too many files, or much beside them."""
    if not room_for(LARGEST_FILE_B):
        raise Refused(507, "The server's disk is full. Uploads are deleted after an hour: try again then.")
    kind, options = parse_options_header(headers.get("content-type", ""))
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise Refused(400, "An upload is a form with files.")
    form = CountedForm()
    parser = MultipartParser(options[b"boundary"], form.callbacks())
    received = 0

    async def next_message() -> Message:
        nonlocal received
        message = await receive()
        # Gradio deletes what it has written so far after this error, and after no other.
        if message["type"] == "http.disconnect":
            raise MultiPartException("The upload was broken off.")
        received += len(message.get("body", b""))
        parser.write(message.get("body", b""))
        if received > LARGEST_FILE_B + LARGEST_FORM_B or form.files > MOST_FILES or form.other_bytes > LARGEST_FORM_B:
            raise MultiPartException(
                f"This is above the maximum allowed size of {LARGEST_FILE_B / 1e6:g} MB in at most {MOST_FILES} files."
            )
        return message

    return next_message


class CountedForm:
    """What a form holds, as far as it was read."""

    def __init__(self) -> None:
        self.files = self.other_bytes = 0
        self.is_file = False
        self.name, self.value = bytearray(), bytearray()

    def callbacks(self) -> Any:
        """For the parser."""
        return {
            "on_part_begin": self.begin_part,
            "on_header_field": lambda data, start, end: self.name.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self.value.extend(data[start:end]),
            "on_header_end": self.end_header,
            "on_part_data": self.add_data,
        }

    def begin_part(self) -> None:
        """A part is no file until its header says so."""
        self.is_file = False

    def end_header(self) -> None:
        """Only this header makes a part a file."""
        if self.name.lower() == b"content-disposition" and b"filename" in parse_options_header(bytes(self.value))[1]:
            self.is_file = True
            self.files += 1
        self.name.clear()
        self.value.clear()

    def add_data(self, _: bytes, start: int, end: int) -> None:
        """Gradio holds in memory what is no file."""
        if not self.is_file:
            self.other_bytes += end - start


class Fetching(httpx.AsyncBaseTransport):
    """How Gradio fetches what a user names by its address: it would hold a body of any size in memory."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        public = safehttpx.AsyncSecureTransport(await safehttpx.async_validate_url(request.url.host))
        response = await public.handle_async_request(request)
        response.headers.pop("content-encoding", None)  # kilobytes may be packed gigabytes
        response.stream = CountedStream(response.stream, public)
        return response


class CountedStream(httpx.AsyncByteStream):
    """A body from the web, up to the size of what an assistant may send."""

    def __init__(self, stream: Any, transport: httpx.AsyncBaseTransport) -> None:
        self.stream, self.transport = stream, transport

    async def aclose(self) -> None:
        await self.stream.aclose()
        await self.transport.aclose()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = LARGEST_TOOL_CALL_B
        async for part in self.stream:
            if (left := left - len(part)) < 0:
                said = f"The sound at this address is larger than {LARGEST_TOOL_CALL_B / 1e6:g} MB: upload it."
                raise gr.Error(said, print_exception=False)
            yield part


def with_own_files(value: Any) -> Any:
    """A request in which addresses of files of this server are their paths: Gradio fetches nothing from itself."""
    if isinstance(value, list):
        return [with_own_files(item) for item in value]
    if isinstance(value, dict):
        changed = {name: with_own_files(item) for name, item in value.items()}
        path = changed.get("path")
        if isinstance(path, str) and (own := own_file(path)):
            changed |= {"path": own, "url": None}
        return changed
    return value


def own_file(address: str) -> str | None:
    """The path of a file in the upload folder that an address of this server names."""
    path = urlsplit(address).path.partition("/gradio_api/file=")[2]
    path = os.path.realpath(unquote(path)) if path else ""
    inside = path.startswith(os.path.realpath(get_upload_folder()) + os.sep)
    return path if inside and os.path.isfile(path) else None


def tidied(send: Send) -> Send:
    """Answers as they are, but errors without the folders of this machine."""
    held: list[Message] = []

    async def send_on(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] >= 400:
            held.append(message)
        elif held:
            held.append(message)
            if message.get("more_body", False):
                return
            start, *parts = held
            body = b"".join(part.get("body", b"") for part in parts)[:LONGEST_ERROR_B]
            body = without_folders(body.decode("utf-8", "replace")).encode()
            headers = [item for item in start["headers"] if item[0] != b"content-length"]
            await send({**start, "headers": [*headers, (b"content-length", str(len(body)).encode())]})
            await send({"type": "http.response.body", "body": body})
        else:
            await send(message)

    return send_on
