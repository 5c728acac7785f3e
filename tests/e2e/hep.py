"""A capture server: takes HEP version 3 by UDP or TCP and takes it apart, by the specification and
by nothing of the program under test."""
import socket
import struct
import threading

NAMES = {1: "family", 2: "proto", 3: "src", 4: "dst", 5: "src", 6: "dst", 7: "sport", 8: "dport",
         9: "seconds", 10: "micros", 11: "type", 12: "node", 14: "key", 15: "payload", 17: "id",
         19: "name"}
SIZES = {1: 1, 2: 1, 3: 4, 4: 4, 5: 16, 6: 16, 7: 2, 8: 2, 9: 4, 10: 4, 11: 1, 12: 4}


def parse(data):
    """The chunks of one packet by name; ValueError if it is none."""
    if data[:4] != b"HEP3" or struct.unpack(">H", data[4:6])[0] != len(data):
        raise ValueError(f"no HEP packet: {data[:16]!r} of {len(data)} bytes")
    found, at = {}, 6
    while at < len(data):
        vendor, kind, size = struct.unpack(">HHH", data[at:at + 6])
        value = data[at + 6:at + size]
        if vendor or kind not in NAMES or size < 6 or at + size > len(data):
            raise ValueError(f"chunk {vendor}.{kind} of {size} bytes at {at}")
        if kind in SIZES and len(value) != SIZES[kind]:
            raise ValueError(f"chunk {kind} of {len(value)} bytes")
        if NAMES[kind] in found:
            raise ValueError(f"chunk {kind} twice")
        if kind in (3, 4, 5, 6):
            value = socket.inet_ntop(socket.AF_INET if kind < 5 else socket.AF_INET6, value)
        elif kind in SIZES:
            value = int.from_bytes(value, "big")
        elif kind in (17, 19, 14):
            value = value.decode()
        found[NAMES[kind]] = value
        at += size
    return found


class Collector:
    """Listens at 127.0.0.1, a port of its own; `packets` grows. away: nobody is there before
    begin()."""

    def __init__(self, tcp=False, away=False):
        self.tcp, self.raw, self.packets, self.wrong = tcp, [], [], []
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self.sock.bind(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.sock.getsockname()[1]
        if not away:
            self.begin()

    def begin(self):
        if self.tcp:
            self.sock.listen(5)
        threading.Thread(target=self.accept if self.tcp else self.receive, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()

    def take(self, data):
        try:
            self.packets.append(parse(data))
            self.raw.append(data)
        except ValueError as error:
            self.wrong.append(str(error))

    def receive(self):
        while True:
            try:
                data = self.sock.recv(65536)
            except OSError:
                return
            if not data:
                return
            self.take(data)

    def accept(self):
        while True:
            try:
                conn, _ = self.sock.accept()
            except OSError:
                return
            threading.Thread(target=self.stream, args=(conn,), daemon=True).start()

    def stream(self, conn):
        data = b""
        while True:
            try:
                piece = conn.recv(65536)
            except OSError:
                return
            if not piece:
                return
            data += piece
            while len(data) >= 6:
                size = struct.unpack(">H", data[4:6])[0]
                if len(data) < size:
                    break
                self.take(data[:size])
                data = data[size:]

    def sip(self):
        return [p for p in self.packets if p["type"] == 1]
