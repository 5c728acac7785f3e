"""Peers that write nonsense, and connections that behave badly: each gets its answer, and a plain
call works afterwards."""
import csv
import os
import random
import re
import shutil
import socket
import struct
import subprocess

import judge
import sip
from case_call import callee, caller, finish, outside, phone, register
from lab import Skip, case, check, equal

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data", "torture")


def plain_call(lab, n):
    """A call as on any day, the n-th of the lab."""
    register(lab, "1427")
    p27 = callee(lab, phone("1427").ring_in().answer().get_bye())
    trk = caller(lab, outside(lab).invite().answered().ack().bye())
    finish(trk, p27)
    # A record of the nonsense before it may come later.
    def good():
        return [r for r in lab.cdr_rows(n) or () if r["disposition"] == "ANSWERED"]
    rows = lab.until(good, 20, "a plain call afterwards")
    equal(len(rows), 1, "calls that were answered")


@case("sipsak")
def sipsak_case(lab):
    if not shutil.which("sipsak"):
        raise Skip("sipsak is not installed")
    lab.start()
    # With -H it does not look up the name of this machine, which may be nowhere.
    done = subprocess.run(["sipsak", "-H", lab.ip(55), "-vv", "-s",
                           f"sip:ping@{lab.pbx}:5060"], timeout=20,
                          capture_output=True, text=True, check=False)
    check(done.returncode == 0, f"sipsak: {done.returncode}: {done.stdout[-200:]}")
    check("200 OK" in done.stdout, "sipsak saw no 200: " + done.stdout[-200:])
    for method in ("INVITE", "ACK", "CANCEL", "BYE", "OPTIONS"):
        check(method in done.stdout, f"Allow lacks {method}")
    # It finds servers by their domain, so this one's is an address.
    config = lab.config()
    config["sip"]["domain"] = lab.pbx
    lab.server.end()
    lab.start(config)
    done = subprocess.run(["sipsak", "-H", lab.ip(55), "-U", "-C",
                           f"sip:109Q1427@{lab.ip(55)}:5060", "-x", "600",
                           "-u", "109Q1427", "-a", "secret-1427", "-s",
                           f"sip:109Q1427@{lab.pbx}:5060"], timeout=20,
                          capture_output=True, text=True, check=False)
    check(done.returncode == 0, f"sipsak -U: {done.returncode}: {done.stdout[-200:]}")
    equal(lab.ctl("registrations")[0]["contact"], f"sip:109Q1427@{lab.ip(55)}:5060", "contact")


# ---- torture -------------------------------------------------------------------------------------------

# A request that is well formed and meant for nobody here may be refused in these ways: the sender
# is unknown (401, 403, 407), so is the target (404, 416, 420, 480), or the method (405, 481, 501).
NORMAL = {"200", "202", "401", "403", "404", "405", "407", "415", "416", "420", "480", "481",
          "482", "483", "488", "489", "501", "503"}


def manifest():
    with open(os.path.join(DATA, "manifest.tsv"), encoding="utf-8", newline="") as f:
        return list(csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE))


def torture_bytes(row, proto, ip, port):
    """The message with its topmost Via led back to us, or the answer would go to example.com."""
    with open(os.path.join(DATA, row["file"]), "rb") as f:
        data = f.read()
    head, gap, rest = data.partition(b"\r\n")
    if row["file"] in RAW_VIA or data.startswith(b"SIP/"):
        return data
    ours = (f"Via: SIP/2.0/{proto.upper()} {ip}:{port};branch=z9hG4bKt{random.randrange(1 << 40)}"
            f";rport\r\n")
    # What the file's own topmost Via does to a parser stays in it, one line lower.
    return head + gap + ours.encode() + rest


# Their Via, or its absence, is the point, or nothing can be put into them.
RAW_VIA = {"rfc4475/badbranch.dat", "rfc4475/insuf.dat", "rfc4475/test.dat",
           "rfc4475/badvers.dat", "rfc4475/inv2543.dat"}


def endless(row):
    """Whether a stream cannot tell where the message ends (RFC 3261 section 18.3)."""
    with open(os.path.join(DATA, row["file"]), "rb") as f:
        head, gap, body = f.read().partition(b"\r\n\r\n")
    lengths = re.findall(rb"(?im)^(?:content-length|l)\s*:\s*(.*?)\s*$", head)
    return not gap or len(lengths) != 1 or not lengths[0].isdigit() or int(lengths[0]) > len(body)


def allowed(row):
    wanted = set(row["acceptable_outcome"].split("|"))
    if "NORMAL" in wanted:
        wanted |= NORMAL
    if wanted & {"404", "406", "415", "416", "420", "483"} or row["file"] == "rfc4475/unksm2.dat":
        wanted |= {"401", "407", "403"}  # who it is comes before what it wants
    if "RESPONSE" in wanted:
        wanted = {"DROP"}  # it matches no request of ours
    return wanted


def ask_torture(lab, row, proto, fine):
    """What is answered to a torture message: a status, DROP, or CLOSED."""
    with sip.Peer(lab.ip(66), (lab.pbx, 5060), proto, 0) as peer:
        peer.send(torture_bytes(row, proto, peer.ip, peer.port))
        # What must come is waited for.
        wait = 10 if "DROP" not in fine else 0.25 if fine <= {"DROP", "CLOSED"} else 1.0
        answer = peer.receive(wait)
        while answer and answer.status and answer.status < 200:
            answer = peer.receive(wait)
        if answer:
            return str(answer.status), answer
        return "CLOSED" if proto == "tcp" and peer.closed(0.05) else "DROP", None


def fine_answers(row, proto):
    fine = allowed(row)
    if row["file"] in RAW_VIA:
        fine |= {"DROP"}  # the answer goes where their Via says
    if row["parser_must"] == "reject" and proto == "tcp":
        fine |= {"CLOSED"}
    if proto == "tcp" and endless(row):
        fine |= {"400", "CLOSED", "DROP"}
    return fine


def torture(lab, proto):
    lab.echoed = True
    config = lab.config()
    config["auth"] = {"ban_after": 0}
    lab.start(config)
    wrong, answers = [], []
    for row in manifest():
        fine = fine_answers(row, proto)
        got, answer = ask_torture(lab, row, proto, fine)
        if answer:
            answers.append(judge.Packet(len(answers), 0, (lab.pbx, 5060), (lab.ip(66), 0), proto,
                                        answer.raw))
        if got not in fine:
            wrong.append(f"{row['file']}: {got}, not {'|'.join(sorted(allowed(row)))}")
        lab.alive()
    plain_call(lab, 1 + len(lab.query("SELECT id FROM cdr")))
    check(not wrong, f"{len(wrong)} answers: " + "; ".join(wrong))
    if proto == "tcp":  # Wireshark loses its way in a stream with NUL in a quoted string
        lab.heard = answers


@case("torture_udp", weight=6)
def torture_udp_case(lab):
    """RFC 4475 and RFC 5118 over UDP."""
    torture(lab, "udp")


@case("torture_tcp", weight=6)
def torture_tcp_case(lab):
    """RFC 4475 and RFC 5118 over TCP, a connection each."""
    torture(lab, "tcp")


# ---- streams -------------------------------------------------------------------------------------------

def options(peer):
    return peer.build("OPTIONS", "sip:pbx.test")


def answered(peer, n=1, seconds=10):
    """The next n messages are 200s."""
    for i in range(n):
        m = peer.receive(seconds)
        equal(m and m.status, 200, f"answer {i + 1} of {n}")


@case("tcp_pieces")
def tcp_pieces_case(lab):
    """A message byte by byte, many in one segment, cut anywhere, with CRLF between them."""
    lab.start()
    server = (lab.pbx, 5060)
    with sip.Peer(lab.ip(66), server, "tcp", 0) as peer:
        for byte in options(peer).encode():
            peer.send(bytes([byte]))
        answered(peer)
        peer.send("".join(options(peer) for _ in range(20)))
        answered(peer, 20)
        text = "\r\n\r\n".join(options(peer) for _ in range(10)).encode()
        cut = random.Random(7)
        while text:
            n = cut.randrange(1, 200)
            peer.send(text[:n])
            text = text[n:]
        answered(peer, 10)
    with sip.Peer(lab.ip(66), server, "tcp", 0) as peer:
        peer.send(b"\r\n\r\n")  # RFC 5626 section 4.4.1: the answer to a ping is one CRLF
        peer.sock.settimeout(10)
        equal(peer.sock.recv(10), b"\r\n", "pong")
        peer.send(options(peer))
        answered(peer)


@case("tcp_faults")
def tcp_faults_case(lab):
    """Resets, half a message, no SIP at all, too many connections: others are served meanwhile."""
    config = lab.config()
    config["limits"] = {"tcp_connections_per_source": 20, "message_bytes": 4096}
    lab.start(config)
    server = (lab.pbx, 5060)
    for i in range(20):
        with sip.Peer(lab.ip(66), server, "tcp", 0) as peer:
            peer.send(options(peer)[:10 + 7 * i])
            peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with sip.Peer(lab.ip(66), server, "tcp", 0) as peer:
        peer.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        check(peer.closed() or peer.buffer, "HTTP is left waiting")
    with sip.Peer(lab.ip(66), server, "tcp", 0) as peer:
        try:
            peer.send(b"A" * 100000)
        except ConnectionError:
            pass  # it was closed before all was sent
        check(peer.closed(), "an endless start line is read on and on")
    with sip.Peer(lab.ip(66), server, "tcp", 0) as peer:
        big = options(peer).replace("Content-Length: 0", "X-Big: " + "b" * 5000 +
                                    "\r\nContent-Length: 0")
        peer.send(big)
        m = peer.receive()
        check((m and m.status in (513, 400)) or peer.closed(), f"a message above the limit: {m}")
    crowd = [sip.Peer(lab.ip(67), server, "tcp", 0) for _ in range(30)]
    try:
        with sip.Peer(lab.ip(68), server, "tcp", 0) as peer:
            peer.send(options(peer))
            answered(peer)
        refused = sum(peer.closed() for peer in crowd[20:])
        equal(refused, 10, "connections above the limit that are closed")
        crowd[0].send(options(crowd[0]))
        answered(crowd[0])
    finally:
        for peer in crowd:
            peer.sock.close()
    plain_call(lab, 1)
    lab.cdrs(1)


@case("tcp_reset")
def tcp_reset_case(lab):
    """The phone's connection dies while it rings: the caller is told at once, not by a timer."""
    lab.start()
    with sip.Peer(lab.ip(55), (lab.pbx, 5060), "tcp", 0) as peer:
        # It is behind NAT: only the connection leads there (RFC 5626 section 3).
        peer.host = "192.168.0.55"
        _, last = peer.register("109Q1427", "secret-1427")
        equal(last and last.status, 200, "REGISTER")
        trk = caller(lab, outside(lab).invite().expect(100, optional=True).expect(180)
                     .expect(480, seconds=10).ack_failure())
        invite = peer.receive(15)
        equal(invite and invite.method, "INVITE", "what comes over the connection")
        kept = "".join(f"{line}\r\n" for line in invite.lines
                       if line.split(":")[0] in ("Via", "From", "Call-ID", "CSeq"))
        peer.send(f"SIP/2.0 180 Ringing\r\n{kept}To: {invite.get('to')};tag=1\r\n"
                  f"Contact: <sip:109Q1427@{peer.host}:{peer.port};transport=tcp>\r\n"
                  "Content-Length: 0\r\n\r\n")
        lab.until(lambda: lab.ctl("calls")[0]["state"] == "ringing", 30, "it rings")
        peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    finish(trk)
    lab.until(lambda: lab.ctl("registrations") == [], 30, "its registration ends with it")


@case("udp_noise")
def udp_noise_case(lab):
    """Random bytes and broken copies of good messages; the server answers others all the time."""
    lab.echoed = True
    config = lab.config()
    config["auth"] = {"ban_after": 0}
    lab.start(config)
    noise = random.Random(4475)
    with sip.Peer(lab.ip(66), (lab.pbx, 5060), "udp", 0) as bad, \
            sip.Peer(lab.ip(67), (lab.pbx, 5060), "udp", 0) as good:
        for round_ in range(20):
            for _ in range(30):
                data = bytearray(bad.build("INVITE", "sip:1427@pbx.test",
                                           body=sip.sdp(bad.ip)).encode())
                for _ in range(noise.randrange(1, 12)):
                    data[noise.randrange(len(data))] = noise.randrange(256)
                bad.send(bytes(data[:noise.randrange(1, len(data))] if noise.random() < 0.3
                               else data))
            bad.send(noise.randbytes(noise.randrange(1, 2000)))
            good.send(options(good))
            answered(good)
            lab.alive()
    plain_call(lab, 1 + len(lab.query("SELECT id FROM cdr")))
