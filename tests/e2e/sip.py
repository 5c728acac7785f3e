"""A small SIP peer for what ready-made programs do not do: odd bytes, many registrations, a look at
every field. Knows messages, the digest of RFC 7616 and sockets; no transactions."""
import hashlib
import re
import secrets
import socket
import time

COMPACT = {"v": "via", "f": "from", "t": "to", "i": "call-id", "m": "contact",
           "l": "content-length", "c": "content-type", "k": "supported", "s": "subject",
           "e": "content-encoding", "r": "refer-to", "o": "event", "u": "allow-events",
           "b": "referred-by", "x": "session-expires"}


class Message:
    """One SIP message, read without mercy: nothing is repaired."""

    def __init__(self, raw):
        self.raw = raw
        head, self.gap, self.body = raw.partition(b"\r\n\r\n")
        unfolded = re.sub(rb"\r\n[ \t]+", b" ", head)
        lines = unfolded.decode("utf-8", "surrogateescape").split("\r\n")
        self.start = lines[0]
        self.lines = lines[1:]
        self.fields = []
        for line in self.lines:
            name, colon, value = line.partition(":")
            name = name.strip().lower()
            self.fields.append((COMPACT.get(name, name), value.strip() if colon else ""))
        words = self.start.split(" ", 2)
        self.status = self.method = self.uri = None
        if words[0].startswith("SIP/") and len(words) > 1 and words[1].isdigit():
            self.status = int(words[1])
            self.method = self.get("cseq", " ").split()[-1] if self.get("cseq") else None
        elif len(words) == 3:
            self.method, self.uri = words[0], words[1]

    def all(self, name):
        return [v for n, v in self.fields if n == name]

    def get(self, name, default=None):
        return next((v for n, v in self.fields if n == name), default)

    @property
    def request(self):
        return self.status is None

    @property
    def branch(self):
        found = re.search(r";\s*branch=([^;,\s]+)", self.get("via", ""))
        return found[1] if found else None

    def tag(self, name):
        found = re.search(r">[^>]*;\s*tag=([^;,\s]+)", self.get(name, ""))
        return found[1] if found else None

    def __str__(self):
        return self.start

    def __repr__(self):
        return f"<{self.start} {self.get('cseq')}>"


def digest_answer(challenge, user, password, method, uri, count=1):
    """The Authorization value for a challenge (RFC 7616), or None if the algorithm is unknown."""
    given = dict((k.lower(), a or b) for k, a, b in
                 re.findall(r'(\w+)=(?:"([^"]*)"|([^\s,"]+))', challenge))
    name = given.get("algorithm", "MD5")
    functions = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256,
                 "SHA-512-256": lambda d=b"": hashlib.new("sha512_256", d)}
    if name not in functions:
        return None

    def h(text):
        return functions[name](text.encode()).hexdigest()
    cnonce = secrets.token_hex(8)
    ha1 = h(f"{user}:{given['realm']}:{password}")
    ha2 = h(f"{method}:{uri}")
    nc = f"{count:08x}"
    response = h(f"{ha1}:{given['nonce']}:{nc}:{cnonce}:auth:{ha2}")
    value = (f'Digest username="{user}", realm="{given["realm"]}", nonce="{given["nonce"]}", '
             f'uri="{uri}", response="{response}", algorithm={name}, cnonce="{cnonce}", '
             f'qop=auth, nc={nc}')
    if "opaque" in given:
        value += f', opaque="{given["opaque"]}"'
    return value


class Peer:
    """A socket with an address of its own: UDP, or a connection by TCP or TLS (then with a
    context of ssl, and perhaps the name of whom it asks for)."""

    def __init__(self, ip, server, proto="udp", port=5060, context=None, name=None):
        self.ip, self.server, self.proto = ip, server, proto
        kind = socket.SOCK_DGRAM if proto == "udp" else socket.SOCK_STREAM
        self.host = f"[{ip}]" if ":" in ip else ip
        self.sock = socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET, kind)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sock.bind((ip, port))
        self.port = self.sock.getsockname()[1]
        self.buffer = b""
        self.number = 0
        self.past = set()
        if proto != "udp":
            self.sock.settimeout(20)
            self.sock.connect(server)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if proto == "tls":
            self.sock = context.wrap_socket(self.sock, server_hostname=name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def send(self, data):
        if isinstance(data, str):
            data = data.encode()
        if self.proto == "udp":
            self.sock.sendto(data, self.server)
        else:
            self.sock.sendall(data)

    def fresh(self, seconds):
        """The next message that is no copy of one before, or None. A machine that stood still has
        datagrams sent again."""
        deadline = time.monotonic() + seconds
        while m := self.receive(max(0.01, deadline - time.monotonic())):
            if self.proto != "udp":
                return m
            if m.raw not in self.past:
                self.past.add(m.raw)
                return m
        return None

    def receive(self, seconds=10):
        """The next message, or None."""
        deadline = time.monotonic() + seconds
        while True:
            message = self.cut()
            if message:
                return message
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            self.sock.settimeout(left)
            try:
                data = self.sock.recv(65536)
            except (TimeoutError, ConnectionError):
                return None
            if not data:
                return None
            if self.proto == "udp":
                return Message(data)
            self.buffer += data

    def cut(self):
        """A whole message off the front of what a stream has brought."""
        self.buffer = self.buffer.lstrip(b"\r\n") if self.proto != "udp" else b""
        head, gap, rest = self.buffer.partition(b"\r\n\r\n")
        if not gap:
            return None
        found = re.search(rb"(?im)^(?:content-length|l)\s*:\s*(\d+)", head)
        n = int(found[1]) if found else 0
        if len(rest) < n:
            return None
        self.buffer = rest[n:]
        return Message(head + gap + rest[:n])

    def closed(self, seconds=10):
        """Whether the other side closes the connection in time."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.sock.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                data = self.sock.recv(65536)
                self.buffer += data
                if not data:
                    return True
            except TimeoutError:
                return False
            except ConnectionError:
                return True
        return False

    def build(self, method, uri, fields=(), body="", user="peer", to=None, call_id=None, cseq=None,
              tag=None, max_forwards=70):
        self.number += 1
        branch = "z9hG4bK" + secrets.token_hex(6)
        me = f"<sip:{user}@{self.host}:{self.port}"
        lines = [f"{method} {uri} SIP/2.0",
                 f"Via: SIP/2.0/{self.proto.upper()} {self.host}:{self.port};branch={branch};rport",
                 f"Max-Forwards: {max_forwards}",
                 f"From: <sip:{user}@pbx.test>;tag={tag or secrets.token_hex(4)}",
                 f"To: <{to or uri}>",
                 f"Call-ID: {call_id or secrets.token_hex(16) + '@' + self.ip}",
                 f"CSeq: {cseq or self.number} {method}",
                 f"Contact: {me}{';transport=' + self.proto if self.proto != 'udp' else ''}>"]
        if any(f.lower().startswith("contact:") for f in fields):
            lines.pop()
        lines += list(fields)
        if body:
            lines.append("Content-Type: application/sdp")
        lines += [f"Content-Length: {len(body.encode())}", "", body]
        return "\r\n".join(lines)

    def ask(self, *args, seconds=10, **more):
        """Sends a request; its final response, or None."""
        text = self.build(*args, **more)
        wanted = Message(text.encode()).branch
        self.send(text)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            m = self.receive(deadline - time.monotonic())
            if m and m.status and m.status >= 200 and m.branch == wanted:
                return m
        return None

    def register(self, user, password, expires=3600, algorithm=None, fields=(), domain="pbx.test",
                 challenge=None, count=1):
        """REGISTER, with the answer to its challenge: (the 401 or None, the last response)."""
        uri = "sip:" + domain
        call_id = secrets.token_hex(16) + "@" + self.ip
        aor = f"sip:{user}@{domain}"
        fields = [*fields, f"Expires: {expires}"]
        first = None
        if challenge is None:
            first = self.ask("REGISTER", uri, fields, user=user, to=aor, call_id=call_id)
            if first is None or first.status != 401:
                return None, first
            offers = first.all("www-authenticate")
            challenge = next((c for c in offers if algorithm is None or
                              re.search(rf"algorithm=\"?{algorithm}\"?(,|\s|$)", c)), None)
            if challenge is None:
                return first, None
        answer = digest_answer(challenge, user, password, "REGISTER", uri, count)
        last = self.ask("REGISTER", uri, [*fields, "Authorization: " + answer], user=user, to=aor,
                        call_id=call_id)
        return first, last


def sdp(ip, port=30000, payloads="0 8 101"):
    maps = {"0": "PCMU/8000", "8": "PCMA/8000", "101": "telephone-event/8000", "3": "GSM/8000",
            "9": "G722/8000", "18": "G729/8000"}
    lines = ["v=0", f"o=- 1 1 IN IP4 {ip}", "s=-", f"c=IN IP4 {ip}", "t=0 0",
             f"m=audio {port} RTP/AVP {payloads}"]
    lines += [f"a=rtpmap:{p} {maps[p]}" for p in payloads.split()]
    if "101" in payloads.split():
        lines.append("a=fmtp:101 0-15")
    return "\r\n".join(lines + ["a=ptime:20", "a=sendrecv", ""])
