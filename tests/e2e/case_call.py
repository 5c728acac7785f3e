"""S1 with SIPp as the trunk and as both phones: the basic call and its variants."""
import hashlib
import itertools
import re
import secrets

import judge
import sip
from ladder import Ladder
from lab import PHONES, case, check, equal
from script import Script, body

CALLER = "01077141436"


def register(lab, number, algorithm=None, proto="udp"):
    """R1-R4 of S1; returns the challenge and the last answer."""
    with sip.Peer(lab.ip(lab.phone(number)), (lab.pbx, 5060), proto) as peer:
        first, last = peer.register(PHONES[number], "secret-" + number, algorithm=algorithm)
        check(first is not None, f"no 401 for {number}, but {last}")
        check(last is not None, f"no answer to {number}'s credentials")
        equal(last.status, 200, f"REGISTER of {number}")
        return first, last


def callee(lab, script, number="1427", proto="udp", more=()):
    job = lab.sipp("phone" + number, script, lab.phone(number), proto=proto, more=more)
    lab.bound(lab.phone(number), proto=proto)
    return job


def caller(lab, script, proto="udp", name="trunk", more=()):
    return lab.sipp(name, script, 77, 5080, proto, more=more)


def outside(lab, to="07086661427", display=""):
    return Script(CALLER, to=to, host=lab.pbx, display=display)


def phone(number):
    return Script(PHONES[number])


def finish(*jobs):
    for job in jobs:
        job.wait(30)


def one(message, name):
    values = message.all(name)
    equal(len(values), 1, f"{name} fields in {message}")
    return values[0]


# ---- registration ------------------------------------------------------------------------------------

def check_challenge(first):
    offers = first.all("www-authenticate")
    algorithms = [re.search(r"algorithm=([A-Za-z0-9-]+)", o)[1] for o in offers]
    equal(algorithms, ["SHA-256", "MD5"], "algorithms offered")
    for offer in offers:
        check('realm="pbx.test"' in offer, "realm: " + offer)
        check(re.search(r'nonce="[^"]{16,}"', offer), "nonce: " + offer)
        check('qop="auth"' in offer, "qop: " + offer)


@case("register")
def register_case(lab):
    """R1-R4 with both algorithms; the fetch; the end of a registration."""
    lab.start()
    for number, algorithm in (("1427", "SHA-256"), ("1428", "MD5")):
        first, last = register(lab, number, algorithm)
        check_challenge(first)
        contact = one(last, "contact")
        wanted = f"<sip:{PHONES[number]}@{lab.ip(lab.phone(number))}:5060>"
        check(contact.startswith(wanted), "Contact: " + contact)
        check(";expires=3600" in contact, "Contact: " + contact)
        check(last.get("date"), "no Date in the 200")
    seen = {r["aor"]: r for r in lab.ctl("registrations")}
    equal(sorted(seen), [f"sip:{u}@pbx.test" for u in sorted(PHONES.values())], "registrations")
    with sip.Peer(lab.ip(55), (lab.pbx, 5060)) as peer:
        _, gone = peer.register(PHONES["1427"], "secret-1427", expires=0)
        equal(gone and gone.status, 200, "the end of a registration")
        check(not gone.all("contact"), f"Contact after the end: {gone.all('contact')}")
    lab.until(lambda: len(lab.ctl("registrations")) == 1, 30, "one registration is left")


@case("nonce")
def nonce_case(lab):
    """A nonce grown old gets another one with stale=true, not a failure."""
    config = lab.config()
    config["auth"] = {"nonce_seconds": 8, "ban_after": 2, "ban_never": []}
    lab.start(config)
    with sip.Peer(lab.ip(55), (lab.pbx, 5060)) as peer:
        first, last = peer.register("109Q1427", "secret-1427")
        equal(last.status, 200, "REGISTER")
        old, counts = first.get("www-authenticate"), itertools.count(2)

        def again(count):
            _, answer = peer.register("109Q1427", "secret-1427", challenge=old, count=count)
            check(answer is not None, "no answer")
            return answer if answer.status == 401 else None
        equal(again(next(counts)), None, "refusal of a nonce that is still good")
        replayed = again(1)
        check(replayed is not None, "a nonce count is good twice (RFC 7616 3.4.6)")
        worn = lab.until(lambda: again(next(counts)), 30, "the nonce is old")
        for answer in (replayed, worn):
            offers = answer.all("www-authenticate")
            check(all("stale=true" in o.lower() for o in offers), f"no stale=true: {offers}")
            check(old not in offers, "the same nonce again")
        _, last = peer.register("109Q1427", "secret-1427")
        equal(last.status, 200, "REGISTER with a new nonce")
    equal(lab.ctl("bans"), [], "bans")


@case("ban")
def ban_case(lab):
    """Wrong passwords: the address is ignored, which an operator can see and undo."""
    config = lab.config()
    config["auth"] = {"ban_after": 3, "ban_never": [], "ban_seconds": 60}
    lab.start(config)
    bad = lab.ip(66)
    with sip.Peer(bad, (lab.pbx, 5060)) as peer:
        for i in range(3):
            _, last = peer.register("109Q1427", f"wrong-{i}")
            check(last is not None and last.status in (401, 403), f"attempt {i + 1}: {last}")
        equal(peer.ask("OPTIONS", "sip:pbx.test", seconds=0.7), None, "an answer to the banned")
        bans = lab.ctl("bans")
        equal([b["address"] for b in bans], [bad], "bans")
        check(0 < bans[0]["seconds_left"] <= 60, f"seconds left: {bans}")
        check(f"auth_failed src={bad}" in lab.server.text(), "no line for fail2ban in the log")
        lab.ctl("unban", bad)
        answer = peer.ask("OPTIONS", "sip:pbx.test")
        equal(answer and answer.status, 200, "OPTIONS after the ban")
    register(lab, "1427")  # others were never meant


@case("no_enumeration")
def enumeration_case(lab):
    """A user that does not exist is answered like a wrong password."""
    lab.start()
    with sip.Peer(lab.ip(66), (lab.pbx, 5060)) as peer:
        answers = []
        for user in ("109Q1427", "nobody"):
            first, last = peer.register(user, "wrong")
            check(first and last, f"no answer for {user}")
            answers.append((first.status, last.status, [n for n, _ in first.fields]))
        equal(answers[0], answers[1], "answers to an unknown user and to a wrong password")


# ---- the basic call ----------------------------------------------------------------------------------

FROM_TRUNK = """
    trk>pbx INVITE
    pbx>trk 100
    pbx>trk 180
    pbx>trk 200
    trk>pbx ACK
"""
TO_P27 = """
    pbx>p27 INVITE
    p27>pbx 180
    p27>pbx 200
    pbx>p27 ACK
"""


def check_invite(lab, m, trunk_call):
    """F3: what the phone is told."""
    equal(m.uri.split(";")[0], f"sip:109Q1427@{lab.ip(55)}:5060", "Request-URI of F3")
    check(m.get("from").startswith(f'"{CALLER}" <sip:{CALLER}@'), "From of F3: " + m.get("from"))
    check(m.get("to").startswith(f"<sip:109Q1427@{lab.ip(55)}:5060"), "To of F3: " + m.get("to"))
    check(re.fullmatch(rf"[0-9a-f]{{40}}@{re.escape(lab.trunk)}", m.get("call-id")),
          "Call-ID of F3: " + m.get("call-id"))
    check(m.get("call-id") != trunk_call, "a Call-ID is used twice")
    check(m.get("max-forwards") in ("69", "70"), "Max-Forwards of F3: " + m.get("max-forwards"))
    for method in ("INVITE", "ACK", "BYE", "CANCEL", "OPTIONS"):
        check(method in m.get("allow", ""), f"Allow of F3 lacks {method}: {m.get('allow')}")
    check(m.get("p-asserted-identity", "").endswith(f"<sip:{CALLER}@pbx.test>"),
          f"P-Asserted-Identity of F3: {m.get('p-asserted-identity')}")
    equal(m.get("x-xfer-pressed"), "True", "X-xfer-pressed of F3")
    check(m.get("contact", "").find(lab.pbx) > 0, f"Contact of F3: {m.get('contact')}")


def media_of(m):
    text = m.body.decode()
    host = re.search(r"(?m)^c=IN IP4 (\S+)\r", text)[1]
    port, payloads = re.search(r"(?m)^m=audio (\d+) RTP/AVP ([0-9 ]+)\r", text).groups()
    return host, int(port), payloads.split()


def check_media(lab, ladder):
    f3, f8 = ladder.find("pbx>p27 INVITE").message, ladder.find("pbx>trk 200", "INVITE").message
    for m in (f3, f8):
        host, port, payloads = media_of(m)
        equal(host, lab.pbx, f"media address in {m}")
        check(20000 <= port <= 20199 and port % 2 == 0, f"media port in {m}: {port}")
        check(payloads[0] in ("0", "8") and "101" in payloads, f"payload types in {m}: {payloads}")
    check(media_of(f3)[1] != media_of(f8)[1], "both legs have one port")


def check_cdr(row, ladder, **wanted):
    legs = ladder.legs()
    equal([leg["call_id"] for leg in row["legs"]], legs, "legs of the record")
    for key, value in wanted.items():
        equal(row[key], value, f"{key} of the record")
    check(row["start_ms"] <= row["end_ms"], "times of the record")


ANSWERED = {"scenario": "basic", "caller": CALLER, "callee": "1427", "did": "07086661427",
            "disposition": "ANSWERED", "sip_cause": 200, "q850_cause": 16, "trunk_in": "carrier"}


@case("basic", weight=3)
def basic_case(lab):
    """S1 F1-F13 over UDP, with RTP both ways; the phone hangs up."""
    with open(lab.path("tone.ul"), "wb") as f:
        f.write(bytes(range(256)) * 80)
    lab.start()
    register(lab, "1427", "SHA-256")
    register(lab, "1428", "MD5")
    p27 = callee(lab, phone("1427").ring_in().pause(300).answer().pause(3000).say_bye(),
                 more=["-rtp_echo", "-mp", "6000"])
    script = outside(lab).invite(fields=["X-xfer-pressed: True", "X-Trunk-Note: carried, whole"])
    trk = caller(lab, script.answered().ack().play(lab.path("tone.ul")).get_bye(),
                 more=["-mp", "7000"])
    finish(trk, p27)
    row, = lab.cdrs(1)
    lab.quiet()
    ladder = Ladder(lab)
    t, l27 = ladder.legs()
    ladder.expect(t, FROM_TRUNK + "pbx>trk BYE\n trk>pbx 200")
    ladder.expect(l27, TO_P27 + "p27>pbx BYE\n pbx>p27 200")
    ladder.before("p27>pbx 180", "pbx>trk 180")
    ladder.before("p27>pbx 200", "pbx>trk 200", "INVITE")
    ladder.before("p27>pbx BYE", "pbx>trk BYE")
    ladder.before("pbx>trk 100", "pbx>p27 INVITE")  # at once; how soon, the burst shows
    f3 = ladder.find("pbx>p27 INVITE").message
    check_invite(lab, f3, t)
    equal(f3.get("x-trunk-note"), "carried, whole", "X-Trunk-Note of F3")
    reason = ladder.find("pbx>trk BYE").message.get("reason", "")
    check(re.match(r"Q\.850;\s*cause=16\b", reason), f"Reason of F12: {reason}")
    acks = [ladder.find(n).message for n in ("pbx>p27 INVITE", "pbx>p27 ACK")]
    check(acks[0].branch != acks[1].branch, "the ACK of a 200 has a branch of its own")
    check_media(lab, ladder)
    check_cdr(row, ladder, ended_by="callee", **ANSWERED)
    check(row["talk_ms"] >= 1000 and row["ring_ms"] is not None, f"times: {row}")
    check(ladder.count_rtp(lab.trunk, lab.pbx) > 20, "the trunk's RTP")
    for target in (lab.ip(55), lab.trunk):
        check(ladder.count_rtp(lab.pbx, target) > 20, f"RTP relayed to {target}")


@case("tcp")
def tcp_case(lab):
    """S1 with every leg over TCP."""
    config = lab.config()
    config["trunks"][0]["uri"] += ";transport=tcp"
    lab.start(config)
    p27 = callee(lab, phone("1427").ring_in().answer().get_bye(), proto="tcp")
    with sip.Peer(lab.ip(55), (lab.pbx, 5060), "tcp", 0) as peer:
        contact = f"Contact: <sip:109Q1427@{lab.ip(55)}:5060;transport=tcp>"
        _, last = peer.register("109Q1427", "secret-1427", fields=[contact])
        equal(last and last.status, 200, "REGISTER")
    # The phone has closed that connection; its contact is where it listens.
    trk = caller(lab, outside(lab).invite().answered().ack().pause(100).bye(), "tcp")
    finish(trk, p27)
    row, = lab.cdrs(1)
    ladder = Ladder(lab)
    t, l27 = ladder.legs()
    ladder.expect(t, FROM_TRUNK + "trk>pbx BYE\n pbx>trk 200")
    ladder.expect(l27, TO_P27 + "pbx>p27 BYE\n p27>pbx 200")
    check_cdr(row, ladder, ended_by="caller", **ANSWERED)
    check({p.proto for p in ladder.packets} == {"tcp"}, "UDP was used")


@case("trunk_hangs_up")
def trunk_hangs_up_case(lab):
    lab.start()
    register(lab, "1427")
    p27 = callee(lab, phone("1427").ring_in().answer().get_bye())
    trk = caller(lab, outside(lab).invite().answered().ack().pause(200).bye())
    finish(trk, p27)
    row, = lab.cdrs(1)
    lab.quiet()
    ladder = Ladder(lab)
    t, l27 = ladder.legs()
    ladder.expect(t, FROM_TRUNK + "trk>pbx BYE\n pbx>trk 200")
    ladder.expect(l27, TO_P27 + "pbx>p27 BYE\n p27>pbx 200")
    check_cdr(row, ladder, ended_by="caller", **ANSWERED)


@case("cancel")
def cancel_case(lab):
    """The caller gives up while it rings: CANCEL, 200 and 487 on both legs."""
    lab.start()
    register(lab, "1427")
    ringing = phone("1427").ring_in().get("CANCEL").reply(200, "OK", tag=False)
    p27 = callee(lab, ringing.answer_487())
    trk = caller(lab, outside(lab).invite().expect(100, optional=True).expect(180).pause(200)
                 .cancel())
    finish(trk, p27)
    row, = lab.cdrs(1)
    lab.quiet()
    ladder = Ladder(lab)
    t, l27 = ladder.legs()
    ladder.expect(t, """trk>pbx INVITE
        pbx>trk 100
        pbx>trk 180
        trk>pbx CANCEL
        pbx>trk 200
        pbx>trk 487
        trk>pbx ACK""")
    ladder.expect(l27, """pbx>p27 INVITE
        p27>pbx 180
        pbx>p27 CANCEL
        p27>pbx 200
        p27>pbx 487
        pbx>p27 ACK""")
    invite, gone = (ladder.find(f"pbx>p27 {m}").message for m in ("INVITE", "CANCEL"))
    # RFC 3261 section 9.1: all of these are the INVITE's.
    for name in ("via", "from", "to", "call-id"):
        equal(gone.get(name), invite.get(name), f"{name} of the CANCEL")
    equal(gone.uri, invite.uri, "Request-URI of the CANCEL")
    check_cdr(row, ladder, disposition="CANCELLED", ended_by="caller", sip_cause=487)


# ---- refusals ------------------------------------------------------------------------------------------

def refused(lab, script, status):
    trk = caller(lab, script.expect(100, optional=True).expect(status).ack_failure())
    finish(trk)


@case("refused")
def refused_case(lab):
    """480 without a phone, 404 without a number, 488 with what would work, 486 from the phone."""
    lab.start()
    refused(lab, outside(lab).invite(), 480)
    refused(lab, outside(lab, "0999999").invite(), 404)
    register(lab, "1427")
    refused(lab, outside(lab).invite(payloads="18"), 488)
    busy = phone("1427").ring_in(rings=False).reply(486, "Busy Here", retrans=True).get("ACK")
    p27 = callee(lab, busy)
    refused(lab, outside(lab).invite(), 486)
    finish(p27)
    rows = lab.cdrs(4)
    lab.quiet()
    equal([r["sip_cause"] for r in rows], [480, 404, 488, 486], "SIP causes of the records")
    equal([r["q850_cause"] for r in rows][3], 17, "Q.850 cause of busy")
    equal([r["disposition"] for r in rows][3], "BUSY", "disposition of busy")
    ladder = Ladder(lab)
    answer = ladder.find("pbx>trk 488").message
    check(answer.get("content-type") == "application/sdp" and b"PCMU" in answer.body,
          "the 488 does not say what would work")


@case("late_offer")
def late_offer_case(lab):
    """INVITE without SDP: the offer is in the 200, the answer in the ACK."""
    lab.start()
    register(lab, "1427")
    p27 = callee(lab, phone("1427").ring_in().answer().get_bye())
    trk = caller(lab, outside(lab).invite(sdp=False).answered().ack(body("0 101")).pause(200).bye())
    finish(trk, p27)
    lab.cdrs(1)
    ladder = Ladder(lab)
    check(not ladder.find("pbx>p27 INVITE").message.body, "an offer to the phone out of nothing")
    equal(media_of(ladder.find("pbx>trk 200", "INVITE").message)[0], lab.pbx, "offer in the 200")
    equal(media_of(ladder.find("pbx>p27 ACK").message)[0], lab.pbx, "answer in the ACK")
    equal(media_of(ladder.find("pbx>p27 ACK").message)[2], ["0", "101"], "codecs in the ACK")


@case("big_invite")
def big_invite_case(lab):
    """An INVITE that exceeds 1300 bytes goes to a UDP phone by TCP (RFC 3261 18.1.1), and by UDP
    when the phone has no TCP."""
    lab.start()
    register(lab, "1427")
    note = "X-Note: " + "a" * 900
    p27 = callee(lab, phone("1427").ring_in().answer().get_bye(), proto="tcp")
    trk = caller(lab, outside(lab).invite(fields=[note]).answered().ack().pause(100).bye())
    finish(trk, p27)
    p27 = callee(lab, phone("1427").ring_in().answer().get_bye())
    trk = caller(lab, outside(lab).invite(fields=[note]).answered().ack().pause(100).bye())
    finish(trk, p27)
    lab.cdrs(2)
    ladder = Ladder(lab)
    protos = [p.proto for p in ladder.packets if ladder.name(p) == "pbx>p27 INVITE"]
    equal(protos[0], "tcp", "transport of the big INVITE")
    equal(protos[-1], "udp", "transport of the INVITE to a phone without TCP")


@case("no_answer")
def no_answer_case(lab):
    """T5: nobody answers within invite_timeout, so the phone gets CANCEL and the caller 408."""
    config = lab.config()
    config["sip"]["timers"] = {"invite_timeout": 1}
    lab.start(config)
    register(lab, "1427")
    calls = itertools.count(1)

    def rings():
        """For so long, ms."""
        p27 = callee(lab, phone("1427").ring_in().get("CANCEL").reply(200, "OK", tag=False)
                     .answer_487())
        refused(lab, outside(lab).invite().expect(100, optional=True).expect(180), 408)
        finish(p27)
        row = lab.cdrs(next(calls))[-1]
        equal((row["sip_cause"], row["disposition"], row["ended_by"]), (408, "NO ANSWER", "system"),
              "CDR")
        return row["end_ms"] - row["start_ms"]
    lab.least(rings, 2000, "time of the call, ms")
    ladder = Ladder(lab)
    rang = ladder.find("pbx>p27 INVITE").seconds
    # The second begins in the turn that sends the INVITE, a moment before that is captured.
    check(ladder.find("pbx>p27 CANCEL").seconds - rang >= 0.95, "time of the CANCEL")


@case("dead_phone")
def dead_phone_case(lab):
    """A registered phone that says nothing: timer B ends the attempt."""
    config = lab.config()
    config["sip"]["timers"] = {"t1": 0.03}
    lab.start(config)
    register(lab, "1427")
    with sip.Peer(lab.ip(55), (lab.pbx, 5060)):  # takes everything and keeps silent
        for _ in range(3):
            finish(caller(lab, outside(lab).invite().expect(100, optional=True).expect(408)
                          .ack_failure()))
    for row in lab.cdrs(3):
        equal((row["sip_cause"], row["disposition"]), (408, "UNAVAILABLE"), "CDR")
    sent = {}
    for p in lab.messages():
        if p.source[0] == lab.pbx and p.message.request:
            sent.setdefault(p.message.get("call-id"), []).append(p.seconds)
    equal(len(sent), 3, "calls")
    # The seventh is due a moment before the end: a machine with other work may leave it out.
    for at in sent.values():
        check(len(at) in (6, 7), f"the INVITE was sent at {[round(t - at[0], 2) for t in at]}")
    for i, wanted in enumerate((0.03, 0.06, 0.12, 0.24, 0.48, 0.96)):
        gaps = sorted(at[i + 1] - at[i] for at in sent.values() if len(at) > i + 1)
        # What is wrong is wrong in all calls; a machine that stands still puts off one of them.
        check(not gaps or (gaps[-1] > wanted - 0.01 and gaps[0] < wanted + 0.5),
              f"timer A: {gaps} s, not {wanted} s")


@case("rtp_timeout")
def rtp_timeout_case(lab):
    """T10: no RTP either way ends the call with a BYE to both, and the record says why."""
    config = lab.config()
    config["media"]["rtp_timeout"] = 1
    lab.start(config)
    register(lab, "1427")
    calls = itertools.count(1)

    def silent():
        """A call without RTP; for so long, ms."""
        p27 = callee(lab, phone("1427").ring_in().answer().get_bye())
        finish(caller(lab, outside(lab).invite().answered().ack().get_bye()), p27)
        row = lab.cdrs(next(calls))[-1]
        equal((row["ended_by"], row["reason"]), ("system", "rtp_timeout"), "CDR")
        check(row["talk_ms"] >= 900, f"time of the call: {row['talk_ms']} ms")
        return row["talk_ms"]
    lab.least(silent, 3500, "time of the call, ms")
    ladder = Ladder(lab)
    check("Q.850" in ladder.find("pbx>trk BYE").message.get("reason", ""), "Reason of the BYE")


@case("fork")
def fork_case(lab):
    """One extension on two phones: both ring, one answers, the other gets CANCEL."""
    lab.start()
    register(lab, "1427")
    with sip.Peer(lab.ip(56), (lab.pbx, 5060)) as peer:
        _, last = peer.register("109Q1427", "secret-1427")
        equal(last and len(last.all("contact")), 2, "contacts of 1427")
    answers = callee(lab, phone("1427").ring_in().pause(400).answer().get_bye())
    loses = lab.sipp("second", phone("1427").ring_in().get("CANCEL").reply(200, "OK", tag=False)
                     .answer_487(), 56)
    lab.bound(56)
    trk = caller(lab, outside(lab).invite().expect(100, optional=True).expect(180)
                 .expect(180, optional=True).expect(200).ack().pause(200).bye())
    finish(trk, answers, loses)
    row, = lab.cdrs(1)
    equal(row["disposition"], "ANSWERED", "disposition")
    lab.quiet()
    ladder = Ladder(lab)
    equal(len(ladder.legs()), 3, "legs")
    gone = [p.message for p in ladder.packets if p.message.method == "CANCEL" and p.message.request]
    equal(len(gone), 1, "CANCELs")
    check("Call completed elsewhere" in gone[0].get("reason", ""),
          f"Reason of the CANCEL (RFC 3326): {gone[0].get('reason')}")


@case("burst", weight=2)
def burst_case(lab):
    """A hundred calls at once; each has its record, and nothing is left."""
    config = lab.config()
    config["media"]["ports"] = "20000-20499"
    config["sip"]["timers"] = {"t1": 0.1, "t2": 0.4, "t4": 0.5}
    config["limits"] = {"calls_per_extension": 200}
    lab.start(config)
    register(lab, "1427")

    def idle():
        return lab.ctl("stats")["transaction_timer"]["active_transactions"] == 0
    many = ["-r", "100", "-l", "200", "-m", "100"]
    p27 = callee(lab, phone("1427").ring_in().answer().get_bye(20), more=many[-2:])
    trk = caller(lab, outside(lab).invite().answered().ack().pause(300).bye(), more=many)
    finish(trk, p27)
    rows = lab.cdrs(100)
    equal({r["disposition"] for r in rows}, {"ANSWERED"}, "dispositions")
    equal(len({r["id"] for r in rows}), 100, "ids of the records")
    lab.quiet()
    lab.until(idle, 20, "no transaction is left")
    equal(lab.ctl("stats")["rtp_ports_in_use"], 0, "RTP ports in use")
    ladder = Ladder(lab)
    took = []
    for call_id in ladder.legs():
        at = {ladder.name(p): p.seconds for p in reversed(ladder.leg(call_id))}
        took += [at["pbx>trk 100"] - at["trk>pbx INVITE"]] if "trk>pbx INVITE" in at else []
    equal(len(took), 100, "calls of the trunk")
    # A machine that stands still makes some of them late.
    check(min(took) <= 0.2, f"100 after {min(took) * 1000:.0f} ms (RFC 3261 17.2.1)")


@case("ipv6", captured=False)
def ipv6_case(lab):
    """S1 over IPv6. ::1 is everybody's, so the ports are searched and nothing is captured."""
    pbx, trk, p27, media = (lab.ports(4) for _ in range(4))
    config = lab.config()
    config["sip"]["listen"] = [f"udp:[::1]:{pbx}"]
    config["media"]["address"] = "::1"
    config["media"]["ports"] = f"{media}-{media + 3}"
    config["trunks"][0]["uri"] = f"sip:[::1]:{trk}"
    lab.start(config)
    with sip.Peer("::1", ("::1", pbx), port=p27) as peer:
        _, last = peer.register("109Q1427", "secret-1427")
        equal(last and last.status, 200, "REGISTER")
        found = judge.judge_message(judge.Packet(1, 0, ("::1", pbx), ("::1", p27), "udp", last.raw))
        check(not found, f"{found}")
        check(f"@[::1]:{p27}" in one(last, "contact"), "Contact: " + one(last, "contact"))
    argv = ["sipp", f"[::1]:{pbx}", "-i", "::1", "-mi", "::1", "-m", "1", "-nostdin",
            "-timeout", "20s", "-timeout_error"]
    answer = lab.write("p27.xml", phone("1427").ring_in().answer().get_bye().xml())
    invite = lab.write("trk.xml", Script(CALLER, to="07086661427", host="pbx.test").invite()
                       .answered().ack().pause(100).bye().xml())
    callee_job = lab.job("phone1427", [*argv, "-sf", answer, "-p", str(p27)])
    lab.until(lambda: f":{p27:04X} " in open("/proc/net/udp6", encoding="ascii").read(), 30,
              "the phone listens")
    finish(lab.job("trunk", [*argv, "-sf", invite, "-p", str(trk)]), callee_job)
    equal(lab.cdrs(1)[0]["disposition"], "ANSWERED", "CDR")


# ---- digest: extension to extension, extension to trunk ------------------------------------------------

def inside(lab, number="1428", to="1427"):
    script = Script(PHONES[number], to=to, display=f"0708666{number},{number}")
    credentials = (PHONES[number], "secret-" + number)
    return script.invite(fields=["X-xfer-pressed: True"]).challenge().invite(
        fields=["X-xfer-pressed: True"], auth=credentials)


@case("extension_to_extension")
def inside_case(lab):
    """407, credentials, and a display name with a comma in it."""
    lab.start()
    register(lab, "1427")
    registering = Script(PHONES["1428"]).register("secret-1428")
    finish(lab.sipp("register1428", registering, 54, more=["-auth_uri", "pbx.test"]))
    p27 = callee(lab, phone("1427").ring_in().answer().get_bye())
    p28 = lab.sipp("phone1428", inside(lab).answered().ack().pause(200).bye(), 54,
                   more=["-auth_uri", "1427@pbx.test"])
    finish(p28, p27)
    row, = lab.cdrs(1)
    equal((row["caller"], row["callee"], row["disposition"]), ("1428", "1427", "ANSWERED"), "CDR")
    ladder = Ladder(lab)
    challenge = ladder.find("pbx>p28 407").message
    check('realm="pbx.test"' in one(challenge, "proxy-authenticate"), "realm of the 407")
    f3 = ladder.find("pbx>p27 INVITE").message
    check("<sip:1428@" in f3.get("from"), "From inside: " + f3.get("from"))
    equal(f3.get("x-xfer-pressed"), "True", "X-xfer-pressed inside")
    check(not f3.get("proxy-authorization"), "credentials are carried on")


REALM = "carrier.test"


def check_digest(lab, request, name, challenge):
    """Computes the response the trunk would, from the nonce it gave."""
    value = one(request, name)
    given = dict((k, a or b) for k, a, b in re.findall(r'(\w+)=(?:"([^"]*)"|([^\s,"]+))', value))

    def h(text):
        return hashlib.md5(text.encode()).hexdigest()
    ha1, ha2 = h(f"line7:{REALM}:trunk-secret"), h(f"{request.method}:{given['uri']}")
    tail = f"{given['nc']}:{given['cnonce']}:auth:" if "qop" in given else ""
    equal(given["username"], "line7", "username")
    equal(given["nonce"], challenge, "nonce")
    equal(given["response"], h(f"{ha1}:{given['nonce']}:{tail}{ha2}"), "digest to the trunk")


@case("digest_trunk")
def digest_trunk_case(lab):
    """We register with a trunk that challenges, and place a call that it challenges too."""
    config = lab.config()
    config["trunks"] = [{"name": "carrier", "uri": f"sip:{lab.trunk}:5080", "username": "line7",
                         "password": "trunk-secret", "register": True, "caller_id": "0212345678"}]
    nonce = secrets.token_hex(16)
    challenge = f'Digest realm="{REALM}",nonce="{nonce}",qop="auth",algorithm=MD5'
    registrar = Script("carrier")
    registrar.get("REGISTER").reply(401, "Unauthorized", ["WWW-Authenticate: " + challenge])
    registrar.get("REGISTER").reply(200, "OK", ["[last_Contact:]", "Expires: 600"])
    carrier = lab.sipp("registrar", registrar, 77, 5080)
    lab.bound(77, 5080)
    lab.start(config)
    finish(carrier)
    lab.until(lambda: lab.ctl("trunks")[0]["state"] == "up", 30, "the trunk is up")
    gateway = Script("carrier").ring_in(rings=False)
    gateway.reply(407, "Proxy Authentication Required", ["Proxy-Authenticate: " + challenge],
                  retrans=True).get("ACK")
    gateway.ring_in().answer().get_bye()
    trk = lab.sipp("trunk", gateway, 77, 5080)
    lab.bound(77, 5080)
    register(lab, "1428")
    p28 = lab.sipp("phone1428", inside(lab, to="0255551234").answered().ack().pause(200).bye(), 54,
                   more=["-auth_uri", "0255551234@pbx.test"])
    finish(p28, trk)
    row, = lab.cdrs(1)
    equal((row["trunk_out"], row["disposition"]), ("carrier", "ANSWERED"), "CDR")
    ladder = Ladder(lab)
    check_digest(lab, ladder.find("pbx>trk REGISTER", n=1).message, "authorization", nonce)
    first, second = (ladder.find("pbx>trk INVITE", n=i).message for i in (0, 1))
    check_digest(lab, second, "proxy-authorization", nonce)
    equal(second.get("call-id"), first.get("call-id"), "Call-ID of the second INVITE")
    check(second.uri.startswith(f"sip:0255551234@{lab.trunk}:5080"), "called: " + second.uri)
    check("<sip:0212345678@" in second.get("from"), "caller shown: " + second.get("from"))
    check(not second.get("x-cid"), "X-CID to a trunk")


# ---- leftovers -----------------------------------------------------------------------------------------

@case("leftovers", weight=2)
def leftovers_case(lab):
    """G4: 64*T1 after the end nothing of the call is left."""
    config = lab.config()
    config["sip"]["timers"] = {"t1": 0.05, "t2": 0.4, "t4": 0.5}
    lab.start(config)
    register(lab, "1427")
    for end in ("bye", "get_bye"):
        answer = phone("1427").ring_in().answer()
        p27 = callee(lab, answer.get_bye() if end == "bye" else answer.pause(100).say_bye())
        script = outside(lab).invite().answered().ack()
        trk = caller(lab, script.pause(100).bye() if end == "bye" else script.get_bye())
        finish(trk, p27)
    lab.cdrs(2)

    def clean():
        s = lab.ctl("stats")
        left = {k: s[k] for k in ("active_calls", "active_legs", "active_sessions",
                                  "active_dialogs", "rtp_ports_in_use")}
        left["transactions"] = s["transaction_timer"]["active_transactions"]
        return not any(left.values())
    lab.until(clean, 20, "nothing is left after 64*T1")
    equal(lab.ctl("stats")["reaped"], 0, "objects that the audit found")
