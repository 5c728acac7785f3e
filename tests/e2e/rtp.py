"""RTP and RTCP of test phones, packet by packet (RFC 3550): what is sent is counted, some of it is lost on
purpose, sender reports are answered, and all RTCP that comes is kept. In the place of tone.Bench."""
import secrets
import socket
import struct
import threading
import time

STEP = 160  # ticks of a packet of 20 ms
SR, RR, SDES, BYE, XR = 200, 201, 202, 203, 207


def ntp_now():
    return int((time.time() + 2208988800) * 65536) & 0xFFFFFFFF


class End:
    """One RTP session of a phone. lose_tx, lose_rx: each so-many-th packet is lost on its way to and
    from the exchange; 0: none."""

    def __init__(self, address, port, lose_tx, lose_rx):
        self.address, self.port, self.lose = address, port, (lose_tx, lose_rx)
        self.rtp, self.rtcp = self.bound(port), self.bound(port + 1)
        self.remote, self.mux, self.pt = None, False, 0
        self.ssrc, self.seq, self.ts = secrets.randbits(32), secrets.randbits(16), secrets.randbits(32)
        self.sent = self.lost_tx = self.got = self.lost_rx = 0
        self.first = self.highest = None
        self.far_ssrc, self.lsr, self.lsr_at = None, 0, 0.0
        self.reports = []  # (came on the RTP port, [(payload type, body)])
        self.ended = False
        for job in (self.send, self.receive_rtp, self.receive_rtcp):
            threading.Thread(target=job, daemon=True).start()

    def bound(self, port):
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.bind((self.address, port))
        s.settimeout(0.2)
        return s

    def close(self):
        self.ended = True

    # -- out --

    def send(self):
        due, n = time.monotonic(), 0
        while not self.ended:
            due += 0.02
            time.sleep(max(0.0, due - time.monotonic()))
            to = self.remote  # which may be taken away meanwhile
            if not to:
                continue
            n += 1
            self.seq, self.ts = (self.seq + 1) & 0xFFFF, (self.ts + STEP) & 0xFFFFFFFF
            if self.lose[0] and n % self.lose[0] == 0:
                self.lost_tx += 1
            else:
                head = struct.pack("!BBHII", 0x80, self.pt, self.seq, self.ts, self.ssrc)
                self.rtp.sendto(head + bytes([0x55 + n % 2]) * STEP, to)
                self.sent += 1
            if n % 50 == 0:
                self.report(to)

    def report(self, to):
        """SR, with a block about the far end once it has reported itself, and SDES."""
        blocks = b""
        if self.far_ssrc is not None and self.highest is not None:
            expected = self.highest - self.first + 1
            lost = max(0, expected - self.got)
            delay = int((time.monotonic() - self.lsr_at) * 65536) if self.lsr else 0
            blocks = struct.pack("!IB3sIIII", self.far_ssrc, 256 * lost // expected,
                                 lost.to_bytes(3, "big"), self.highest, 40, self.lsr, delay)
        ntp = ntp_now()
        sr = struct.pack("!IIIIII", self.ssrc, ntp >> 16, (ntp & 0xFFFF) << 16, self.ts, self.sent,
                         self.sent * STEP)
        name = b"phone@test"
        item = struct.pack("!IBB", self.ssrc, 1, len(name)) + name
        item += bytes(4 - len(item) % 4)
        packet = (struct.pack("!BBH", 0x80 | bool(blocks), SR, (len(sr) + len(blocks)) // 4) + sr +
                  blocks + struct.pack("!BBH", 0x81, SDES, len(item) // 4) + item)
        if self.mux:
            self.rtp.sendto(packet, to)
        else:
            self.rtcp.sendto(packet, (to[0], to[1] + 1))

    # -- in --

    def read(self, sock):
        try:
            return sock.recv(2048)
        except socket.timeout:
            return b""
        except OSError:
            return b""

    def receive_rtp(self):
        n = 0
        while not self.ended:
            data = self.read(self.rtp)
            if len(data) < 12:
                continue
            if 192 <= data[1] <= 223:
                self.take_rtcp(data, True)
                continue
            n += 1
            if self.lose[1] and n % self.lose[1] == 0:
                self.lost_rx += 1
                continue
            seq = struct.unpack("!H", data[2:4])[0]
            self.far_ssrc = struct.unpack("!I", data[8:12])[0]
            if self.first is None:
                self.first = self.highest = seq
            ahead = (seq - self.highest) & 0xFFFF
            if ahead < 0x8000:
                self.highest += ahead
            self.got += 1

    def receive_rtcp(self):
        while not self.ended:
            data = self.read(self.rtcp)
            if data:
                self.take_rtcp(data, False)

    def take_rtcp(self, data, on_rtp_port):
        """A compound packet (RFC 3550 section 6.1), cut up."""
        parts, at = [], 0
        while at + 4 <= len(data):
            size = 4 * (struct.unpack("!H", data[at + 2:at + 4])[0] + 1)
            parts.append((data[at + 1], data[at + 4:at + size]))
            at += size
        assert at == len(data), f"RTCP of {len(data)} bytes ends at {at}"
        if parts[0][0] == SR:
            self.lsr = struct.unpack("!I", parts[0][1][6:10])[0]
            self.lsr_at = time.monotonic()
        self.reports.append((on_rtp_port, parts))

    def kinds(self):
        return [kind for _, parts in self.reports for kind, _ in parts]


class Wire:
    """What tone.Call asks of a bench, done by an End for each ear."""

    def __init__(self, lab):
        self.lab, self.name, self.complaints = lab, "rtp", None
        self.phones, self.ends, self.loses = [], {}, {}
        lab.jobs.append(self)

    def running(self):
        return True

    def end(self):
        for phone in self.phones:
            phone.close()
        for end in self.ends.values():
            end.close()

    def tell(self, what, ear, *words):
        if what == "open":
            address, port = words[0].rsplit(":", 1)
            self.ends[ear] = End(address, int(port), *self.loses.get(ear.split(".")[0], (0, 0)))
        elif what == "send":
            end, (address, port) = self.ends[ear], words[0].rsplit(":", 1)
            phone = next(p for p in self.phones if p.number == ear.split(".")[0])
            call = next(c for c in phone.calls if c.ear == ear)
            end.mux = phone.mux and call.remote.mux
            end.pt, end.remote = words[2], (address, int(port))
        elif what == "stop":
            self.ends[ear].remote = None
        return {}
