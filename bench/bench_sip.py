"""The signalling figures: Ringdown and Kamailio as servers, sipload as their phones.

CPU is what /proc says all threads of a server's process tree were given while the load ran, divided
by the operations that completed. Everything is on loopback and below this process.
"""
import json
import os
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PEER_PORT, OUR_PORT = 15060, 15070
CALLER_PORT, PHONE_PORT, SECOND_CALLER_PORT, SECOND_PHONE_PORT = 15071, 15072, 15073, 15074
FIRST_NUMBER, USERS = 100000, 1000
COUNT = {"reg": 20000, "call": 10000}
REQUESTS = {"reg": 2, "call": 6}  # messages received from outside in one operation
SETTLE_S = 0.3
# Timer J holds a finished transaction 64 * T1 = 32 s.
DRAIN_S = 34


class Unmeasured(Exception):
    """A figure cannot be had here; the text says why."""


def tree(pid):
    """The process and all below it."""
    children = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat") as f:
                text = f.read()
        except OSError:
            continue
        parent = int(text[text.rindex(")") + 2:].split()[1])
        children.setdefault(parent, []).append(int(name))
    found, todo = [], [pid]
    while todo:
        found.append(todo.pop())
        todo += children.get(found[-1], [])
    return found


def cpu_ns(pid):
    """{thread: nanoseconds} of a process tree."""
    out = {}
    for process in tree(pid):
        try:
            for task in os.listdir(f"/proc/{process}/task"):
                with open(f"/proc/{process}/task/{task}/schedstat") as f:
                    out[int(task)] = int(f.read().split()[0])
        except OSError:
            continue
    return out


def pss_kib(pid):
    with open(f"/proc/{pid}/smaps_rollup") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("Pss:"))


class Server:
    """A started program that serves SIP on `port`."""

    def __init__(self, command, port, log, env=None):
        self.port, self.log = port, log
        with open(log, "w") as out:
            self.proc = subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL,
                                         env={**os.environ, **(env or {})})
        self.pid = self.proc.pid

    def wait_ready(self, seconds=20):
        """Until somebody holds the UDP port."""
        wanted = f"0100007F:{self.port:04X}"
        for _ in range(seconds * 20):
            if self.proc.poll() is not None:
                break
            with open("/proc/net/udp") as f:
                if wanted in f.read():
                    time.sleep(0.5)
                    return
            time.sleep(0.05)
        with open(self.log) as f:
            tail = f.read()[-500:]
        self.stop()
        raise Unmeasured(f"{self.proc.args[0]} does not start: {tail}")

    def stop(self):
        if self.proc.poll() is None:
            self.proc.terminate()
            try:
                self.proc.wait(15)
            except subprocess.TimeoutExpired:
                self.proc.kill()
                self.proc.wait()


def kamailio(tmp):
    program = shutil.which("kamailio", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if not program:
        raise Unmeasured("kamailio is not installed")
    with open(f"{HERE}/kamailio.cfg") as f:
        text = f.read().replace("127.0.0.1:PORT", f"127.0.0.1:{PEER_PORT}")
    with open(f"{tmp}/kamailio.cfg", "w") as f:
        f.write(text)
    server = Server([program, "-DD", "-E", "-Y", tmp, "-f", f"{tmp}/kamailio.cfg", "-x", "tlsf",
                     "-X", "tlsf", "-m", "2048", "-M", "64"], PEER_PORT, f"{tmp}/kamailio.log")
    server.wait_ready()
    return server


CONFIG = """\
sip:
  domain: 127.0.0.1
  listen: ["udp:127.0.0.1:{port}"]
  timers: {{t1: {t1}, t2: {t2}}}
media: {{address: 127.0.0.1, ports: 20000-29999, rtp_timeout: 0}}
auth: {{algorithms: [MD5]}}
trunk: {{options_interval: 0}}
limits: {{requests_per_second: 0, calls_per_extension: 10000, {limits}}}
web: {{listen: ""}}
store: {{url: "sqlite:{tmp}/store.db"}}
ctl: {{socket: "{tmp}/ctl.sock"}}
log: {{level: notice}}
trunks:
  - {{name: line1, uri: "sip:127.0.0.1:{caller}"}}
  - {{name: line2, uri: "sip:127.0.0.1:{caller2}"}}
extensions:
"""


# For what a closed loop makes in the 32 s of Timer J.
MANY = "calls: 100000, transactions: 500000, dialogs: 200000"


def ringdown(args, tmp, users=USERS, short_timers=False, env=None, limits=MANY):
    """short_timers: finished transactions go after 3.2 s, where only what stays is of interest."""
    with open(f"{tmp}/ringdown.yaml", "w") as f:
        f.write(CONFIG.format(port=OUR_PORT, tmp=tmp, limits=limits, caller=CALLER_PORT,
                              caller2=SECOND_CALLER_PORT, t1=0.05 if short_timers else 0.5,
                              t2=0.4 if short_timers else 4.0))
        for i in range(users):
            f.write(f'  - {{number: "{FIRST_NUMBER + i}", password: secret}}\n')
    server = Server([f"{args.build}/ringdown", "serve", "-c", f"{tmp}/ringdown.yaml"], OUR_PORT,
                    f"{tmp}/ringdown.log", env)
    server.wait_ready()
    return server


def load_command(args, server, mode, count, users=USERS, rate=0, second=False):
    caller, phone = CALLER_PORT, PHONE_PORT
    if second:
        caller, phone = SECOND_CALLER_PORT, SECOND_PHONE_PORT
    return [f"{args.build}/sipload", mode, "-t", str(server.port), "-p", str(caller), "-q",
            str(phone), "-n", str(count), "-u", str(users), "-f", str(FIRST_NUMBER), "-r",
            str(rate), "-D", "120"]


def load(args, server, mode, count, users=USERS, rate=0):
    out = subprocess.run(load_command(args, server, mode, count, users, rate),
                         stdout=subprocess.PIPE, text=True, timeout=180).stdout
    result = json.loads(out.splitlines()[-1])
    if not result["ok"]:
        raise Unmeasured(f"no {mode} completed on port {server.port}: {out}")
    return result


def measure(args, server, mode):
    """One run: (microseconds an operation, the generator's result, {thread: microseconds})."""
    before = cpu_ns(server.pid)
    result = load(args, server, mode, COUNT[mode])
    time.sleep(SETTLE_S)
    after = cpu_ns(server.pid)
    threads = {t: (after[t] - before.get(t, 0)) / 1000 / result["ok"] for t in after}
    return sum(threads.values()), result, threads


def thread_text(pid, runs):
    """Medians by thread, the busiest first."""
    names = {}
    for t in runs[0]:
        try:
            with open(f"/proc/{pid}/task/{t}/comm") as f:
                names[t] = "signalling" if t == pid else f.read().strip()
        except OSError:
            names[t] = str(t)
    medians = {t: statistics.median(r.get(t, 0) for r in runs) for t in runs[0]}
    busy = sorted((t for t in medians if medians[t] >= 0.05), key=lambda t: -medians[t])
    return ", ".join(f"{names[t]} {medians[t]:.1f}" for t in busy)


def compare(args, mode):
    """Alternates the two servers after a run of each that fills their memory and is discarded."""
    with tempfile.TemporaryDirectory(prefix="rd-bench-") as tmp:
        servers = {}
        try:
            servers["peer"] = kamailio(tmp)
            servers["ours"] = ringdown(args, tmp)
            for server in servers.values():
                load(args, server, "reg", USERS)
                load(args, server, mode, COUNT[mode] * args.runs)
            time.sleep(DRAIN_S)
            figures = {name: [] for name in servers}
            failed, threads, generator = 0, [], []
            for _ in range(args.runs):
                for name, server in servers.items():
                    us, result, by_thread = measure(args, server, mode)
                    print(f"  {mode} {name} {us:.2f} us, {result['rate']}/s, failed "
                          f"{result['failed']}, generator {result['generator_us']} us",
                          file=sys.stderr, flush=True)
                    figures[name].append(us)
                    failed += result["failed"]
                    generator.append(result["generator_us"])
                    if name == "ours":
                        threads.append(by_thread)
            return {"ours": statistics.median(figures["ours"]),
                    "peer": statistics.median(figures["peer"]), "failed": failed,
                    "threads": thread_text(servers["ours"].pid, threads),
                    "generator_us": statistics.median(generator)}
        finally:
            for server in servers.values():
                server.stop()


def registration_memory(args, users=100000, rate=8000):
    """What 100 000 bindings add to the PSS. The warm-up makes the server hold as many finished
    transactions as the measured part does."""
    with tempfile.TemporaryDirectory(prefix="rd-bench-") as tmp:
        server = ringdown(args, tmp, users, short_timers=True,
                          limits="registrations: 200000, transactions: 200000")
        try:
            load(args, server, "reg", 8 * rate, users=100, rate=rate)
            time.sleep(5)
            before = pss_kib(server.pid)
            result = load(args, server, "reg", users, users, rate)
            time.sleep(5)
            grown = pss_kib(server.pid) - before
        finally:
            server.stop()
    if result["failed"]:
        raise Unmeasured(f"{result['failed']} registrations failed")
    kib = grown / (users - 100)
    return {"kib": kib, "note": f"{users} bindings; PSS grew by {grown} KiB on {before} KiB"}


class Held:
    """Calls that stand until stop()."""

    def __init__(self, args, server, count, rate, second=False):
        command = load_command(args, server, "hold", count, rate=rate, second=second)
        self.proc = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                     text=True)
        line = self.proc.stdout.readline()
        if line != f"held {count}\n":
            self.proc.kill()
            raise Unmeasured(f"calls could not be held: {line}")

    def stop(self):
        if self.proc.poll() is None:
            self.proc.stdin.close()
            self.proc.stdout.read()
            self.proc.wait(30)


def call_memory(args, first=500, second=1800, rate=250):
    """The slope between two numbers of held calls, so that what is there once and what passes
    with each call set up cancel out. The media range has 5000 pairs: 2500 calls."""
    held = []
    with tempfile.TemporaryDirectory(prefix="rd-bench-") as tmp:
        # The messages kept for `ctl explain` are there once: little enough to be full by then.
        server = ringdown(args, tmp, short_timers=True, limits="calls: 10000, traffic: 1")
        try:
            load(args, server, "reg", USERS)
            load(args, server, "call", 4 * rate, rate=rate)
            held.append(Held(args, server, first, rate))
            time.sleep(5)
            before = pss_kib(server.pid)
            held.append(Held(args, server, second, rate, second=True))
            time.sleep(5)
            grown = pss_kib(server.pid) - before
        finally:
            for h in held:
                h.stop()
            server.stop()
    return {"kib": grown / second,
            "note": f"{second} calls on top of {first}; PSS grew by {grown} KiB on {before} KiB"}


def heap_read(path):
    """{thread: requests}, as heapcount.c writes it."""
    with open(path, "rb") as f:
        data = f.read()
    rows = (struct.unpack_from("QQ", data, at) for at in range(0, len(data), 16))
    return {thread: requests for thread, requests in rows if thread}


def heap_requests(args):
    """What each thread asks of the heap once it is warm, also inside libraries: the median of
    several windows, since a queue that grows to a new longest asks once more."""
    with tempfile.TemporaryDirectory(prefix="rd-bench-") as tmp:
        env = {"LD_PRELOAD": os.path.abspath(f"{args.build}/heapcount.so"),
               "HEAPCOUNT": f"{tmp}/heap"}
        server = ringdown(args, tmp, env=env)
        try:
            for mode in ("reg", "call") * 2:
                load(args, server, mode, COUNT[mode])
            windows = []
            for _ in range(args.runs):
                messages = 0
                before = heap_read(f"{tmp}/heap")
                for mode in ("reg", "call"):
                    result = load(args, server, mode, COUNT[mode] // 4)
                    messages += result["ok"] * REQUESTS[mode]
                time.sleep(SETTLE_S)
                after = heap_read(f"{tmp}/heap")
                grown = {t: after[t] - before.get(t, 0) for t in after}
                ours = grown.pop(server.pid, 0)
                windows.append((ours / messages, ours, sum(grown.values()), messages))
        finally:
            server.stop()
    return {"signalling": statistics.median(w[0] for w in windows),
            "note": "windows of %d messages: signalling thread %s, others (SQLite) %s" % (
                windows[0][3], [w[1] for w in windows], [w[2] for w in windows])}
