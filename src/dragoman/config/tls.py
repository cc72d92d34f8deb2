"""The certificate the gateway itself shows, and what is wrong with its files, in words."""

from __future__ import annotations

import ssl
from pathlib import Path

from dragoman.config.settings import Settings

_MISMATCH = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED")
"""What OpenSSL says of the key of another pair: of the same kind, of another, of one that no certificate is for."""


class TLSError(Exception):
    """The files cannot be used.  `setting` is the one that is wrong."""

    def __init__(self, setting: str, what: str) -> None:
        super().__init__(f"{setting} {what}")
        self.setting = setting
        self.what = what


def server_context(settings: Settings) -> ssl.SSLContext | None:
    """How connections are secured: TLS 1.2 or newer.  None where no certificate is set.  Raises TLSError."""
    if not settings.tls_cert:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    show(context, settings)
    return context


def show(context: ssl.SSLContext, settings: Settings) -> None:
    """From now on new connections see this certificate.  Raises TLSError, and goes on with the old one then."""
    cert, key = settings.tls_cert, settings.tls_key or settings.tls_cert
    password = settings.tls_key_password.reveal() if settings.tls_key_password else ""
    asked = False

    def say_password() -> str:
        nonlocal asked
        asked = True
        return password

    _must_hold("tls_cert", cert, "-----BEGIN CERTIFICATE-----", "certificate")
    where = "tls_key" if settings.tls_key else "tls_cert"
    _must_hold(where, key, "PRIVATE KEY-----", "private key")
    # Tried on another first: one that fails half-way is left with the certificate of one pair and the key of the other.
    for each in (ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), context):
        try:
            each.load_cert_chain(cert, key, say_password)
        except (ssl.SSLError, OSError) as error:
            raise _told(error, where, key, asked=asked, password=password) from None


def _told(error: OSError, where: str, key: str, *, asked: bool, password: str) -> TLSError:
    reason = getattr(error, "reason", None) or ""
    if reason in _MISMATCH:
        return TLSError(where, f"is {key}, which is not the key of the certificate")
    if asked and not password:
        return TLSError(where, f"is {key}, which wants a password: set tls_key_password_file")
    if asked:
        return TLSError(where, f"is {key}, which the password does not open")
    return TLSError("tls_cert", f"cannot be used: {reason or error.strerror or 'it is not as PEM files are'}")


def _must_hold(setting: str, name: str, sign: str, called: str) -> None:
    try:
        text = Path(name).read_text("latin-1")
    except OSError as error:
        raise TLSError(setting, f"is {name}, but the file cannot be read: {error.strerror or error}") from None
    if sign not in text:
        raise TLSError(setting, f"is {name}, but the file holds no {called} (PEM)")
