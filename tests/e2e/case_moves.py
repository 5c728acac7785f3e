"""Calls that move: hold, transfer, pickup and the hunt group, S2, S3 and S5, with SIPp playing the
messages of real phones and with baresips that hear each other."""
import json
import secrets
import shutil

import judge
import sip
from ladder import Ladder
from lab import PHONES, case, check, equal
from phone import Baresip
from script import Script, body

CALLER = "01077141436"
ELSEWHERE = 'SIP;cause=200;text="Call completed elsewhere"'


def register(lab, number):
    with sip.Peer(lab.ip(lab.phone(number)), (lab.pbx, 5060)) as peer:
        _, last = peer.register(PHONES[number], "secret-" + number)
        equal(last and last.status, 200, f"REGISTER of {number}")


def office(lab, **changes):
    config = lab.config()
    for extension in config["extensions"]:
        extension["pickup_group"] = "office"
    config.update(changes)
    lab.start(config)
    for number in PHONES:
        register(lab, number)


def at_phone(lab, number, script):
    job = lab.sipp("phone" + number, script, lab.phone(number))
    lab.bound(lab.phone(number))
    return job


def outside(lab, to="07086661427"):
    return Script(CALLER, to=to, host=lab.pbx)


def detail(lab):
    return [json.loads(row["detail"]) for row in lab.query("SELECT * FROM cdr_detail")]


def held_body():
    return body("0 101").replace("a=sendrecv", "a=sendonly")


def explained(lab, number, scenario, form, legs):
    """What the exchange says of a call of its own, from its messages alone."""
    call, = lab.ctl("show", str(number))["report"]["calls"]
    equal((call["number"], call["scenario"], call["form"], len(call["legs"])),
          (number, scenario, form, legs), "the call, explained")
    wrong = [f["text"] for f in call["findings"] if f["severity"] == "error"]
    equal(wrong, [], "errors that there were not")
    return call


@case("s2_blind", weight=3)
def s2_blind_case(lab):
    """S2: 1427 holds the trunk's call, refers it to 1428, and hangs up after the last NOTIFY."""
    office(lab)
    target = at_phone(lab, "1428", Script(PHONES["1428"]).ring_in().answer().get_bye(20))
    transferor = Script(PHONES["1427"]).ring_in().answer("0 101").pause(200)
    transferor.say("INVITE", sdp=held_body()).expect(200).say_ack()
    transferor.say("REFER", ["Refer-To: <sip:1428@pbx.test>", "Referred-By: <sip:109Q1427@pbx.test>"])
    transferor.expect(202)
    for _ in ("100 Trying", "180 Ringing", "200 OK"):
        transferor.get("NOTIFY").reply(200, "OK", tag=False)
    transferor.say_bye()
    first = at_phone(lab, "1427", transferor)
    trunk = lab.sipp("trunk", outside(lab).invite("0 8 101").answered().ack().pause(5000).bye(),
                     77, 5080)
    for job in (trunk, first, target):
        job.wait(30)
    row, = lab.cdrs(1)
    equal((row["scenario"], row["caller"], row["callee"]), ("transfer", CALLER, "1427"), "the record")
    event, = detail(lab)[0]["events"]
    equal((event["type"], event["transferor"], event["target"], event["result"]),
          ("blind", "1427", "1428", 200), "the transfer")
    explained(lab, 1, "transfer", "blind", 3)
    check_s2(lab)


def check_s2(lab):
    ladder = Ladder(lab)
    notifies = [p.message for p in ladder.packets
                if p.message.request and p.message.method == "NOTIFY"]
    states = [n.get("subscription-state").split(";")[0] for n in notifies]
    equal(states, ["active", "active", "terminated"], "subscription states")
    bodies = [n.body.decode() for n in notifies]
    equal(bodies, ["SIP/2.0 100 Trying\r\n", "SIP/2.0 180 Ringing\r\n", "SIP/2.0 200 OK\r\n"],
          "sipfrags")
    invites = [p.message for p in ladder.packets if p.message.request and
               p.message.method == "INVITE" and p.source[0] == lab.pbx and not p.message.tag("to")]
    equal(len(invites), 2, "INVITEs of the exchange")
    check(CALLER in invites[1].get("from"), "the caller stays: " + invites[1].get("from"))
    check("109Q1427" in invites[1].get("referred-by", ""), "Referred-By")
    again = [p for p in ladder.packets if p.message.request and p.message.method == "INVITE"
             and p.target[0] == lab.trunk]
    equal(again, [], "INVITEs to the trunk, which need know nothing")


@case("s3_pickup", weight=2)
def s3_pickup_case(lab):
    """S3: 1427 rings, 1428 dials *8 with the header of the capture, and has the caller."""
    office(lab)
    rings = Script(PHONES["1427"]).ring_in().get("CANCEL", seconds=15)
    rings.reply(200, "OK").answer_487()
    first = at_phone(lab, "1427", rings)
    trunk = lab.sipp("trunk", outside(lab).invite("0 8 101").answered().ack()
                     .get("BYE", seconds=15).reply(200, "OK", tag=False), 77, 5080)
    lab.until(lambda: any(leg["state"] == "ringing" for call in lab.ctl("calls")
                          for leg in call["legs"]), 30, "1427 rings")
    user = PHONES["1428"]
    picker = Script(user, to="*8", display="07086661428,1428")
    picker.invite("0 101", ["X-xfer-pressed: True"]).challenge()
    picker.invite("0 101", ["X-xfer-pressed: True"], auth=(user, "secret-1428"))
    picker.expect(100, optional=True).expect(200).ack().pause(4000).bye()
    second = lab.sipp("phone1428", picker, lab.phone("1428"))
    lab.until(lambda: any(call["scenario"] == "pickup" and call["caller"] == CALLER
                          for call in lab.ctl("calls")), 30, "the live view names the real caller")
    for job in (second, first, trunk):
        job.wait(30)
    row, = lab.cdrs(1)
    equal((row["scenario"], row["caller"], row["callee"], row["answered_by"], row["dialled"]),
          ("pickup", CALLER, "1427", "1428", "*8"), "the record")
    equal(len(row["legs"]), 3, "legs")
    # The picker's leg came to the call that it picked up: both numbers name one call.
    told = explained(lab, 1, "pickup", "group", 3)
    equal((told["caller"], told["answered_by"]), (CALLER, "1428"), "who picked up whom")
    explained(lab, 2, "pickup", "group", 3)
    ladder = Ladder(lab)
    cancel, = [p.message for p in ladder.packets
               if p.message.request and p.message.method == "CANCEL"]
    equal(cancel.get("reason"), ELSEWHERE, "Reason of the CANCEL")
    answer = [p.message for p in ladder.packets if p.message.status == 200 and
              p.message.method == "INVITE" and p.target[0] == lab.ip(lab.phone("1428"))]
    check(CALLER in answer[0].get("p-asserted-identity", ""), "who the picker's phone shows")


@case("s5_hunt", weight=3)
def s5_hunt_case(lab):
    """S5: 1427 talks already and is busy, 1428 answers the second call; both go on."""
    config_trunk = {"name": "carrier", "uri": f"sip:{lab.trunk}:5080", "addresses": [lab.trunk]}
    office(lab, trunks=[config_trunk], groups=[{"number": "1400", "members": ["1427", "1428"], "did": ["07086661400"]}])
    busy = Script(PHONES["1427"]).ring_in().answer().get_bye(30)
    first = at_phone(lab, "1427", busy)
    one = lab.sipp("trunk1", outside(lab).invite("0 8 101").answered().ack().get_bye(30), 77, 5080)
    lab.until(lambda: [c["state"] for c in lab.ctl("calls")] == ["up"], 30, "the first call")
    second = at_phone(lab, "1428", Script(PHONES["1428"]).ring_in().answer().get_bye(20))
    # The phone that talks plays one call; the second one is refused beside it.
    refuse = Script(PHONES["1427"]).ring_in(rings=False).reply(486, "Busy Here", retrans=True)
    refuse.get("ACK")
    with sip.Peer(lab.ip(55), (lab.pbx, 5060), port=5066) as peer:
        _, last = peer.register(PHONES["1427"], "secret-1427")
        equal(last and last.status, 200, "the second contact")
        gone = f"Contact: <sip:{PHONES['1427']}@{lab.ip(55)}:5060>;expires=0"
        peer.register(PHONES["1427"], "secret-1427", fields=[gone])
    beside = lab.sipp("beside1427", refuse, lab.phone("1427"), port=5066)
    lab.bound(lab.phone("1427"), port=5066)
    two = lab.sipp("trunk2", outside(lab, "07086661400").invite("0 8 101").expect(100, optional=True)
                   .expect(180).expect(200).ack().pause(500).bye(), 77, 5082)
    for job in (two, beside, second):
        job.wait(30)
    lab.cdrs(1)
    talks, = lab.ctl("calls")
    equal((talks["state"], talks["callee"]), ("up", "1427"), "the first call goes on")
    lab.ctl("hangup", str(talks["id"]))
    for job in (one, first):
        job.wait(30)
    rows = {row["scenario"]: row for row in lab.cdrs(2)}
    equal(sorted(rows), ["basic", "sequential"], "scenarios")
    equal((rows["sequential"]["callee"], rows["sequential"]["answered_by"]), ("1400", "1428"),
          "the second call")
    attempts = detail(lab)[0]["attempts"]
    equal([(a["party"], a["status"]) for a in attempts], [("1427", 486), ("1428", 200)], "attempts")


# ---- baresip -----------------------------------------------------------------------------------------

def three_phones(lab):
    config = lab.config()
    config["extensions"].append({"number": "1429", "username": "109Q1429",
                                 "password": "secret-1429"})
    lab.start(config)
    phones = [Baresip(lab, number, hertz) for number, hertz in
              (("1427", 440), ("1428", 1000), ("1429", 1500))]
    for phone in phones:
        phone.registered()
    return phones


@case("phones_blind", weight=7)
def phones_blind_case(lab):
    """baresip 1427 calls 1428, who transfers the call to 1429: both ends hear each other."""
    first, second, third = three_phones(lab)
    first.dial("1428")
    for phone in (first, second):
        phone.wait("CALL_ESTABLISHED")
    first.hears(second)
    second.tell("transfer", "sip:1429@pbx.test")
    third.wait("CALL_ESTABLISHED")
    second.wait("CALL_CLOSED")
    third.hears_now(first)
    first.hears_now(third)
    first.tell("hangup")
    third.wait("CALL_CLOSED")
    row, = lab.cdrs(1)
    equal((row["scenario"], row["caller"], row["callee"]), ("transfer", "1427", "1428"), "the record")


def dialogs(lab):
    """Call-ID -> (tag of the exchange, tag of the phone) of what the exchange answered with 200."""
    mark = secrets.token_hex(8).encode()  # its own, so that an older one does not count
    lab.until(lambda: lab.marked(mark), 30, "the capture is written")
    copy = lab.path("so-far.pcapng")
    shutil.copy(lab.path("capture.pcapng"), copy)
    found = {}
    for packet in judge.packets(copy):
        message = packet.message
        if message.status == 200 and message.method == "INVITE" and packet.source[0] == lab.pbx:
            found[message.get("call-id")] = (message.tag("to"), message.tag("from"))
    return found


@case("phones_attended", weight=8)
def phones_attended_case(lab):
    """1427 talks with 1428, asks 1429, and joins the two: the exchange finds its own dialog."""
    first, second, third = three_phones(lab)
    first.dial("1428")
    for phone in (first, second):
        phone.wait("CALL_ESTABLISHED")
    second.hears(first)
    before = set(dialogs(lab))
    first.tell("hold")
    lab.until(lambda: any(leg.get("held") for call in lab.ctl("calls") for leg in call["legs"]), 30,
              "the first call is held")
    first.dial("1429")
    third.wait("CALL_ESTABLISHED")
    third.hears(first)
    new, = {i: tags for i, tags in dialogs(lab).items() if i not in before}.items()
    call_id, (ours, theirs) = new
    escaped = call_id.replace("@", "%40")
    first.tell("hold")  # the call it dialled last; then the line with the first call is current
    first.tell("line", "1")
    first.tell("transfer", f"sip:1429@pbx.test?Replaces={escaped}%3Bto-tag%3D{ours}"
                           f"%3Bfrom-tag%3D{theirs}")
    lab.until(lambda: len(lab.ctl("calls")) == 1, 30, "one call is left")
    second.hears_now(third)
    third.hears_now(second)
    second.tell("hangup")
    third.wait("CALL_CLOSED")
    rows = {row["scenario"]: row for row in lab.cdrs(2)}
    equal(sorted(rows), ["consult", "transfer"], "scenarios")
    explained(lab, 1, "transfer", "attended", 4)


@case("gateway_gone", weight=2)
def gateway_gone_case(lab):
    """Nobody listens at the first gateways, and ICMP says so: the call is at the next at once."""
    config = lab.config()
    config["trunks"] = [
        {"name": "carrier", "uri": f"sip:{lab.trunk}:5080",
         "failover": ["other", "third", "second"]},
        {"name": "other", "uri": f"sip:{lab.ip(79)}:5080"},
        {"name": "third", "uri": f"sip:{lab.ip(80)}:5080"},
        {"name": "second", "uri": f"sip:{lab.ip(78)}:5080"}]
    lab.start(config)
    register(lab, "1427")
    answer = lab.sipp("second", Script("carrier").ring_in().answer().get_bye(), 78, 5080)
    lab.bound(78, 5080)
    user = PHONES["1427"]
    script = Script(user, to="0212345678").invite().challenge()
    script.invite(auth=(user, "secret-1427")).answered().ack().pause(300).bye()
    caller = lab.sipp("caller", script, lab.phone("1427"))
    for job in (caller, answer):
        job.wait(20)
    row, = lab.cdrs(1)
    equal((row["trunk_out"], row["answered_by"]), ("second", "second"), "who has answered")
    ladder = Ladder(lab)
    invites = [p for p in ladder.packets if p.message.request and p.message.method == "INVITE"
               and p.source[0] == lab.pbx]
    equal([p.target[0] for p in invites], [lab.trunk, *(lab.ip(n) for n in (79, 80, 78))],
          "where the INVITEs went")
    # Less than until an INVITE is sent again; a machine that stands still makes one of them late.
    apart = [b.seconds - a.seconds for a, b in zip(invites, invites[1:])]
    check(min(apart) < 0.4, f"the next gateway had to wait: {apart}")
