"""The analyser's figures: ringdown, tshark and sngrep read the same generated captures in turns.

CPU is user and system time of the process as wait4() tells it, memory its largest resident set.
Captures are written once, read once before anything is measured, and removed."""
import json
import os
import shutil
import statistics
import subprocess
import tempfile

from bench_sip import Unmeasured

# tshark takes most of a minute for each pass over a gigabyte.
MOST_RUNS = 3
MB = 1e6


def measured(command, out=subprocess.DEVNULL):
    """(seconds of CPU, megabytes) of one run."""
    proc = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out,
                            stderr=subprocess.PIPE)
    tail = proc.stderr.read()[-300:]
    _, status, used = os.wait4(proc.pid, 0)
    proc.stderr.close()
    proc.returncode = os.waitstatus_to_exitcode(status)
    if proc.returncode:
        raise Unmeasured(f"{' '.join(command)} ended with {proc.returncode}: "
                         f"{tail.decode(errors='replace')}")
    return used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / MB


def beside(ours, peer, runs):
    """Medians of both, measured in turns: {"ours": (s, MB), "peer": (s, MB)}."""
    got = {"ours": [], "peer": []}
    for _ in range(runs):
        got["ours"].append(measured(ours))
        got["peer"].append(measured(peer))
    return {who: tuple(statistics.median(column) for column in zip(*each))
            for who, each in got.items()}


def program(name):
    path = shutil.which(name)
    if not path:
        raise Unmeasured(f"{name} is not installed")
    return path


class Captures:
    """Generated captures in a folder that goes with them."""

    def __init__(self, args):
        self.args = args
        self.ringdown = [f"{args.build}/ringdown", "analyze"]
        self.runs = min(args.runs, MOST_RUNS)
        # Not /tmp, which may be memory.
        self.tmp = tempfile.mkdtemp(prefix="ringdown-bench-",
                                    dir=os.environ.get("TMPDIR", "/var/tmp"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.tmp)

    def path(self, name):
        return f"{self.tmp}/{name}"

    def make(self, name, *options):
        path = self.path(name)
        subprocess.run([f"{self.args.build}/gencap", path, str(self.args.calls), *options],
                       check=True)
        with open(path, "rb", buffering=0) as f:
            while f.read(1 << 20):
                pass
        return path

    def call(self, capture, number):
        """One call as our own report tells it: what whoever asks tshark for it has to know."""
        out = subprocess.run([*self.ringdown, "--json", "--call", str(number), capture], check=True,
                             stdout=subprocess.PIPE).stdout
        return json.loads(out)["calls"][0]


def call_filter(call):
    """The call's messages, and its sound by the addresses and SSRCs that it has."""
    parts = [f'sip.Call-ID == "{leg["call_id"]}"' for leg in call["legs"]]
    parts += [f"rtp.ssrc == {stream['ssrc']:#010x}" for stream in call["streams"]]
    return " || ".join(parts)


def whole(c, capture):
    """Everything that is in it."""
    tshark = [program("tshark"), "-n", "-q", "-z", "sip,stat", "-z", "rtp,streams", "-r", capture]
    return beside([*c.ringdown, capture], tshark, c.runs)


def one_call(c, capture):
    """One call as a capture of its own."""
    number = c.args.calls // 2 + 1
    tshark = [program("tshark"), "-n", "-r", capture, "-Y", call_filter(c.call(capture, number)),
              "-w", c.path("peer.pcapng")]
    ours = [*c.ringdown, "--call", str(number), "--pcap", c.path("ours.pcapng"), capture]
    return beside(ours, tshark, c.runs)


def one_sound(c, capture):
    """What one call sounds like; tshark gives its payloads, still to be decoded and aligned."""
    number = c.args.calls // 2 + 1
    ssrcs = " || ".join(f"rtp.ssrc == {s['ssrc']:#010x}"
                        for s in c.call(capture, number)["streams"])
    tshark = [program("tshark"), "-n", "-r", capture, "-Y", ssrcs, "-T", "fields", "-e", "rtp.ssrc",
              "-e", "rtp.timestamp", "-e", "rtp.payload"]
    ours = [*c.ringdown, "--call", str(number), "--wav", c.path("wav"), capture]
    return beside(ours, tshark, c.runs)


def sip_only(c, capture):
    """sngrep reads the file without a screen and ends; -l: as many dialogs as there are."""
    sngrep = [program("sngrep"), "-N", "-q", "-l", str(4 * c.args.calls), "-I", capture]
    return beside([*c.ringdown, capture], sngrep, c.runs)
