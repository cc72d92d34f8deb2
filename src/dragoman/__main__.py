"""`dragoman` and `python -m dragoman`."""

from __future__ import annotations


def main() -> None:
    """The command line."""
    from dragoman.cli import app  # noqa: PLC0415  the spawned workers of others import this module too

    app(prog_name="dragoman")


if __name__ == "__main__":
    main()
