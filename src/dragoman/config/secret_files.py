"""Keys out of files.  What is read is never part of a message; that everybody may read it is worth a warning."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

from dragoman.config import kinds
from dragoman.config.client_keys import ALLOWED, read_line
from dragoman.config.settings import ClientKey, Secret

# Container runtimes and systemd mount secrets here, for one service only, and choose the mode themselves.
_MOUNTS = (Path("/run/secrets"), Path("/run/credentials"))


class SecretFiles:
    """Reads files of keys.  Problems are added to `problems`; `warn` hears of files that everybody may read."""

    def __init__(self, problems: list[str], warn: Callable[[str], None]) -> None:
        self._problems = problems
        self._warn = warn

    def key(self, path: Path, where: str) -> Secret | None:
        """The one key in the file at `path`, which `where` names.  None, and a problem, when there is none."""
        text = self._text(path, where)
        if text is None:
            return None
        secret, problem = kinds.read_text(kinds.SECRET, text, f"{where} is {path}, whose text")
        self._problems += [problem] if problem else []
        return secret if isinstance(secret, Secret) else None

    def keys(self, path: Path, where: str) -> tuple[ClientKey, ...]:
        """The clients' keys in the file at `path`, as `client_keys` reads them.  A file without keys is a problem:
        it would leave the door open."""
        text = self._text(path, where)
        if text is None:
            return ()
        keys = []
        for number, line in enumerate(text.splitlines(), 1):
            try:
                keys.append(read_line(line))
            except ValueError:
                keys.append(None)
                self._problems.append(f"{path}:{number}: the text must be {ALLOWED}")
        found = tuple(key for key in keys if key is not None)
        if not found:
            self._problems.append(f"{where} is {path}, but the file holds no keys")
        return found

    def check_mode(self, path: Path) -> None:
        """Warn when everybody on this machine may read `path`."""
        try:
            mode = path.stat().st_mode
        except OSError:
            return
        if mode & stat.S_IROTH and not any(mount in path.absolute().parents for mount in _MOUNTS):
            self._warn(f"{path} holds secrets and everybody on this machine may read it; chmod 600 {path}")

    def _text(self, path: Path, where: str) -> str | None:
        try:
            text = path.read_bytes().decode("utf-8-sig")
        except OSError as error:
            self._problems.append(f"{where} is {path}, but the file cannot be read: {error.strerror or error}")
            return None
        except UnicodeDecodeError:
            self._problems.append(f"{where} is {path}, but the file is not text")
            return None
        self.check_mode(path)
        return text
