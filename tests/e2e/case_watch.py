"""`ringdown watch`: calls of the real exchange on loopback, HEP from a writer of our own, captures that are
replayed; its screen on a pseudo terminal; what it does when the disk is full."""
import fcntl
import glob
import json
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import termios
import time

from case_call import callee, caller, finish, outside, phone, register
from case_page import pcap, scenario, spoken_call
from case_tone import exchange
from lab import Fail, Skip, case, check, equal
from script import Script
from tone import TonePhone, talk


def lines_of(path):
    """The calls in a file of lines; each line must be whole."""
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as f:
        text = f.read()
    check(not text or text.endswith("\n"), f"{path} ends in half a line")
    return [json.loads(line) for line in text.splitlines()]


def so_far(path):
    """The calls in a file that grows: the last line may still be on its way into it."""
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f.read().rpartition("\n")[0].splitlines()]


def watch(lab, name, *options, **more):
    return lab.job(name, [lab.program, "watch", *options], **more)


def ready(lab, job):
    def there():
        if not job.running():
            raise Skip("it may not capture here: " + job.last_words()) \
                if "CAP_NET_RAW" in job.text() else Fail("it ended: " + job.last_words())
        return "watching" in job.text()
    lab.until(there, 30, "it watches")


def ended(job, status=0):
    job.signal(signal.SIGTERM)
    job.wait(60, status)


# ---- a call of the exchange ------------------------------------------------------------------------

@case("watch_live", weight=8, captured=False)
def watch_live_case(lab):
    """A call is seen whole, its sound is in the files of who spoke it, and nothing was dropped."""
    bench = exchange(lab, 2)
    a, b = TonePhone(bench, "1001", 500), TonePhone(bench, "1002", 900)
    sound, out = lab.path("sound"), lab.path("calls.jsonl")
    job = watch(lab, "watch", "-i", "lo", "--json", out, "--record", sound, "--pcap",
                lab.path("pcap"), "--audio", "--linger", "1", "--min-free-mb", "1", "net",
                lab.net + ".0/24")
    ready(lab, job)
    one, other = talk(a, b)
    since = max(one.hears(b), other.hears(a))
    bench.elapse(4500, since)
    # It grows while the call goes on.
    lab.until(lambda: glob.glob(sound + "/*/*.wav"), 30, "the recording grows")
    one.hang_up()
    lab.until(lambda: so_far(out), 30, "the call is over")
    ended(job)
    calls = lines_of(out)
    equal(len(calls), 1, "calls")
    call = calls[0]
    got = {k: call[k] for k in ("caller", "callee", "outcome", "scenario")}
    equal(got, {"caller": "1001", "callee": "1002", "outcome": "ANSWERED", "scenario": "basic"}, "call")
    equal((len(call["legs"]), call["watch"]["ended"]), (2, "over"), "legs, end")
    equal(sum(s["lost"] for s in call["streams"]), 0, "lost packets")
    check(re.search(r"\b0 lost\b", job.text()), f"dropped: {job.last_words()}")
    check_sound(bench, os.path.join(sound, call["watch"]["recording"]), a, b)
    capture = os.path.join(lab.path("pcap"), call["watch"]["capture"])
    check_capture(lab, capture)
    equal(os.stat(capture).st_mode & 0o007, 0, "what everybody may do with it")


def check_sound(bench, base, a, b):
    with open(base + ".json", encoding="utf-8") as f:
        sidecar = json.load(f)
    equal(sidecar["state"], "done", "state of the sidecar")
    tracks = {t["party"]: t["track"] for t in sidecar["call"]["tracks"]}
    equal(set(tracks), {"1001", "1002"}, "parties")
    spoke = {track for track, begin, end in sidecar["call"]["talk"] if end - begin > 1500}
    equal(spoke, set(tracks.values()), "who spoke")
    lengths = set()
    for phone, not_heard in ((a, b), (b, a)):
        got = bench.file(f"{base}-track{tracks[phone.number]}.wav")
        tones = got["tones"]
        check(tones[str(phone.hertz)]["median"] > 0.15, f"{phone.number} is in its file: {tones}")
        check(tones[str(not_heard.hertz)]["max"] < 0.05, f"and nobody else: {tones}")
        lengths.add(os.path.getsize(f"{base}-track{tracks[phone.number]}.wav"))
    mix = bench.file(base + ".wav")["tones"]
    check(min(mix[str(p.hertz)]["median"] for p in (a, b)) > 0.1, f"the mix: {mix}")
    lengths.add(os.path.getsize(base + ".wav"))
    equal(len(lengths), 1, "lengths of the files")


def check_capture(lab, path):
    """It holds the whole call: analysed, it says the same."""
    done = subprocess.run([lab.program, "analyze", "--json", path], capture_output=True, text=True,
                          timeout=60, check=False)
    check(done.returncode == 0, f"analyze: {done.stderr}")
    calls = json.loads(done.stdout)["calls"]
    equal([(c["caller"], c["callee"], c["outcome"]) for c in calls], [("1001", "1002", "ANSWERED")],
          "calls in its capture")
    check(len(calls[0]["streams"]) >= 4, f"{len(calls[0]['streams'])} streams in its capture")


@case("watch_transfer", weight=8, captured=False)
def watch_transfer_case(lab):
    """A call that is passed on is one call with one recording: three parties, each in a file of its own, all as
    long as the mix."""
    bench = exchange(lab, 3)
    a, b, c = (TonePhone(bench, str(1001 + i), 500 + 400 * i) for i in range(3))
    sound, out = lab.path("sound"), lab.path("calls.jsonl")
    job = watch(lab, "watch", "-i", "lo", "--json", out, "--record", sound, "--linger", "1", "--min-free-mb", "0",
                "net", lab.net + ".0/24")
    ready(lab, job)
    one, other = talk(a, b)
    bench.elapse(1500, max(one.hears(b), other.hears(a)))
    other.refer("1003")
    bench.tell("stop", other.ear)  # or it would speak on while the other one begins
    third = c.arrival()
    third.answer()
    other.hang_up()
    bench.elapse(1500, max(one.hears(c), third.hears(a)))
    one.hang_up()
    lab.until(lambda: so_far(out), 20, "the call is over")
    ended(job)
    [call] = lines_of(out)
    equal((call["scenario"], call["form"], call["caller"]), ("transfer", "blind", "1001"), "call")
    [sidecar] = glob.glob(sound + "/*/*.json")
    with open(sidecar, encoding="utf-8") as f:
        said = json.load(f)
    equal(sidecar[:-5], os.path.join(sound, call["watch"]["recording"]), "its recording")
    tracks = {t["party"]: t["track"] for t in said["call"]["tracks"]}
    equal(set(tracks), {"1001", "1002", "1003"}, "parties")
    lengths = {os.path.getsize(p) for p in glob.glob(sidecar[:-5] + "*.wav")}
    equal(len(lengths), 1, f"lengths: {lengths}")
    for phone in (a, b, c):
        tones = bench.file(f"{sidecar[:-5]}-track{tracks[phone.number]}.wav")["tones"]
        check(tones[str(phone.hertz)]["max"] > 0.2, f"{phone.number} is in its file: {tones}")
        strangers = [t for hz, t in tones.items() if hz != str(phone.hertz) and t["max"] > 0.05]
        check(not strangers, f"and nobody else: {tones}")
    talks = {track: (begin, end) for track, begin, end in said["call"]["talk"]}
    check(talks[tracks["1002"]][1] <= talks[tracks["1003"]][0] + 200, f"one after the other: {talks}")


# ---- HEP -------------------------------------------------------------------------------------------

def hep(src, dst, payload, key=None, at=None):
    """A packet of HEP 3, as a SIP server sends it."""
    now = time.time() if at is None else at

    def chunk(number, data):
        return struct.pack(">HHH", 0, number, 6 + len(data)) + data
    body = chunk(1, b"\x02") + chunk(2, b"\x11")
    body += chunk(3, socket.inet_aton(src[0])) + chunk(4, socket.inet_aton(dst[0]))
    body += chunk(7, struct.pack(">H", src[1])) + chunk(8, struct.pack(">H", dst[1]))
    body += chunk(9, struct.pack(">I", int(now))) + chunk(10, struct.pack(">I", int(now % 1 * 1e6)))
    body += chunk(11, b"\x01") + chunk(12, struct.pack(">I", 7))
    if key:
        body += chunk(14, key.encode())
    body += chunk(15, payload)
    return b"HEP3" + struct.pack(">H", 6 + len(body)) + body


def hep_2(src, dst, payload, at):
    """The same of HEP 2: no key, the time in the byte order of the usual machine."""
    return (struct.pack(">BBBBHH", 2, 28, 2, 17, src[1], dst[1]) + socket.inet_aton(src[0]) +
            socket.inet_aton(dst[0]) + struct.pack("<IIHH", int(at), int(at % 1 * 1e6), 7, 0) + payload)


class Agent:
    """Tells calls by HEP, message by message."""
    A, B = ("192.0.2.1", 5060), ("192.0.2.2", 5060)

    def __init__(self, at, tcp=False, key=None, clock=0, version=3):
        self.key, self.clock, self.version = key, clock, version
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM)
        self.sock.connect(at)

    def say(self, call_id, first, cseq, down=False, tag=";tag=b"):
        src, dst = (self.B, self.A) if down else (self.A, self.B)
        text = (f"{first}\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK{call_id}{cseq.replace(' ', '')}\r\n"
                f"From: <sip:1427@192.0.2.1>;tag=a\r\nTo: <sip:1428@192.0.2.2>{tag}\r\n"
                f"Call-ID: {call_id}\r\nCSeq: {cseq}\r\nMax-Forwards: 70\r\n"
                "Contact: <sip:x@192.0.2.1>\r\nContent-Length: 0\r\n\r\n")
        now = time.time() + self.clock
        self.sock.sendall(hep(src, dst, text.encode(), self.key, now) if self.version == 3
                          else hep_2(src, dst, text.encode(), now))

    def begin(self, call_id):
        self.say(call_id, "INVITE sip:1428@192.0.2.2 SIP/2.0", "1 INVITE", tag="")
        self.say(call_id, "SIP/2.0 180 Ringing", "1 INVITE", down=True)
        self.say(call_id, "SIP/2.0 200 OK", "1 INVITE", down=True)
        self.say(call_id, "ACK sip:1428@192.0.2.2 SIP/2.0", "1 ACK")

    def end(self, call_id):
        self.say(call_id, "BYE sip:1428@192.0.2.2 SIP/2.0", "2 BYE")
        self.say(call_id, "SIP/2.0 200 OK", "2 BYE", down=True)

    def whole(self, call_id):
        self.begin(call_id)
        self.end(call_id)


def hep_watch(lab, *options):
    """A watcher of HEP, and where it listens."""
    at = (lab.pbx, 9060)
    job = watch(lab, f"watch{len(lab.jobs)}", "--hep", f"{at[0]}:{at[1]}", "--linger", "0", "--min-free-mb",
                "0", *options)
    ready(lab, job)
    return job, at


def ids(path):
    return {leg["call_id"] for call in so_far(path) for leg in call["legs"]}


@case("watch_hep", weight=4, captured=False)
def watch_hep_case(lab):
    """Calls by UDP and TCP, with the right key and the wrong one, a clock that is off, and nonsense."""
    out = lab.path("calls.jsonl")
    job, at = hep_watch(lab, "--json", out, "--hep-key", "sesame")
    Agent(at, key="wrong").whole("refused")
    Agent(at, key="sesame").whole("by-udp")
    tcp = Agent(at, tcp=True, key="sesame")
    tcp.whole("by-tcp")
    late = Agent(at, key="sesame", clock=-7200)
    late.whole("two-hours-ago")
    Agent(at, key="sesame").sock.sendall(b"HEP3\x00\x08\xff\xff")
    # A connection that speaks something else is closed.
    other = Agent(at, tcp=True)
    other.sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
    other.sock.settimeout(10)
    equal(other.sock.recv(1), b"", "what a wrong connection hears")
    lab.until(lambda: len(so_far(out)) >= 3, 30, "three calls are over")
    # One that goes on is written at the end.
    tcp.begin("goes-on")
    lab.until(lambda: job.text().count("answered") >= 4, 30, "the fourth is seen")
    ended(job)
    calls = {call["legs"][0]["call_id"]: call for call in lines_of(out)}
    equal(set(calls), {"by-udp", "by-tcp", "two-hours-ago", "goes-on"}, "calls")
    equal(calls["goes-on"]["watch"]["ended"], "cut", "the end of the last")
    equal(calls["goes-on"]["outcome"], "ANSWERED", "outcome of the last")
    for call in calls.values():
        equal((call["caller"], call["callee"]), ("1427", "1428"), "parties")
    text = job.text()
    check("without the right key" in text, f"the key: {text}")
    check("clock of a HEP agent is wrong" in text, f"the clock: {text}")


KAMAILIO = """#!KAMAILIO
debug=0
log_stderror=yes
fork=yes
children=1
disable_tcp=yes
dns=no
rev_dns=no
listen=udp:{pbx}:5062
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "siputils.so"
loadmodule "siptrace.so"
modparam("siptrace", "trace_on", 1)
modparam("siptrace", "trace_mode", 1)
modparam("siptrace", "trace_to_database", 0)
modparam("siptrace", "hep_mode_on", 1)
modparam("siptrace", "hep_version", 3)
modparam("siptrace", "hep_capture_id", 7)
modparam("siptrace", "duplicate_uri", "sip:{collector}:9060")
request_route {{
    if (has_totag()) {{
        loose_route();
    }} else {{
        record_route();
        $du = "sip:{callee}:5060";
    }}
    t_relay();
}}
"""


def parties(call):
    return {k: call[k] for k in ("caller", "callee", "outcome", "scenario", "ended_by")}


@case("watch_kamailio", weight=3, captured=False)
def watch_kamailio_case(lab):
    """The calls of a Kamailio, as its siptrace reports them: both of its sides are one leg."""
    out, proxy = lab.path("calls.jsonl"), f"{lab.pbx}:5062"
    job, _ = hep_watch(lab, "--json", out)
    conf = lab.write("kamailio.cfg", KAMAILIO.format(pbx=lab.pbx, collector=lab.pbx,
                                                     callee=lab.ip(lab.phone("1427"))))
    lab.job("kamailio", ["kamailio", "-DD", "-E", "-f", conf, "-m", "32", "-M", "4", "-w", lab.dir,
                         "-Y", lab.dir])
    number = int.from_bytes(socket.inet_aton(lab.pbx), "little")

    def proxy_is_there():
        with open("/proc/net/udp", encoding="ascii") as f:
            return f" {number:08X}:{5062:04X} " in f.read()
    lab.until(proxy_is_there, 30, "Kamailio listens")
    p27 = callee(lab, phone("1427").ring_in().answer().pause(200).say_bye())
    trk = lab.sipp("trunk", Script("01077141436", to="1427", host=lab.pbx).invite().answered().ack()
                   .get_bye(), 77, 5080, peer=proxy)
    finish(trk, p27)
    lab.until(lambda: so_far(out), 30, "the call is over")
    ended(job)
    calls = lines_of(out)
    equal(len(calls), 1, "calls")
    equal(parties(calls[0]), {"caller": "01077141436", "callee": "1427", "outcome": "ANSWERED",
                              "scenario": "basic", "ended_by": "callee"}, "the call")
    equal(len(calls[0]["legs"]), 1, "legs")
    # Each message but those that the proxy answers by itself came and went.
    said = [m for m in calls[0]["legs"][0]["messages"] if m["method"] == "BYE" and
            not m.get("retransmission")]
    equal([(m.get("status"), m.get("further_hop", False)) for m in said],
          [(None, False), (None, True), (200, False), (200, True)], "the BYE at both sides")


@case("watch_own", weight=3, captured=False)
def watch_own_case(lab):
    """What the exchange reports by HEP is the call as the exchange has it."""
    out = lab.path("calls.jsonl")
    job, at = hep_watch(lab, "--json", out, "--hep-key", "sesame")
    config = lab.config()
    config["hep"] = {"to": f"{at[0]}:{at[1]}", "password": "sesame"}
    lab.start(config)
    register(lab, "1427")
    p27 = callee(lab, phone("1427").ring_in().answer().pause(100).say_bye())
    trk = caller(lab, outside(lab).invite().answered().ack().get_bye())
    finish(trk, p27)
    lab.until(lambda: so_far(out), 30, "the call is over")
    ended(job)
    calls = lines_of(out)
    equal(len(calls), 1, "calls")
    equal((calls[0]["caller"], calls[0]["outcome"], len(calls[0]["legs"])),
          ("01077141436", "ANSWERED", 2), "the call")


@case("watch_hep_old", weight=2, captured=False)
def watch_hep_old_case(lab):
    """Agents of HEP 2 are understood, at whatever port."""
    out = lab.path("calls.jsonl")
    job = watch(lab, "watch", "--hep", f"{lab.pbx}:9061", "--linger", "0", "--min-free-mb", "0", "--json", out)
    ready(lab, job)
    agent = Agent((lab.pbx, 9061), version=2)
    agent.whole("two")
    lab.until(lambda: ids(out) == {"two"}, 30, "the call is over")
    ended(job)


@case("watch_hup", weight=2, captured=False)
def watch_hup_case(lab):
    """Whoever renames the file of lines finds the next ones in a new one after SIGHUP."""
    out, old = lab.path("calls.jsonl"), lab.path("old.jsonl")
    job, at = hep_watch(lab, "--json", out)
    Agent(at).whole("first")
    lab.until(lambda: ids(out) == {"first"}, 30, "the first call")
    os.rename(out, old)
    job.signal(signal.SIGHUP)
    lab.until(lambda: os.path.exists(out), 30, "the file is opened again")
    Agent(at).whole("second")
    lab.until(lambda: ids(out) == {"second"}, 30, "the second call")
    equal(ids(old), {"first"}, "the renamed file")
    ended(job)
    lines_of(out)
    lines_of(old)


@case("watch_lost", weight=2, captured=False)
def watch_lost_case(lab):
    """Frames that found no room in the ring are counted, and that is said."""
    job = watch(lab, "watch", "-l", "-i", "lo", "--buffer", "1", "net", lab.net + ".0/24")
    ready(lab, job)
    os.kill(job.process.pid, signal.SIGSTOP)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        for _ in range(4000):
            s.sendto(b"x" * 1400, (lab.ip(9), 9))
    os.kill(job.process.pid, signal.SIGCONT)
    lab.until(lambda: "frames are lost so far" in job.text(), 30, "it says so")
    ended(job)
    lost = int(re.search(r" (\d+) lost, ", job.text())[1])
    # On loopback the kernel has each frame twice, on its way out and in; what is sent is answered by ICMP.
    check(1000 < lost <= 16000, f"{lost} lost")


@case("watch_killed", weight=3, captured=False)
def watch_killed_case(lab):
    """Two programs do not record in one folder; what a kill has left is made whole by the next."""
    bench = exchange(lab, 2)
    a, b = TonePhone(bench, "1001", 500), TonePhone(bench, "1002", 900)
    sound = lab.path("sound")
    options = ["-l", "-i", "lo", "--record", sound, "--min-free-mb", "0", "net", lab.net + ".0/24"]
    job = watch(lab, "watch", *options)
    ready(lab, job)
    done = subprocess.run([lab.program, "watch", *options], capture_output=True, text=True, timeout=60,
                          check=False)
    check(done.returncode == 1 and "another program records there" in done.stderr,
          f"a second one: {done.returncode}, {done.stderr}")
    one, other = talk(a, b)
    since = max(one.hears(b), other.hears(a))
    lab.until(lambda: any(os.path.getsize(p) > 20000 for p in glob.glob(sound + "/*/*.wav")), 30,
              "more than a second of sound is written")
    job.signal(signal.SIGKILL)
    job.wait(10, None)
    one.hang_up()
    bench.elapse(100, since)
    again = watch(lab, "again", *options)
    ready(lab, again)
    lab.until(lambda: "made whole" in again.text(), 30, "it is made whole")
    ended(again)
    [sidecar] = glob.glob(sound + "/*/*.json")
    with open(sidecar, encoding="utf-8") as f:
        said = json.load(f)
    equal((said["state"], said["stopped"]), ("interrupted", "killed"), "what the sidecar says")
    equal(len(said["files"]), 3, "files")
    mix = bench.file(sidecar[:-5] + ".wav")["tones"]
    check(min(mix[str(p.hertz)]["median"] for p in (a, b)) > 0.1, f"the mix: {mix}")


@case("watch_gone", weight=2, captured=False)
def watch_gone_case(lab):
    """An interface that goes away is looked for, and watched again when it is back."""
    pair = "ip link add v0 type veth peer name v1 && ip link set v0 up && ip link set v1 up"
    job = lab.job("watch", ["unshare", "-n", "sh", "-c",
                            f"{pair} || exit 77; exec {lab.program} watch -l -i v0"])

    def inside(command):
        done = subprocess.run(["nsenter", "-t", str(job.process.pid), "-n", "sh", "-c", command],
                              capture_output=True, text=True, check=False)
        check(done.returncode == 0, f"{command}: {done.stderr}")
    lab.until(lambda: "watching v0" in job.text() or not job.running(), 30, "it watches")
    if not job.running():
        raise Skip("no network of our own, or no interfaces in it: " + job.last_words())
    inside("ip link del v0")
    lab.until(lambda: "looked for again" in job.text(), 30, "it is missed")
    inside(pair)
    lab.until(lambda: "it is back" in job.text(), 20, "it is found")
    ended(job)


# ---- disks -----------------------------------------------------------------------------------------

def ends_whole(path):
    with open(path, "rb") as f:
        return f.read()[-1:] in (b"", b"\n")


@case("watch_full", weight=3, captured=False)
def watch_full_case(lab):
    """A full disk costs lines, is said once, and when there is room they are written again."""
    folder = lab.path("small")
    os.mkdir(folder)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", folder],
                          capture_output=True, check=False)
    if done.returncode:
        raise Skip("a small disk cannot be mounted here")
    try:
        out, filler = os.path.join(folder, "calls.jsonl"), os.path.join(folder, "filler")
        job, at = hep_watch(lab, "--json", out)
        Agent(at).whole("before")
        lab.until(lambda: ids(out) == {"before"}, 30, "a call")
        with open(filler, "wb", buffering=0) as f:
            try:
                while f.write(b"x" * 4096) == 4096:
                    pass
            except OSError:
                pass
        # What is left of the last page is filled by lines; then no more fit.
        for i in range(12):
            Agent(at).whole(f"full-{i}")
        lab.until(lambda: "No space left" in job.text(), 30, "it says that the disk is full")
        lab.until(lambda: job.text().count(" ended ") >= 13, 30, "all calls are over")
        lab.until(lambda: ends_whole(out), 20, "the last line is whole, or none")
        lines_of(out)
        os.unlink(filler)
        Agent(at).whole("after")
        lab.until(lambda: "after" in ids(out), 30, "a call when there is room")
        equal(job.text().count("No space left"), 1, "how often it was said")
        check("is written again" in job.text(), "that it goes on is said")
        ended(job)
    finally:
        subprocess.run(["umount", "-l", folder], capture_output=True, check=False)


def used(*folders):
    return sum(os.stat(os.path.join(top, name)).st_blocks * 512
               for folder in folders for top, _, names in os.walk(folder) for name in names)


@case("watch_disk", weight=4, captured=False)
def watch_disk_case(lab):
    """The limit over everything holds, the newest are left, and foreign files stay."""
    capture = lab.path("spoken.pcap")
    pcap(capture, spoken_call())
    top = lab.path("out")
    os.makedirs(top + "/sound/2026-01-01")
    os.makedirs(top + "/pcap/2026-01-01")
    foreign = [top + "/sound/mine.wav", top + "/sound/2026-01-01/mine.wav", top + "/calls.jsonl.mine",
               top + "/sound/calls.json", top + "/sound/2026-01-01/mine.json",
               top + "/pcap/2026-01-01/mine.pcapng"]
    for path in foreign:
        with open(path, "w", encoding="ascii") as f:
            f.write("mine")
        os.utime(path, (1, 1))
    job = watch(lab, "watch", "-r", capture, "--repeat", "40", "--json", top + "/calls.jsonl", "--record",
                top + "/sound", "--pcap", top + "/pcap", "--audio", "--disk-mb", "2", "--min-free-mb", "0",
                "--linger", "1")
    job.wait(180)
    check(used(top) <= (2 << 20) + (128 << 10), f"{used(top)} bytes are left")
    calls = lines_of(top + "/calls.jsonl")
    equal(len(calls), 40, "lines")
    left = {os.path.basename(p)[:-5] for p in glob.glob(top + "/sound/*/*.json")} - {"mine"}
    check(4 <= len(left) < 40, f"{len(left)} recordings are left")
    newest = os.path.basename(calls[-1]["watch"]["recording"])
    check(newest in left, f"the newest, {newest}, is among {sorted(left)}")
    for base in left:
        equal(len(glob.glob(f"{top}/sound/*/{base}*.wav")), 3, f"sound files of {base}")
    for path in foreign:
        check(os.path.exists(path), f"{path} was somebody else's")


@case("watch_full_sound", weight=3, captured=False)
def watch_full_sound_case(lab):
    """A disk without room for sound costs recordings, not lines."""
    capture = lab.path("spoken.pcap")
    pcap(capture, spoken_call())
    free = os.statvfs(lab.dir).f_bavail * os.statvfs(lab.dir).f_frsize >> 20
    job = watch(lab, "watch", "-r", capture, "--repeat", "3", "--json", "-", "--record",
                lab.path("sound"), "--min-free-mb", str(free * 2))
    job.wait(180)
    text = job.text()
    equal(text.count("disk"), 1, f"how often it was said: {text[-600:]}")
    equal(sum(line.startswith("{") for line in text.splitlines()), 3, "lines")


# ---- for days --------------------------------------------------------------------------------------

def peak(argv, cwd):
    """The most memory that it had, in kB, and what it said."""
    with open(os.path.join(cwd, "said"), "wb") as out:
        process = subprocess.Popen(argv, cwd=cwd, stdout=out, stderr=subprocess.STDOUT)
        _, status, use = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    with open(os.path.join(cwd, "said"), encoding="utf-8", errors="replace") as f:
        text = f.read()
    check(process.returncode == 0, f"exit status {process.returncode}: {text[-400:]}")
    return use.ru_maxrss, text


@case("watch_days", weight=6, captured=False, measures=True)
def watch_days_case(lab):
    """The same traffic again and again: memory is that of what is live."""
    generator = os.path.join(os.path.dirname(lab.program), "gencap")
    if not os.access(generator, os.X_OK):
        found = glob.glob(os.path.join(os.path.dirname(lab.program), "**", "gencap"), recursive=True)
        if not found:
            raise Skip("gencap is not built")
        generator = found[0]
    capture = lab.path("traffic.pcap")
    subprocess.run([generator, capture, "100", "400"], check=True, capture_output=True)
    argv = [lab.program, "watch", "-q", "-r", capture, "--linger", "5", "--idle", "60", "--json",
            lab.path("calls.jsonl"), "--min-free-mb", "0"]
    few, _ = peak([*argv, "--repeat", "3"], lab.dir)
    many, text = peak([*argv, "--repeat", "30"], lab.dir)
    calls = lines_of(lab.path("calls.jsonl"))
    equal(len(calls), 33 * 100, "calls")
    equal({(c["outcome"], len(c["legs"])) for c in calls}, {("ANSWERED", 2)}, "what they were")
    check(many < few * 1.25 + 4096, f"{few} kB for 300 calls, {many} kB for 3000: {text[-300:]}")


# ---- the screen ------------------------------------------------------------------------------------

class Screen:
    """A program on a pseudo terminal, and what is on its screen."""

    def __init__(self, argv, columns, rows, cwd):
        gate, go = os.pipe()
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.read(gate, 1)
            os.chdir(cwd)
            os.environ.update(TERM="xterm-256color", LC_ALL="C.UTF-8")
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            os.execv(argv[0], argv)
        self.modes = termios.tcgetattr(self.fd)[3]  # before the program changes them
        os.write(go, b"!")
        os.close(gate)
        os.close(go)
        self.rows, self.lines, self.raw, self.status = rows, {}, "", None

    def read(self, seconds):
        """What has come; False: nothing did, or it has ended."""
        if not select.select([self.fd], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            return False
        self.raw += data.decode("utf-8", "replace")
        self.draw()
        return bool(data)

    def draw(self):
        """Lines are written from their first column on, each cleared to its end."""
        at = self.raw.rfind("\x1b[2J")
        self.lines = {} if at >= 0 else self.lines
        for row, text in re.findall(r"\x1b\[(\d+);1H((?:(?!\x1b\[\d+;1H).)*)", self.raw[max(at, 0):],
                                    re.S):
            self.lines[int(row)] = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)

    def shows(self, words, seconds=30):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if all(any(w in line for line in self.lines.values()) for w in words):
                return
            self.read(0.2)
        shown = "\n".join(self.lines[k] for k in sorted(self.lines))
        raise Fail(f"the screen does not show {words}: {shown[-1500:]}")

    def press(self, keys):
        os.write(self.fd, keys.encode())

    def resize(self, columns, rows):
        """Returns once it is drawn anew: what was on its way before has another size."""
        self.raw = ""
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        deadline = time.monotonic() + 30
        while "\x1b[2J" not in self.raw:
            self.read(0.2)
            check(time.monotonic() < deadline, "it is not drawn anew")

    def end(self, seconds=30):
        """Its exit status, once it has ended."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.read(0.05)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
                while self.read(0.2):
                    pass
                return self.status
        raise Fail("it does not end")

    def close(self):
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)


@case("watch_screen", weight=4, captured=False)
def watch_screen_case(lab):
    """Calls are listed, one is shown whole, a filter narrows them, the size follows the terminal, and q gives
    the terminal back as it was."""
    captures = scenario(lab, "s3-two-calls")
    screen = Screen([lab.program, "watch", "-r", captures[0], "--lang", "en"], 110, 30, lab.dir)
    try:
        screen.shows(["01077141436", "group pickup", "q: quit"])
        check(not termios.tcgetattr(screen.fd)[3] & termios.ECHO, "it echoes what is typed")
        screen.press("f0212345678\r")
        screen.shows(["filter: 0212345678", "0212345678"])
        check(not any("01077141436" in line for line in screen.lines.values()), "the filter filters")
        screen.press("\x1b")
        screen.shows(["01077141436"])
        screen.press("\x1b[H\r")
        screen.shows(["Enter: back", "tied by"])
        screen.press("\x1b[F")
        screen.shows(["INVITE"])
        screen.resize(80, 12)
        screen.press("\x1b[6~")
        screen.shows(["Enter: back"])
        check(max(screen.lines) <= 12, f"{max(screen.lines)} lines on a terminal of 12")
        check(max(map(len, screen.lines.values())) <= 80, "lines that are too long")
        screen.press("\r")
        screen.shows(["q: quit"])
        screen.press("q")
        equal(screen.end(), 0, "exit status")
        check("\x1b" not in screen.raw.split("\x1b[?1049l")[1], f"the end: {screen.raw[-200:]!r}")
        equal(termios.tcgetattr(screen.fd)[3], screen.modes, "modes of the terminal")
    finally:
        screen.close()


@case("watch_screen_live", weight=3, captured=False)
def watch_screen_live_case(lab):
    """A call appears while it rings and goes on; SIGTERM gives the terminal back, too."""
    at = (lab.pbx, 9060)
    screen = Screen([lab.program, "watch", "--hep", f"{at[0]}:{at[1]}", "--lang", "en"], 110, 30, lab.dir)
    try:
        screen.shows(["q: quit"])
        agent = Agent(at)
        agent.say("live", "INVITE sip:1428@192.0.2.2 SIP/2.0", "1 INVITE", tag="")
        agent.say("live", "SIP/2.0 180 Ringing", "1 INVITE", down=True)
        screen.shows(["ringing", "1427", "1428"])
        agent.begin("live")
        screen.shows(["talking"])
        agent.end("live")
        screen.shows(["answered"])
        os.kill(screen.pid, signal.SIGTERM)
        equal(screen.end(), 0, "exit status")
        check("\x1b" not in screen.raw.split("\x1b[?1049l")[1], f"the end: {screen.raw[-200:]!r}")
    finally:
        screen.close()
