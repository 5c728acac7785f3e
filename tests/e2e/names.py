"""A name server of a few records on loopback: NAPTR, SRV, A. What it is asked is kept."""
import socket
import struct
import threading

TYPES = {"A": 1, "AAAA": 28, "SRV": 33, "NAPTR": 35}


def labels(name):
    return b"".join(bytes([len(part)]) + part.encode() for part in name.split(".") if part) + b"\0"


def text(value):
    return bytes([len(value)]) + value.encode()


def naptr(order, service, replacement):
    return struct.pack(">2H", order, 10) + text("s") + text(service) + text("") + labels(replacement)


def srv(priority, weight, port, host):
    return struct.pack(">3H", priority, weight, port) + labels(host)


def a(address):
    return socket.inet_aton(address)


class Names(threading.Thread):
    """records: {(name, type): [rdata, ...]}; anything else does not exist."""

    def __init__(self, ip, records, port=5353, ttl=30):
        super().__init__(daemon=True)
        self.records, self.ttl, self.asked = records, ttl, []
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind((ip, port))
        self.start()

    def run(self):
        while True:
            try:
                question, source = self.sock.recvfrom(1500)
            except OSError:
                return
            if not question:
                return
            self.sock.sendto(self.answer(question), source)

    def answer(self, question):
        at, parts = 12, []
        while question[at]:
            parts.append(question[at + 1:at + 1 + question[at]].decode())
            at += 1 + question[at]
        kind = struct.unpack(">H", question[at + 1:at + 3])[0]
        end = at + 5
        name = ".".join(parts).lower()
        wanted = next((k for k, v in TYPES.items() if v == kind), str(kind))
        self.asked.append((name, wanted))
        known = any(n == name for n, _ in self.records)
        found = self.records.get((name, wanted), [])
        head = question[:2] + struct.pack(">5H", 0x8580 if known else 0x8583, 1, len(found), 0, 0)
        records = b"".join(b"\xc0\x0c" + struct.pack(">2HIH", kind, 1, self.ttl, len(r)) + r
                           for r in found)
        return head + question[12:end] + records
