"""Egress: what a box may reach through the proxy, and the words of `[egress]` in `rhone.toml`."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from protocol.noun import Noun
from protocol.secret import SecretRef

EgressName = Annotated[str, Field(max_length=64, pattern=r"^[a-z][a-z0-9]*([_-][a-z0-9]+)*$")]
HostName = Annotated[str, Field(max_length=253, pattern=r"^[a-z0-9-]+(\.[a-z0-9-]+)*$")]
Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
PathPattern = Annotated[str, Field(max_length=500, pattern=r"^/[!-\"$->@-~]*$")]
"""`*` stands for a part of one segment, `**` for anything; a query is no part of a path."""

READS: tuple[Method, ...] = ("GET", "HEAD")
ANY_PATH = "/**"
PORTS = {"https": 443, "http": 80}


class EgressRule(Noun):
    """One host, by its exact name, with the methods and paths that may be asked of it.

    With `tunnel` the proxy does not see into the connection: only the host counts, and no credential goes in.
    `credential` names one of the installation's, which is put in the place of its placeholder.
    """

    host: HostName
    scheme: Literal["https", "http"] = "https"
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    methods: tuple[Method, ...] = READS
    paths: tuple[PathPattern, ...] = (ANY_PATH,)
    tunnel: bool = False
    credential: EgressName | None = None

    @field_validator("host")
    @classmethod
    def _is_a_name(cls, host: str) -> str:
        last = host.rpartition(".")[2]
        octets = host.split(".")
        plain = len(octets) == 4 and all(part.isdigit() and str(int(part)) == part for part in octets)
        if (last.isdigit() or last.startswith("0x")) and not plain:
            raise ValueError("a host is a name, or an IPv4 address in its usual form")
        return host

    @model_validator(mode="after")
    def _fits(self) -> "EgressRule":
        if self.scheme == "http" and (self.tunnel or self.credential):
            raise ValueError("`tunnel` and `credential` go with https")
        if self.tunnel and (self.credential or (self.methods, self.paths) != (READS, (ANY_PATH,))):
            raise ValueError("with `tunnel` nothing but the host and its port can be ruled")
        return self

    @property
    def at(self) -> int:
        return self.port or PORTS[self.scheme]


class Binding(Noun):
    """Where a credential may go on its host, and by which variable of the box its placeholder is known."""

    name: EgressName
    variable: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{0,63}$")]
    header: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,63}$")] = "authorization"
    methods: Annotated[tuple[Method, ...], Field(min_length=1)]
    paths: Annotated[tuple[PathPattern, ...], Field(min_length=1)]


class GrantedEgress(Noun):
    """What the grant of one rule pins."""

    rule: EgressRule
    binding: Binding | None = None


class EgressCredential(Noun):
    """A secret of the installation, the one host that it is for, and what may be asked with it there."""

    valueRef: SecretRef  # noqa: N815  the file's own spelling
    host: HostName
    port: Annotated[int, Field(ge=1, le=65535)] = 443
    variable: str
    header: str = "authorization"
    methods: tuple[Method, ...]
    paths: tuple[PathPattern, ...]

    @model_validator(mode="after")
    def _fits(self) -> "EgressCredential":
        self.bound("name")
        return self

    def bound(self, name: str) -> Binding:
        return Binding.model_validate(
            {"name": name, **self.model_dump(include={"variable", "header", "methods", "paths"})}
        )


class EgressEntry(Noun):
    """`allow_private` names `host:port` pairs that may lie on a private network; `ca` is a file of further
    authorities whose servers are believed; `bundles` are named lists of rules over the shipped ones."""

    allow_private: tuple[Annotated[str, Field(pattern=r"^[^\s/@]+:\d{1,5}$")], ...] = ()
    ca: str | None = None
    credentials: dict[EgressName, EgressCredential] = {}
    bundles: dict[EgressName, tuple[EgressRule, ...]] = {}
