#!/usr/bin/env python3
"""CPU per RTP packet: Ringdown's media thread beside Debian's rtpengine in user space.

    bench_relay.py [--build DIR] [--mode formats] [--calls 300] [--seconds 6] [--runs 5]

Both hold the same number of G.711 calls on loopback; rtpload drives them in turn, and the CPU time
of each program (all its threads, from /proc/PID/task/*/schedstat) is divided by the packets that
came back. Modes:

    plain    relayed untouched
    formats  relayed as in calls: renumbered, with RTCP of our own
    law      transcoded between PCMU and PCMA
    record   formats, with each call recorded; beside ours without recordings
    room     CALLS parties in rooms of 40, all talking; ours alone, CPU time a second and party

Prints the medians, their ratio, the loss and the memory of a call. Exits 1 when packets were lost or
the ratio is above --limit.
"""
import argparse
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

NG_PORT = 2223
PARTY_PORT = 10000


def bencode(value):
    if isinstance(value, dict):
        return b"d" + b"".join(bencode(k) + bencode(v) for k, v in sorted(value.items())) + b"e"
    if isinstance(value, list):
        return b"l" + b"".join(bencode(v) for v in value) + b"e"
    if isinstance(value, int):
        return b"i%de" % value
    raw = value.encode()
    return b"%d:%s" % (len(raw), raw)


class Ng:
    """As much of rtpengine's control protocol as two SDPs a call need. Answers are searched for
    the one field that matters instead of being decoded."""

    def __init__(self):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.connect(("127.0.0.1", NG_PORT))
        self.sock.settimeout(0.5)
        self.cookie = 0

    def ask(self, command):
        self.cookie += 1
        for _ in range(10):
            try:
                self.sock.send(b"k%d " % self.cookie + bencode(command))
                answer = self.sock.recv(65536)
            except (TimeoutError, ConnectionRefusedError):
                time.sleep(0.1)
                continue
            if answer.startswith(b"k%d " % self.cookie):
                return answer
        raise SystemExit("rtpengine does not answer")

    def media_port(self, call, kind, port, tags, pt=8):
        sdp = ("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
               f"m=audio {port} RTP/AVP {pt}\r\n")
        answer = self.ask({"command": kind, "call-id": call, "sdp": sdp, "ICE": "remove",
                           "replace": ["origin", "session-connection"], **tags})
        found = re.search(rb"m=audio (\d+) ", answer)
        if not found:
            raise SystemExit(f"rtpengine refused {kind}: {answer!r}")
        return int(found.group(1))


def pss_kb(pid):
    with open(f"/proc/{pid}/smaps_rollup") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("Pss:"))


def cpu_ns(pid):
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/schedstat") as f:
            total += int(f.read().split()[0])
    return total


class Rtpengine:
    name = "rtpengine"

    def __init__(self, args, tmp):
        self.legs = f"{tmp}/rtpengine.legs"
        self.proc = subprocess.Popen(
            ["rtpengine", "--table=-1", "--interface=127.0.0.1", f"--listen-ng=127.0.0.1:{NG_PORT}",
             "-f", "--log-level=3", f"--pidfile={tmp}/pid", f"--num-threads={args.threads}",
             "--port-min=30000", "--port-max=39999"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        ng = Ng()
        ng.ask({"command": "ping"})
        before = pss_kb(self.proc.pid)
        with open(self.legs, "w") as f:
            for i in range(args.calls):
                a, b, call = PARTY_PORT + 4 * i, PARTY_PORT + 4 * i + 2, f"call-{i}"
                offer, pt = {"from-tag": "a"}, 8
                if args.mode == "law":  # PCMU is hidden from the other party, which gets PCMA
                    offer["codec"], pt = {"mask": ["PCMU"], "transcode": ["PCMA"]}, 0
                to_b = ng.media_port(call, "offer", a, offer, pt)
                to_a = ng.media_port(call, "answer", b, {"from-tag": "a", "to-tag": "b"})
                f.write(f"{a} {to_a} {pt}\n{b} {to_b} 8\n")
        self.kb_per_call = (pss_kb(self.proc.pid) - before) / args.calls

    def stop(self):
        self.proc.terminate()
        self.proc.wait(10)


class Ringdown:
    def __init__(self, args, tmp, mode=None, name="ringdown"):
        self.legs, self.name, self.mode = f"{tmp}/{name}.legs", name, mode or args.mode
        self.report = {}
        self.proc, one = self.start(args, 1)
        self.stop()
        self.proc, many = self.start(args, args.calls)
        self.kb_per_call = (many - one) / max(1, args.calls - 1)

    def start(self, args, calls):
        shutil.rmtree(self.legs + ".d", ignore_errors=True)  # recordings of an earlier start
        proc = subprocess.Popen([f"{args.build}/bench_relay", str(calls), self.legs, self.mode,
                                 str(args.coalesce_us)],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if proc.stdout.readline() != "ready\n":
            raise SystemExit("bench_relay did not start")
        time.sleep(0.1)
        return proc, pss_kb(proc.pid)

    def warm(self):
        """What is allocated from here on counts."""
        self.proc.stdin.write("w")
        self.proc.stdin.flush()
        time.sleep(0.2)

    def stop(self):
        self.proc.stdin.close()
        text = self.proc.stdout.read()
        self.proc.wait(30)
        self.report = json.loads(text) if text.startswith("{") else {}


def measure(args, relay):
    before = cpu_ns(relay.proc.pid)
    out = subprocess.run([f"{args.build}/rtpload", relay.legs, str(args.seconds), str(args.slot_us)],
                         check=True, stdout=subprocess.PIPE, text=True).stdout
    load = json.loads(out)
    us = (cpu_ns(relay.proc.pid) - before) / 1000 / max(1, load["received"])
    lost = load["sent"] - load["received"]
    print(f"  {relay.name:12} {us:6.2f} us/packet  sent {load['sent']}  lost {lost}  "
          f"(generator {load['generator_us']} us/packet)", flush=True)
    return us, lost, load["generator_us"]


def contenders(args):
    """Who is measured: ours first, then who it is compared with."""
    if args.mode == "room":
        return [Ringdown]
    if args.mode == "roomrec":
        return [Ringdown, lambda a, tmp: Ringdown(a, tmp, "room", "unrecorded")]
    if args.mode == "record":
        return [Ringdown, lambda a, tmp: Ringdown(a, tmp, "formats", "unrecorded")]
    return [Ringdown, Rtpengine]


def run(args):
    """The figures of each in every round, and those at the end."""
    with tempfile.TemporaryDirectory() as tmp:
        relays = []
        try:
            for kind in contenders(args):
                relays.append(kind(args, tmp))
            runs = {r.name: [] for r in relays}
            for i in range(args.runs + 1):
                for r in relays:
                    figure = measure(args, r)
                    if i > 0:  # the first one warms up
                        runs[r.name].append(figure)
                    elif isinstance(r, Ringdown):
                        r.warm()
            kb = {r.name: round(r.kb_per_call, 1) for r in relays}
        finally:
            for r in relays:
                r.stop()
    return runs, kb, relays[0].report


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--build", default="build")
    p.add_argument("--mode", default="formats", choices=["plain", "formats", "law", "record", "room", "roomrec"])
    p.add_argument("--calls", type=int, default=300)
    p.add_argument("--seconds", type=int, default=6)
    p.add_argument("--runs", type=int, default=5)
    p.add_argument("--slot-us", type=int, default=1000)
    p.add_argument("--coalesce-us", type=int, default=1000)
    p.add_argument("--threads", type=int, default=os.cpu_count(),
                   help="of rtpengine, which has one a processor unless told otherwise")
    p.add_argument("--limit", type=float, default=0.7)
    p.add_argument("--json", action="store_true", help="the result as one JSON line at the end")
    args = p.parse_args()
    runs, kb, report = run(args)
    us = {name: statistics.median(u for u, _, _ in figures) for name, figures in runs.items()}
    lost = sum(n for _, n, _ in runs["ringdown"])
    # To send a packet and to receive one, at the same pace: what the machine is worth just now.
    generator = statistics.median(g for _, _, g in runs["ringdown"])
    print(f"{args.mode}, {args.calls} calls: "
          + ", ".join(f"{name} {value:.2f} us a packet and {kb[name]} KB a call"
                      for name, value in us.items()) + f"; lost {lost}; {report}")
    names = list(us)
    # A room's packets leave once for each that came: 50 a second and party.
    ratio = us["ringdown"] / us[names[1]] if len(names) > 1 else us["ringdown"] * 50 / 1000
    print(f"ratio {ratio:.2f}" if len(names) > 1 else f"{ratio:.3f} ms/s of CPU a participant")
    if args.json:
        print(json.dumps({"bench": args.mode, "us": us, "ratio": ratio, "lost": lost, "kb": kb,
                          "generator": generator, "report": report}))
    # A room sends to all whether they talk or not: more comes back than was sent.
    return 0 if ratio <= args.limit and lost <= 0 else 1


if __name__ == "__main__":
    sys.exit(main())
