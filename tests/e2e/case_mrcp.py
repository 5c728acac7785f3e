"""`ringdown mrcp` with a speech server of ours: text to sound, sound to text, and what becomes of a
session with a server that does not behave (flow S9)."""
import hashlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import wave

from case_tls import authority, certificate, openssl
from lab import Fail, case, check, equal

HERE = os.path.dirname(os.path.abspath(__file__))
PORT = 8060
# So that 64*T1 is 1.3 s.
FAST = {"MRCP_SIP_RETRANS_T1_MS": "20", "MRCP_SIP_RETRANS_T2_MS": "160"}


class Speech:
    """A server, and the client with it."""

    def __init__(self, lab, *faults, says=None, last=70, port=PORT, tls=None,
                 control=None):
        self.lab, self.address, self.port = lab, lab.ip(last), port
        argv = [sys.executable, os.path.join(HERE, "mrcp_server.py"), "--address", self.address,
                "--port", str(port), "--directory", lab.path(""), *faults]
        if tls:
            argv += ["--tls", lab.path(tls + ".pem"), lab.path(tls + ".key")]
        if control:
            argv += ["--control-tls", lab.path(control + ".pem"), lab.path(control + ".key")]
        if says is not None:
            argv[2:2] = ["--says", says]
        self.job = lab.job(f"mrcp-server-{len(lab.jobs)}", argv)
        lab.until(lambda: f"{self.address}:{port}" in self.job.text(), 30, "the speech server")

    def run(self, word, *more, env=None, server=None, status=0):
        uri = server or f"sip:mresources@{self.address}:{self.port}"
        argv = [self.lab.program, "mrcp", word, "--server", uri, "--bind", self.lab.ip(71), "--json",
                *more]
        done = subprocess.run(argv, cwd=self.lab.path(""), capture_output=True, text=True,
                              timeout=180, check=False, env={**os.environ, **(env or {})})
        if done.returncode != status:
            raise Fail(f"{' '.join(argv[1:3])}: exit status {done.returncode}, not {status}: "
                       f"{done.stderr}{done.stdout}")
        return json.loads(done.stdout) if done.stdout else {"stderr": done.stderr}

    def seen(self):
        """Ends it; what it has seen."""
        self.job.signal(signal.SIGTERM)
        self.job.wait(30)
        # Behind it Python may complain of connections that were open.
        return json.loads([x for x in self.job.text().splitlines() if x.startswith("{")][-1])


def tone_of(path):
    """Length in ms and frequency of a WAV file, by its crossings of zero; and for how long of it
    there is sound."""
    with wave.open(path) as w:
        rate, n = w.getframerate(), w.getnframes()
        data = memoryview(w.readframes(n)).cast("h")
    part = [v for v in data if abs(v) > 200]
    crossings = sum(1 for a, b in zip(part, part[1:]) if (a < 0) != (b < 0))
    loud = sum(max(map(abs, data[i:i + rate // 50])) > 200 for i in range(0, n, rate // 50))
    return 1000 * n / rate, crossings * rate / (2 * len(part)) if part else 0, 20 * loud


def whole(lab, env):
    speech = Speech(lab)
    out = lab.path("said.wav")
    text = "the quick brown fox & <friends>"
    wanted = len(text) * 60 + 18 * 60  # with the entities that it sees
    spoken = []

    def said():
        """How far it is from what it should be, as a share of what it may be."""
        told = speech.run("speak", "-o", out, text, env=env)
        length, hertz, loud = tone_of(out)
        spoken.append(loud)
        check(abs(told["sound_ms"] - length) < 1, "the file is as long as it is said to be")
        check(430 < hertz < 460, f"{hertz} Hz, not 440")
        equal(told["cause"], "000 normal", "cause")
        equal(told["media"]["lost"], 0, "lost")
        return max((len(text) * 60 - loud) / 200, (loud - wanted) / 700)
    lab.least(said, 1, f"said for so long, ms: {spoken}; too short or too long")
    heard = speech.run("recognize", "--phrases", "sales,support", out, env=env)
    equal([r["input"] for r in heard["results"]], ["sales"], "heard")
    equal(heard["results"][0]["confidence"], 0.87, "confidence")
    kept = speech.run("record", out, env=env)
    path = kept["uri"][len("<file://"):].split(">")[0]
    check(os.path.exists(os.path.join(lab.path(""), path)), f"{path} was recorded")
    check(430 < tone_of(os.path.join(lab.path(""), path))[1] < 460, "recorded the same tone")
    seen = speech.seen()
    equal(seen["left"], 0, "sessions left")
    words = [*["SPEAK"] * len(spoken), "RECOGNIZE", "RECORD"]
    equal(seen["byes"], len(words), "BYEs")
    equal(seen["streams"], len(words) if "MRCP_SIP_TRANSPORT" in env else 0, "connections of SIP")
    # Of those that have sent something (RFC 3550 section 6.3.7): the recognizer's, the recorder's.
    check(seen["rtcp_byes"] >= 2, f"{seen['rtcp_byes']} RTCP BYEs")
    equal(seen["requests"][:len(words)], words, "requests")


@case("mrcp-udp", weight=2)
def mrcp_udp(lab):
    whole(lab, {})


@case("mrcp-tcp", weight=2)
def mrcp_tcp(lab):
    whole(lab, {"MRCP_SIP_TRANSPORT": "tcp"})


@case("mrcp-no-input", captured=False)
def mrcp_no_input(lab):
    """Silence, and what is not in the grammar: exit status 3, and the result says which."""
    speech = Speech(lab, says="something else")
    quiet = lab.path("quiet.wav")
    with wave.open(quiet, "wb") as w:
        w.setparams((1, 2, 8000, 0, "NONE", ""))
        w.writeframes(bytes(8000))
    told = speech.run("recognize", "--no-input", "300", quiet, status=3)
    equal(told["cause"], "002 no-input-timeout", "cause")
    out = lab.path("said.wav")
    speech.run("speak", "-o", out, "hello there")
    told = speech.run("recognize", "--phrases", "sales,support", out, status=3)
    equal(told["cause"], "001 no-match", "cause")
    told = speech.run("recognize", out)
    equal(told["results"][0]["instance"], "something else", "without a grammar")
    told = Speech(lab, "auth", port=PORT + 2).run("recognize", out, status=1)
    equal(told["error"], "the server refuses the session: 401 Unauthorized; --user says who we are",
          "error")
    told = Speech(lab, "no-result", port=PORT + 1).run("recognize", out, status=3)
    check("not what" in told["error"], f"error: {told['error']}")


@case("mrcp-terminal", captured=False)
def mrcp_terminal(lab):
    """What a server says cannot command the terminal on which it is shown."""
    speech = Speech(lab, says="red\u009b31m tab\there \u00e9\x7f")
    argv = [lab.program, "mrcp", "recognize", "--server",
            f"sip:mresources@{speech.address}:{speech.port}", "--bind", lab.ip(71)]
    for more, shown in (([], "red\\xC2\\x9B31m tab\\x09here \u00e9\\x7F"),
                        (["--nlsml"], "red\\xC2\\x9B31m tab\there \u00e9\\x7F")):
        done = subprocess.run([*argv, *more, make_sound(lab)], cwd=lab.path(""), timeout=30,
                              capture_output=True, text=True, check=True, encoding="utf-8")
        check(shown in done.stdout, f"{more}: {done.stdout!r}")


# faults, environment, exit status, telemetry that is not 0, what the server has seen
FAULTS = [
    (["delay=0.2"], {}, 0, {"sipByeSent": 1}, {}),
    (["echo", "delay=0.1"], {}, 0, {"sipByeSent": 1}, {"byes": 1}),
    (["drop=2"], FAST, 0, {"sipByeSent": 1}, {"invites": 1}),
    (["provisionals=30"], {}, 0, {"sipProvisional": 30, "sipByeSent": 1}, {}),
    (["refuse=486"], {}, 1, {"sipError4xx": 1}, {"invites": 1, "byes": 0}),
    (["refuse=500"], {}, 1, {"sipError5xx": 1}, {}),
    (["refuse=603"], {}, 1, {"sipError6xx": 1}, {}),
    # The seventh is due a moment before the end: a machine with other work may leave it out.
    (["silent"], FAST, 1, {"sipInviteTimeouts": 1}, {"datagrams": (6, 7)}),
    (["silent"], {**FAST, "MRCP_SIP_INVITE_MAX_RETRANS": "3"}, 1, {"sipInviteTimeouts": 1},
     {"datagrams": 3}),
    (["auth"], {"MRCP_SIP_PASSWORD": "secret"}, 0, {"sipAuthChallenges": 1, "sipByeSent": 1},
     {"invites": 2}),
    (["auth"], {"MRCP_SIP_PASSWORD": "wrong"}, 1, {"sipAuthChallenges": 1, "sipError4xx": 1},
     {"invites": 2}),
    (["auth-loop"], {"MRCP_SIP_PASSWORD": "secret"}, 1,
     {"sipAuthChallenges": 1, "sipError4xx": 1}, {"invites": 2}),
    (["no-bye"], FAST, 0, {"sipByeSent": 1, "sipByeAcksMissing": 1}, {}),
    (["half-close"], {}, 1, {"sipByeSent": 1}, {"byes": 1}),
    (["reorder"], {}, 0, {"sipByeSent": 1}, {}),
    (["new"], {}, 0, {"sipByeSent": 1}, {}),
    (["refuse-resource"], {}, 1, {"sipByeSent": 1}, {"connections": 0, "byes": 1}),
    (["no-rtp"], {}, 1, {"sipByeSent": 1}, {"byes": 1}),
    (["no-listen"], {}, 1, {"sipByeSent": 1}, {"connections": 0, "byes": 1}),
]


@case("mrcp-faults", weight=3, captured=False)
def mrcp_faults(lab):
    for i, (faults, env, status, telemetry, seen) in enumerate(FAULTS):
        speech = Speech(lab, *faults, port=PORT + i)
        user = ["--user", "alice"] if "MRCP_SIP_PASSWORD" in env else []
        told = speech.run("speak", *user, "-o", lab.path("out.wav"), "hi", env=env, status=status)
        got = {k: v for k, v in told["telemetry"].items() if v}
        equal(got, telemetry, f"telemetry with {faults} {env}")
        if faults == ["silent"]:
            equal(told["error"], "the server does not answer", f"error with {env}")
        elif faults[0].startswith("refuse="):
            check(told["error"].startswith(f"the server refuses the session: {faults[0][7:]} "),
                  f"error: {told['error']}")
        elif faults == ["no-rtp"]:
            check("no sound came" in told["error"], f"error: {told['error']}")
        elif faults == ["no-listen"]:
            equal(told["error"], f"no control connection could be made to {speech.address}:9", "error")
        found = speech.seen()
        for name, value in seen.items():
            if isinstance(value, tuple):
                check(found[name] in value, f"{name} with {faults} {env}: {found[name]}")
            else:
                equal(found[name], value, f"{name} with {faults} {env}")


@case("mrcp-silence", captured=False)
def mrcp_silence(lab):
    """A server that is silent on its control channel for 5 s, or whose request never begins."""
    speech = Speech(lab, "mute")
    took = []

    def given_up():
        """After so many seconds."""
        began = time.monotonic()
        told = speech.run("speak", "-o", lab.path("out.wav"), "hi", status=1)
        took.append(time.monotonic() - began)
        check(took[-1] > 4.5, f"given up after {took[-1]:.1f} s, not five")
        equal(told["error"], "the server does not answer", "error")
        return took[-1]
    lab.least(given_up, 8, "until it gives up, s")
    equal(speech.seen()["byes"], len(took), "BYEs")
    speech = Speech(lab, "pending", port=PORT + 1)
    told = speech.run("recognize", "--timeout", "1", make_sound(lab), status=1)
    equal(told["error"], "the request took too long", "error")
    equal(speech.seen()["byes"], 1, "BYEs")


@case("mrcp-barge-in", captured=False)
def mrcp_barge_in(lab):
    """Who speaks into a prompt of 36 seconds stops it; a prompt that ends starts the timers."""
    speech = Speech(lab)
    began = time.monotonic()
    told = speech.run("recognize", "--prompt", "a" * 600, make_sound(lab))
    check(time.monotonic() - began < 24, "the prompt was not waited for")
    equal((told["barge_in"], told["cause"]), (True, "000 success"), "barge-in")
    # Over two connections the first two may come in any order.
    requests = speech.seen()["requests"]
    equal((sorted(requests[:2]), requests[2]), (["RECOGNIZE", "SPEAK"], "BARGE-IN-OCCURRED"),
          "requests")
    speech = Speech(lab, port=PORT + 1)
    quiet = lab.path("quiet.wav")
    with wave.open(quiet, "wb") as w:
        w.setparams((1, 2, 8000, 0, "NONE", ""))
        w.writeframes(bytes(8000))
    told = speech.run("recognize", "--prompt", "hi", "--no-input", "300", quiet, status=3)
    equal((told["barge_in"], told["cause"]), (False, "002 no-input-timeout"), "without")
    seen = speech.seen()
    equal(sorted(seen["ids"]), [1, 2, 3], "ids grow")
    check("START-INPUT-TIMERS" in seen["requests"], f"{seen['requests']}")
    equal(seen["connections"], 2, "connections, without sharing")


def make_sound(lab):
    path = lab.path("sound.wav")
    with wave.open(path, "wb") as w:
        w.setparams((1, 2, 8000, 0, "NONE", ""))
        w.writeframes(b"\0\x20" * 4000)
    return path


@case("mrcp-settings", captured=False)
def mrcp_settings(lab):
    speech = Speech(lab)
    out = lab.path("out.wav")
    off = speech.run("speak", "-o", out, "hi", env={"MRCP_ENABLE_SIP_V2": "0"}, status=1)
    check("MRCP_ENABLE_SIP_V2" in off["stderr"], "says why")
    for name, value in (("MRCP_SIP_TRANSPORT", "smoke"), ("MRCP_SIP_RETRANS_T1_MS", "x"),
                        ("MRCP_SIP_RETRANS_T2_MS", "0"), ("MRCP_SIP_INVITE_MAX_RETRANS", "0"),
                        ("MRCP_SIP_DNS_SRV", "2"), ("MRCP_SIP_TLS_PINS", "12"),
                        ("MRCP_SIP_TLS_VERIFY", "x")):
        wrong = speech.run("speak", "-o", out, "hi", env={name: value}, status=2)
        check(name in wrong["stderr"], f"{name}: {wrong['stderr']}")
    # What the URI says counts before the environment.
    here = f"sip:m@{speech.address}:{speech.port};transport="
    speech.run("speak", "-o", out, "hi", server=here + "tcp")
    speech.run("speak", "-o", out, "hi", server=here + "udp", env={"MRCP_SIP_TRANSPORT": "tcp"})
    speech.run("speak", "-o", out, "hi", server=here + "sctp", status=2)
    seen = speech.seen()
    equal((seen["invites"], seen["streams"]), (2, 1), "INVITEs, connections of SIP")
    nobody = speech.run("speak", "-o", out, "hi", env=FAST, status=1)
    equal((nobody["ok"], nobody["error"]), (False, "nobody is there"), "nobody there")


class Names:
    """Answers SRV and A questions about asr.test; what else is asked is not there."""

    def __init__(self, lab, dead, live):
        self.host = {b"dead": dead, b"live": live}
        self.asked = []
        self.questions = []  # with what tells one from the same sent again
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((lab.ip(72), 5353))
        threading.Thread(target=self.serve, daemon=True).start()

    def close(self):
        self.socket.close()

    @staticmethod
    def name(*labels):
        return b"".join(bytes([len(x)]) + x for x in labels) + b"\0"

    def answers(self, labels, kind):
        if kind == 33 and labels[0] == b"_sip":
            return [struct.pack("!HHH", 10 * i, 0, port) + self.name(host, b"asr", b"test")
                    for i, (host, port) in enumerate(((b"dead", PORT), (b"live", PORT)), 1)]
        if kind == 1 and labels[0] in self.host:
            return [socket.inet_aton(self.host[labels[0]])]
        return []

    def serve(self):
        while True:
            try:
                q, peer = self.socket.recvfrom(1500)
            except OSError:
                return
            labels, at = [], 12
            while q[at]:
                labels.append(q[at + 1:at + 1 + q[at]].lower())
                at += 1 + q[at]
            kind = struct.unpack("!H", q[at + 1:at + 3])[0]
            self.asked.append((b".".join(labels).decode(), kind))
            self.questions.append((q[:2], self.asked[-1]))
            data = self.answers(labels, kind)
            head = q[:2] + struct.pack("!HHHHH", 0x8580 if data else 0x8583, 1, len(data), 0, 0)
            body = b"".join(b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 60, len(d)) + d for d in data)
            self.socket.sendto(head + q[12:at + 5] + body, peer)


@case("mrcp-srv", captured=False)
def mrcp_srv(lab):
    """Of two servers that a name leads to, the first is not there."""
    speech = Speech(lab)
    names = Names(lab, lab.ip(73), lab.ip(70))
    try:
        out, where = lab.path("out.wav"), f"{lab.ip(72)}:5353"
        told = speech.run("speak", "--dns", where, "-o", out, "hi", server="sip:m@asr.test",
                          env={**FAST, "MRCP_SIP_DNS_SRV": "1"})
        check(("_sip._udp.asr.test", 33) in names.asked, f"asked for SRV: {names.asked}")
        equal(told["telemetry"]["sipByeSent"], 1, "BYEs")
        names.asked.clear()
        # Without the variable nobody asks for SRV, and the name alone is nowhere.
        speech.run("speak", "--dns", where, "-o", out, "hi", server="sip:m@asr.test", env=FAST,
                   status=1)
        check(all(kind != 33 for _, kind in names.asked), f"asked: {names.asked}")
    finally:
        names.close()
    equal(speech.seen()["invites"], 1, "INVITEs")


def pin_of(lab, name):
    """As `openssl pkey -pubin -outform DER | sha256sum` has it."""
    key = openssl(lab, "x509", "-in", name + ".pem", "-noout", "-pubkey").stdout
    openssl(lab, "pkey", "-pubin", "-outform", "DER", "-out", name + ".der", text=key)
    with open(lab.path(name + ".der"), "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


@case("mrcp-tls", captured=False)
def mrcp_tls(lab):
    """SIP over TLS, and certificates that are wrong in every way: closed, with a line that says why."""
    authority(lab)
    authority(lab, "other")
    certificate(lab, "good", f"IP:{lab.ip(70)}")
    certificate(lab, "name", "DNS:elsewhere.test")
    certificate(lab, "stranger", f"IP:{lab.ip(70)}", ca="other")
    ca = {"MRCP_SIP_TRANSPORT": "tls", "MRCP_SIP_TLS_CA": lab.path("ca.pem"), **FAST}
    out = lab.path("out.wav")
    good = pin_of(lab, "good")
    cases = [("good", {}, 0), ("name", {}, 1), ("stranger", {}, 1),
             ("good", {"MRCP_SIP_TLS_PINS": good}, 0),
             ("good", {"MRCP_SIP_TLS_PINS": "00" * 32}, 1),
             # Who has the key is believed whatever its name, on the control channel too.
             ("name", {"MRCP_SIP_TLS_PINS": pin_of(lab, "name")}, 0),
             ("stranger", {"MRCP_SIP_TLS_VERIFY": "0"}, 0)]
    for i, (cert, more, status) in enumerate(cases):
        speech = Speech(lab, tls=cert, port=PORT + 2 * i)
        server = f"sip:m@{speech.address}:{speech.port + 1}"
        told = speech.run("speak", "-o", out, "hi", env={**ca, **more}, server=server, status=status)
        if status:
            check("TLS: " in told["error"], f"{cert} {more}: {told['error']}")
        equal(speech.seen()["invites"], 1 - status, f"INVITEs with {cert} {more}")
    speech = Speech(lab, tls="good", port=PORT + 20)
    speech.run("speak", "-o", out, "hi", env={**ca, "MRCP_SIP_TRANSPORT": "udp"},
               server=f"sips:m@{speech.address}:{speech.port + 1}")
    seen = speech.seen()
    equal((seen["invites"], seen["secure"], seen["requests"]), (1, 1, ["SPEAK"]), "of sips")


@case("mrcp-tls-control", captured=False)
def mrcp_tls_control(lab):
    """Where SIP is over TLS the control channel is (RFC 6787 section 4.2), and its server must prove
    to be the one that was called."""
    authority(lab)
    certificate(lab, "good", f"IP:{lab.ip(70)}")
    certificate(lab, "name", "DNS:elsewhere.test")
    env = {"MRCP_SIP_TRANSPORT": "tls", "MRCP_SIP_TLS_CA": lab.path("ca.pem"), **FAST}
    out = lab.path("out.wav")
    speech = Speech(lab, tls="good")
    server = f"sip:m@{speech.address}:{speech.port + 1}"
    speech.run("speak", "-o", out, "a text that is longer than one record " * 400, "--timeout", "1",
               env=env, server=server, status=1)
    told = speech.run("recognize", "--prompt", "hi", make_sound(lab), env=env, server=server)
    equal(told["cause"], "000 success", "cause")
    seen = speech.seen()
    equal((seen["connections"], seen["secure"], seen["byes"]), (3, 3, 2), "control with TLS")
    for i, (more, faults, error) in enumerate((
            ({"control": "name"}, (), "TLS: "),
            ({}, ("plain",), "the server wants a control connection without TLS"))):
        speech = Speech(lab, *faults, tls="good", port=PORT + 2 + 2 * i, **more)
        told = speech.run("speak", "-o", out, "hi", env=env, status=1,
                          server=f"sip:m@{speech.address}:{speech.port + 1}")
        check(told["error"].startswith(error), f"{more} {faults}: {told['error']}")
        seen = speech.seen()
        equal((seen["byes"], seen["requests"]), (1, []), f"{more} {faults}")


@case("mrcp-many", captured=False)
def mrcp_many(lab):
    """Three hundred sessions, thirty at a time; nothing is left of them."""
    speech = Speech(lab)
    told = speech.run("probe", "--count", "300", "--parallel", "30")
    equal((told["sessions"], told["failed"]), (300, 0), "sessions")
    equal(told["telemetry"]["sipByeSent"], 300, "BYEs sent")
    seen = speech.seen()
    equal((seen["byes"], seen["left"], seen["connections"]), (300, 0, 300), "seen by the server")
