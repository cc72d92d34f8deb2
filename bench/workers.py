"""`python -m bench.workers`: how many requests one gateway answers with one worker, with two, and so on.

The load is `wrk` and the server behind the gateway is nginx with one fixed answer, since both cost a tenth of what the
gateway does: on few cores a slower load would take the second worker's.  Needs Linux and both programs.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bench import processes, wire
from bench.answers import ANSWERS, anthropic_models
from bench.gateways import DRAGOMAN, Gateway, Running, running, start_nginx

_CONNECTIONS = 32
_WARM_UP = 2


def main() -> int:
    """0 when all was measured, whatever the figures say; 1 when something was missing or an answer was wrong."""
    parser = argparse.ArgumentParser(prog="python -m bench.workers", description="What another worker is worth.")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--seconds", type=int, default=10)
    args = parser.parse_args()
    if missing := [name for name in ("wrk", "nginx") if not shutil.which(name)]:
        print(f"This needs {' and '.join(missing)} (for example: apt-get install wrk nginx-light).", file=sys.stderr)
        return 1
    print(
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {_CONNECTIONS} connections, OpenAI chat to Anthropic"
    )
    with tempfile.TemporaryDirectory(prefix="dragoman-bench-") as scratch, running(_SERVER, 0) as server:
        script = Path(scratch) / "ask.lua"
        script.write_text(_script())
        rates = [_measured(server, script, workers, args.seconds) for workers in args.workers]
    print(f"with {args.workers[-1]} in place of {args.workers[0]}: {rates[-1] / rates[0]:.2f} times as many")
    return 0


def _measured(server: Running, script: Path, workers: int, seconds: int) -> float:
    """Requests a second, printed with what they cost the gateway, and all the others."""
    with running(_GATEWAY, server.port, DRAGOMAN_WORKERS=str(workers)) as gateway:
        _asked(gateway.port, script, _WARM_UP)
        before, beside = processes.cpu(gateway.pid), processes.cpu(server.pid)
        rate, load = _asked(gateway.port, script, seconds)
        cpu, beside = processes.cpu(gateway.pid) - before, processes.cpu(server.pid) - beside
    each = cpu / (rate * seconds) * 1e3
    others = (beside + load) / (rate * seconds) * 1e3
    could = (os.cpu_count() or 1) / (each + others) * 1e3
    print(
        f"{workers} workers: {rate:,.0f} requests a second, {cpu / seconds:.2f} cores, {each:.3f} ms each; "
        f"load and server {others:.3f} ms; all cores together could do {could:,.0f}",
        flush=True,
    )
    return rate


def _asked(port: int, script: Path, seconds: int) -> tuple[float, float]:
    """Requests a second, and the seconds of CPU that asking took.  Raises `RuntimeError` when an answer was wrong."""
    url = f"http://127.0.0.1:{port}/v1/chat/completions"
    before = os.times()
    done = subprocess.run(
        ["wrk", "-t1", f"-c{_CONNECTIONS}", f"-d{seconds}s", "-s", str(script), url],
        capture_output=True,
        text=True,
        check=True,
    )
    after = os.times()
    if re.search(r"Socket errors|Non-2xx|wrong answers", done.stdout):
        raise RuntimeError(done.stdout)
    rate = float(re.findall(r"Requests/sec:\s+([\d.]+)", done.stdout)[0])
    return rate, after.children_user + after.children_system - before.children_user - before.children_system


def _script() -> str:
    """What `wrk` asks; of every 64th answer the words are looked at, too."""
    _, body = wire.openai_chat(wire.MODELS["anthropic"], stream=False)
    return f"""
wrk.method = "POST"
wrk.headers["content-type"] = "application/json"
wrk.body = [==[{body.decode()}]==]
local asked = 0
function response(status, headers, body)
  asked = asked + 1
  if asked % 64 == 0 and not string.find(body, "{wire.FIRST_TOKEN}", 1, true) then print("wrong answers") end
end
"""


def _fixed(port: int, _upstream: int, scratch: Path) -> tuple[list[str], dict[str, str]]:
    """nginx that gives Anthropic's answer to whatever is asked, and its list of models."""
    models, answer = _quoted(anthropic_models()), _quoted(ANSWERS["anthropic"](wire.tokens(100)).whole)
    there = f"default_type application/json; if ($request_method = GET) {{ return 200 {models}; }} return 200 {answer};"
    return start_nginx(port, scratch, "", there)


def _dragoman(port: int, upstream: int, scratch: Path) -> tuple[list[str], dict[str, str]]:
    """The gateway before that server alone."""
    arguments, environment = DRAGOMAN.command(port, upstream, scratch)
    kept = ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "HOST", "PYTHONPATH")
    return arguments, {name: value for name, value in environment.items() if name in kept}


def _quoted(text: bytes) -> str:
    return "'" + text.decode().replace("\\", "\\\\").replace("'", "\\'") + "'"


_SERVER = Gateway(name="nginx", pairs=(), health="/health", command=_fixed, missing=lambda: "")
_GATEWAY = Gateway(name="dragoman", pairs=(), health="/health", command=_dragoman, missing=lambda: "")

if __name__ == "__main__":
    sys.exit(main())
