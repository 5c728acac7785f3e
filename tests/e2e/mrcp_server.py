#!/usr/bin/env python3
"""A server of MRCPv2 (RFC 6787) for tests: SIP over UDP, TCP and TLS, control over TCP and TLS, RTP in
and out, nothing but the standard library.

speechsynth says a tone of 440 Hz, 60 ms for each letter of the text; speechrecog and dtmfrecog hear
energy, then its end, and answer with the first phrase of the grammar, with what --says gives, or with
nomatch ("sales|support@0.2|": one after the other, a confidence behind an @; the last stays); recorder keeps what it heard in a WAV file. `faults` make it misbehave, one word each:

  delay=S       answers SIP after so many seconds     drop=N        does not see the first N datagrams
  echo          sends each datagram back first        provisionals=N  180 N times, then 200
  refuse=CODE   refuses INVITEs                       silent        hears INVITEs, says nothing
  auth          401 with digest                       auth-loop     401 whatever comes
  no-bye        does not answer BYE                   half-close    shuts its half of the control
                                                                    connection after SPEAK or RECOGNIZE
  reorder       audio first, other lines reversed, no mid
  pending       RECOGNIZE and SPEAK stay PENDING      mute          does not answer on the control channel
  new           never shares connections              refuse-resource  gives port 0 for its channels
  no-listen     names a port where nobody listens    plain         control without TLS, whatever is offered
  hang-up=S     BYE so long after its 200 of the INVITE
  no-rtp        says nothing that is heard            no-result     understands, and does not say what
  refresh=S     INVITE with what it has said before, so long after its 200

Run alone it prints its address, and what it has seen as JSON when it is told to end by SIGTERM: 
mrcp_server.py [--address IP] [--port N] [--says TEXT] [--directory DIR] [--tls CERTIFICATE KEY] [--control-tls CERTIFICATE KEY]
[FAULT...]: with --tls it speaks SIP over TLS at the port after its own, and control over TLS if that is what is offered, by
--control-tls with another certificate."""
import argparse
import asyncio
import hashlib
import json
import math
import os
import re
import secrets
import signal
import ssl
import struct
import warnings
import wave
from xml.sax.saxutils import escape

with warnings.catch_warnings():  # it is there in every Python of Debian 12
    warnings.simplefilter("ignore")
    import audioop

RATE = 8000
FRAME = 160
MS_PER_LETTER = 60
LOUD = 500          # of 16 bits, on average
TONE = [int(12000 * math.sin(2 * math.pi * 440 * i / RATE)) for i in range(RATE)]
ULAW = audioop.lin2ulaw(struct.pack("<%dh" % RATE, *TONE), 2)


def header(text, name):
    m = re.search(r"^%s[ \t]*:[ \t]*(.*?)\r?$" % re.escape(name), text, re.I | re.M)
    return m.group(1) if m else None


class Rtp(asyncio.DatagramProtocol):
    """The audio of one session: a tone out, energy in."""

    def __init__(self, session):
        self.session, self.peer, self.transport = session, None, None
        self.seq, self.stamp, self.ssrc = secrets.randbits(15), secrets.randbits(31), secrets.randbits(32)
        self.heard = []  # of the recorder
        self.loud = self.quiet = 0  # frames

    def connection_made(self, transport):
        self.transport = transport

    def error_received(self, exc):
        pass

    def datagram_received(self, data, addr):
        if len(data) < 12 or 192 <= data[1] <= 223:
            return
        if data[1] & 127 not in (0, 8):
            if data[1] & 127 == 101:
                self.session.key(data[12:16])
            return
        linear = (audioop.ulaw2lin if data[1] & 127 == 0 else audioop.alaw2lin)(data[12:], 2)
        self.session.server.rtp_in += 1
        if self.session.recording:
            self.heard.append(linear)
        if audioop.rms(linear, 2) > LOUD:
            self.loud, self.quiet = self.loud + 1, 0
        else:
            self.quiet += 1
        self.session.listen()

    def send(self, payload):
        if self.peer:
            mark = 0x80 if self.stamp % 0x10000 == 0 else 0
            self.transport.sendto(struct.pack("!BBHII", 0x80, mark, self.seq, self.stamp, self.ssrc)
                                  + payload, self.peer)
        self.seq = self.seq + 1 & 0xffff
        self.stamp = self.stamp + FRAME & 0xffffffff


class Rtcp(asyncio.DatagramProtocol):
    """Counts BYEs (RFC 3550 section 6.6) in what comes."""

    def __init__(self, server):
        self.server, self.transport = server, None

    def connection_made(self, transport):
        self.transport = transport

    def error_received(self, exc):
        pass

    def datagram_received(self, data, addr):
        while len(data) >= 4:
            self.server.rtcp_byes += data[1] == 203
            data = data[4 * (struct.unpack("!H", data[2:4])[0] + 1):]


class Session:
    """A SIP dialog and its channels."""

    def __init__(self, server, call_id):
        self.server, self.call_id = server, call_id
        self.id = secrets.token_hex(8)
        self.channels = {}   # resource: its identifier
        self.rtp = self.rtcp = self.recording = None
        self.version = 0
        self.answer = self.ok = None
        self.speaking, self.queue = None, []  # synth: (request, writer, frames)
        self.recognizing = None               # (request, writer, phrases, channel)
        self.timer = self.talker = None
        self.started, self.keys = False, ""

    async def open(self):
        loop = asyncio.get_running_loop()
        while self.rtcp is None:  # a pair of ports
            _, self.rtp = await loop.create_datagram_endpoint(
                lambda: Rtp(self), local_addr=(self.server.address, 0))
            port = self.rtp.transport.get_extra_info("sockname")[1]
            try:
                _, self.rtcp = await loop.create_datagram_endpoint(
                    lambda: Rtcp(self.server), local_addr=(self.server.address, port + 1))
            except OSError:
                self.rtp.transport.close()

    def close(self):
        for task in (self.talker, self.timer):
            if task:
                task.cancel()
        if self.rtp:
            self.rtp.transport.close()
            # What ends the stream comes about when the BYE does.
            asyncio.get_running_loop().call_later(2, self.rtcp.transport.close)
        for name in self.channels.values():
            self.server.by_channel.pop(name, None)

    # ---- SDP ----------------------------------------------------------------------------------------

    def describe(self, offer):
        """The answer to an offer."""
        blocks = re.split(r"(?m)^(?=m=)", offer.replace("\r\n", "\n"))
        host = re.search(r"(?m)^c=IN IP4 (\S+)", offer).group(1)
        out = []
        for block in blocks[1:]:
            what, port = re.match(r"m=(\w+) (\d+)", block).groups()
            if what == "audio":
                out.append(self.audio(block, host, int(port)))
                continue
            resource = re.search(r"a=resource:(\w+)", block)
            proto = "TCP/MRCPv2" if "plain" in self.server.faults else block.split()[2]
            if port == "0" or "refuse-resource" in self.server.faults or not resource:
                out.append(f"m=application 0 {proto} 1\r\n")
                continue
            wanted = re.search(r"a=connection:(\w+)", block).group(1)
            shared = "new" if "new" in self.server.faults else wanted
            out.append(self.control(resource.group(1), shared, proto))
        gone = set(self.channels) - set(re.findall(r"a=resource:(\w+)", offer))
        for resource in gone:
            self.server.by_channel.pop(self.channels.pop(resource), None)
        if "reorder" in self.server.faults:
            out = [b.replace("a=mid:1\r\n", "") for b in reversed(out)]
        self.version += 1
        ip = self.server.address
        return (f"v=0\r\no=- 1 {self.version} IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\n"
                + "".join(out))

    def audio(self, block, host, port):
        self.rtp.peer = (host, port)
        turned = {"sendonly": "recvonly", "recvonly": "sendonly"}
        way = re.search(r"a=(sendrecv|sendonly|recvonly|inactive)", block)
        way = turned.get(way.group(1), way.group(1)) if way else "sendrecv"
        mine = self.rtp.transport.get_extra_info("sockname")[1]
        return (f"m=audio {mine} RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\n"
                f"a=rtpmap:101 telephone-event/8000\r\na={way}\r\na=mid:1\r\n")

    def control(self, resource, connection, proto):
        name = self.channels.setdefault(resource, f"{self.id}@{resource}")
        self.server.by_channel[name] = self
        port = self.server.control_tls_port if "TLS" in proto else self.server.control_port
        port = 9 if "no-listen" in self.server.faults else port
        return (f"m=application {port} {proto} 1\r\na=setup:passive\r\n"
                f"a=connection:{connection}\r\na=channel:{name}\r\na=cmid:1\r\n")

    # ---- the synthesizer -----------------------------------------------------------------------------

    def speak(self, m, writer):
        text = re.sub(r"<[^>]*>", "", m.body)
        frames = max(1, len(text.strip()) * MS_PER_LETTER // 20)
        if self.speaking or "pending" in self.server.faults:
            self.queue.append((m, writer, frames))
            m.respond(writer, 200, "PENDING")
            return
        m.respond(writer, 200, "IN-PROGRESS")
        self.speaking = (m, writer, frames)
        self.talker = asyncio.create_task(self.talk())

    async def talk(self):
        loop = asyncio.get_running_loop()
        while self.speaking:
            m, writer, frames = self.speaking
            due = loop.time()
            for i in range(frames):
                at = i * FRAME % (RATE - FRAME)
                if "no-rtp" not in self.server.faults:
                    self.rtp.send(ULAW[at:at + FRAME])
                due += 0.02
                await asyncio.sleep(max(0, due - loop.time()))
            m.event(writer, "SPEAK-COMPLETE", "COMPLETE", "Completion-Cause:000 normal\r\n")
            self.speaking = self.queue.pop(0) if self.queue else None

    def hush(self):
        """Ends what is spoken; the ids of what was."""
        ids = [x[0].id for x in ([self.speaking] if self.speaking else []) + self.queue]
        self.speaking, self.queue = None, []
        if self.talker:
            self.talker.cancel()
            self.talker = None
        return ids

    # ---- the recognizer and the recorder -------------------------------------------------------------

    def recognize(self, m, writer):
        if "pending" in self.server.faults:
            m.respond(writer, 200, "PENDING")
            return
        phrases = re.findall(r"<item>(.*?)</item>", m.body, re.S)
        self.recognizing = (m, writer, phrases)
        self.rtp.loud = self.rtp.quiet = 0
        self.started, self.keys = False, ""
        m.respond(writer, 200, "IN-PROGRESS")
        if (m.get("Start-Input-Timers") or "true").lower() == "true":
            self.input_timer()

    def record(self, m, writer):
        self.recording = self.recognizing = (m, writer, [])
        self.rtp.loud = self.rtp.quiet = 0
        self.rtp.heard, self.started = [], False
        m.respond(writer, 200, "IN-PROGRESS")

    def input_timer(self):
        ms = int(self.recognizing[0].get("No-Input-Timeout") or 5000)
        self.timer = asyncio.get_running_loop().call_later(ms / 1000, self.no_input)

    def no_input(self):
        if self.recognizing and not self.started:
            self.complete("002 no-input-timeout", "<noinput/>", "")

    def begin(self, kind):
        m, writer, _ = self.recognizing
        self.started = True
        m.event(writer, "START-OF-INPUT", "IN-PROGRESS",
                f"Input-Type:{kind}\r\nProxy-Sync-Id:{secrets.token_hex(4)}\r\n")

    def listen(self):
        """After each frame heard."""
        if not self.recognizing:
            return
        if not self.started and self.rtp.loud >= 3:
            self.begin("speech")
        final = 100 if self.recording else 25  # 2 s, 0.5 s
        if self.started and self.rtp.quiet >= final:
            if self.recording:
                self.recorded("000 success-silence")
            else:
                self.understood("speech")

    def key(self, event):
        if not self.recognizing or len(event) < 4 or not event[1] & 0x80 or event[0] > 9:
            return
        if not self.started:
            self.begin("dtmf")
        key = str(event[0])
        stamp = bytes(event[2:4])
        if getattr(self, "last_key", None) != (key, stamp):
            self.last_key = (key, stamp)
            self.keys += key

    def understood(self, mode):
        phrases = self.recognizing[2]
        says, sure = self.server.hears(phrases)
        if phrases and says not in phrases:
            self.complete("001 no-match", "<nomatch/>", "")
            return
        text = escape(says)
        self.complete("000 success", text, f'<instance>{text}</instance>', mode, sure)

    def complete(self, cause, said, instance, mode="speech", sure="0.87"):
        m, writer, _ = self.recognizing
        self.recognizing = None
        body = (f'<?xml version="1.0"?><result xmlns="{self.server.namespace}" grammar="session:g">'
                f'<interpretation confidence="{sure}">{instance or "<instance/>"}'
                f'<input mode="{mode}" confidence="0.9">{said}</input></interpretation></result>')
        m.event(writer, "RECOGNITION-COMPLETE", "COMPLETE",
                f"Completion-Cause:{cause}\r\nContent-Type:application/nlsml+xml\r\n",
                "" if "no-result" in self.server.faults else body)

    def keep(self):
        """The URI of what was recorded."""
        path = os.path.join(self.server.directory, f"{self.id}.wav")
        with wave.open(path, "wb") as w:
            w.setparams((1, 2, RATE, 0, "NONE", ""))
            w.writeframes(b"".join(self.rtp.heard))
        return f"<file://{path}>;size={os.path.getsize(path)};duration={len(self.rtp.heard) * 20}"

    def recorded(self, cause):
        m, writer, _ = self.recording
        self.recording = self.recognizing = None
        m.event(writer, "RECORD-COMPLETE", "COMPLETE",
                f"Completion-Cause:{cause}\r\nRecord-URI:{self.keep()}\r\n")

    # ---- any request ---------------------------------------------------------------------------------

    def stop(self, m, writer, resource):
        extra = ""
        if "synth" in resource:
            ids = self.hush()
        else:
            ids = [self.recognizing[0].id] if self.recognizing else []
            if self.recording:
                extra = f"Record-URI:{self.keep()}\r\n"
            self.recognizing = self.recording = None
        if ids:
            extra += "Active-Request-Id-List:" + ",".join(ids) + "\r\n"
        m.respond(writer, 200, "COMPLETE", extra)

    def request(self, m, writer):
        resource = m.channel.split("@")[1]
        if m.method == "SPEAK":
            self.speak(m, writer)
        elif m.method == "RECOGNIZE":
            self.recognize(m, writer)
        elif m.method == "RECORD":
            self.record(m, writer)
        elif m.method in ("STOP", "BARGE-IN-OCCURRED"):
            self.stop(m, writer, resource)
        elif m.method == "START-INPUT-TIMERS":
            m.respond(writer, 200 if self.recognizing else 402, "COMPLETE")
            if self.recognizing:
                self.input_timer()
        elif m.method in ("SET-PARAMS", "GET-PARAMS", "DEFINE-GRAMMAR", "DEFINE-LEXICON"):
            m.respond(writer, 200, "COMPLETE")
        else:
            m.respond(writer, 401, "COMPLETE")
        if "half-close" in self.server.faults and m.method in ("SPEAK", "RECOGNIZE"):
            writer.write_eof()


class Request:
    def __init__(self, start, head, body):
        self.method, self.id = start[2], start[3]
        self.head, self.body = head, body
        self.channel = self.get("Channel-Identifier") or ""

    def get(self, name):
        return header(self.head, name)

    @staticmethod
    def frame(writer, start, rest, body):
        if body:
            rest += f"Content-Length:{len(body.encode())}\r\n"
        tail = f" {start}\r\n{rest}\r\n{body}".encode()
        length, n = 0, -1
        while length != n:
            n = length
            length = len(f"MRCP/2.0 {n}") + len(tail)
        writer.write(f"MRCP/2.0 {length}".encode() + tail)

    def respond(self, writer, status, state, extra=""):
        self.frame(writer, f"{self.id} {status} {state}",
                   f"Channel-Identifier:{self.channel}\r\n{extra}", "")

    def event(self, writer, name, state, extra, body=""):
        self.frame(writer, f"{name} {self.id} {state}",
                   f"Channel-Identifier:{self.channel}\r\n{extra}", body)


class Server(asyncio.DatagramProtocol):
    """Everything; `await start()`, then its port is in .port."""

    def __init__(self, address="127.0.0.1", port=0, faults=(), says=None, directory="."):
        self.address, self.port, self.says, self.directory = address, port, says, directory
        self.faults = dict(f.partition("=")[::2] for f in faults)
        self.certificate = None  # (PEM, key) for SIP over TLS
        self.control_certificate = None  # of the control channel, if it is another one
        self.namespace = "urn:ietf:params:xml:ns:mrcpv2"
        self.sessions, self.by_channel = {}, {}
        self.control_port, self.control_tls_port, self.udp = 0, 9, None
        self.invites, self.byes, self.cancels, self.rtp_in, self.connections = 0, 0, 0, 0, 0
        self.rtcp_byes, self.secure, self.streams, self.heard_n = 0, 0, 0, 0
        self.branches = set()  # of requests: what is sent again is counted once
        self.datagrams = 0   # INVITEs with those that were sent again
        self.calls = []      # Call-IDs of sessions
        self.began = {}      # the first INVITE of each, if we are to refresh it
        self.requests = []   # methods on control channels
        self.ids = []        # their request-ids
        self.seen = 0
        self.tasks = set()

    async def start(self):
        loop = asyncio.get_running_loop()
        self.control = await asyncio.start_server(self.serve_control, self.address, 0)
        self.control_port = self.control.sockets[0].getsockname()[1]
        self.udp, _ = await loop.create_datagram_endpoint(lambda: self,
                                                          local_addr=(self.address, self.port))
        self.port = self.udp.get_extra_info("sockname")[1]
        self.tcp = await asyncio.start_server(self.serve_sip, self.address, self.port)
        self.tls = None
        if self.certificate:  # at the port behind the other one
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(*self.certificate)
            self.tls = await asyncio.start_server(self.serve_sip, self.address, self.port + 1,
                                                  ssl=context)
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(*(self.control_certificate or self.certificate))
            self.control_tls = await asyncio.start_server(self.serve_control, self.address, 0,
                                                          ssl=context)
            self.control_tls_port = self.control_tls.sockets[0].getsockname()[1]

    def stop(self):
        for session in list(self.sessions.values()):
            session.close()
        self.udp.close()
        self.tcp.close()
        if self.tls:
            self.tls.close()
            self.control_tls.close()
        self.control.close()

    def hears(self, phrases):
        """What is understood now, and how surely."""
        if self.says is None:
            return phrases[0] if phrases else "hello", "0.87"
        script = self.says.split("|")
        said, _, sure = script[min(self.heard_n, len(script) - 1)].partition("@")
        self.heard_n += 1
        return said, sure or "0.87"

    # ---- SIP ----------------------------------------------------------------------------------------

    def datagram_received(self, data, addr):
        self.seen += 1
        if "echo" in self.faults:
            self.udp.sendto(data, addr)
        if self.seen <= int(self.faults.get("drop", 0)):
            return
        self.later(data.decode("utf-8", "replace"), lambda b: self.udp.sendto(b, addr))

    def later(self, text, send):
        task = asyncio.create_task(self.handle(text, send))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def serve_sip(self, reader, writer):
        self.streams += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                body = await reader.readexactly(int(header(head, "Content-Length") or 0))
                self.later(head.lstrip("\r\n") + body.decode(), writer.write)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def handle(self, text, send):
        if text.startswith("SIP/2.0"):
            self.refreshed(text, send)
            return
        if "delay" in self.faults:
            await asyncio.sleep(float(self.faults["delay"]))
        method = text.split(" ", 1)[0]
        branch = (method, re.search(r"branch=([^;,\s]+)", header(text, "Via"))[1])
        again = branch in self.branches
        self.branches.add(branch)
        if method == "INVITE":
            await self.invite(text, send, again)
        elif method == "BYE":
            self.byes += not again
            session = self.sessions.pop(header(text, "Call-ID"), None)
            if session:
                session.close()
            if "no-bye" not in self.faults:
                send(self.response(text, 200, "OK"))
        elif method == "CANCEL":
            self.cancels += 1
            send(self.response(text, 200, "OK"))
        elif method == "OPTIONS":
            send(self.response(text, 200, "OK"))

    def response(self, text, code, phrase, extra="", body=""):
        copied = "".join(line + "\r\n" for line in text.split("\r\n")
                         if re.match(r"(?i)(via|from|call-id|cseq|record-route)\s*:", line))
        to = header(text, "To")
        if ";tag=" not in to and code != 100:
            to += ";tag=" + hashlib.md5(header(text, "Call-ID").encode()).hexdigest()[:8]
        contact = f"Contact: <sip:mresources@{self.address}:{self.port}>\r\n"
        kind = "Content-Type: application/sdp\r\n" if body else ""
        return (f"SIP/2.0 {code} {phrase}\r\n{copied}To: {to}\r\n{contact}{extra}{kind}"
                f"Content-Length: {len(body)}\r\n\r\n{body}").encode()

    def unauthorized(self, text):
        """None, or the challenge."""
        given = header(text, "Authorization")
        if "auth-loop" in self.faults or ("auth" in self.faults and not self.proves(given, text)):
            return ('WWW-Authenticate: Digest realm="asr", nonce="6f1c9a", qop="auth", '
                    'algorithm=MD5\r\n')
        return None

    @staticmethod
    def proves(given, text):
        """RFC 7616, with qop=auth, of alice whose password is secret."""
        if not given:
            return False
        f = dict(re.findall(r'(\w+)="?([^",]+)"?', given))
        md5 = lambda s: hashlib.md5(s.encode()).hexdigest()
        ha1, ha2 = md5("alice:asr:secret"), md5(f"INVITE:{f.get('uri')}")
        want = md5(":".join((ha1, f.get("nonce", ""), f.get("nc", ""), f.get("cnonce", ""),
                             f.get("qop", ""), ha2)))
        return f.get("username") == "alice" and f.get("response") == want

    async def invite(self, text, send, again):
        self.invites += not again
        self.datagrams += 1
        call_id = header(text, "Call-ID")
        cseq = header(text, "CSeq")
        if "silent" in self.faults:
            return
        if "refuse" in self.faults:
            send(self.response(text, int(self.faults["refuse"]), "Refused"))
            return
        challenge = self.unauthorized(text)
        if challenge:
            send(self.response(text, 401, "Unauthorized", challenge))
            return
        session = self.sessions.get(call_id)
        if session and session.ok and session.ok[0] == cseq:  # a repeated INVITE: the answer was lost
            send(session.ok[1])
            return
        if again:  # the first one is being answered
            return
        if session is None:
            session = self.sessions[call_id] = Session(self, call_id)
            self.calls.append(call_id)
            await session.open()
        for _ in range(int(self.faults.get("provisionals", 0))):
            send(self.response(text, 180, "Ringing"))
        answer = session.describe(text.partition("\r\n\r\n")[2])
        session.ok = (cseq, self.response(text, 200, "OK", body=answer))
        send(session.ok[1])
        if "hang-up" in self.faults:
            asyncio.get_running_loop().call_later(float(self.faults["hang-up"]), self.ask, "BYE", 1,
                                                  text, send)
        if "refresh" in self.faults and call_id not in self.began:
            self.began[call_id] = text
            asyncio.get_running_loop().call_later(float(self.faults["refresh"]), self.ask, "INVITE", 1,
                                                  text, send, answer)

    def ask(self, method, cseq, text, send, body=""):
        """A request of ours, in the dialog that this INVITE began."""
        ok = self.response(text, 200, "OK").decode()
        uri = re.search(r"<(.*?)>", header(text, "Contact")).group(1)
        kind = "Content-Type: application/sdp\r\n" if body else ""
        send((f"{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {self.address}:{self.port};branch=z9hG4bK"
              f"{secrets.token_hex(6)}\r\nMax-Forwards: 70\r\nFrom: {header(ok, 'To')}\r\n"
              f"To: {header(ok, 'From')}\r\nCall-ID: {header(ok, 'Call-ID')}\r\n"
              f"CSeq: {cseq} {method}\r\nContact: <sip:mresources@{self.address}:{self.port}>\r\n"
              f"{kind}Content-Length: {len(body)}\r\n\r\n{body}").encode())

    def refreshed(self, text, send):
        """The answer to our INVITE."""
        status = int(text.split(" ", 2)[1])
        if status >= 200 and header(text, "CSeq").endswith(" INVITE"):
            print(f"our INVITE: {status}", flush=True)
            self.ask("ACK", 1, self.began[header(text, "Call-ID")], send)

    # ---- control ------------------------------------------------------------------------------------

    async def serve_control(self, reader, writer):
        self.connections += 1
        self.secure += writer.get_extra_info("ssl_object") is not None
        try:
            while True:
                line = await reader.readuntil(b"\n")
                start = line.decode().split()
                rest = await reader.readexactly(int(start[1]) - len(line))
                head, _, body = rest.decode().partition("\r\n\r\n")
                m = Request(start, head, body)
                self.requests.append(m.method)
                self.ids.append(int(m.id))
                session = self.by_channel.get(m.channel)
                if "mute" in self.faults:
                    continue
                if session:
                    session.request(m, writer)
                else:
                    m.respond(writer, 405, "COMPLETE")
        except (asyncio.IncompleteReadError, ConnectionError, OSError):
            pass
        finally:
            writer.close()


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--address", default="127.0.0.1")
    p.add_argument("--port", type=int, default=0)
    p.add_argument("--says")
    p.add_argument("--directory", default=".")
    p.add_argument("--tls", nargs=2, metavar=("CERTIFICATE", "KEY"))
    p.add_argument("--control-tls", nargs=2, metavar=("CERTIFICATE", "KEY"))
    p.add_argument("faults", nargs="*")
    a = p.parse_args()

    async def run():
        server = Server(a.address, a.port, a.faults, a.says, a.directory)
        server.certificate, server.control_certificate = a.tls, a.control_tls
        await server.start()
        print(f"{server.address}:{server.port}", flush=True)
        end = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, end.set)
        await end.wait()
        print(json.dumps({name: getattr(server, name) for name in (
            "invites", "datagrams", "byes", "cancels", "connections", "secure", "streams", "calls", "requests", "ids", "rtp_in", "rtcp_byes")}
            | {"left": len(server.sessions)}), flush=True)
        server.stop()

    asyncio.run(run())


if __name__ == "__main__":
    main()
