"""Two baresips that talk through the exchange; each has a tone for a voice."""
from ladder import Ladder
from lab import PHONES, case, check, equal
from phone import Baresip, Linphone


def pair(lab, config=None, **more):
    """Two registered phones."""
    lab.start(config or lab.config())
    phones = [Baresip(lab, "1427", 440, **more), Baresip(lab, "1428", 1000, **more)]
    for phone in phones:
        phone.registered()
    return phones


def talk(lab, caller, callee):
    caller.dial(callee.number)
    for phone in (caller, callee):
        phone.wait("CALL_ESTABLISHED")
    for phone, other in ((caller, callee), (callee, caller)):
        phone.hears(other)


def part(lab, who, other):
    who.tell("hangup")
    other.wait("CALL_CLOSED")
    lab.quiet()


def codec_case(lab, codec, config_codecs, name):
    """A call each way with one codec; each hears the other and not itself."""
    config = lab.config()
    config["media"]["codecs"] = config_codecs
    first, second = pair(lab, config, codecs=codec)
    talk(lab, first, second)
    equal(len(lab.ctl("calls")), 1, "calls")
    part(lab, first, second)
    row, = lab.cdrs(1)
    equal(row["disposition"], "ANSWERED", "disposition")
    equal(row["ended_by"], "caller", "ended by")
    check(row["codec"].lower().startswith(name), f"codec of the record: {row['codec']}")
    return first, second


@case("phones_pcmu", weight=5)
def phones_pcmu_case(lab):
    """Both directions, and either side hangs up."""
    first, second = codec_case(lab, "pcmu/8000/1", ["PCMU"], "pcmu")
    second.dial("1427")
    first.wait("CALL_ESTABLISHED", 2)
    part(lab, first, second)
    rows = lab.cdrs(2)
    equal((rows[1]["caller"], rows[1]["callee"], rows[1]["ended_by"]), ("1428", "1427", "callee"),
          "the second call")
    ladder = Ladder(lab)
    byes = [p for p in ladder.packets if p.message.method == "BYE" and p.message.request]
    answers = [p for p in ladder.packets if p.message.method == "BYE" and p.message.status == 200]
    equal((len(byes), len(answers)), (4, 4), "BYEs and their answers")


@case("phones_pcma", weight=4)
def phones_pcma_case(lab):
    codec_case(lab, "pcma/8000/1", ["PCMA", "PCMU"], "pcma")


@case("phones_g722", weight=4)
def phones_g722_case(lab):
    codec_case(lab, "g722/16000/1", ["opus", "G722", "PCMU"], "g722")


@case("phones_opus", weight=4)
def phones_opus_case(lab):
    codec_case(lab, "opus/48000/2", ["opus", "G722", "PCMU"], "opus")


@case("phones_tcp", weight=4)
def phones_tcp_case(lab):
    """Phones behind a TCP connection of their own: calls come over it."""
    first, second = pair(lab, proto="tcp")
    talk(lab, first, second)
    part(lab, second, first)
    row, = lab.cdrs(1)
    equal(row["ended_by"], "callee", "ended by")
    ladder = Ladder(lab)
    equal({p.proto for p in ladder.packets}, {"tcp"}, "transports")
    # A phone is reached over the connection that its REGISTER came by.
    registers = [p for p in ladder.packets if p.message.request and
                 p.message.method == "REGISTER" and "109Q1428" in p.message.get("from")]
    invites = [p for p in ladder.packets if p.message.request and
               p.message.method == "INVITE" and p.source[0] == lab.pbx]
    equal(invites[0].target, registers[0].source, "where the INVITE went")


@case("phones_hold", weight=5)
def phones_hold_case(lab):
    """Hold and resume are answered by the exchange; the other phone hears nothing of it."""
    first, second = pair(lab)
    talk(lab, first, second)
    first.tell("hold")
    lab.until(lambda: held(lab), 30, "the call is held")
    first.tell("resume")
    lab.until(lambda: not held(lab), 30, "the call is taken up again")
    part(lab, second, first)
    lab.cdrs(1)
    ladder = Ladder(lab)
    reinvites = [p for p in ladder.packets if p.message.request and p.message.method == "INVITE"
                 and p.message.tag("to")]
    steps = [ladder.name(p) for p in reinvites]
    equal(steps, ["p27>pbx INVITE"] * 2, "re-INVITEs")
    directions = [direction(p.message) for p in reinvites]
    check(directions[0] in ("sendonly", "inactive"), f"direction of hold: {directions}")
    equal(directions[1], "sendrecv", "direction of resume")


def held(lab):
    calls = lab.ctl("calls")
    return any(leg.get("held") for call in calls for leg in call["legs"])


def direction(message):
    for line in message.body.decode("utf-8", "replace").split("\r\n"):
        if line in ("a=sendrecv", "a=sendonly", "a=recvonly", "a=inactive"):
            return line[2:]
    return "sendrecv"


@case("phones_refresh", weight=6)
def phones_refresh_case(lab):
    """A registration is refreshed by the phone before it ends."""
    config = lab.config()
    config["sip"]["timers"] = {"register_min": 5}
    lab.start(config)
    phone = Baresip(lab, "1427", 440, regint="10;rwait=50")  # after half of the time
    phone.registered()

    first = lab.query("SELECT * FROM binding")[0]

    def refreshed():
        rows = lab.query("SELECT * FROM binding")
        equal(len(rows), 1, "bindings")
        return rows[0] if rows[0]["cseq"] > first["cseq"] else None
    row = lab.until(refreshed, 20, "the registration is refreshed")
    check(first["expires_ms"] < row["expires_ms"] < first["expires_ms"] + 10000,
          "times of the registration")
    equal(len(lab.ctl("registrations")), 1, "registrations")


@case("phones_linphone", weight=6)
def phones_linphone_case(lab):
    """Linphone calls baresip and hangs up; it takes the stronger of two challenges."""
    lab.start()
    first, second = Linphone(lab, "1427", 440), Baresip(lab, "1428", 1000)
    second.registered()
    lab.until(lambda: len(lab.ctl("registrations")) == 2, 30, "linphone is registered")
    first.call("1428")
    second.wait("CALL_ESTABLISHED", seconds=15)
    second.hears(first)
    first.has_recorded(16000)
    first.tell("terminate")
    second.wait("CALL_CLOSED")
    first.hears(second)
    row, = lab.cdrs(1)
    equal((row["caller"], row["callee"], row["ended_by"]), ("1427", "1428", "caller"), "CDR")
    ladder = Ladder(lab)
    user = PHONES["1427"]
    answers = [p.message.get("authorization", "") for p in ladder.packets
               if p.message.request and p.message.method == "REGISTER"
               and f"sip:{user}@" in p.message.get("from")]
    check(any("algorithm=SHA-256" in a for a in answers), f"algorithms of Linphone: {answers}")
