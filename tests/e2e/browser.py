"""Chromium without a window, told what to do by the pipe of its debugging protocol."""
import base64
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time

from lab import Fail, Skip


# The browser reads its commands from descriptor 3 and answers on 4, which may be our pipes' own
# numbers: first out of the way with them.
# It stands behind the cases that listen to voices in time.
PIPES = """import fcntl, os, sys
os.nice(19)
a, b = (fcntl.fcntl(int(n), fcntl.F_DUPFD, 10) for n in sys.argv[1:3])
os.dup2(a, 3)
os.dup2(b, 4)
os.execv(sys.argv[3], sys.argv[3:])"""


class Browser:
    """With no network: what a page loads from anywhere else fails, and is counted as a complaint."""

    def __init__(self, width=1400, height=1000):
        program = shutil.which("chromium") or shutil.which("chromium-browser")
        if not program:
            raise Skip("chromium is not installed")
        self.complaints = []
        self.number = 0
        # Its helpers may write a last word after it has ended.
        self.folder = tempfile.TemporaryDirectory(prefix="rd-browser-", ignore_cleanup_errors=True)
        to_read, self.to = os.pipe()
        self.back, to_write = os.pipe()
        argv = [program, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
                "--disable-dev-shm-usage", "--remote-debugging-pipe", "--autoplay-policy="
                "no-user-gesture-required", f"--window-size={width},{height}", "--mute-audio",
                "--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={self.folder.name}"]
        self.log = open(os.path.join(self.folder.name, "log"), "wb")
        self.process = subprocess.Popen(
            [sys.executable, "-c", PIPES, str(to_read), str(to_write), *argv],
            pass_fds=(to_read, to_write), stdin=subprocess.DEVNULL, stdout=self.log,
            stderr=subprocess.STDOUT, env={**os.environ, "HOME": self.folder.name})
        os.close(to_read)
        os.close(to_write)
        self.held = b""
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = None
        self.session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Runtime", "Log", "Page"):
            self.ask(domain + ".enable")

    session = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.to)
        os.close(self.back)
        self.log.close()
        self.folder.cleanup()

    def message(self, deadline):
        while b"\0" not in self.held:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.back], [], [], left)[0]:
                raise Fail("the browser does not answer")
            piece = os.read(self.back, 1 << 20)
            if not piece:
                raise Fail("the browser has gone")
            self.held += piece
        text, self.held = self.held.split(b"\0", 1)
        return json.loads(text)

    def note(self, event):
        method, params = event.get("method"), event.get("params", {})
        if method == "Runtime.exceptionThrown":
            what = params["exceptionDetails"]
            self.complaints.append(what.get("exception", {}).get("description") or what["text"])
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.complaints.append(params["entry"]["text"])
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning"):
            self.complaints.append(str([a.get("value") for a in params["args"]]))

    def ask(self, method, **params):
        self.number += 1
        request = {"id": self.number, "method": method, "params": params}
        if self.session:
            request["sessionId"] = self.session
        os.write(self.to, json.dumps(request).encode() + b"\0")
        deadline = time.monotonic() + 60
        while True:
            answer = self.message(deadline)
            if answer.get("id") != self.number:
                self.note(answer)
            elif "error" in answer:
                raise Fail(f"{method}: {answer['error']['message']}")
            else:
                return answer["result"]

    def open(self, path, fragment=""):
        self.ask("Page.navigate", url="file://" + os.path.abspath(path) + fragment)
        self.until("document.readyState === 'complete'")

    def value(self, expression):
        """What the expression is in the page."""
        r = self.ask("Runtime.evaluate", expression=expression, returnByValue=True,
                     awaitPromise=True)
        if "exceptionDetails" in r:
            raise Fail(f"{expression}: {r['exceptionDetails'].get('exception', {}).get('description')}")
        return r["result"].get("value")

    def until(self, expression, seconds=20):
        deadline = time.monotonic() + seconds
        while not self.value(expression):
            if time.monotonic() > deadline:
                raise Fail(f"in the page this never came true: {expression}")
        return True

    def picture(self, path):
        data = self.ask("Page.captureScreenshot", format="png")["data"]
        with open(path, "wb") as f:
            f.write(base64.b64decode(data))
