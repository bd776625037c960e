"""The certificate authority of one box: the box believes it, and nobody else does."""

import os
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_LASTS = timedelta(days=90)
_SKEW = timedelta(hours=1)


class Authority:
    """Signs a certificate for each host that the box asks for; one key serves them all."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
        self._key = key
        self._certificate = certificate
        self._leaf_key = ec.generate_private_key(ec.SECP256R1())
        self._contexts: dict[str, ssl.SSLContext] = {}

    @classmethod
    def kept_in(cls, path: Path, name: str) -> "Authority":
        """The one in a file, made where there is none: a proxy that is started anew is believed as before."""
        if not path.exists():
            key = ec.generate_private_key(ec.SECP256R1())
            made = _certificate(name, key.public_key(), key, None)
            unfinished = path.with_suffix(".new")
            with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(_pem(key) + made.public_bytes(Encoding.PEM))
            unfinished.replace(path)
        data = path.read_bytes()
        key = load_pem_private_key(data, None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return cls(key, x509.load_pem_x509_certificate(data))

    @property
    def pem(self) -> bytes:
        return self._certificate.public_bytes(Encoding.PEM)

    @property
    def fingerprint(self) -> str:
        return "sha256:" + self._certificate.fingerprint(hashes.SHA256()).hex()

    def context(self, host: str) -> ssl.SSLContext:
        """Our side of a connection that the box takes for one to `host`."""
        found = self._contexts.get(host)
        if found is None:
            found = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            found.set_alpn_protocols(["http/1.1"])
            found.num_tickets = 0  # nobody resumes a session with us
            leaf = _certificate(host, self._leaf_key.public_key(), self._key, self._certificate)
            with os.fdopen(os.memfd_create("leaf"), "wb") as file:
                file.write(_pem(self._leaf_key) + leaf.public_bytes(Encoding.PEM))
                file.flush()
                found.load_cert_chain(f"/proc/self/fd/{file.fileno()}")
            self._contexts[host] = found
        return found


def _certificate(
    name: str,
    of: ec.EllipticCurvePublicKey,
    by: ec.EllipticCurvePrivateKey,
    issuer: x509.Certificate | None,
) -> x509.Certificate:
    """One of an authority, where no issuer stands above it; else of a host."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
    now = datetime.now(UTC)
    key_id = x509.SubjectKeyIdentifier.from_public_key
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(of)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + _LASTS)
        .add_extension(
            x509.BasicConstraints(ca=issuer is None, path_length=0 if issuer is None else None), True
        )
        .add_extension(key_id(of), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), False)
        .add_extension(_usage(signs=issuer is None), True)
    )
    if issuer is not None:
        builder = builder.add_extension(x509.SubjectAlternativeName([_general(name)]), False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)
    return builder.sign(by, hashes.SHA256())


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
