"""Early sessions (RFC 3959) with media: what a callee lets be heard before the answer, with a description
and ports of its own, reaches a caller who knows early sessions as such, and another one as early media."""
import re
import secrets

import rtp
import sip
from lab import case, check, equal

BOUNDARY = "Content-Type: multipart/mixed;boundary=parts"


def parts_of(m):
    """{disposition: description} of a message."""
    kind, body = m.get("content-type", ""), m.body.decode()
    found = re.search(r'boundary="?([^";]+)', kind)
    if not found:
        return {m.get("content-disposition", "session"): body} if body else {}
    parts = {}
    for part in body.split("--" + found[1])[1:-1]:
        head, _, text = part.strip("\r\n").partition("\r\n\r\n")
        name = re.search(r"Content-Disposition: (\S+)", head)
        parts[name[1] if name else "session"] = text + "\r\n"
    return parts


def where(description):
    """Address and port of the first media."""
    return (re.search(r"c=IN IP4 (\S+)", description)[1],
            int(re.search(r"m=audio (\d+)", description)[1]))


class Side:
    """One party with a dialog, its media of the session and of the early one."""

    def __init__(self, lab, last, port, number):
        self.peer = sip.Peer(lab.ip(last), (lab.pbx, 5060), port=port)
        self.ip, self.number = lab.ip(last), number
        self.tag, self.cseq = secrets.token_hex(4), 1
        self.media = rtp.End(self.ip, 30000, 0, 0)
        self.early = rtp.End(self.ip, 30002, 0, 0)
        self.invite = self.invited = None  # ours, and that which came

    def close(self):
        for end in (self.media, self.early):
            end.close()
        self.peer.sock.close()

    def described(self):
        return sip.sdp(self.ip, 30000, "0")

    def described_early(self):
        return sip.sdp(self.ip, 30002, "0")

    def get(self, what, seconds=15):
        m = self.peer.fresh(seconds)
        got = m and (m.status or m.method)
        equal(got, what, f"at {self.number}")
        return m

    def respond(self, request, line, fields=(), body=""):
        to = request.get("to")
        if "tag=" not in to:
            to += ";tag=" + self.tag
        lines = [f"SIP/2.0 {line}", *(f"Via: {v}" for v in request.all("via")),
                 f"From: {request.get('from')}", f"To: {to}", f"Call-ID: {request.get('call-id')}",
                 f"CSeq: {request.get('cseq')}",
                 f"Contact: <sip:{self.number}@{self.ip}:{self.peer.port}>", *fields]
        if body and not any(f.startswith("Content-Type") for f in fields):
            lines.append("Content-Type: application/sdp")
        self.peer.send("\r\n".join([*lines, f"Content-Length: {len(body)}", "", body]))

    def call(self, to, supported):
        text = self.peer.build("INVITE", f"sip:{to}@pbx.test", [f"Supported: {supported}"],
                               self.described(), user=self.number, cseq=1, tag=self.tag)
        self.invite = sip.Message(text.encode())
        self.peer.send(text)

    def inside(self, method, response, fields=(), body=""):
        """A request in the dialog that we have begun."""
        self.cseq += method != "ACK"
        text = self.peer.build(method, re.search(r"<(.*)>", response.get("contact"))[1], fields, body,
                               user=self.number, call_id=self.invite.get("call-id"),
                               cseq=1 if method == "ACK" else self.cseq, tag=self.tag)
        text = re.sub(r"\r\nTo: [^\r]*", "\r\nTo: " + response.get("to"), text)
        self.peer.send(text)

    def prack(self, response, body=""):
        fields = [f"RAck: {response.get('rseq')} {response.get('cseq')}"]
        if body:
            fields.append("Content-Disposition: early-session")
        self.inside("PRACK", response, fields, body)


def both(session, early):
    return (f"--parts\r\nContent-Type: application/sdp\r\n\r\n{session}\r\n"
            "--parts\r\nContent-Type: application/sdp\r\nContent-Disposition: early-session\r\n\r\n"
            f"{early}\r\n--parts--\r\n")


def heard(lab, *ends):
    """Each of them hears ten packets more."""
    since = [end.got for end in ends]
    lab.until(lambda: all(end.got >= n + 10 for end, n in zip(ends, since)), 30, "RTP arrives")


def ring(phone, speaks=True):
    """The phone offers an early session beside its answer; our answer to that, from the PRACK."""
    invite = phone.get("INVITE")
    phone.invited = invite
    check("early-session" in invite.get("supported"), "the INVITE does not say early-session")
    if speaks:
        phone.media.remote = where(parts_of(invite)["session"])
    phone.respond(invite, "183 Session Progress", ["Require: 100rel", "RSeq: 1", BOUNDARY],
                  both(phone.described(), phone.described_early()))
    return invite


def acknowledged(phone):
    prack = phone.get("PRACK")
    phone.respond(prack, "200 OK")
    early = parts_of(prack)["early-session"]
    check(where(early) != where(parts_of(phone.invited)["session"]), "the early session has the port of the session")
    phone.early.remote = where(early)


def answer(phone, caller, invite):
    phone.respond(invite, "200 OK")
    phone.get("ACK")
    ok = caller.get(200)
    caller.inside("ACK", ok)
    return ok


def hang_up(lab, phone, caller, ok):
    caller.inside("BYE", ok)
    equal(caller.get(200).method, "BYE", "answered")
    phone.respond(phone.get("BYE"), "200 OK")
    lab.cdrs(1)


@case("early_session")
def early_session_case(lab):
    lab.start()
    phone, caller = Side(lab, 55, 5060, "109Q1427"), Side(lab, 77, 5080, "01077141436")
    phone.peer.register("109Q1427", "secret-1427")
    caller.call("07086661427", "100rel, early-session")
    caller.get(100)
    invite = ring(phone)
    progress = caller.get(183)
    described = parts_of(progress)
    caller.media.remote = where(described["session"])
    caller.early.remote = where(described["early-session"])
    caller.prack(progress, caller.described_early())
    acknowledged(phone)
    equal(caller.get(200).method, "PRACK", "answered")
    heard(lab, caller.early, phone.early, caller.media, phone.media)
    check(len({end.far_ssrc for end in (caller.early, phone.early, caller.media, phone.media)}) == 4,
          "the two sessions share an SSRC")
    ok = answer(phone, caller, invite)
    heard(lab, caller.media, phone.media)
    # The early session is over: its ports are closed, and what is still sent there reaches nobody.
    before = caller.early.got, phone.early.got
    heard(lab, caller.media, phone.media)
    equal((caller.early.got, phone.early.got), before, "packets of the early session after the answer")
    hang_up(lab, phone, caller, ok)
    for side in (phone, caller):
        side.close()


@case("early_session_gateway")
def early_session_gateway_case(lab):
    """The caller knows no early sessions: it hears that of the phone where its session is."""
    lab.start()
    phone, caller = Side(lab, 55, 5060, "109Q1427"), Side(lab, 77, 5080, "01077141436")
    phone.peer.register("109Q1427", "secret-1427")
    caller.call("07086661427", "timer")
    caller.get(100)
    invite = ring(phone, speaks=False)
    acknowledged(phone)
    caller.media.remote = where(parts_of(caller.get(183))["session"])
    heard(lab, caller.media, phone.early)
    equal(phone.media.got, 0, "packets of the session before its time")
    # What it says on the port of the session as it answers is heard at once.
    phone.media.remote = where(parts_of(invite)["session"])
    heard(lab, caller.media, phone.media)
    ok = answer(phone, caller, invite)
    heard(lab, caller.media, phone.media)
    hang_up(lab, phone, caller, ok)
    for side in (phone, caller):
        side.close()
