"""Test phones whose voice is a tone: signalling here, sound in BUILD/tests/bin/tonephone. Each phone
sends a frequency of its own, so that what is heard says who is heard, when, and how late."""
import json
import os
import queue
import re
import secrets
import socket
import subprocess
import threading
import time

import sip
from lab import Fail, Skip, check, equal

PT = {"PCMU/8000": 0, "PCMA/8000": 8, "G722/8000": 9, "opus/48000/2": 111, "L16/16000": 97}
EVENT_PT = {"8000": 101, "16000": 102, "48000": 110}
LEVEL = 0.25  # of a voice, as a share of full scale
# A change of what is heard reaches over so many windows of 40 ms, and is no click.
EDGE_MS = 80
STANDSTILL_MS = 50  # between two packets of 20 ms
ENOUGH = 10  # windows of 40 ms, to judge by


class Bench:
    """tonephone, told by lines what to do. Part of lab.jobs."""

    def __init__(self, lab):
        program = os.path.join(os.path.dirname(lab.program), "tests", "bin", "tonephone")
        if not os.access(program, os.X_OK):
            raise Skip(f"{program} is not built")
        self.lab, self.name, self.complaints = lab, "tonephone", None
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, start_new_session=True)
        self.lock = threading.Lock()
        self.phones = []
        lab.jobs.append(self)

    def running(self):
        return self.process.poll() is None

    def end(self):
        for phone in self.phones:
            phone.close()
        self.process.stdin.close()
        try:
            self.process.wait(3)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def tell(self, *words):
        with self.lock:
            try:
                self.process.stdin.write(" ".join(str(w) for w in words) + "\n")
                self.process.stdin.flush()
                line = self.process.stdout.readline()
            except (OSError, ValueError):
                line = ""
        if not line:
            raise Fail(f"tonephone is gone at {words[0]}")
        answer = json.loads(line)
        if "error" in answer:
            raise Fail(f"tonephone: {' '.join(str(w) for w in words)}: {answer['error']}")
        return answer

    def now(self):
        return self.tell("now")["ms"]

    def elapse(self, ms, since=None):
        """Lets so much sound pass; returns the time at the end."""
        end = (self.now() if since is None else since) + ms
        self.lab.until(lambda: self.now() >= end, ms / 1000 + 20, "time passes")
        return end

    def settles(self, condition, ms):
        """Whether it comes true in this time."""
        end = self.now() + ms
        self.lab.until(lambda: condition() or self.now() >= end, ms / 1000 + 10, "time passes")
        return bool(condition())

    def tones(self):
        return sorted({phone.hertz for phone in self.phones})

    def file(self, path, channel=0, burst=0):
        """Levels and bursts of a WAV file."""
        return self.tell("file", path, channel, burst, *self.tones())


# ---- SDP ---------------------------------------------------------------------------------------------

class Description:
    """What a body says of its audio."""

    def __init__(self, text):
        self.address = self.port = None
        self.direction, self.payloads, self.maps, self.ptime = "sendrecv", [], {}, None
        self.mux = "a=rtcp-mux" in text.splitlines()
        for line in text.splitlines():
            value = line[2:]
            if line.startswith("c=IN IP4 "):
                self.address = value.split()[2]
            elif line.startswith("m=audio ") and self.port is None:
                words = value.split()
                self.port, self.payloads = int(words[1]), [int(w) for w in words[3:]]
            elif line.startswith("a=rtpmap:"):
                pt, name = value.split(":", 1)[1].split(None, 1)
                self.maps[int(pt)] = name.strip()
            elif line.startswith("a=ptime:"):
                self.ptime = int(float(value.split(":")[1]))
            elif line[2:] in ("sendrecv", "sendonly", "recvonly", "inactive"):
                self.direction = line[2:]
        for name, pt in PT.items():
            if pt < 96:
                self.maps.setdefault(pt, name)

    def find(self, names):
        """(name, pt) of the first payload that is among the names, or None."""
        known = {n.lower(): n for n in names}
        for pt in self.payloads:
            name = known.get(self.maps.get(pt, "").lower())
            if name:
                return name, pt
        return None

    def event(self, clock):
        for pt in self.payloads:
            if self.maps.get(pt, "").lower() == "telephone-event/" + clock:
                return pt
        return None


def clock_of(name):
    return name.split("/")[1]


# ---- a call ------------------------------------------------------------------------------------------

class Call:
    """One dialog of a phone, with an ear of its own."""

    def __init__(self, phone, call_id, remote_uri):
        self.phone, self.call_id = phone, call_id
        self.local_tag, self.remote_tag = secrets.token_hex(5), None
        self.local_uri, self.remote_uri = f"<sip:{phone.number}@pbx.test>", remote_uri
        self.target, self.routes = None, []
        self.cseq = secrets.randbelow(1000) + 1
        self.state, self.status = "new", None
        self.statuses = []  # of the responses to our INVITE
        self.invite = None  # the request that came, or the text that was sent
        self.final = None
        self.version, self.direction = 1, "sendrecv"
        self.format = None  # (name, payload type)
        self.event = 0  # payload type of keys; 0: none was agreed
        self.notifies = []
        self.remote = None
        n = len(phone.calls)
        self.port = 30000 + 2 * n
        self.ear = f"{phone.number}.{n}"
        self.bench = phone.bench
        self.bench.tell("open", self.ear, f"{phone.ip}:{self.port}")
        if phone.burst:
            self.bench.tell("burst", self.ear, phone.burst)
        phone.calls.append(self)

    # -- sound --

    def body(self, formats=None):
        """An offer, or with formats [(name, pt)] an answer to the remote one. Keys have the clock of
        the sound (RFC 4733 section 2.1)."""
        offered = {c: self.remote.event(c) for c in EVENT_PT} if formats else EVENT_PT
        formats = formats or [(n, PT[n]) for n in self.phone.codecs]
        clocks = sorted({clock_of(n) for n, _ in formats})
        events = [(offered[c], c) for c in clocks if offered[c]]
        pts = [pt for _, pt in formats] + [pt for pt, _ in events]
        lines = ["v=0", f"o=- {self.port} {self.version} IN IP4 {self.phone.ip}", "s=-",
                 f"c=IN IP4 {self.phone.ip}", "t=0 0",
                 f"m=audio {self.port} RTP/AVP {' '.join(str(p) for p in pts)}"]
        lines += [f"a=rtpmap:{pt} {name}" for name, pt in formats]
        for pt, clock in events:
            lines += [f"a=rtpmap:{pt} telephone-event/{clock}", f"a=fmtp:{pt} 0-15"]
        if self.phone.mux:
            lines.append("a=rtcp-mux")
        self.version += 1
        return "\r\n".join(lines + [f"a=ptime:{self.phone.ptime}", "a=" + self.direction, ""])

    def take(self, text):
        """Speaks and hears as the other's description says; the codec, or None."""
        remote = Description(text)
        chosen = remote.find(self.phone.codecs)
        if not chosen or not remote.port:
            return None
        self.remote, self.format = remote, chosen
        name, pt = chosen
        self.bench.tell("send", self.ear, f"{remote.address}:{remote.port}",
                        "/".join(name.split("/")[:2]), pt, self.phone.ptime, self.phone.hertz,
                        self.phone.level)
        self.event = remote.event(clock_of(name)) or 0
        self.bench.tell("event", self.ear, self.event)
        if not self.speaks():
            self.bench.tell("stop", self.ear)
        return chosen

    def speaks(self):
        """Who holds is silent, but for the rude, who speaks on against what was agreed."""
        return self.phone.rude or (self.direction == "sendrecv" and
                                   self.remote.direction in ("sendrecv", "recvonly"))

    def accept(self, offer):
        """The answer to an offer; None if nothing in it is known."""
        chosen = self.take(offer)
        if not chosen:
            return None
        turned = {"sendonly": "recvonly", "recvonly": "sendonly"}
        kept, self.direction = self.direction, turned.get(self.remote.direction,
                                                          self.remote.direction)
        body = self.body([chosen])
        self.direction = kept
        return body

    # -- messages --

    def headers(self, method, cseq, branch, auth=None):
        tag = f";tag={self.remote_tag}" if self.remote_tag else ""
        lines = [f"{method} {self.target} SIP/2.0",
                 f"Via: SIP/2.0/UDP {self.phone.ip}:5060;branch={branch};rport",
                 "Max-Forwards: 70", f"From: {self.local_uri};tag={self.local_tag}",
                 f"To: {self.remote_uri}{tag}", f"Call-ID: {self.call_id}",
                 f"CSeq: {cseq} {method}", self.phone.contact]
        lines += ["Route: " + r for r in self.routes]
        if auth:
            lines.append(auth)
        return lines

    def send(self, method, cseq, fields=(), body="", branch=None, auth=None):
        branch = branch or "z9hG4bK" + secrets.token_hex(6)
        self.phone.send(self.headers(method, cseq, branch, auth) + list(fields), body)

    def ask(self, method, fields=(), body="", seconds=20):
        """A request in the dialog, and its final response."""
        auth = None
        for _ in range(2):
            self.cseq += 1
            branch = "z9hG4bK" + secrets.token_hex(6)
            answers = self.phone.expect(branch)
            self.send(method, self.cseq, fields, body, branch, auth)
            m = self.phone.final(answers, seconds, f"{method} of {self.phone.number}")
            if m.status not in (401, 407):
                return m
            if method == "INVITE":
                self.send("ACK", self.cseq, branch=branch)
            auth = self.phone.credentials(m, method, self.target)
        return m

    def dial(self):
        self.state = "calling"
        self.invite_once()

    def invite_once(self, auth=None):
        self.cseq += 1
        self.invite = "z9hG4bK" + secrets.token_hex(6)  # known before the answer can come
        self.send("INVITE", self.cseq, body=self.body(), branch=self.invite, auth=auth)

    def heard_of(self, m):
        """A response to the first INVITE."""
        self.status = m.status
        self.statuses.append(m.status)
        self.remote_tag = m.tag("to") or self.remote_tag
        if m.status in (401, 407) and not self.final:
            self.final = m
            self.send("ACK", self.cseq, branch=self.invite)
            self.remote_tag = None
            self.invite_once(self.phone.credentials(m, "INVITE", self.target))
        elif m.status >= 300:
            self.send("ACK", self.cseq, branch=self.invite)
            self.state = "failed"
        elif m.status >= 200:
            self.target = re.search(r"<([^>]+)>", m.get("contact"))[1]
            self.routes = list(reversed(m.all("record-route")))
            self.send("ACK", self.cseq)
            if m.body and self.state != "up":
                self.take(m.body.decode())
            self.state = "up"
        elif m.status > 100:
            self.state = "ringing"
            if m.body:
                self.take(m.body.decode())

    # -- what one does --

    def reply(self, status, reason, body="", fields=(), to=None):
        to = to or self.invite
        self.phone.reply(to, status, reason, body, [self.phone.contact, *fields], self.local_tag)

    def ring(self):
        self.reply(180, "Ringing")

    def progress(self):
        """Early media: 183 with the answer."""
        body = self.accept(self.invite.body.decode())
        check(body, f"{self.ear} knows nothing of the offer")
        self.reply(183, "Session Progress", body)

    def answer_to(self, request):
        """200, or 488 if nothing of the offer is known: then False."""
        offer = request.body.decode()
        body = self.accept(offer) if offer else self.body()
        if body:
            self.reply(200, "OK", body, to=request)
        else:
            self.reply(488, "Not Acceptable Here", to=request)
        return bool(body)

    def answer(self):
        if not self.answer_to(self.invite):
            self.state, self.status = "failed", 488
            return False
        self.wait("up")
        return True

    def wait(self, state, seconds=30):
        what = f"{self.phone.number}: call is {state}"
        self.phone.lab.until(lambda: self.state in (state, "failed"), seconds, what)
        equal(self.state, state, f"{what} (status {self.status})")
        return self

    def reinvite(self, direction):
        self.direction = direction
        m = self.ask("INVITE", body=self.body())
        equal(m.status, 200, f"re-INVITE {direction} of {self.phone.number}")
        self.send("ACK", self.cseq)
        self.take(m.body.decode())
        return m

    def hold(self, direction="sendonly"):
        return self.reinvite(direction)

    def resume(self):
        return self.reinvite("sendrecv")

    def refer(self, target, replaces=None):
        """Blind transfer, or with replaces the Call that is to be joined."""
        refer_to = f"<sip:{target}@pbx.test>"
        if replaces:
            call_id = replaces.call_id.replace("@", "%40")
            refer_to = (f"<sip:{target}@pbx.test?Replaces={call_id}%3Bto-tag%3D"
                        f"{replaces.remote_tag}%3Bfrom-tag%3D{replaces.local_tag}>")
        m = self.ask("REFER", ["Refer-To: " + refer_to,
                               f"Referred-By: <sip:{self.phone.number}@pbx.test>"])
        equal(m.status, 202, f"REFER of {self.phone.number}")

    def referred(self, status=200, seconds=20):
        self.phone.lab.until(lambda: any(f" {status} " in n for n in self.notifies), seconds,
                             f"{self.phone.number}: NOTIFY of {status}, not {self.notifies}")

    def hang_up(self):
        if self.state == "up":
            self.ask("BYE")
            self.stop()

    def stop(self):
        self.state = "ended"
        self.bench.tell("stop", self.ear)

    def keys(self, digits):
        self.bench.tell("dtmf", self.ear, digits)

    # -- what one hears --

    def heard(self, since=-500, until=-1):
        return self.bench.tell("heard", self.ear, since, until, *self.bench.tones())

    def stats(self):
        return self.bench.tell("stats", self.ear)

    def hears(self, *others, seconds=20, since=None):
        """Waits until exactly these are heard; returns when that began, at the latest. since: at
        any time from then on, so that what is soon over is not missed by who looks too late."""
        at = since

        def heard():
            nonlocal at
            if since is None:
                return not self.wrong(others)
            now = self.bench.now()
            for begin in range(int(at), int(now) - 500, 100):
                if not self.wrong(others, begin, begin + 500):
                    return True
                at = begin if begin < now - 1500 else at
            return False
        self.phone.lab.until(heard, seconds, f"{self.ear} hears {[o.number for o in others]}")
        return max(0, self.bench.now() - 500)

    def wrong(self, others, since=-500, until=-1):
        """What of it is not as it should be; empty if exactly these are heard."""
        got = self.heard(since, until)
        wanted = {o.hertz: 0.4 * o.level for o in others}
        levels = {int(hz): t for hz, t in got["tones"].items()}
        found = [f"{hz} Hz is missing ({levels[hz]['median']:.3f})" for hz in sorted(wanted)
                 if levels[hz]["median"] < wanted[hz]]
        # What limiters and Opus make of several voices at once is far below each of them.
        faint = 0.025 if len(others) > 1 else 0
        found += [f"{hz} Hz is heard for {t['run_ms']} ms ({t['max']:.3f})"
                  for hz, t in levels.items() if hz not in wanted and t["run_ms"] > EDGE_MS
                  and t["max"] > faint]
        if wanted and got["windows"] < ENOUGH:
            found.append(f"only {got['ms']} ms came")
        return found

    def heard_only(self, *others, since, until=None):
        """Of this time nothing else was heard; it is longer if the machine stood still meanwhile
        and too little came to judge by."""
        until = self.bench.now() if until is None else until
        if others and self.heard(since, until)["windows"] < ENOUGH:
            self.phone.lab.until(lambda: self.heard(since)["windows"] >= ENOUGH, 20,
                                 f"{self.ear} hears {[o.number for o in others]}")
            until = self.bench.now()
        found = self.wrong(others, since, until)
        check(not found, f"{self.ear}, which should hear {[o.number for o in others]}: "
              + "; ".join(found))

    def delays(self, other, n=3, since=0, seconds=30):
        """At least n times from when the other's bursts were sent to when they were heard, ms."""
        def enough():
            got = self.bench.tell("delay", self.ear, other.ear, since, self.bench.now())
            return got["delays"] if len(got["delays"]) >= n else None
        return self.phone.lab.until(enough, seconds, f"{self.ear} hears bursts of {other.ear}")

    def whole(self, jumps=0, but=()):
        """One stream came, without a break: one SSRC, every number, time only forwards, but for so
        many jumps where another voice begins."""
        s = self.stats()
        wanted = {"ssrcs": 1, "lost": 0, "late": 0, "ts_back": 0, "broken": 0, "unknown": 0,
                  "sources": 1}
        wanted = {k: n for k, n in wanted.items() if k not in but}
        got = {k: s[k] for k in wanted}
        equal(got, wanted, f"the stream to {self.ear} ({s})")
        # A machine that stood still shows in the packets' distance; time then steps with the clock.
        steps = s["ts_jumps"] + s["overlaps"]
        stood_still = s["gap_ms"] > STANDSTILL_MS
        if stood_still and steps > jumps + 1:
            stood_still = self.standstills()
        check(steps <= jumps + stood_still, f"{self.ear}: {s['ts_jumps']} steps in time: {s}")

    def standstills(self):
        """How often no packet came for so long, from the first one to the last."""
        came = [self.heard(at, at + STANDSTILL_MS)["packets"] > 0
                for at in range(0, int(self.bench.now()) - STANDSTILL_MS, 25)]
        return sum(a and not b and True in came[i:] for i, (a, b) in
                   enumerate(zip(came, came[1:]), 1))


# ---- a phone -----------------------------------------------------------------------------------------

class TonePhone:
    """An extension at an address of its own; 1001 is at .1, 1002 at .2 and so on."""

    def __init__(self, bench, number, hertz, codecs=("PCMU/8000",), ptime=20, burst=0,
                 level=LEVEL):
        self.bench, self.lab, self.number, self.hertz = bench, bench.lab, number, hertz
        self.codecs, self.ptime, self.burst = codecs, ptime, burst
        self.level = level
        self.rude = False  # speaks although it was told that nobody listens
        self.mux = False  # offers its RTCP on the RTP port
        self.ip = self.lab.ip(int(number) % 1000)
        self.contact = f"Contact: <sip:{number}@{self.ip}:5060>"
        self.calls = []
        self.arrivals = queue.Queue()
        self.replies = {}  # branch -> the last response, for those who ask again
        self.waiting = {}  # branch -> queue of responses
        self.failure = None
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind((self.ip, 5060))
        self.server = (self.lab.pbx, 5060)
        bench.phones.append(self)
        threading.Thread(target=self.read, daemon=True).start()
        self.register()

    def close(self):
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()

    # -- messages --

    def send(self, lines, body=""):
        lines = list(lines)
        if body:
            lines.append("Content-Type: application/sdp")
        lines += [f"Content-Length: {len(body.encode())}", "", body]
        self.sock.sendto("\r\n".join(lines).encode(), self.server)

    def expect(self, branch):
        return self.waiting.setdefault(branch, queue.Queue())

    def final(self, answers, seconds, what):
        deadline = time.monotonic() + seconds
        while True:
            try:
                m = answers.get(timeout=max(0.01, deadline - time.monotonic()))
            except queue.Empty:
                raise Fail(f"{what} is not answered") from None
            if m.status >= 200:
                return m

    def credentials(self, m, method, uri):
        proxy = m.status == 407
        value = sip.digest_answer(m.get("proxy-authenticate" if proxy else "www-authenticate"),
                                  self.number, "secret-" + self.number, method, uri)
        return f"{'Proxy-' if proxy else ''}Authorization: {value}"

    def reply(self, request, status, reason, body="", fields=(), tag=None):
        lines = [f"SIP/2.0 {status} {reason}"]
        lines += ["Via: " + v for v in request.all("via")]
        lines += ["Record-Route: " + v for v in request.all("record-route")]
        to = request.get("to")
        if tag and not request.tag("to"):
            to += f";tag={tag}"
        lines += [f"From: {request.get('from')}", f"To: {to}", f"Call-ID: {request.get('call-id')}",
                  f"CSeq: {request.get('cseq')}", *fields]
        self.replies[(request.branch, request.method)] = (lines, body)
        self.send(lines, body)

    def register(self):
        call_id, tag = secrets.token_hex(12) + "@" + self.ip, secrets.token_hex(4)
        auth = []
        for cseq in (1, 2):
            branch = "z9hG4bK" + secrets.token_hex(6)
            answers = self.expect(branch)
            self.send(["REGISTER sip:pbx.test SIP/2.0",
                       f"Via: SIP/2.0/UDP {self.ip}:5060;branch={branch};rport",
                       "Max-Forwards: 70", f"From: <sip:{self.number}@pbx.test>;tag={tag}",
                       f"To: <sip:{self.number}@pbx.test>", f"Call-ID: {call_id}",
                       f"CSeq: {cseq} REGISTER", self.contact, "Expires: 600", *auth])
            m = self.final(answers, 20, f"REGISTER of {self.number}")
            if m.status != 401:
                break
            auth = [self.credentials(m, "REGISTER", "sip:pbx.test")]
        equal(m.status, 200, f"REGISTER of {self.number}")

    def read(self):
        while True:
            try:
                data, _ = self.sock.recvfrom(65536)
            except OSError:
                return
            if len(data) < 10:
                if not data:
                    return
                continue
            message = sip.Message(data)
            try:
                self.receive(message)
            except Exception as error:  # pylint: disable=broad-except
                self.failure = error
                print(f"# phone {self.number}: {error!r} at {message.start}", flush=True)

    def receive(self, m):
        call = next((c for c in self.calls if c.call_id == m.get("call-id")), None)
        if m.status:
            if m.branch in self.waiting:
                self.waiting[m.branch].put(m)
            elif call and m.method == "INVITE":
                self.invited(call, m)
            return
        if m.method == "ACK":
            if call:
                self.acked(call, m)
            return
        if (m.branch, m.method) in self.replies:
            self.send(*self.replies[(m.branch, m.method)])
            return
        handler = {"INVITE": self.get_invite, "UPDATE": self.get_update, "BYE": self.get_bye,
                   "CANCEL": self.get_cancel, "NOTIFY": self.get_notify}.get(m.method)
        if handler:
            handler(call, m)
        else:
            self.reply(m, 200, "OK")

    @staticmethod
    def invited(call, m):
        if m.branch != call.invite:
            return
        if call.state == "up":
            call.send("ACK", call.cseq)  # the first one was lost
        elif call.state in ("calling", "ringing"):
            call.heard_of(m)

    @staticmethod
    def acked(call, m):
        if m.body:
            call.take(m.body.decode())
        if call.state == "new":
            call.state = "up"

    def get_invite(self, call, m):
        if call and m.tag("to"):
            call.answer_to(m)
            return
        call = Call(self, m.get("call-id"), m.get("from").split(";tag=")[0])
        call.invite, call.remote_tag = m, m.tag("from")
        call.local_uri = m.get("to")
        call.target = re.search(r"<([^>]+)>", m.get("contact"))[1]
        call.routes = m.all("record-route")
        call.ring()
        self.arrivals.put(call)

    def get_update(self, call, m):
        if m.body:
            call.answer_to(m)
        else:
            call.reply(200, "OK", to=m)

    def get_bye(self, call, m):
        self.reply(m, 200, "OK")
        if call:
            call.stop()

    def get_cancel(self, call, m):
        self.reply(m, 200, "OK", tag=call.local_tag if call else "none")
        if call and call.state == "new":
            call.state = "ended"
            call.reply(487, "Request Terminated")

    def get_notify(self, call, m):
        self.reply(m, 200, "OK")
        if call:
            call.notifies.append(m.body.decode())

    # -- what one does --

    def dial(self, number):
        call = Call(self, secrets.token_hex(12) + "@" + self.ip, f"<sip:{number}@pbx.test>")
        call.target = f"sip:{number}@pbx.test"
        call.dial()
        return call

    def arrival(self, seconds=20):
        """The call that comes."""
        try:
            return self.arrivals.get(timeout=seconds)
        except queue.Empty:
            raise Fail(f"{self.number} does not ring") from None


def talk(caller, callee):
    """The caller's and the callee's side of a call that is up."""
    one = caller.dial(callee.number)
    other = callee.arrival()
    other.answer()
    one.wait("up")
    return one, other
