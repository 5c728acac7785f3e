"""Looking at a captured case as a ladder of messages."""
import judge
from lab import Fail, check

HOSTS = {104: "pbx", 77: "trk", 55: "p27", 54: "p28"}


class Ladder:
    def __init__(self, lab):
        self.lab = lab
        self.packets = []
        seen = set()
        for p in lab.messages():
            key = (p.source, p.target, p.message.raw)
            if key not in seen:  # retransmissions are judged, but are no steps
                seen.add(key)
                self.packets.append(p)

    def host(self, end):
        return HOSTS.get(int(end[0].rsplit(".", 1)[1]), end[0])

    def name(self, packet):
        m = packet.message
        what = m.method if m.request else f"{m.status}"
        return f"{self.host(packet.source)}>{self.host(packet.target)} {what}"

    def find(self, name, method=None, n=0):
        """The n-th packet of such a name."""
        found = [p for p in self.packets if self.name(p) == name and
                 (method is None or p.message.method == method)]
        check(len(found) > n, f"no {name} {method or ''} in {[self.name(p) for p in self.packets]}")
        return found[n]

    def leg(self, call_id):
        return [p for p in self.packets if p.message.get("call-id") == call_id]

    def names(self, call_id):
        return [self.name(p) for p in self.leg(call_id)]

    def legs(self):
        """Call-IDs of INVITEs, in order."""
        found = []
        for p in self.packets:
            if p.message.method == "INVITE" and p.message.get("call-id") not in found:
                found.append(p.message.get("call-id"))
        return found

    def expect(self, call_id, text):
        """The leg consists of exactly these steps; one in brackets may be absent."""
        wanted = [line.strip() for line in text.strip().splitlines()]
        got = self.names(call_id)
        at = 0
        for step in wanted:
            optional = step.startswith("[")
            if at < len(got) and got[at] == step.strip("[]"):
                at += 1
            elif not optional:
                raise Fail(f"step {at + 1} of the leg: wanted {step}, got {got[at:at + 3]} in {got}")
        check(at == len(got), f"more than the flow has: {got[at:]} in {got}")

    def before(self, first, second, method=None):
        a, b = self.find(first, method), self.find(second, method)
        check(self.packets.index(a) < self.packets.index(b), f"{first} must come before {second}")

    def count_rtp(self, source, target):
        """RTP packets from one address of the lab to another."""
        text = judge.tshark(self.lab.path("capture.pcapng"), "-Y",
                            f"rtp && ip.src=={source} && ip.dst=={target}",
                            "-T", "fields", "-e", "rtp.seq")
        return len(text.split())
