"""Who comes in, and by which door: the clients' keys, and the gateway's own certificate."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dragoman.config.client_keys import as_client_key
from dragoman.config.secret_files import SecretFiles
from dragoman.config.section import Section
from dragoman.config.settings import ClientKey, Secret, Settings

_FILES = ("tls_cert", "tls_key")


def api_keys(
    values: Mapping[str, Any], said: Mapping[str, Any], top: Section, files: SecretFiles
) -> tuple[Secret | ClientKey, ...]:
    """The clients' keys: those that are listed and those in the file, together.  Of one that stands there twice, the
    first counts."""
    keys: list[Secret | ClientKey] = [*values.get("api_keys", ())]
    if name := said["api_keys_file"]:
        keys += files.keys(Path(name), "DRAGOMAN_API_KEYS_FILE")
    elif name := values.get("api_keys_file"):
        keys += files.keys(top.beside(name), top.where("api_keys_file"))
    first: dict[bytes, Secret | ClientKey] = {}
    for key in keys:
        first.setdefault(as_client_key(key).digest, key)
    return tuple(first.values())


def certificate(
    said: Mapping[str, Any], written: Mapping[str, Any], top: Section, files: SecretFiles
) -> dict[str, str | Secret]:
    """The members of `Settings` about it.  Names in `dragoman.toml` are relative to it."""
    found: dict[str, str | Secret] = {}
    for setting in _FILES:
        if name := said[setting] or (written[setting] and str(top.beside(written[setting]))):
            found[setting] = name
    password = said["tls_key_password"]
    if password is None and (name := said["tls_key_password_file"]):
        password = files.key(Path(name), "DRAGOMAN_TLS_KEY_PASSWORD_FILE")
    elif password is None:
        password = written["tls_key_password"]
        if password is None and (name := written["tls_key_password_file"]):
            password = files.key(top.beside(name), top.where("tls_key_password_file"))
    return found | ({"tls_key_password": password} if password is not None else {})


def certificate_problems(chosen: Settings, said: Mapping[str, Any], top: Section, files: SecretFiles) -> list[str]:
    """What is wrong with it.  A key that everybody may read is worth a warning."""

    def where(setting: str) -> str:
        return f"DRAGOMAN_{setting.upper()}" if said[setting] else top.where(setting)

    if not chosen.tls_cert:
        return [f"{where('tls_key')} is set, but not tls_cert, the certificate of that key"] if chosen.tls_key else []
    from dragoman.config.tls import TLSError, server_context  # noqa: PLC0415  only who has a certificate pays for it

    files.check_mode(Path(chosen.tls_key or chosen.tls_cert))
    try:
        server_context(chosen)
    except TLSError as error:
        return [f"{where(error.setting)} {error.what}"]
    return []
