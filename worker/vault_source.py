"""Vaults as a source of capabilities: granted by the name that they are declared under."""

from capabilities.catalogue import Catalogue
from capabilities.catalogue_vaults import VAULT_PATCH
from capabilities.offer import Missing, Offer, Offered
from capabilities.resources import resource_of
from protocol.capability import Capability, Grant, VaultCapability
from protocol.digest import digest, digest_bytes
from protocol.errors import Refused
from protocol.noun import JSONObject
from protocol.tool import ToolDefinition, ToolSource
from protocol.vault import Link, NoteText
from providers.vaults.vault import Vault
from records.run_record import RunRecord
from worker.act import Act, Doing, Prepared, Result, cut, failure
from worker.known_runs import KnownRun
from worker.patch import patched
from worker.untrusted import framed
from worker.vaults import Vaults

LISTED = 500
HITS = 10


class VaultSource:
    """The vaults that this house declares."""

    kinds = frozenset({"vault"})
    serves: ToolSource = "vault"

    def __init__(self, vaults: Vaults, catalogue: Catalogue) -> None:
        self._vaults = vaults
        self._catalogue = catalogue

    async def offers(self, record: RunRecord, capability: Capability) -> Offered:
        assert isinstance(capability, VaultCapability)
        name = capability.name
        entry = self._vaults.entry(name)
        if entry is None:
            reason = f"there is no vault {name!r}; declared are: {', '.join(self._vaults.names) or 'none'}"
            return (Missing(name=f"vault:{name}", rule="vault.unknown", reason=reason),)
        definition = ToolDefinition(
            name=f"vault:{name}",
            description=f"The vault {name}.",
            input_schema={"type": "object"},
            source="vault",
            effect="read_only",
        )
        offer = Offer(
            kind="vault",
            name=definition.name,
            source_identity="rhone:vaults",
            definition=definition,
            digest=digest(entry),
            attributes={"vault": name} | ({"server": entry.server} if entry.server else {}),
        )
        return (offer,)

    async def digest_now(self, known: KnownRun, grant: Grant) -> str | None:
        return self._catalogue.digest_of(grant.name)

    def act(self, known: KnownRun, grant: Grant) -> Act:
        if grant.kind == "vault":
            raise Refused("tool.no_body", f"{grant.name!r} is a vault, not a tool: read it with vault_read")
        return Patching(self, known) if grant.name == VAULT_PATCH else Reading(self, known)

    def granted(self, known: KnownRun, doing: Doing) -> Vault:
        """The vault that a call names; refused where another one is declared under its name by now."""
        grant = resource_of(known.snapshot, doing.grant, doing.execution.arguments)
        if grant is None:
            raise Refused("vault.not_granted", "the call names no vault of this run")
        name = grant.attributes["vault"]
        entry = self._vaults.entry(name)
        if entry is None or digest(entry) != grant.definition_digest:
            raise Refused("vault.changed", f"{grant.name} is declared otherwise than when it was granted")
        return self._vaults.opened(known.record.run.id, name)


class Reading:
    """`vault_list`, `vault_read`, `vault_search`, `vault_backlinks`."""

    def __init__(self, source: VaultSource, known: KnownRun) -> None:
        self._source = source
        self._known = known

    async def prepare(self, doing: Doing) -> Prepared:
        self._source.granted(self._known, doing)
        return Prepared()

    async def perform(self, doing: Doing, prepared: Prepared, attempt: int) -> Result:
        vault = self._source.granted(self._known, doing)
        read = await self._read(vault, doing)
        if "untrusted" not in vault.labels:
            return read
        text = framed(f"the vault {doing.execution.arguments['vault']}", read.text)
        return read.model_copy(update={"text": text, "labels": vault.labels})

    async def _read(self, vault: Vault, doing: Doing) -> Result:
        said = doing.execution.arguments
        match doing.execution.tool:
            case "vault_list":
                tag = said.get("tag")
                listed = await vault.list_notes(
                    str(said.get("folder", "")), LISTED + 1, tag=None if tag is None else str(tag)
                )
                lines = [f"{one.path}: {one.title}{_tags(one.tags)}" for one in listed[:LISTED]]
                lines += ["[more notes: name a folder or a tag]"] if len(listed) > LISTED else []
                return Result(text=cut("\n".join(lines) or "[no such notes]"))
            case "vault_search":
                limit = said.get("limit")
                found = await vault.search(str(said["query"]), limit if isinstance(limit, int) else HITS)
                lines = [f"{one.path}: {one.title}\n  {' '.join(one.excerpt.split())}" for one in found]
                return Result(text=cut("\n".join(lines) or "[no match]"))
            case "vault_backlinks":
                links = await vault.backlinks(str(said["note"]), LISTED)
                return Result(text=cut("\n".join(f"{path}: {_link(one)}" for path, one in links) or "[none]"))
            case "vault_read":
                return Result(text=_shown(await vault.read(str(said["note"]))))
            case other:
                return failure(f"there is no vault tool {other!r}")

    async def probe(self, doing: Doing, prepared: Prepared) -> Result | None:
        return None

    async def halt(self, doing: Doing) -> None:
        """It is over before anybody could stop it."""


class Patching:
    """`vault_patch`: the diff in the arguments, bound to the digest of the note that it was prepared on."""

    def __init__(self, source: VaultSource, known: KnownRun) -> None:
        self._source = source
        self._known = known

    async def prepare(self, doing: Doing) -> Prepared:
        vault = self._source.granted(self._known, doing)
        path = str(doing.execution.arguments["path"])
        before = await vault.bytes_of(path)
        after = _after(before, doing)
        kept: JSONObject = {
            "before": None if before is None else digest_bytes(before),
            "after": digest_bytes(after),
        }
        return Prepared(files={_place(doing): str(kept["before"] or "none")}, kept=kept)

    async def perform(self, doing: Doing, prepared: Prepared, attempt: int) -> Result:
        vault = self._source.granted(self._known, doing)
        path = str(doing.execution.arguments["path"])
        before, expected = await vault.bytes_of(path), prepared.kept["before"]
        if (None if before is None else digest_bytes(before)) != expected:
            return failure(f"vault.note_changed: {path} is not what it was when the change was prepared")
        after = _after(before, doing)
        await vault.write(path, after, expected=str(expected) if expected is not None else None)
        return _written(path, after)

    async def probe(self, doing: Doing, prepared: Prepared) -> Result | None:
        """The note itself tells whether it was replaced, unless somebody else wrote it since."""
        vault = self._source.granted(self._known, doing)
        path = str(doing.execution.arguments["path"])
        now = await vault.bytes_of(path)
        found = None if now is None else digest_bytes(now)
        if now is not None and found == prepared.kept["after"]:
            return _written(path, now)
        return await self.perform(doing, prepared, 2) if found == prepared.kept["before"] else None

    async def halt(self, doing: Doing) -> None:
        """A note is written as a whole or not at all."""


def _after(before: bytes | None, doing: Doing) -> bytes:
    try:
        return patched((before or b"").decode(), str(doing.execution.arguments["patch"])).encode()
    except UnicodeDecodeError as error:
        raise Refused("vault.not_text", "the note is not UTF-8, so no text can be put into it") from error


def _place(doing: Doing) -> str:
    return f"{doing.execution.arguments['vault']}/{doing.execution.arguments['path']}"


def _written(path: str, after: bytes) -> Result:
    written = digest_bytes(after)
    return Result(
        text=f"wrote {path}: {len(after)} bytes, {written}", effect={"path": path, "digest": written}
    )


def _shown(read: NoteText) -> str:
    """What is known of the note stands after its text, which may be cut."""
    note = read.note
    about = [f"Note {read.path}: {note.title}", f"Digest: {read.digest}"]
    about += [f"Aliases: {', '.join(note.aliases)}"] if note.aliases else []
    about += [f"Tags: {', '.join(note.tags)}"] if note.tags else []
    links = [f"- {_link(link)} -> {link.to or '(no such note)'}" for link in note.links[:LISTED]]
    about += ["Links:", *links] if links else []
    return f"{cut(read.text)}\n\n---\n{cut(chr(10).join(about))}"


def _link(link: Link) -> str:
    target = link.target + (f"#{link.fragment}" if link.fragment else "")
    return f"{'!' if link.embed else ''}[[{target}{f'|{link.text}' if link.text else ''}]]"


def _tags(tags: tuple[str, ...]) -> str:
    return f" ({', '.join(tags)})" if tags else ""
