"""The composition root: configuration in, one ASGI app out.

Owns: the order of the rooms (written here and nowhere else), the parts that live as long as the process (store,
upstream, metrics), the background work, and swapping a whole stack for another when the configuration changes.
Refuses: thinking about a request; it only says which app takes it.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol, cast

from laneway import __version__
from laneway.alerts import Alerts, Overheard, look_at_breakers, look_at_callers, look_at_kills, look_at_spending
from laneway.api import routes
from laneway.api.desk import Desk, Reloaded
from laneway.chat import Card
from laneway.config import ConfigError
from laneway.corridor import Corridor
from laneway.crew import board_of, working
from laneway.edge import App, Receive, Send
from laneway.exchange import Exchange, Scope
from laneway.following import Following
from laneway.forward import Forward, Sign
from laneway.keeper import Keeper
from laneway.layout import Layout
from laneway.learning.counsel import Counsel
from laneway.learning.judge import Judges
from laneway.loaded import Loaded, load, stamp
from laneway.metrics import Metrics
from laneway.middleware.auth import AuthMiddleware, Gate
from laneway.middleware.budget import BudgetMiddleware
from laneway.middleware.fallback import COMMENT_S, FallbackMiddleware
from laneway.middleware.lane import LaneMiddleware
from laneway.middleware.observe import ObserveMiddleware
from laneway.middleware.pressure import PressureMiddleware
from laneway.middleware.router import RouterMiddleware
from laneway.middleware.shadow import ShadowMiddleware
from laneway.middleware.stage import StageMiddleware
from laneway.middleware.sticky import StickyMiddleware
from laneway.middleware.tap import TapMiddleware
from laneway.origins import shared
from laneway.policy.budgets import Budget
from laneway.ports import Upstream
from laneway.pressure import ADMITTED, PRESSURE, Pressure
from laneway.primer import prime
from laneway.roster import Roster
from laneway.route import Key
from laneway.runs import Ways, Worker
from laneway.settings import READ_ONCE
from laneway.sizes import Sizes
from laneway.staging import Staging
from laneway.store import Store, StoreError, store_of
from laneway.stores.memory import MemoryKeys
from laneway.upstream.signers import signers_of
from laneway.upstream.switch import Switch
from laneway.vectors import LocalShelves, settle
from laneway.watching.events import Hub
from laneway.watching.hearsay import Hearsay
from laneway.watching.spans import spans_of

FIRST_LOOK_S = 0.7
"""How long the start waits for the first model lists; slower providers are listed when they have answered."""
WATCH_S = 1.0
SETTLE_S = 5.0
log = logging.getLogger("laneway")


class Service(Protocol):
    """Something that works in the background for as long as the gateway runs."""

    def start(self) -> None:
        """On the running loop, once the store is open."""

    async def close(self) -> None: ...


class Gateway:
    """The gateway as an ASGI app, with lifespan."""

    def __init__(
        self,
        loaded: Loaded,
        *,
        variables: Mapping[str, str],
        store: Store | None = None,
        upstream: Upstream | None = None,
        loopback: bool = True,
        on_reload: Callable[[], None] | None = None,
        crew: bool = False,
    ) -> None:
        server = loaded.layout.settings.server
        self.variables = variables
        self.loopback = loopback
        self._on_reload = on_reload
        self._started_with = server
        self.store = store if store is not None else store_of(server)
        self.upstream: Upstream = upstream if upstream is not None else Switch(server.engine)
        self.metrics = Metrics()
        self.pressure = Pressure(self.metrics)
        self.board = board_of(self.store.file, crew=crew)
        self.board.ask_size = Sizes(self.board, self.upstream, scale=loaded.scale).ask
        self._following = Following(self.store)
        self.staging = Staging(self.store.standings, self.store.shadows, loaded.layout)
        ledger = self.store.ledger
        looks = [look_at_breakers(self.board), look_at_kills(ledger), look_at_spending(ledger, self._budgets)]
        looks.append(self.staging.look)
        self.alerts = Alerts(self.store.notices, self.upstream, reports=self.store.reports, looks=looks)
        self.alerts.looks.append(look_at_callers(ledger, self._budgets, self.alerts.tell))
        prefix, telemetry = server.record_prefix, loaded.layout.settings.telemetry
        self.hub = Hub(prefix=prefix)
        self.spans = spans_of(telemetry, variables, prefix=prefix, version=__version__)
        self.runs = Worker(self.store.runs, self.upstream)
        self.shelves = LocalShelves(self.store.examples)
        self.counsel = Counsel(self.store, self.shelves, self.board)
        self.judges = Judges(self.store.examples, self.store.audit)
        telling: list[Service] = [self.alerts, Hearsay(self.hub, self.store.journal)]
        telling += [self.spans] if self.spans is not None else []
        learning: list[Service] = [self.shelves, self.counsel, self.judges]
        self._services = [*working(self.board), *telling, self.runs, *learning, self.staging, self.pressure]
        """In the order in which they start; they end in the opposite one."""
        self.started_s = time.monotonic()
        self._plain = routes.app()
        self._tasks: set[asyncio.Task[None]] = set()
        self._looks: list[asyncio.Task[None]] = []
        self._reloading = asyncio.Lock()
        self._started = asyncio.Event()
        self._swap(loaded)

    # --- one configuration ---------------------------------------------------------------------------------

    def _swap(self, loaded: Loaded, before: Roster | None = None) -> None:
        """Builds everything for a configuration and puts it in force; requests in flight keep the old stack."""
        layout = loaded.layout
        self.board.configure(layout.hosts, layout.breaker, layout.denials)
        self.alerts.use(layout.channels)
        self.staging.use(layout)
        self.hub.lanes = layout.lanes
        roster = Roster(layout, self.upstream, scale=loaded.scale, heard=self._heard)
        if before is not None:
            roster.inherit(before)
        gate = self._gate(layout)
        signers = signers_of(layout.providers.values(), self.variables)

        def believe() -> None:
            trust = self.judges.credit.trust
            settle(self.shelves, layout, self.store, self.upstream, signers, loaded.scale, trust)

        believe()
        self.judges.credit.changed = believe
        stack: App = self._stack(layout, gate, signers, loaded.scale)
        server, plain = layout.settings.server, cast(App, self._plain)
        self.pressure.use(server.most_requests, server.most_lag)
        # Callers come in by this door; what the gateway asks of itself does not.
        door: App = PressureMiddleware(stack, pressure=self.pressure)
        if server.cors:
            door, plain = shared(door, server.cors), shared(plain, server.cors)
        self.runs.use(Ways.of(layout, stack, gate.tenant, loaded.scale))
        self.judges.use(layout.judges, stack, gate.tenant)
        desk = Desk(
            loaded=loaded,
            gate=gate,
            admin=_admin_gate(layout),
            roster=roster,
            board=self.board,
            store=self.store,
            shelves=self.shelves,
            counsel=self.counsel,
            judges=self.judges,
            stack=stack,
            upstream=self.upstream,
            metrics=self.metrics,
            staging=self.staging,
            hub=self.hub,
            runs=self.runs,
            reload=self._reload_asked,
            keys_changed=self._keys_changed,
            book_changed=self._look_again,
            alone=self.loopback and not gate.asks,
            started_s=self.started_s,
        )
        self.desk, self.stack, self.door, self.plain = desk, stack, door, plain
        self._inner_door = door if server.cors else stack  # for whom the server has let in already

    def _stack(self, layout: Layout, gate: Gate, signers: Mapping[str, Sign], scale: float) -> App:
        server, ledger = layout.settings.server, self.store.ledger
        app: App = Forward(self.upstream, signers=signers, agent=f"laneway/{__version__}", killed=ledger.killed)
        app = FallbackMiddleware(app, board=self.board, comment_s=COMMENT_S * scale)
        if any(judge.draws for judge in layout.judges.values()):
            app = TapMiddleware(app, taker=self.judges)
        app = ShadowMiddleware(app, board=self.board)
        app = RouterMiddleware(app, adviser=self.counsel.adviser)
        app = StickyMiddleware(app, pins=self.store.pins)
        app = BudgetMiddleware(app, ledger=ledger, budgets=(*layout.budgets, *self._following.booked))
        app = StageMiddleware(
            app, stages=self.staging.of, shadows=self.store.shadows, upstream=self.upstream, killed=ledger.killed
        )
        app = LaneMiddleware(
            app,
            directory=layout,
            header_prefixes=server.header_prefixes,
            body_limit=int(server.body_limit_mb * 1024 * 1024),
            body_limit_s=server.body_timeout * scale,
        )
        app = Corridor(AuthMiddleware(app, gate=gate))
        journal = Overheard(self.store.journal, self.alerts)
        return ObserveMiddleware(
            app, journal=journal, metrics=self.metrics, hub=self.hub, spans=self.spans, version=layout.version
        )

    def _gate(self, layout: Layout) -> Gate:
        server = layout.settings.server
        return Gate(
            keys=self.store.keys,
            tenants=layout.tenants,
            fixed=layout.keys,
            open_to_all=(self.loopback or server.open) and not layout.keys and not self._following.has_keys,
            origins=frozenset(server.cors),
        )

    async def reload(self) -> Reloaded:
        """Reads the configuration again. Raises ConfigError, and then nothing has changed."""
        async with self._reloading:
            before = self.desk
            loaded = await asyncio.to_thread(load, before.loaded.path, self.variables)
            await self._following.look_at_keys()
            await self._following.read_book(loaded.layout)
            self._put_in_force(loaded)
        version, server = loaded.layout.version, loaded.layout.settings.server
        later = tuple(name for name in READ_ONCE if getattr(server, name) != getattr(self._started_with, name))
        log.info("configuration %s is in force (was %s)", version, before.loaded.layout.version)
        if later:
            log.warning("these settings of [server] wait for the next start: %s", ", ".join(later))
        return Reloaded(version, later)

    async def _reload_asked(self) -> Reloaded:
        """As `reload`, for who asks one process and means all of them."""
        made = await self.reload()
        if self._on_reload is not None:
            self._on_reload()
        return made

    def _put_in_force(self, loaded: Loaded) -> None:
        self._swap(loaded, self.desk.roster)
        self._start_refresh()

    def reload_soon(self) -> None:
        """From a signal handler."""
        self._begin(self.try_reload())

    async def try_reload(self) -> None:
        """As `reload`, for signals and the file's watcher: problems are logged."""
        # A signal may come before the store is open.
        await self._started.wait()
        try:
            await self.reload()
        except (ConfigError, StoreError) as error:
            log.error("the configuration was not reloaded:\n%s", error)

    # --- ASGI ----------------------------------------------------------------------------------------------

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "http":
            if Exchange.of(scope) is not None:
                await (self._inner_door if ADMITTED in scope else self.door)(scope, receive, send)
                return
            scope["laneway.desk"] = self.desk
            await self.plain(scope, receive, send)
        elif kind == "lifespan":
            await self._lifespan(scope, receive, send)
        elif kind == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        scope.get("state", {})[PRESSURE] = self.pressure
        try:
            await self.start()
        except Exception as error:
            if not isinstance(error, StoreError):
                log.error("the gateway could not start", exc_info=error)
            await self.stop()
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.stop()
        await send({"type": "lifespan.shutdown.complete"})

    async def open(self) -> None:
        """As far as a request needs it, with nothing going on behind."""
        await self.store.start()
        await self.staging.load()
        await self.counsel.dials.look()
        if await self._following.look(self.desk.loaded.layout):
            self._swap(self.desk.loaded, self.desk.roster)
        self._start_refresh()
        await self.desk.roster.first_look(FIRST_LOOK_S)

    async def start(self) -> None:
        await self.open()
        self._begin(self._following.run(self._look_again))
        for service in self._services:
            service.start()
        if self.desk.loaded.path is not None:
            self._begin(self._watch(self.desk.loaded.path))
        self._begin(prime(self.store, self.desk.loaded.layout, self.counsel))
        self._started.set()

    async def stop(self) -> None:
        for task in [*self._tasks, *self._looks]:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        for service in reversed(self._services):
            await service.close()
        # Requests that the server cancelled still settle what they cost.
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_S):
                while self.metrics.in_flight:  # noqa: ASYNC110 - a counter of the hot path sets no event
                    await asyncio.sleep(0.01)
        await self.upstream.close()
        await self.store.close()

    async def _keys_changed(self) -> None:
        async with self._reloading:
            await self._following.look_at_keys()
            # With a gate that remembers nobody.
            self._put_in_force(self.desk.loaded)

    def _heard(self, provider: str, cards: Sequence[Card]) -> None:
        """A provider's list says how large its models really are."""
        self.board.hear_models(provider, [(card.id, card.parameters, card.size_bytes) for card in cards])

    async def _look_again(self) -> None:
        """At what another process, or this one, has changed in the store."""
        async with self._reloading:
            if await self._following.look(self.desk.loaded.layout):
                self._put_in_force(self.desk.loaded)

    def _budgets(self) -> tuple[Budget, ...]:
        return (*self.desk.loaded.layout.budgets, *self._following.booked)

    def _start_refresh(self) -> None:
        """The looks at providers that belong to one configuration."""
        for task in self._looks:
            task.cancel()
        loaded = self.desk.loaded
        every_s = loaded.layout.settings.server.refresh
        keeper = Keeper(loaded.layout, self.board, self.upstream, self.store.audit, scale=loaded.scale)
        loop = asyncio.get_running_loop()
        self._looks = [loop.create_task(self.desk.roster.run(every_s)), loop.create_task(keeper.run())]

    def _begin(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _watch(self, path: Path) -> None:
        last = stamp(path)
        while True:
            await asyncio.sleep(WATCH_S)
            now = stamp(path)
            # An editor may take a file away for a moment: what counts is the next one.
            if now not in (None, last):
                last = now
                if self.desk.loaded.layout.settings.server.watch:
                    await self.try_reload()


def build(
    path: Path | str | None = None,
    *,
    variables: Mapping[str, str],
    store: Store | None = None,
    upstream: Upstream | None = None,
    loopback: bool = True,
    on_reload: Callable[[], None] | None = None,
) -> Gateway:
    """The whole gateway from a configuration file, or from the environment alone."""
    loaded = load(Path(path) if path is not None else None, variables)
    return Gateway(loaded, variables=variables, store=store, upstream=upstream, loopback=loopback, on_reload=on_reload)


def _admin_gate(layout: Layout) -> Gate | None:
    """Who may administer: holders of the admin key, nobody without one."""
    secret = layout.settings.server.admin_key
    if not secret:
        return None
    key = Key(id="admin", tenant="admin", last4=secret[-4:])
    digest = hashlib.sha256(secret.encode()).digest()
    return Gate(keys=MemoryKeys(), tenants={}, fixed={digest: key}, open_to_all=False)
