"""Answers to what the editor asks beside runs and plans: old parameters, the size of the caches."""

from __future__ import annotations

from studio.cache.store import Store
from studio.errors import StudioError
from studio.registry import Registry
from studio.types import Json
from studio.worker.protocol import (
    CacheReply,
    CacheRequest,
    FetchPicture,
    PictureReply,
    PlanReply,
    PlanRequest,
    UpgradeReply,
    UpgradeRequest,
)

Question = PlanRequest | FetchPicture | UpgradeRequest | CacheRequest
Reply = PlanReply | PictureReply | UpgradeReply | CacheReply
NEED_DEVICE = (PlanRequest, FetchPicture)
"""Numerics are part of keys, and how latents look is known to the side that computes."""


def upgrade(registry: Registry, request: UpgradeRequest) -> UpgradeReply:
    """Bring each node's parameters to today's version; those that cannot be are told apart."""
    upgraded: dict[str, dict[str, Json]] = {}
    errors: dict[str, str] = {}
    for address, node in request.nodes.items():
        match node:
            case {"type": str(name), "version": int(version), "params": dict(params)}:
                try:
                    today, values = registry.upgrade(name, version, params)
                except StudioError as error:
                    errors[address] = str(error)
                else:
                    upgraded[address] = {"type": name, "version": today, "params": values}
            case _:
                errors[address] = f"What is stored of “{address}” is no node."
    return UpgradeReply(request.id, upgraded, errors)


def caches(store: Store, request: CacheRequest) -> CacheReply:
    """Say how much is stored, after clearing it if that was asked."""
    if request.clear:
        store.clear()
    sizes = store.sizes()
    return CacheReply(
        request.id,
        sizes.ram_bytes,
        sizes.disk_bytes,
        sizes.disk_entries,
        sizes.disk_limit_bytes,
        sizes.path,
    )


def refusal(question: Question, sentence: str) -> Reply | None:
    """The reply that says why there is none; None where a reply has no place for it."""
    match question:
        case PlanRequest():
            return PlanReply(question.id, {}, sentence)
        case FetchPicture():
            return PictureReply(question.id, 0, 0, 0, b"", sentence)
        case UpgradeRequest():
            return UpgradeReply(question.id, {}, dict.fromkeys(question.nodes, sentence))
        case CacheRequest():
            return None
