"""Accounts at MCP servers as the records keep them: sealed, in versions, renewed by one process at a time.

What is sealed is bound to its project, principal, server and the server's address: a row that is moved, or
whose server stands at another address now, opens nothing.
"""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, Table, and_, delete, insert, or_, select, update

from protocol.digest import digest_bytes
from protocol.mcp_account import Account, Connected, Holder, Kept, Pending
from protocol.noun import Moment
from records.columns import first_of, owned_by, selected
from records.conflicts import insert_over
from records.database import Database, now
from records.mcp_tables import mcp_accounts, mcp_authorizations
from records.seal import Seal
from records.tx import Tx
from records.writer import Writer

a, p = mcp_accounts.c, mcp_authorizations.c

WAITS = timedelta(minutes=10)
CLAIM = timedelta(seconds=30)
EARLY = timedelta(seconds=30)
"""An access token is renewed so long before it is over."""


class McpAccounts:
    """The `AccountStore` over the database."""

    def __init__(self, database: Database, writer: Writer, seal: Seal) -> None:
        self._database = database
        self._writer = writer
        self._seal = seal

    async def load(self, holder: Holder, server: str, url: str) -> Kept | None:
        return await self._database.read(lambda connection: self._kept(connection, holder, server, url))

    async def begin(self, holder: Holder, server: str, url: str, state: str, pending: Pending) -> Moment:
        sealed = self._seal.close(pending.model_dump_json(), "pending", *_place(holder, server, url))
        row = {"state_digest": digest_bytes(state.encode()), **_owner(holder, server), "sealed": sealed}

        def unit(tx: Tx) -> datetime:
            until = tx.now + WAITS
            tx.connection.execute(delete(mcp_authorizations).where(p.expires_at <= tx.now))
            tx.connection.execute(insert(mcp_authorizations).values(row | {"expires_at": until}))
            return until

        return await self._writer.commit(unit)

    async def take(self, holder: Holder, server: str, url: str, state: str) -> Pending | None:
        of = p.state_digest == digest_bytes(state.encode())

        def unit(tx: Tx) -> str | None:
            mine = and_(of, _of(mcp_authorizations, holder, server), p.expires_at > tx.now)
            sealed = tx.connection.execute(select(p.sealed).where(mine)).scalar()
            gone = tx.connection.execute(delete(mcp_authorizations).where(of)).rowcount
            return sealed if gone == 1 else None

        sealed = await self._writer.commit(unit)
        text = sealed and self._seal.open(sealed, "pending", *_place(holder, server, url))
        return Pending.model_validate_json(text) if text else None

    async def put(self, holder: Holder, server: str, url: str, account: Account) -> Connected:
        sealed = self._sealed(holder, server, url, account)

        def unit(tx: Tx) -> Connected:
            row = _owner(holder, server) | _told(tx, account) | {"url": url, "sealed": sealed}
            row |= {"version": 1, "connected_at": tx.now}
            insert_over(tx.connection, mcp_accounts, row, version=a.version + 1)
            found = _connected(tx.connection, holder, server)
            assert found is not None
            return found

        return await self._writer.commit(unit)

    async def claim(self, holder: Holder, server: str, version: int) -> bool:
        def unit(tx: Tx) -> bool:
            free = or_(a.claimed_until.is_(None), a.claimed_until <= tx.now)
            mine = and_(_standing(holder, server), a.version == version, free)
            claimed = update(mcp_accounts).where(mine).values(claimed_until=tx.now + CLAIM)
            return tx.connection.execute(claimed).rowcount == 1

        return await self._writer.commit(unit)

    async def release(self, holder: Holder, server: str, version: int) -> None:
        mine = and_(_standing(holder, server), a.version == version)
        released = update(mcp_accounts).where(mine).values(claimed_until=None)
        await self._writer.commit(lambda tx: tx.connection.execute(released))

    async def renew(self, holder: Holder, server: str, url: str, version: int, account: Account) -> bool:
        sealed = self._sealed(holder, server, url, account)

        def unit(tx: Tx) -> bool:
            mine = and_(_standing(holder, server), a.version == version, a.url == url)
            values = _told(tx, account) | {"sealed": sealed, "version": version + 1, "claimed_until": None}
            return tx.connection.execute(update(mcp_accounts).where(mine).values(values)).rowcount == 1

        return await self._writer.commit(unit)

    async def want(self, holder: Holder, server: str, scope: str) -> None:
        wanted = update(mcp_accounts).where(_standing(holder, server)).values(wanted_scope=scope)
        await self._writer.commit(lambda tx: tx.connection.execute(wanted))

    async def end(self, holder: Holder, server: str, version: int | None = None) -> Account | None:
        def unit(tx: Tx) -> tuple[str, str] | None:
            mine = _of(mcp_accounts, holder, server)
            if version is not None:
                mine = and_(mine, a.version == version)
            row = tx.connection.execute(select(a.sealed, a.url).where(mine)).first()
            tx.connection.execute(update(mcp_accounts).where(mine).values(ended_at=tx.now))
            return None if row is None else (row.sealed, row.url)

        row = await self._writer.commit(unit)
        text = row and self._seal.open(row[0], "account", *_place(holder, server, row[1]))
        return Account.model_validate_json(text) if text else None

    async def forget(self, holder: Holder, server: str) -> None:
        ended = delete(mcp_accounts).where(_of(mcp_accounts, holder, server), a.ended_at.is_not(None))
        await self._writer.commit(lambda tx: tx.connection.execute(ended))

    def _kept(self, connection: Connection, holder: Holder, server: str, url: str) -> Kept | None:
        row = connection.execute(select(mcp_accounts).where(_standing(holder, server), a.url == url)).first()
        shown = _connected(connection, holder, server)
        if row is None or shown is None:
            return None
        text = self._seal.open(row.sealed, "account", *_place(holder, server, url))
        if text is None:
            return None
        return Kept(
            account=Account.model_validate_json(text),
            shown=shown,
            version=row.version,
            spent=row.expires_at is not None and row.expires_at - EARLY <= now(connection),
        )

    def _sealed(self, holder: Holder, server: str, url: str, account: Account) -> str:
        return self._seal.close(account.model_dump_json(), "account", *_place(holder, server, url))


def _connected(connection: Connection, holder: Holder, server: str) -> Connected | None:
    return first_of(
        Connected, connection.execute(selected(Connected, mcp_accounts).where(_standing(holder, server)))
    )


def _told(tx: Tx, account: Account) -> dict[str, object]:
    """What of an account is kept in the open."""
    lasts = account.tokens.expires_in
    return {
        "issuer": account.agreement.issuer,
        "scope": account.tokens.scope,
        "expires_at": None if lasts is None else tx.now + timedelta(seconds=lasts),
    }


def _place(holder: Holder, server: str, url: str) -> tuple[str, ...]:
    return holder.tenant.org_id, holder.tenant.project_id, holder.principal_id, server, url


def _owner(holder: Holder, server: str) -> dict[str, str]:
    return {**holder.tenant.model_dump(), "principal_id": holder.principal_id, "server": server}


def _of(table: Table, holder: Holder, server: str) -> ColumnElement[bool]:
    principal = table.c.principal_id == holder.principal_id
    return and_(owned_by(holder.tenant, table), principal, table.c.server == server)


def _standing(holder: Holder, server: str) -> ColumnElement[bool]:
    return and_(_of(mcp_accounts, holder, server), a.ended_at.is_(None))
