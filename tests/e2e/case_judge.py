"""The judge itself: it must find what is wrong, and nothing in what is right."""
import csv
import os

import judge
from lab import case, check

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data", "torture")
# Well formed by the grammar; what is wrong with them is in their meaning.
MEANING = {"rfc4475/bcast.dat"}


@case("judge", captured=False)
def judge_case(lab):
    """Every message that RFC 4475 calls invalid has a finding."""
    with open(os.path.join(DATA, "manifest.tsv"), encoding="utf-8", newline="") as f:
        rows = list(csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE))
    missed = []
    for row in rows:
        if row["well_formed"] != "no" or row["file"] in MEANING:
            continue
        with open(os.path.join(DATA, row["file"]), "rb") as f:
            packet = judge.Packet(1, 0, ("127.0.0.1", 1), ("127.0.0.1", 2), "udp", f.read())
        if not judge.judge_message(packet):
            missed.append(row["file"])
    check(not missed, f"no finding in {missed}")
    good = (b"OPTIONS sip:a@[::1]:5060;lr SIP/2.0\r\nVia: SIP/2.0/UDP [::1]:5060;branch=z9hG4bK1234;"
            b"rport\r\nMax-Forwards: 70\r\nFrom: \"07086661427,1427 \\\" <x>\" <sip:a@b>;tag=1\r\n"
            b"To: <sip:%C3%A9@b>\r\nCall-ID: 1@b\r\nCSeq: 1 OPTIONS\r\nContact: <sip:a@b?x=y>;q=0.5,"
            b" <sip:c@d;transport=tcp>\r\nContent-Length: 0\r\n\r\n")
    packet = judge.Packet(1, 0, ("127.0.0.1", 1), ("127.0.0.1", 2), "udp", good)
    found = judge.judge_message(packet)
    check(not found, f"findings in a good message: {found}")
