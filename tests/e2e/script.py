"""SIPp scenarios, written as the steps of one party:

    Script("caller", to="1428").invite().expect(180).expect(200).ack().talk(500).bye().xml()

A caller's scenario begins with invite(), a callee's with ring_in(). The text of the messages is
here and nowhere else."""
import html

BODY = """v=0
o=party 53655765 2353687637 IN IP[media_ip_type] [media_ip]
s=-
c=IN IP[media_ip_type] [media_ip]
t=0 0
m=audio {port} RTP/AVP {payloads}
{maps}a=ptime:20
a=sendrecv
"""
MAPS = {"0": "PCMU/8000", "8": "PCMA/8000", "101": "telephone-event/8000", "3": "GSM/8000",
        "18": "G729/8000"}


def body(payloads="0 8 101", port="[media_port]"):
    maps = "".join(f"a=rtpmap:{p} {MAPS[p]}\n" for p in payloads.split())
    return BODY.format(port=port, payloads=payloads, maps=maps)


class Script:
    def __init__(self, user, to="", host="pbx.test", display="", port=5060):
        self.user, self.to, self.host, self.port = user, to, host, port
        self.display = f'"{display}" ' if display else ""
        self.parts = []
        self.cseq = 0
        self.invited = 0  # place of the INVITE in the scenario
        self.confirmed = False
        self.caller = False
        self.auth = ""
        self.said = 0  # CSeq of the callee's own requests
        self.remote_uri = f"sip:{to}@{host}"
        self.maybe = []  # responses that may come before the next one
        self.before = []  # final responses that came
        self.labels = 0

    # ---- building blocks -------------------------------------------------------------------------

    def send(self, lines, sdp="", retrans=True):
        text = "\n".join(lines)
        if sdp:
            text += "\nContent-Type: application/sdp"
        text += "\nContent-Length: [len]\n\n" + sdp
        attributes = ' retrans="500"' if retrans else ""
        self.parts.append(f"<send{attributes}><![CDATA[\n{text}\n]]></send>")
        return self

    def expect(self, status, optional=False, auth=False, seconds=8):
        if optional:
            self.maybe.append(status)
            return self
        self.skip(response=[s for s in self.maybe + self.before if s != status])
        self.maybe = []
        more = f' timeout="{seconds * 1000}"'
        more += ' auth="true"' if auth else ""
        more += ' rrs="true"' if status == 200 and self.cseq and not self.confirmed else ""
        self.parts.append(f'<recv response="{status}"{more}></recv>')
        self.before += [status] if status >= 200 else []
        return self

    def skip(self, **kinds):
        """What may come any number of times before that which must. SIPp takes a message for one
        that is sent again only until it has sent two itself."""
        self.labels += 1
        label = f'<label id="{self.labels}"/>'  # no part: it has no number in SIPp
        for kind, names in kinds.items():
            for name in dict.fromkeys(names):
                self.parts.append(f'{label}<recv {kind}="{name}" optional="true" '
                                  f'next="{self.labels}"></recv>')
                label = ""

    def get(self, method, seconds=8, action="", again=()):
        """again: requests of before that may be sent again."""
        self.skip(request=again, response=self.before)
        more = f' timeout="{seconds * 1000}"'
        more += ' rrs="true"' if method == "INVITE" else ""
        self.parts.append(f'<recv request="{method}"{more}>{action}</recv>')
        return self

    def pause(self, ms):
        self.parts.append(f'<pause milliseconds="{ms}"/>')
        return self

    def common(self, method, cseq, branch="[branch]"):
        if self.caller:
            me, peer = f"{self.display}<sip:{self.user}@{self.host}>;tag=[pid]c[call_number]", \
                f"<{self.remote_uri}>[peer_tag_param]"
        return [f"Via: SIP/2.0/[transport] [local_ip]:[local_port];branch={branch};rport",
                "Max-Forwards: 70", f"From: {me}", f"To: {peer}", "Call-ID: [call_id]",
                f"CSeq: {cseq} {method}"]

    @property
    def contact(self):
        return f"Contact: <sip:{self.user}@[local_ip]:[local_port];transport=[transport]>"

    # ---- the caller ------------------------------------------------------------------------------

    def invite(self, payloads="0 8 101", fields=(), sdp=True, auth=None):
        """auth: (user, password) answers the challenge that came before."""
        self.caller = True
        self.cseq += 1
        self.invited = len(self.parts)
        lines = [f"INVITE {self.remote_uri} SIP/2.0", *self.common("INVITE", self.cseq)]
        lines[4] = f"To: <{self.remote_uri}>"  # no tag: a new dialog even after a challenge
        lines += [self.contact, "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE",
                  "Supported: timer, replaces", *fields]
        if auth:
            lines.append(f"[authentication username={auth[0]} password={auth[1]}]")
        return self.send(lines, body(payloads) if sdp else "")

    def register(self, password):
        """REGISTER and again with the answer to its challenge."""
        self.caller = True
        self.remote_uri = f"sip:{self.user}@{self.host}"
        for answer in ([], [f"[authentication username={self.user} password={password}]"]):
            self.cseq += 1
            lines = [f"REGISTER sip:{self.host} SIP/2.0", *self.common("REGISTER", self.cseq)]
            lines[4] = f"To: <{self.remote_uri}>"
            self.send([*lines, self.contact, "Expires: 3600", *answer])
            self.expect(200) if answer else self.expect(401, auth=True)
        return self

    def ack_failure(self):
        """The ACK of a final response other than 2xx: same branch (RFC 3261 17.1.1.3)."""
        return self.send([f"ACK {self.remote_uri} SIP/2.0",
                          *self.common("ACK", self.cseq, self.same_branch)], retrans=False)

    @property
    def same_branch(self):
        """The branch of the INVITE: SIPp makes it from the place in the scenario."""
        return f"[branch-{len(self.parts) - self.invited}]"

    def challenge(self, status=407):
        self.expect(100, optional=True).expect(status, auth=True)
        return self.ack_failure()

    def answered(self, rings=True, seconds=8):
        self.expect(100, optional=True)
        if rings:
            self.expect(180)
        return self.expect(200, seconds=seconds)

    def ack(self, sdp=""):
        self.confirmed = True
        return self.send(["ACK [next_url] SIP/2.0",
                          "Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport",
                          "[routes]", *self.common("ACK", self.cseq)[1:]], sdp, retrans=False)

    def play(self, path, payload=0):
        self.parts.append(f'<nop><action><exec rtp_stream="{path},-1,{payload}"/></action></nop>')
        return self

    def bye(self):
        self.cseq += 1
        return self.send(["BYE [next_url] SIP/2.0",
                          "Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport",
                          "[routes]", *self.common("BYE", self.cseq)[1:]]).expect(200)

    def cancel(self):
        """Gives up while it rings: 200 for the CANCEL, 487 for the INVITE."""
        self.send([f"CANCEL {self.remote_uri} SIP/2.0",
                   *[line.replace("[peer_tag_param]", "") for line in
                     self.common("CANCEL", self.cseq, self.same_branch)]])
        return self.expect(200).expect(487).ack_failure()

    # ---- the callee ------------------------------------------------------------------------------

    def reply(self, status, reason, fields=(), sdp="", retrans=False, tag=True):
        to = "[last_To:];tag=[pid]u[call_number]" if tag else "[last_To:]"
        lines = [f"SIP/2.0 {status} {reason}", "[last_Via:]", "[last_From:]", to,
                 "[last_Call-ID:]", "[last_CSeq:]", *fields]
        return self.send(lines, sdp, retrans=retrans)

    def ring_in(self, rings=True):
        """Takes an INVITE and keeps its From and To, which say_bye() turns round."""
        action = ('<action><ereg regexp=".*" search_in="hdr" header="From:" check_it="true" '
                  'assign_to="1"/><ereg regexp=".*" search_in="hdr" header="To:" check_it="true" '
                  'assign_to="2"/></action>')
        self.get("INVITE", seconds=15, action=action)
        if rings:
            self.reply(180, "Ringing", [self.contact])
        return self

    def answer(self, payloads="0 8 101"):
        return self.reply(200, "OK", [self.contact, "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS"],
                          body(payloads), retrans=True).get("ACK", again=["INVITE"])

    def answer_487(self):
        """After the 200 to a CANCEL: the answer to the INVITE, whose CSeq and Via are kept."""
        lines = ["SIP/2.0 487 Request Terminated", "[last_Via:]", "[last_From:]",
                 "[last_To:];tag=[pid]u[call_number]", "[last_Call-ID:]", "CSeq: [last_cseq_number] INVITE"]
        return self.send(lines, retrans=True).get("ACK", again=["INVITE", "CANCEL"])

    def get_bye(self, seconds=10):
        return self.get("BYE", seconds=seconds).reply(200, "OK", tag=False)

    def say_bye(self):
        """The callee's BYE: From and To change places."""
        return self.send([
            "BYE [next_url] SIP/2.0",
            "Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport", "[routes]",
            "Max-Forwards: 70", "From: [$2];tag=[pid]u[call_number]", "To: [$1]",
            "Call-ID: [call_id]", f"CSeq: {self.said + 1} BYE"]).expect(200)

    def say(self, method, fields=(), sdp=""):
        """A request of the callee inside the dialog."""
        self.said += 1
        return self.send([
            f"{method} [next_url] SIP/2.0",
            "Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport", "[routes]",
            "Max-Forwards: 70", "From: [$2];tag=[pid]u[call_number]", "To: [$1]",
            "Call-ID: [call_id]", f"CSeq: {self.said} {method}", self.contact, *fields], sdp,
            retrans=method != "ACK")

    def say_ack(self):
        """Of the 200 to the callee's own INVITE, which was said last."""
        self.said -= 1
        return self.say("ACK")

    def xml(self):
        used = "" if "assign_to" not in "".join(self.parts) else '<Reference variables="1,2"/>\n'
        return ('<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE scenario SYSTEM "sipp.dtd">\n'
                f'<scenario name="{html.escape(self.user)}">\n' + "\n".join(self.parts) +
                f"\n{used}</scenario>\n")
