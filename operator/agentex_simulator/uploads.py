"""Multipart build requests, read with bounded memory (agentex-api.md section 1.2)."""

import asyncio
from collections.abc import AsyncIterator

from aiohttp import BodyPartReader, web

from agentex_simulator.archives import ArchiveFacts, Spool
from agentex_simulator.build_orders import BuildOrder, build_order
from agentex_simulator.errors import RejectedError, broken_rule, missing

CHUNK = 1 << 18
ENVELOPE = 1_000_000
MAX_TEXT = 1_000_000


async def read_build_order(request: web.Request, limit: int) -> BuildOrder:
    """Fields and archive of a request, checked; RejectedError 413 above `limit` bytes of archive, 400, 422."""
    if request.content_type != "multipart/form-data":
        raise missing("image_name")
    if (request.content_length or 0) > limit + ENVELOPE:
        raise RejectedError(413, f"context_archive is larger than {limit} bytes")
    try:
        return build_order(*await _read_parts(request, limit))
    except ValueError as error:
        raise broken_rule(f"malformed multipart body: {error}") from error


async def _read_parts(request: web.Request, limit: int) -> tuple[dict[str, str], ArchiveFacts | None]:
    fields: dict[str, str] = {}
    archive = None
    async for part in await request.multipart():
        if not isinstance(part, BodyPartReader):
            raise broken_rule("malformed multipart body: nested parts")
        if part.name == "context_archive":
            archive = await _read_archive(part, limit)
        else:
            fields[part.name or ""] = await _read_text(part)
    return fields, archive


async def _read_archive(part: BodyPartReader, limit: int) -> ArchiveFacts:
    spool = Spool(limit)
    try:
        await spool.fill(_chunks(part))
        return await asyncio.to_thread(spool.facts)
    finally:
        spool.close()


async def _read_text(part: BodyPartReader) -> str:
    text = b""
    async for chunk in _chunks(part):
        text += chunk
        if len(text) > MAX_TEXT:
            raise RejectedError(413, f"field {part.name} is too long")
    return text.decode("utf-8", "replace")


async def _chunks(part: BodyPartReader) -> AsyncIterator[bytes]:
    while chunk := await part.read_chunk(CHUNK):
        yield bytes(chunk)
