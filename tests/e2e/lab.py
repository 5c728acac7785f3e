"""The bench of one case: a directory and a loopback network of its own, the server under test, the
programs that talk to it, and the capture of everything they say."""
import json
import os
import random
import signal
import socket
import sqlite3
import subprocess
import threading
import time

import judge

DOMAIN = "pbx.test"
PHONES = {"1427": "109Q1427", "1428": "109Q1428"}


class Fail(Exception):
    """The program under test did something wrong."""


class Skip(Exception):
    """The case cannot run here."""


def check(condition, why):
    if not condition:
        raise Fail(why)


def equal(got, wanted, what):
    check(got == wanted, f"{what}: {got!r}, not {wanted!r}")


CASES = []


class Case:
    def __init__(self, name, function, weight, captured, survives, measures):
        self.name, self.function, self.weight = name, function, weight
        self.captured, self.survives, self.measures = captured, survives, measures


def case(name, weight=1, captured=True, survives=True, measures=False):
    """Marks a function of a lab as a case. weight: heavier ones begin earlier; survives: the server
    must still run at the end; measures: of time or memory, for which a program with sanitizers is no
    use."""
    def register(function):
        CASES.append(Case(name, function, weight, captured, survives, measures))
        return function
    return register


class Job:
    """A program that belongs to the case; ended with it, by its process id."""

    def __init__(self, name, argv, cwd, env=None, stdin=subprocess.DEVNULL):
        self.name = name
        self.complaints = None  # a file in which it says what went wrong
        self.log = os.path.join(cwd, name + ".log")
        with open(self.log, "ab") as out:
            self.process = subprocess.Popen(argv, cwd=cwd, stdin=stdin, stdout=out,
                                            stderr=subprocess.STDOUT, env=env,
                                            start_new_session=True)

    def text(self):
        with open(self.log, "rb") as f:
            return f.read().decode("utf-8", "replace")

    def lines(self):
        """What is whole of it: the last line may still be on its way into the file."""
        return self.text().rpartition("\n")[0].splitlines()

    def running(self):
        return self.process.poll() is None

    def wait(self, seconds, status=0):
        """Ends well within so many seconds, or the case fails."""
        try:
            got = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Fail(f"{self.name} is not finished after {seconds} s") from None
        if status is not None and got != status:
            raise Fail(f"{self.name}: exit status {got}: {self.last_words()}")

    def last_words(self):
        text = self.text()
        if self.complaints and os.path.exists(self.complaints):
            with open(self.complaints, encoding="utf-8", errors="replace") as f:
                text = f.read() or text
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return " / ".join(lines[-12:])[-600:]

    def signal(self, number):
        if self.running():
            self.process.send_signal(number)

    def end(self, seconds=3):
        self.signal(signal.SIGTERM)
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Lab:
    given, giving = [], threading.Lock()  # ranges of ports, of all cases

    def __init__(self, name, build, directory, net):
        self.name = name
        self.program = os.path.join(os.path.abspath(build), "ringdown")
        self.asker = self.program  # for ctl
        self.dir = directory
        self.net = net
        self.jobs = []
        self.server = None
        self.capture = None
        self.echoed = False  # the peers write nonsense, which answers repeat
        self.heard = None
        self.own_sounds = None
        self.sources = set()  # addresses whose messages are judged
        self.starts = 0

    # ---- addresses, time -------------------------------------------------------------------------

    def ip(self, last):
        return f"{self.net}.{last}"

    @property
    def pbx(self):
        return self.ip(104)

    @property
    def trunk(self):
        return self.ip(77)

    @staticmethod
    def phone(number):
        return {"1427": 55, "1428": 54, "1429": 53}[number]

    @staticmethod
    def ports(n):
        """The first of n UDP ports that nobody has (for what cannot be bound to our network). They
        are bound by and by, so no two are given the same; those above 20000 are the exchanges'."""
        with Lab.giving:
            for _ in range(1000):
                first = random.randrange(5000, 10000 - n) * 2
                if all(first + n <= a or b <= first for a, b in Lab.given) and Lab.free(first, n):
                    Lab.given.append((first, first + n))
                    return first
        raise Fail("no free UDP ports")

    @staticmethod
    def free(first, n):
        held = []
        try:
            for port in range(first, first + n):
                held.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                held[-1].bind(("0.0.0.0", port))
            return True
        except OSError:
            return False
        finally:
            for s in held:
                s.close()

    @staticmethod
    def until(condition, seconds, what):
        """Polls; returns what the condition returned, or fails the case. It has another look after
        the time is over: the machine may have stood still since the last one."""
        deadline = time.monotonic() + seconds
        while True:
            late = time.monotonic() > deadline
            value = condition()
            if value:
                return value
            if late:
                raise Fail(f"{what}: not within {seconds} s")
            time.sleep(0.02)

    @staticmethod
    def least(measure, bound, what, first=None, times=3):
        """What takes too long takes too long every time; a machine that stands still makes it so
        only some of the times. first: what was measured already."""
        took = [measure() if first is None else first]
        while min(took) >= bound and len(took) < times:
            took.append(measure())
        check(min(took) < bound, f"{what}: {took}, at no time below {bound}")

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as f:
            f.write(text)
        return self.path(name)

    def job(self, name, argv, **more):
        job = Job(name, argv, self.dir, **more)
        self.jobs.append(job)
        return job

    # ---- the server ------------------------------------------------------------------------------

    def sipp(self, name, script, last, port=5060, proto="udp", peer=None, more=()):
        """A SIPp that plays the script at an address of the lab; calls take the server as peer."""
        scenario = self.write(name + ".xml", script.xml())
        target = peer or f"{self.pbx}:5060"
        argv = ["sipp", target, "-sf", scenario, "-i", self.ip(last), "-mi", self.ip(last),
                "-ci", self.ip(last), "-p", str(port), "-m", "1", "-nostdin", "-timeout", "40s",
                "-timeout_error", "-trace_err", "-error_file", self.path(name + ".err"),
                "-cid_str", "%u-%p@%s", "-default_behaviors", "all,-bye", *more]
        if proto == "tcp":
            argv += ["-t", "t1"]
        job = self.job(name, argv)
        job.complaints = self.path(name + ".err")
        return job

    def bound(self, last, port=5060, proto="udp"):
        """Waits until somebody listens there."""
        number = int.from_bytes(socket.inet_aton(self.ip(last)), "little")
        wanted = f" {number:08X}:{port:04X} "

        def there():
            with open(f"/proc/net/{proto}", encoding="ascii") as f:
                return any(wanted in line for line in f)
        self.until(there, 20, f"somebody listens on {self.ip(last)}:{port}")

    def config(self):
        """A configuration as a tree; JSON is YAML. The fixture of two phones and a trunk."""
        return {
            "sip": {"domain": DOMAIN, "call_id_host": self.trunk,
                    "listen": [f"udp:{self.pbx}:5060", f"tcp:{self.pbx}:5060"]},
            "media": {"address": self.pbx, "ports": "20000-20199", "codecs": ["PCMU", "PCMA"]},
            "extensions": [
                {"number": n, "username": user, "password": "secret-" + n, "name": "Phone " + n,
                 "did": ["0708666" + n]} for n, user in PHONES.items()],
            "trunks": [{"name": "carrier", "uri": f"sip:{self.trunk}:5080"}],
            "routes": [{"match": "^0[0-9]+$", "to": "trunk:carrier"}],
            "trunk": {"options_interval": 0},
            "web": {"listen": ""},
            "store": {"url": "sqlite:" + self.path("ringdown.db")},
            "ctl": {"socket": self.path("ctl.sock")},
        }

    def put_config(self, config):
        # What is spoken is the same in all cases, but for what bots say. A reload cannot change it.
        if self.own_sounds is None:
            self.own_sounds = bool(config.get("bots"))
        if not self.own_sounds:
            sounds = {"cache": os.path.join(os.path.dirname(self.dir), "sounds"), **config.get("sounds", {})}
            config = {**config, "sounds": sounds}
        return self.write("ringdown.yaml", json.dumps(config, indent=1, ensure_ascii=False))

    def start(self, config=None, env=None):
        if config is not None or not os.path.exists(self.path("ringdown.yaml")):
            self.put_config(config or self.config())
        self.sources.add(self.pbx)
        self.starts += 1
        name = "server" if self.starts == 1 else f"server{self.starts}"
        self.server = self.job(name, [self.program, "serve", "-c", "ringdown.yaml"],
                               env={**os.environ, **env} if env else None)
        self.until(self.is_ready, 30, "the server is ready")
        return self.server

    def is_ready(self):
        check(self.server.running(), "the server ended at its start: " + self.server.text()[-300:])
        return " serves " in self.server.text()

    def alive(self):
        check(self.server.running(), f"the server died: {self.server.text()[-300:]}")

    def ctl_run(self, *words):
        return subprocess.run([self.asker, "ctl", "-s", self.path("ctl.sock"), *words],
                              cwd=self.dir, capture_output=True, text=True, timeout=30,
                              check=False)

    def reload(self):
        done = self.ctl_run("reload")
        check(done.returncode == 0, f"reload: {done.stderr.strip()[:200]}")

    def ctl(self, *words):
        done = self.ctl_run("--json", *words)
        check(done.returncode == 0, f"ctl {' '.join(words)}: {done.stderr.strip()[:200]}")
        try:
            return json.loads(done.stdout)
        except ValueError:
            raise Fail(f"ctl {' '.join(words)}: no JSON: {done.stdout[:100]!r}") from None

    def query(self, sql, *values):
        db = sqlite3.connect(f"file:{self.path('ringdown.db')}?mode=ro", uri=True, timeout=20)
        try:
            db.row_factory = sqlite3.Row
            return [dict(row) for row in db.execute(sql, values)]
        finally:
            db.close()

    def cdrs(self, n):
        """The n call records there must be, in the order of their calls."""
        rows = self.until(lambda: self.cdr_rows(n), 20, f"{n} call records")
        equal(len(rows), n, "call records")
        for row in rows:
            row["legs"] = json.loads(row["legs"])
        return rows

    def cdr_rows(self, n):
        rows = self.query("SELECT * FROM cdr ORDER BY start_ms")
        return rows if len(rows) >= n else None

    def quiet(self):
        """No call, dialog or transaction is left over."""
        def idle():
            return self.ctl("status").get("calls") == 0
        self.until(idle, 20, "no call is left")

    # ---- the capture -----------------------------------------------------------------------------

    def listen(self):
        try:
            self.capture = self.job("dumpcap", [
                "dumpcap", "-q", "-i", "lo", "-f", f"net {self.net}.0/24", "-B", "8",
                "-w", self.path("capture.pcapng")])
        except FileNotFoundError:
            raise Skip("dumpcap is not installed") from None
        self.until(lambda: self.marked(b"capture begins"), 30, "the capture begins")

    def marked(self, words):
        """Sends a mark and says whether one is in the capture: what came before it is then, too."""
        if not self.capture.running():
            raise Skip("dumpcap may not capture here: " + self.capture.text().strip()[-200:])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.sendto(words, (self.ip(254), 9))
        try:
            with open(self.path("capture.pcapng"), "rb") as f:
                return words in f.read()
        except FileNotFoundError:
            return False

    def unlisten(self):
        if self.capture and self.capture.running():
            self.until(lambda: self.marked(b"capture ends"), 30, "the capture ends")
            self.capture.signal(signal.SIGINT)
            self.capture.wait(30, None)

    def messages(self):
        """Every SIP message of the case; the capture ends with the first look at it."""
        if self.heard is None:
            if not self.capture:
                raise Skip("no capture")
            self.unlisten()
            self.heard = judge.packets(self.path("capture.pcapng"))
        return self.heard

    # ---- the end ---------------------------------------------------------------------------------

    def close(self):
        for job in reversed(self.jobs):
            if job.running():
                job.end()

    def unsound(self):
        """What a sanitizer says of a program of this case, at its end at the latest."""
        for job in self.jobs:
            for line in job.text().splitlines() if isinstance(job, Job) else ():
                if "Sanitizer: " in line or ": runtime error: " in line:
                    return f"{job.name}: {line.strip()[:300]}"
        return None
