#!/usr/bin/env python3
"""judge.py CAPTURE ADDRESS...: what those addresses sent, judged twice: by Wireshark's dissectors
(malformed packets, expert errors) and against the grammar of RFC 3261 and RFC 8866. One finding a
line; exit status 1 if there is one."""
import json
import os
import re
import subprocess
import sys

from sip import Message

TOKEN = r"[A-Za-z0-9\-.!%*_+`'~]+"
HOST = r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9.\-]*[A-Za-z0-9.])?)"
PORT = r"(?::[0-9]{1,5})?"
URI_CHARS = r"[A-Za-z0-9\-_.!~*'()%&=+$,;?/:@\[\]]+"
PARAMS = rf"(?:\s*;\s*{TOKEN}(?:\s*=\s*(?:{TOKEN}|\"\"|\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9\-_.!~*'%+:@<>/]+))?)*"
ONCE = ("from", "to", "call-id", "cseq", "max-forwards", "content-length", "content-type",
        "expires", "date", "server", "user-agent", "min-expires", "session-expires", "min-se")
ALWAYS = ("via", "from", "to", "call-id", "cseq", "content-length")
# What a response must hold besides, by its status: RFC 3261 sections 8.2 and 21, RFC 3265.
BESIDES = {401: "www-authenticate", 407: "proxy-authenticate", 405: "allow", 420: "unsupported",
           421: "require", 423: "min-expires", 422: "min-se", 489: "allow-events"}
# What a request must hold besides.
NEEDS = {"INVITE": ["contact"], "SUBSCRIBE": ["contact", "event"], "UPDATE": ["contact"],
         "NOTIFY": ["contact", "event", "subscription-state"], "PRACK": ["rack"],
         "REFER": ["contact", "refer-to"]}
WARN_SEVERITY, ERROR_SEVERITY = 0x600000, 0x800000  # of Wireshark's expert infos


class Packet:
    def __init__(self, number, seconds, source, target, proto, raw):
        self.number, self.seconds, self.proto = number, seconds, proto
        self.source, self.target = source, target  # (address, port)
        self.message = Message(raw)

    def __repr__(self):
        return f"{self.number} {self.source[0]}>{self.target[0]} {self.message!r}"


# ---- reading ---------------------------------------------------------------------------------------

def tshark(capture, *words):
    argv = ["tshark", "-n", "-r", capture, "-o", "tcp.desegment_tcp_streams:TRUE",
            "-o", "tcp.reassemble_out_of_order:TRUE", "-o", "sip.desegment_body:TRUE",
            "-d", "tcp.port==5060,sip", "-d", "udp.port==5060,sip", "-d", "udp.port==5080,sip",
            "-d", "tcp.port==5080,sip", *words]
    keys = os.path.join(os.path.dirname(os.path.abspath(capture)), "keys.log")
    if os.path.exists(keys):  # what the peers have written down of their TLS sessions
        argv += ["-o", "tls.keylog_file:" + keys]
    done = subprocess.run(argv, capture_output=True, timeout=120, check=False)
    if done.returncode and not done.stdout:
        raise RuntimeError("tshark: " + done.stderr.decode("utf-8", "replace")[-300:])
    return done.stdout


def layer_ports(layers):
    for proto in ("udp", "tcp"):
        if proto in layers:
            part = layers[proto]
            part = part[0] if isinstance(part, list) else part
            return proto, int(part[proto + ".srcport"]), int(part[proto + ".dstport"])
    return None, 0, 0


def packets(capture):
    """Every SIP message of the capture, in order, streams put together."""
    text = tshark(capture, "-Y", "sip", "-T", "json", "-x", "--no-duplicate-keys",
                  "-j", "frame ip ipv6 udp tcp sip")
    found = []
    for entry in json.loads(text or b"[]"):
        layers = entry["_source"]["layers"]
        raw = layers.get("sip_raw")
        proto, sport, dport = layer_ports(layers)
        if not raw or not proto:
            continue
        ip = layers.get("ip") or layers.get("ipv6")
        kind = "ip" if "ip" in layers else "ipv6"
        frame = layers["frame"]
        for piece in raw if isinstance(raw[0], list) else [raw]:
            data = bytes.fromhex(piece[0])
            if data.strip(b"\r\n\0 "):
                found.append(Packet(int(frame["frame.number"]), float(frame["frame.time_epoch"]),
                                    (ip[kind + ".src"], sport), (ip[kind + ".dst"], dport), proto,
                                    data))
    return found


# TCP's own troubles, repeated requests and what speaks of itself are no fault of the sender.
HARMLESS = ("Duplicate", "Unencrypted", "This frame", "Connection", "Previous", "Response", "ACKed",
            "D-SACK", "Source port")


def expert_finding(severities, messages, malformed):
    """What Wireshark's experts have against a packet, or None."""
    grave = [words for words, level in zip(messages, severities)
             if level >= ERROR_SEVERITY or (level >= WARN_SEVERITY and
                                            not words.startswith(HARMLESS))]
    if malformed or grave:
        return f"{'malformed ' if malformed else ''}{'; '.join(grave)}"
    return None


def dissector_findings(capture, addresses):
    """Packets that Wireshark calls malformed or wrong, and datagrams from a SIP port of ours that
    are no SIP at all."""
    ours = " || ".join(f"ip.src=={a}" for a in addresses)
    wrong = f"_ws.malformed || _ws.expert.severity >= {WARN_SEVERITY}"
    text = tshark(capture, "-Y", f"({ours}) && !icmp && (((sip || sdp || rtp || rtcp) && ({wrong}))"
                  f" || (udp.srcport==5060 && !sip && udp.length > 12))",
                  "-T", "fields", "-E", "separator=/t", "-E", "aggregator=|",
                  *(x for field in ("frame.number", "frame.protocols", "_ws.expert.severity",
                                    "_ws.expert.message", "_ws.malformed", "udp.payload")
                    for x in ("-e", field)))
    found = []
    for line in text.decode("utf-8", "replace").splitlines():
        number, protocols, severities, messages, malformed, payload = \
            (line.split("\t") + [""] * 6)[:6]
        names = protocols.split(":")
        why = None
        if {"sip", "sdp", "rtp", "rtcp"} & set(names):
            levels = [int(s) for s in severities.split("|") if s.isdigit()]
            why = expert_finding(levels, messages.split("|"), malformed)
        # Answers to the port of another protocol are taken for that one's.
        elif not re.match(rb"SIP/2\.0 [1-6]\d\d |\S+ \S+ SIP/2\.0\r\n", bytes.fromhex(payload)):
            why = "no SIP from a SIP port"
        if why:
            found.append(f"frame {number}: dissector {names[-1]}: {why}")
    return found


# ---- the grammar -----------------------------------------------------------------------------------

def unquoted(value):
    """Quoted strings emptied, so that what is in them disturbs nothing."""
    return re.sub(r'"(?:\\[^\r\n]|[^"\\])*"', '""', value)


def split_list(value):
    """Elements of a comma list; commas in quotes and angle brackets do not count."""
    parts, depth, quoted, last, skip = [], 0, False, 0, False
    for i, c in enumerate(value):
        if skip:
            skip = False
        elif c == "\\" and quoted:
            skip = True
        elif c == '"':
            quoted = not quoted
        elif not quoted and c in "<>":
            depth += 1 if c == "<" else -1
        elif c == "," and not quoted and depth == 0:
            parts.append(value[last:i])
            last = i + 1
    return [p.strip() for p in parts + [value[last:]]]


def bad_uri(uri):
    if re.match(r"(?i)sips?:", uri):
        rest = uri.split(":", 1)[1]
        user, at, host = rest.rpartition("@")
        if at and not re.fullmatch(r"[A-Za-z0-9\-_.!~*'()%&=+$,;?/]+(?::[A-Za-z0-9\-_.!~*'()%&=+$,]*)?",
                                   user):
            return "user part"
        if not re.fullmatch(rf"{HOST}{PORT}(?:[;?].*)?", host):
            return "host part"
        return None if re.fullmatch(URI_CHARS, rest) else "characters"
    if re.match(r"(?i)tel:", uri):
        return None if re.fullmatch(r"(?i)tel:\+?[0-9A-F*#().\-]+(?:;.*)?", uri) else "tel number"
    return None if re.fullmatch(rf"[A-Za-z][A-Za-z0-9+.\-]*:{URI_CHARS}", uri) else "scheme"


def bad_name_addr(value):
    plain = unquoted(value)
    if plain.count('"') % 2:
        return "open quote"
    found = re.fullmatch(rf"(?:\"\"\s*|(?:{TOKEN}\s*)*)<([^<>\s]+)>({PARAMS})\s*", plain)
    if found:
        return bad_uri(found[1])
    found = re.fullmatch(rf"([A-Za-z][A-Za-z0-9+.\-]*:[^<>\s\";?,]+)({PARAMS})\s*", plain)
    return bad_uri(found[1]) if found else "neither name-addr nor addr-spec"


def judge_start(m, complain):
    if m.request:
        found = re.fullmatch(rf"({TOKEN}) (\S+) SIP/2\.0", m.start)
        if not found:
            complain("start line: " + m.start[:80])
        elif bad_uri(found[2]):
            complain(f"Request-URI, {bad_uri(found[2])}: {found[2]}")
        elif found[2].startswith("sip") and "?" in found[2]:
            complain(f"Request-URI with header fields: {found[2]}")  # RFC 3261 19.1.1, table 1
    elif not re.fullmatch(r"SIP/2\.0 [1-6][0-9][0-9] [^\r\n\x00]*", m.start):
        complain("status line: " + m.start[:80])


def judge_lines(m, complain, echoed=False):
    head = m.raw[:len(m.raw) - len(m.body)]
    if not m.gap:
        complain("no empty line")
    if re.search(rb"(?<!\r)\n|\r(?!\n)", head):
        complain("a CR or LF alone")
    if not echoed and re.search(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", head):
        complain("a control character")
    for line in m.lines:
        if not re.fullmatch(rf"{TOKEN}[ \t]*:.*", line):
            complain("header line: " + repr(line[:60]))
    for name in ONCE:
        if len(m.all(name)) > 1:
            complain("repeated " + name)
    for name in ALWAYS:
        if not m.all(name):
            complain("missing " + name)


def judge_identity(m, complain):
    for name in ("from", "to"):
        value = m.get(name, "")
        why = bad_name_addr(value)
        if why:
            complain(f"{name}, {why}: {value[:80]}")
        tag = re.search(r";\s*tag\s*=\s*([^;\s]+)", re.sub(r"<[^>]*>", "", unquoted(value)))
        if not tag and (name == "from" or (m.status or 100) > 100):
            # A request of RFC 2543 has no tag to give back (RFC 3261 section 8.2.6.2).
            if name == "to" or m.request:
                complain(f"{name} without a tag")
    for name in ("contact", "route", "record-route", "p-asserted-identity", "refer-to",
                 "referred-by", "diversion", "history-info"):
        for value in m.all(name):
            for one in split_list(value):
                if one != "*" and bad_name_addr(one):
                    complain(f"{name}, {bad_name_addr(one)}: {one[:80]}")
    if not re.fullmatch(r"[^\s@]+(?:@[^\s@]+)?", m.get("call-id", "")):
        complain("Call-ID: " + m.get("call-id", "")[:80])


def judge_via(m, complain, echoed):
    for i, via in enumerate(v for value in m.all("via") for v in split_list(value)):
        found = re.fullmatch(rf"SIP\s*/\s*2\.0\s*/\s*({TOKEN})\s+({HOST})\s*{PORT}(\s*;.*)?", via)
        if not found:
            if not echoed:
                complain("Via: " + via[:80])
            continue
        branch = re.search(r";\s*branch\s*=\s*([^;\s]+)", found[3] or "")
        if i == 0 and m.request and not (branch and re.fullmatch(r"z9hG4bK[^\s;,]{4,}", branch[1])):
            complain("branch of our Via: " + via[:80])


def judge_sequence(m, complain):
    found = re.fullmatch(rf"([0-9]+)[ \t]+({TOKEN})", m.get("cseq", ""))
    if not found:
        complain("CSeq: " + m.get("cseq", "")[:60])
    elif m.request:
        if int(found[1]) >= 1 << 31:
            complain("CSeq number " + found[1])
        if found[2] != m.method:
            complain("CSeq of another method")
    if m.request:
        hops = m.get("max-forwards")
        if hops is None or not re.fullmatch(r"[0-9]{1,3}", hops) or int(hops) > 255:
            complain(f"Max-Forwards: {hops}")


def judge_needs(m, complain):
    needed = NEEDS.get(m.method, []) if m.request else []
    if m.status in BESIDES:
        needed = [BESIDES[m.status]]
    if m.status and 300 <= m.status < 400:
        needed = ["contact"]
    if m.status and m.status // 100 == 2 and m.method == "INVITE":
        needed = ["contact"]
    if m.status and m.status // 100 == 2 and m.method == "SUBSCRIBE":
        needed = ["expires"]
    for name in needed:
        if not m.all(name):
            complain(f"{m.method if m.request else m.status} without {name}")
    if m.status and 100 < m.status < 200 and "100rel" in ",".join(m.all("require")):
        if not m.get("rseq"):
            complain("100rel without RSeq")
    for value in m.all("date"):
        if not re.fullmatch(r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT", value):
            complain("Date: " + value)
    for name in ("expires", "min-expires", "rseq", "content-length"):
        for value in m.all(name):
            if not re.fullmatch(r"[0-9]{1,10}", value):
                complain(f"{name}: {value[:40]}")


def judge_body(m, complain):
    length = m.get("content-length", "")
    if length.isdigit() and int(length) != len(m.body):
        complain(f"Content-Length {length}, but {len(m.body)} bytes of body")
    if m.body and not m.get("content-type"):
        complain("a body without Content-Type")
    kind = m.get("content-type", "")
    if m.body and kind.lower().startswith("application/sdp"):
        judge_sdp(m.body, complain)
    if m.body and kind.lower().startswith("multipart/"):
        judge_parts(m.body, kind, complain)


def judge_parts(body, kind, complain):
    """RFC 2046 section 5.1: each part by itself, between delimiters that end as they should."""
    found = re.search(r'boundary="?([^";]+)', kind)
    if not found:
        complain("a multipart without a boundary")
        return
    line = b"--" + found[1].encode()
    first, *parts = (b"\r\n" + body).split(b"\r\n" + line)
    if first or len(parts) < 2 or parts[-1] != b"--\r\n":
        complain("the delimiters of a multipart")
    for part in parts[:-1]:
        head, gap, text = part.partition(b"\r\n\r\n")
        if not gap or not head.startswith(b"\r\n"):
            complain("a part without an empty line")
        elif b"application/sdp" in head.lower():
            judge_sdp(text, complain)


def judge_message(packet, echoed=False):
    """The findings about one message. echoed: a response may repeat what a peer wrote wrongly."""
    found = []
    m = packet.message

    def complain(why):
        found.append(f"frame {packet.number} ({m.start[:50]}, {m.get('cseq')}): {why}")
    judge_start(m, complain)
    judge_lines(m, complain, echoed and not m.request)
    if not echoed or m.request:
        judge_identity(m, complain)
        judge_sequence(m, complain)
    judge_via(m, complain, echoed)
    judge_needs(m, complain)
    judge_body(m, complain)
    return found


# ---- session descriptions ----------------------------------------------------------------------------

def judge_sdp(body, complain):
    def wrong(why):
        complain("SDP: " + why)
    if not body.endswith(b"\r\n") or re.search(rb"(?<!\r)\n", body):
        wrong("line ends")
    lines = body.decode("utf-8", "replace").split("\r\n")[:-1]
    for line in lines:
        if not re.fullmatch(r"[a-z]=\S.*|s= ?", line):
            wrong("line " + repr(line[:60]))
    letters = "".join(line[:1] for line in lines)
    session, *media = letters.split("m")
    # RFC 8866 section 9: the order of lines is fixed.
    if not re.fullmatch(r"vosi?u?e*p*c?b*(?:tr*)+z?k?a*", session):
        wrong("order of the session's lines: " + session)
    for part in media:
        if not re.fullmatch(r"i?c*b*k?a*", part):
            wrong("order of a media section's lines: m" + part)
    if lines[:1] != ["v=0"]:
        wrong("version")
    origin = [line for line in lines if line.startswith("o=")]
    if not origin or not re.fullmatch(r"o=\S+ [0-9]+ [0-9]+ IN IP[46] \S+", origin[0]):
        wrong("origin " + repr(origin[:1]))
    for line in lines:
        if line.startswith("c=") and not re.fullmatch(
                r"c=IN (?:IP4 [A-Za-z0-9.\-]+|IP6 [0-9A-Fa-f:.]+)(?:/[0-9]+){0,2}", line):
            wrong(line)
    judge_media(lines, wrong)


def judge_media(lines, wrong):
    first = next((i for i, line in enumerate(lines) if line.startswith("m=")), len(lines))
    above = any(line.startswith("c=") for line in lines[:first])
    sections = []
    for line in lines[first:]:
        if line.startswith("m="):
            sections.append([])
        sections[-1].append(line)
    for section in sections:
        if not above and not any(line.startswith("c=") for line in section):
            wrong("no connection for " + section[0])
        judge_section(section, wrong)


def judge_section(section, wrong):
    found = re.fullmatch(r"m=([a-z]+) ([0-9]+)(?:/[0-9]+)? ([A-Za-z0-9/]+) (.+)", section[0])
    if not found or int(found[2]) > 65535:
        wrong(section[0])
        return
    if len({"a=sendrecv", "a=sendonly", "a=recvonly", "a=inactive"} & set(section)) > 1:
        wrong("two directions in " + section[0])
    if "RTP/" not in found[3]:
        return
    payloads = found[4].split()
    if len(set(payloads)) != len(payloads):
        wrong("a payload type twice in " + section[0])
    maps = [re.fullmatch(r"a=rtpmap:([0-9]+) [^/\s]+/[0-9]+(?:/[0-9]+)?", line)
            for line in section if line.startswith("a=rtpmap:")]
    if None in maps:
        wrong("an rtpmap of " + section[0])
    mapped = {m[1] for m in maps if m}
    for payload in payloads:
        if not payload.isdigit() or int(payload) > 127:
            wrong("payload type " + payload)
        elif int(payload) >= 96 and payload not in mapped and found[2] != "0":
            wrong("no rtpmap for payload type " + payload)
    for payload in mapped - set(payloads):
        wrong("an rtpmap for payload type " + payload + ", which is not offered")


# ---- the verdict -----------------------------------------------------------------------------------

def judge(capture, addresses, messages=None, echoed=False):
    """All findings about what the addresses sent."""
    found = []
    for packet in packets(capture) if messages is None else messages:
        if packet.source[0] in addresses:
            found += judge_message(packet, echoed)
    if not echoed:  # or the dissectors would blame us for what the peers wrote
        found += dissector_findings(capture, addresses)
    return found


def main(argv):
    if len(argv) < 3:
        print(__doc__, file=sys.stderr)
        return 2
    found = judge(argv[1], set(argv[2:]))
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
