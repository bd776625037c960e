"""Egress: named lists of hosts, what a rule permits of a request, and what a box is told of its proxy."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Literal
from urllib.parse import unquote

from protocol.capability import Capability, CapabilitySnapshot, EgressCapability, Grant
from protocol.egress import ANY_PATH, PORTS, READS, EgressEntry, EgressRule, GrantedEgress
from protocol.errors import InvalidRequest
from protocol.ids import RunId
from protocol.noun import Noun
from protocol.tool import Effect

BUNDLES: dict[str, tuple[EgressRule, ...]] = {
    "pypi": (EgressRule(host="pypi.org"), EgressRule(host="files.pythonhosted.org")),
    "npm": (EgressRule(host="registry.npmjs.org"),),
    "debian": tuple(
        EgressRule(host=host, scheme=scheme)
        for host in ("deb.debian.org", "security.debian.org")
        for scheme in ("http", "https")
    ),
}

PROXY = "http://127.0.0.1:3128"
TRUST = "/rhone-egress/ca.pem"
PLACEHOLDER = re.compile(rb"rhone_placeholder_[0-9a-f]{40}")

_TRUSTING = (
    *("SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "PIP_CERT", "GIT_SSL_CAINFO"),
    *("NODE_EXTRA_CA_CERTS", "npm_config_cafile", "CARGO_HTTP_CAINFO"),
)
_UNCLEAR = re.compile(r"%(2f|5c|00|25)|\\|//|#", re.IGNORECASE)


class Asked(Noun):
    """A request of a box, as the proxy understood it; `path` is without its query."""

    scheme: str
    host: str
    port: int
    method: str
    path: str


class Unruled(Noun):
    """Why no rule permits it, and which kind of rule is missing."""

    rule: str
    reason: str


def rules_of(bundle: str, entry: EgressEntry) -> tuple[EgressRule, ...] | None:
    """The rules of a named list; the installation's own stands before the shipped one."""
    return entry.bundles.get(bundle, BUNDLES.get(bundle))


def check_egress(capabilities: Sequence[Capability], entry: EgressEntry | None) -> None:
    """Raises InvalidRequest for a bundle or a credential that nobody declares. Without an `[egress]` all of
    it is denied when the run begins, which the snapshot says."""
    for index, capability in enumerate(capabilities):
        if not isinstance(capability, EgressCapability) or entry is None:
            continue
        where = f"capabilities[{index}]"
        if capability.bundle is not None and rules_of(capability.bundle, entry) is None:
            message = f"{where}.bundle: there is no egress bundle {capability.bundle!r}"
            raise InvalidRequest("egress.unknown_bundle", message, param=f"{where}.bundle")
        for place, rule in enumerate(capability.rules):
            if rule.credential is not None and rule.credential not in entry.credentials:
                param = f"{where}.rules[{place}].credential"
                message = f"{param}: there is no egress credential {rule.credential!r}"
                raise InvalidRequest("egress.unknown_credential", message, param=param)


def title(rule: EgressRule) -> str:
    """What the grant of a rule is called."""
    port = "" if rule.at == PORTS[rule.scheme] else f":{rule.at}"
    if rule.tunnel:
        return f"egress:tunnel {rule.host}:{rule.at}"
    place = ",".join(f"{rule.scheme}://{rule.host}{port}{path}" for path in rule.paths) or "nowhere"
    words = f"egress:{','.join(rule.methods) or 'nothing'} {place}"
    return f"{words} as {rule.credential}" if rule.credential else words


def effect_of(rule: EgressRule) -> Effect:
    return "unknown" if rule.tunnel or set(rule.methods) - set(READS) else "read_only"


def granted(snapshot: CapabilitySnapshot) -> tuple[GrantedEgress, ...]:
    """Everything that the run's box may reach."""
    grants = (grant for grant in snapshot.document.grants if grant.kind == "egress")
    return tuple(GrantedEgress.model_validate(grant.argument_constraints) for grant in grants)


def outward(snapshot: CapabilitySnapshot, tool: Grant) -> Grant:
    """A tool that runs programs reaches as far as its box: rules see that it has an egress."""
    reaches = tool.name == "bash" and tool.definition.source == "target"
    if not reaches or all(grant.kind != "egress" for grant in snapshot.document.grants):
        return tool
    return tool.model_copy(update={"attributes": {**tool.attributes, "egress": "granted"}})


def permits(rules: Sequence[GrantedEgress], asked: Asked) -> GrantedEgress | Unruled:
    """The first rule that permits a request; one with a credential stands before those without."""
    of_host = [
        one
        for one in rules
        if (one.rule.scheme, one.rule.host, one.rule.at) == (asked.scheme, asked.host, asked.port)
        and not one.rule.tunnel
    ]
    if not of_host:
        return Unruled(rule="egress.host", reason=f"{asked.host}:{asked.port} is not granted")
    of_method = [one for one in of_host if asked.method in one.rule.methods]
    if not of_method:
        return Unruled(rule="egress.method", reason=f"{asked.method} is not granted at {asked.host}")
    fitting = [one for one in of_method if fits(one.rule.paths, asked.path)]
    if not fitting:
        return Unruled(rule="egress.path", reason=f"this path is not granted at {asked.host}")
    return min(fitting, key=lambda one: one.binding is None)


def passage(rules: Sequence[GrantedEgress], host: str, port: int) -> Literal["seen", "tunnel"] | Unruled:
    """How a connection to a host passes: the proxy sees into it wherever a rule says more than the host."""
    there = [
        one.rule.tunnel
        for one in rules
        if (one.rule.scheme, one.rule.host, one.rule.at) == ("https", host, port)
    ]
    if not there:
        return Unruled(rule="egress.host", reason=f"{host}:{port} is not granted")
    return "tunnel" if all(there) else "seen"


def fits(patterns: Sequence[str], path: str) -> bool:
    """Whether a path is one of those. One that a server could read otherwise than we do fits no pattern but
    the one that takes them all."""
    if ANY_PATH in patterns:
        return True
    segments = [segment.partition(";")[0] for segment in unquote(path).split("/")]
    if _UNCLEAR.search(path) or "." in segments or ".." in segments:
        return False
    return any(_compiled(pattern).fullmatch(unquote(path)) for pattern in patterns)


@lru_cache(maxsize=512)
def _compiled(pattern: str) -> re.Pattern[str]:
    parts = re.split(r"(\*\*|\*)", pattern)
    return re.compile("".join({"**": ".*", "*": "[^/]*"}.get(part, re.escape(part)) for part in parts), re.S)


def placeholder(run_id: RunId, credential: str) -> str:
    """What stands for a credential in the boxes of one run. It is no secret: it means something only at the
    door of such a box."""
    return "rhone_placeholder_" + hashlib.sha256(f"{run_id}\0{credential}".encode()).hexdigest()[:40]


def environment(snapshot: CapabilitySnapshot) -> Mapping[str, str]:
    """What programs in the box need to know of the proxy; nothing where it has no way out."""
    reach = granted(snapshot)
    if not reach:
        return {}
    proxied = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), PROXY)
    direct = dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1,localhost")
    bound = {
        one.binding.variable: placeholder(snapshot.document.run_id, one.binding.name)
        for one in reach
        if one.binding is not None
    }
    return {**proxied, **direct, **dict.fromkeys(_TRUSTING, TRUST), "NODE_USE_ENV_PROXY": "1", **bound}
