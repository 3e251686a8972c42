"""The case: a request of a pool, as whoever chooses for it sees it.

Owns: reading the prompt once, the tag, the name of the conversation, and putting them together with what earlier rooms
wrote. Refuses: choosing, and failing: what cannot be read is no prompt, and whoever serves will say what is wrong.
"""

from __future__ import annotations

from hashlib import blake2b

from laneway.chat import Op
from laneway.dialects import Asked
from laneway.exchange import Exchange
from laneway.policy.tags import tag_of
from laneway.ports import Case
from laneway.route import Decision, Pool

TAG = b"x-laneway-tag"
DRY = b"x-laneway-dry-run"
ANSWERED = (Op.CHAT, Op.COMPLETE)


def case_of(exchange: Exchange, pool: Pool, able: Decision) -> Case | None:
    """None before the body was read, and for what asks for no answer (a token count)."""
    view = exchange.view
    if view is None or exchange.op not in ANSWERED:
        return None
    return Case(
        id=exchange.request_id,
        at_s=exchange.started_at_s,
        tenant=exchange.tenant.name,
        key_id=exchange.key_id,
        lane=exchange.lane.name if exchange.lane is not None else None,
        pool=pool,
        view=view,
        asked=asked_in(exchange),
        tag=tag_in(exchange),
        plan=able,
        bias=exchange.bias,
        pin=exchange.pin,
    )


def asked_in(exchange: Exchange) -> Asked:
    """The prompt, read once."""
    if exchange.asked is None:
        try:
            exchange.asked = exchange.dialect.asked(exchange.front.op, exchange.body or b"")
        except Exception:  # noqa: BLE001 - a body that its view took is for the provider to judge
            exchange.asked = Asked()
    return exchange.asked


def tag_in(exchange: Exchange) -> str:
    asked = exchange.asked or asked_in(exchange)
    return tag_of(exchange.header(TAG) or asked.tag, asked.system, asked.tools, exchange.key_id)


def is_dry(exchange: Exchange) -> bool:
    """Somebody asks what would happen."""
    return exchange.dry or exchange.headers.get(DRY) not in (None, b"", b"0", b"false")


def conversation_in(exchange: Exchange, pool: Pool) -> str | None:
    """What the conversation goes by among all of the tenant's: as its caller calls it, else by how it began."""
    if exchange.op not in ANSWERED:
        return None
    if exchange.trace is not None:
        return f"{pool.name}:{exchange.trace}"
    asked = asked_in(exchange)
    if not asked.opening:
        return None
    said = "\0".join((exchange.key_id or "", tag_in(exchange), asked.system, asked.opening))
    return f"{pool.name}#{blake2b(said.encode('utf-8', 'replace'), digest_size=12).hexdigest()}"


def goes_on(exchange: Exchange) -> bool:
    """Whether something was said before the last turn: an opening alone is nobody's conversation yet."""
    if exchange.trace is not None:
        return True
    # Some formats count the system prompt as a turn.
    return exchange.view is not None and exchange.view.turns > 1 + bool(asked_in(exchange).system)
