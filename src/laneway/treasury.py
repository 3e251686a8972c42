"""The treasury: orders about budgets, carried out. Every order is in the audit before it is in force.

Owns: the budgets in force (those of the file, then those of the book), making, changing and removing those of the book,
kills, corrections of settlements, and what a person is shown of all this.
Refuses: budgets that stand in the file (they are changed there), keeping sums (the ledger does), and HTTP or terminals.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from laneway.caps import made_budgets
from laneway.failure import Kind, fail
from laneway.layout import Layout
from laneway.policy.budgets import Account, Budget, known_accounts
from laneway.policy.orders import Correction, Killing, read_nanos, read_reason, read_scope
from laneway.policy.price import nanos_to_usd
from laneway.policy.usage import correction
from laneway.ports import Audited, BookEntry, Left, Tally
from laneway.settings import BudgetTable
from laneway.store import Store
from laneway.wire.malformed import malformed

ADJUST = "budgets.adjust"
MOST_KNOWN = 1000
"""Corrections among which a repeated one is looked for."""
MOST_BOOKED = 10_000
log = logging.getLogger("laneway")

_table = msgspec.json.Decoder(BudgetTable)


class Treasury(NamedTuple):
    """Who orders, by which configuration, and where it is kept."""

    store: Store
    layout: Layout
    actor: str

    # --- the book ------------------------------------------------------------------------------------------

    async def booked(self) -> tuple[Budget, ...]:
        """The budgets of the book. A name that came to stand in the file as well means the file's."""
        made: list[Budget] = []
        fixed = self.fixed()
        for entry in await self.store.book.list():
            if entry.name in fixed:
                continue
            problems: list[str] = []
            budget = None
            try:
                budget = self._compiled(entry.name, _table.decode(entry.table), problems)
            except msgspec.ValidationError as error:
                # Another version of the gateway made it.
                problems.append(str(error))
            if budget is None:
                log.error("budget %s is not in force: %s", entry.name, "; ".join(problems))
            else:
                made.append(budget)
        return tuple(made)

    def fixed(self) -> frozenset[str]:
        """Names of the budgets in the file."""
        return frozenset(budget.name for budget in self.layout.budgets)

    async def create(self, name: str, table: BudgetTable, now_s: float) -> Budget:
        self._refuse_fixed(name)
        budget = self._checked(name, table)
        book = await self.store.book.list()
        if any(entry.name == name for entry in book):
            raise fail(Kind.BAD_REQUEST, f"name: there is a budget '{name}' already; change it instead.", field="name")
        if len(book) >= MOST_BOOKED:
            raise fail(Kind.BAD_REQUEST, f"There are {MOST_BOOKED} budgets already; one for each (*) does for many.")
        await self._put("budgets.create", name, table, now_s, new=True)
        return budget

    async def change(self, name: str, changes: Mapping[str, Any], now_s: float) -> Budget:
        """Changes the keys that are named, and leaves the others."""
        self._refuse_fixed(name)
        entry = await self._entry(name)
        merged = {**msgspec.json.decode(entry.table), **changes}
        try:
            table = msgspec.convert(merged, BudgetTable)
        except msgspec.ValidationError as error:
            raise fail(Kind.BAD_REQUEST, f"The change does not fit: {malformed(error, b'').failure.message}") from None
        budget = self._checked(name, table)
        await self._put("budgets.change", name, table, now_s, new=False)
        return budget

    async def remove(self, name: str, now_s: float) -> None:
        self._refuse_fixed(name)
        await self._entry(name)
        await self._note("budgets.delete", name, {}, now_s)
        await self.store.book.remove(name)

    async def _entry(self, name: str) -> BookEntry:
        found = [entry for entry in await self.store.book.list() if entry.name == name]
        if not found:
            raise fail(Kind.UNKNOWN_PATH, f"There is no budget '{name[:80]}'.", field="name")
        return found[0]

    async def _put(self, action: str, name: str, table: BudgetTable, now_s: float, *, new: bool) -> None:
        written = msgspec.json.encode(table).decode()
        await self._note(action, name, {"table": written}, now_s)
        if not await self.store.book.put(BookEntry(name=name, table=written, changed_s=now_s), new=new):
            raise fail(Kind.BAD_REQUEST, f"name: somebody else changed the budget '{name}' meanwhile.", field="name")

    def _refuse_fixed(self, name: str) -> None:
        if name in self.fixed():
            message = f"name: the budget '{name}' stands in the configuration file; change it there and reload."
            raise fail(Kind.BAD_REQUEST, message, field="name")

    def _checked(self, name: str, table: BudgetTable) -> Budget:
        problems: list[str] = []
        budget = self._compiled(name, table, problems)
        if budget is None:
            raise fail(Kind.BAD_REQUEST, f"{'; '.join(problems)}.")
        return budget

    def _compiled(self, name: str, table: BudgetTable, problems: list[str]) -> Budget | None:
        settings = msgspec.structs.replace(self.layout.settings, budgets={name: table})
        made = made_budgets(settings, lambda path, message: problems.append(f"{path.rpartition('.')[2]}: {message}"))
        return None if problems else next(budget for budget in made if budget.name == name)

    # --- kills ---------------------------------------------------------------------------------------------

    async def kill(self, asked: Killing, now_s: float) -> str:
        """Stops paid calls; answers the scope as it is kept."""
        scope, reason = read_scope(asked.scope), read_reason(asked.reason)
        await self._note("budgets.kill", scope, {"reason": reason}, now_s)
        await self.store.ledger.kill(scope, reason, now_s)
        return scope

    async def unkill(self, asked: Killing, now_s: float) -> str:
        scope = read_scope(asked.scope)
        if scope not in self.store.ledger.killed():
            raise fail(Kind.BAD_REQUEST, f"scope: there is no kill of '{scope}'.", field="scope")
        await self._note("budgets.unkill", scope, {"reason": asked.reason[:300]}, now_s)
        await self.store.ledger.unkill(scope)
        return scope

    # --- corrections ---------------------------------------------------------------------------------------

    async def adjust(self, asked: Correction, now_s: float) -> tuple[str, Left]:
        """Adds to what an account spent, or takes away: the order's id, and the account afterwards."""
        nanos, reason = read_nanos(asked.usd), read_reason(asked.reason)
        number = asked.id or secrets.token_hex(8)
        known = await self.store.audit.recent(MOST_KNOWN, ADJUST)
        done = [entry for entry in known if entry.detail.get("id") == number]
        if not done:
            tally = await self._misplaced(asked.request_id, nanos)
            before = await self.store.ledger.left(asked.account, 0, now_s)
            if before.spent_nanos + nanos < 0:
                # It would be money that nobody gave.
                told = f"usd: the account '{asked.account[:120]}' has spent {nanos_to_usd(before.spent_nanos)} USD."
                raise fail(Kind.BAD_REQUEST, told, field="usd")
            if not before.spent_nanos:
                await self._refuse_strange(asked.account)
            usd = nanos_to_usd(nanos)
            detail = {"usd": usd, "reason": reason, "id": number, "request_id": asked.request_id or None}
            await self._note(ADJUST, asked.account, detail, now_s)
            if tally is not None:
                await self.store.reports.correct(tally)
        elif (done[0].subject, done[0].detail.get("usd")) != (asked.account, nanos_to_usd(nanos)):
            raise fail(Kind.BAD_REQUEST, "id: another correction has it; leave it out for a new one.", field="id")
        # Also the second time: what was noted and not carried out is carried out now, and else nothing happens.
        await self.store.ledger.settle(f"adjust:{number}", {asked.account: nanos}, now_s)
        return number, await self.store.ledger.left(asked.account, 0, now_s)

    async def _refuse_strange(self, account: str) -> None:
        """Of an account in which nothing was ever spent, the name may be a slip: it has to be some budget's."""
        known = self.fixed() | {entry.name for entry in await self.store.book.list()}
        named = account.rpartition(":")[0]
        if known.isdisjoint((named, named.partition("/")[0])):
            message = f"account: there is no budget of '{account[:120]}'; GET /admin/v1/budgets names the accounts."
            raise fail(Kind.BAD_REQUEST, message, field="account")

    async def _misplaced(self, request_id: str, nanos: int) -> Tally | None:
        """Where the reports are wrong by this amount, when it is known which request was settled wrongly."""
        if not request_id:
            return None
        records = await self.store.journal.recent(1, {"request_id": request_id})
        if not records:
            raise fail(Kind.BAD_REQUEST, "request_id: there is no record of it (any more).", field="request_id")
        return correction(records[0], self.layout.settings.server.record_prefix, nanos)

    async def _note(self, action: str, subject: str, detail: Mapping[str, str | None], now_s: float) -> None:
        entry = Audited(at_s=now_s, actor=self.actor, action=action, subject=subject, detail=dict(detail))
        await self.store.audit.note(entry)

    # --- what is shown -------------------------------------------------------------------------------------

    async def sums(self, budgets: Sequence[Budget], now_s: float) -> list[tuple[Account, Left]]:
        """The accounts that are known without asking anybody, with what is left of them."""
        accounts = [account for budget in budgets for account in known_accounts(budget, now_s)]
        return [
            (account, await self.store.ledger.left(account.name, account.budget.cap_nanos, now_s))
            for account in accounts
        ]


def shown(budget: Budget, source: str, sums: Sequence[tuple[Account, Left]]) -> dict[str, Any]:
    """A budget for a program."""
    scope = {name: getattr(budget, name) for name in ("key", "tenant", "project", "lane", "tier")}
    return {
        "name": budget.name,
        "from": source,
        "cap_usd": nanos_to_usd(budget.cap_nanos),
        "period": budget.period.value,
        "zone": budget.zone,
        **{name: value for name, value in scope.items() if value is not None},
        "alerts": list(budget.alerts),
        "accounts": [
            {
                "account": account.name,
                "spent_usd": nanos_to_usd(left.spent_nanos),
                "held_usd": nanos_to_usd(left.held_nanos),
                "left_usd": nanos_to_usd(left.free_nanos),
                "resets_at_s": account.ends_s,
            }
            for account, left in sums
            if account.budget is budget
        ],
    }
