"""Chromium without a window, spoken to over a pipe: https://chromedevtools.github.io/devtools-protocol/."""

import base64
import json
import os
import shutil
import subprocess
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Self

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_PIPES = 'exec "$0" "$@" 3<&0 4>&1 </dev/null >/dev/null'  # the browser reads commands from 3 and answers on 4
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--remote-debugging-pipe",
    "--host-resolver-rules=MAP * ~NOTFOUND",  # offline
)
_OWN = ("file:", "data:", "blob:", "about:")  # what a page may load without a network


@dataclass
class View:
    """A page that is open.

    Attributes:
        said: what it wrote on the console, and its errors.
        asked: addresses that it asked the network for.
    """

    browser: "Chromium"
    session: str
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def value(self, expression: str) -> Any:
        """The value of an expression in JavaScript, or of what it promises."""
        answer = self.command("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def screenshot(self, path: Path) -> None:
        """Write the whole page as PNG."""
        answer = self.command("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(answer["data"]))

    def pdf(self) -> bytes:
        """The page as it is printed on A4."""
        answer = self.command("Page.printToPDF", paperWidth=8.27, paperHeight=11.69, printBackground=True)
        return base64.b64decode(answer["data"])

    def media(self, media: str, *, dark: bool) -> None:
        """Show the page on `screen` or as for `print`, to one who prefers dark or light."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.command("Emulation.setEmulatedMedia", media=media, features=[scheme])

    def command(self, method: str, **options: Any) -> dict[str, Any]:
        """Command the page's developer tools."""
        return self.browser.command(method, session=self.session, **options)

    def hear(self, method: str, facts: dict[str, Any]) -> None:
        """Keep what the page says and what it asks for."""
        if method == "Runtime.consoleAPICalled":
            self.said.append(" ".join(str(part.get("value", part.get("description"))) for part in facts["args"]))
        if method == "Runtime.exceptionThrown":
            details = facts["exceptionDetails"]
            self.said.append(str(details.get("exception", {}).get("description", details["text"])))
        if method == "Log.entryAdded":
            self.said.append(str(facts["entry"]["text"]))
        if method == "Network.requestWillBeSent" and not facts["request"]["url"].startswith(_OWN):
            self.asked.append(facts["request"]["url"])


class Chromium:
    """A browser that knows no host; close it, or use it with `with`.

    Args:
        profile: directory to make.
    """

    def __init__(self, profile: Path) -> None:
        command = ["sh", "-c", _PIPES, str(BROWSER), *_FLAGS, f"--user-data-dir={profile}"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self._numbers, self._views, self._rest = count(1), dict[str, View](), b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self, page: Path, *, width: int, dark: bool = False, height: int = 900) -> View:
        """Open a page in a tab of its own, and wait until it is loaded; narrow ones are a phone's."""
        target = self.command("Target.createTarget", url="about:blank")["targetId"]
        session = self.command("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        view = self._views[session] = View(self, session)
        for domain in ("Page", "Runtime", "Log", "Network"):
            view.command(f"{domain}.enable")
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        view.command("Emulation.setDeviceMetricsOverride", **size)
        view.media("screen", dark=dark)
        view.command("Page.navigate", url=page.as_uri())
        loaded = 'document.readyState === "complete" && location.protocol === "file:"'
        view.value(
            f"new Promise((done) => {{ const id = setInterval(() => {{ if ({loaded}) {{ clearInterval(id); "
            "done(true); } }, 20); })"
        )
        return view

    def command(self, method: str, *, session: str = "", **options: Any) -> dict[str, Any]:
        """Send a command and return its answer; what pages say meanwhile is given to their views."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": options} | ({"sessionId": session} if session else {})
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message).encode() + b"\0")
        self._process.stdin.flush()
        while True:
            answer = self._read()
            if answer.get("id") == number:
                assert "error" not in answer, (method, answer)
                return dict(answer["result"])
            if answer.get("sessionId") in self._views and "method" in answer:
                self._views[answer["sessionId"]].hear(answer["method"], answer["params"])

    def close(self) -> None:
        """End the browser."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        while b"\0" not in self._rest:
            part = os.read(self._process.stdout.fileno(), 1 << 16)
            assert part, "the browser ended"
            self._rest += part
        line, _, self._rest = self._rest.partition(b"\0")
        return dict(json.loads(line))
