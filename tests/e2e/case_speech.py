"""Bots that a speech server speaks and hears for (MRCPv2): a phone, the exchange, and mrcp_server.py, which
says a tone for each letter and understands the first phrase of a grammar, or what it is told to."""
import json

from case_bot import Voice
from case_mrcp import Speech
from case_tls import authority, certificate
from case_tone import recorded
from lab import case, check, equal
from tone import Bench, TonePhone

MENU = [{"key": "1", "prompt": "Say desk.", "words": ["desk"], "do": "transfer:1002"},
        {"key": "2", "words": ["hours"], "say": "From nine to six."},
        {"key": "9", "words": ["bye"], "do": "hangup"}]
# The pitch of a voice that is no tone.
PITCH = [180, 240, 210, 300, 190, 270]


def call_bot(lab, *faults, says=None, record="none", transport="", tls=None, env=None, **more):
    """1001 hears the bot."""
    uri = f"sip:mresources@{lab.ip(70)}:{8061 if tls else 8060}{transport}"
    config = lab.config()
    config["extensions"] = [{"number": n, "password": f"secret-{n}", "record": record}
                            for n in ("1001", "1002")]
    config["trunks"], config["routes"] = [], []
    config["sounds"] = {"hold_music": False}
    config["recording"] = {"dir": lab.path("recordings")}
    config["bots"] = [{"name": "desk", "engine": "mrcp", "greeting": "Hello.", "menu": MENU,
                       "server": uri, **more}]
    speech = Speech(lab, *faults, says=says, tls=tls)
    bench = Bench(lab)
    lab.start(config, env)
    server = Voice(bench, 440)
    phone = TonePhone(bench, "1001", 1500)
    call = phone.dial("*55")
    call.wait("up")
    bench.tell("mute", call.ear, 1)
    return bench, speech, call, server


def speak(bench, call, ms=700):
    """The caller says something."""
    bench.tell("mute", call.ear, 0)
    for i in range(ms // 20):
        bench.tell("tone", call.ear, PITCH[i % 6])
        bench.elapse(20)
    bench.tell("mute", call.ear, 1)


def conversation(lab, n=1):
    """The n-th row of the database, when it is there."""
    rows = lab.until(lambda: lab.query("SELECT * FROM call_bot ORDER BY rowid")[n - 1:], 30,
                     "the row of the conversation")
    return json.loads(rows[0]["figures"]), [n["text"] for n in json.loads(rows[0]["transcript"])]


def hands_over(lab, **more):
    bench, speech, call, server = call_bot(lab, says="desk", record="tracks", **more)
    other = TonePhone(bench, "1002", 1300)
    call.hears(server, since=0)
    lab.until(lambda: not call.wrong([]), 30, "the greeting is over")
    speak(bench, call)
    arrived = other.arrival(20)
    arrived.ring()
    arrived.answer()
    call.hears(other)
    call.hang_up()
    lab.quiet()
    figures, notes = conversation(lab)
    check(any(n.startswith("said: desk (0.8") for n in notes), f"heard: {notes}")
    check("Hello. Say desk." in notes, f"said: {notes}")
    check("One moment, please." in notes, f"said: {notes}")
    equal(figures["errors"], 0, "errors")
    calls = [call]

    def first_sound():
        """Of another call, ms."""
        since = bench.now()
        calls.append(call.phone.dial("*55"))
        calls[-1].wait("up")
        bench.tell("mute", calls[-1].ear, 1)
        calls[-1].hears(server, since=since)
        calls[-1].hang_up()
        lab.quiet()
        return conversation(lab, len(calls))[0]["first_sound_ms"]
    lab.least(first_sound, 1500, "first sound, ms", figures["first_sound_ms"])
    lab.until(lambda: lab.ctl("mrcp")["sessions"] == 0, 20, "the sessions are over")
    seen = speech.seen()
    equal((seen["left"], seen["byes"]), (0, len(calls)), "sessions left, BYEs")
    if len(calls) == 1:
        equal(seen["streams"], 1 if more else 0, "connections of SIP")
    requests = [r for r in seen["requests"] if r in ("SPEAK", "RECOGNIZE")]
    equal(requests[:3], ["SPEAK", "RECOGNIZE", "SPEAK"], "requests")
    equal(len(requests), 1 + 2 * len(calls), f"requests: {requests}")
    lab.until(lambda: recorded(lab), 30, "the recording")
    voices = set()
    for path in recorded(lab):
        for channel in range(bench.file(path)["channels"]):
            tones = bench.file(path, channel)["tones"]
            voices.add(tuple(hz for hz in ("440", "1300") if tones[hz]["run_ms"] > 100))
    equal(voices, {(), ("440",), ("1300",)}, "who is heard on the tracks")


@case("speech_hands_over", weight=3)
def speech_hands_over_case(lab):
    """Greeted, heard, understood, handed over; all of it is in the record."""
    hands_over(lab)


@case("speech_tcp", weight=3)
def speech_tcp_case(lab):
    hands_over(lab, transport=";transport=tcp")


@case("speech_tls", weight=3)
def speech_tls_case(lab):
    """Over TLS the control channel is, too."""
    authority(lab)
    certificate(lab, "good", f"IP:{lab.ip(70)}")
    hands_over(lab, tls="good", env={"MRCP_SIP_TRANSPORT": "tls",
                                     "MRCP_SIP_TLS_CA": lab.path("ca.pem")})


@case("speech_stranger", weight=2)
def speech_stranger_case(lab):
    """A server that cannot prove who it is: no bot, and the log says why."""
    authority(lab)
    authority(lab, "other")
    certificate(lab, "stranger", f"IP:{lab.ip(70)}", ca="other")
    config = lab.config()
    config["extensions"] = [{"number": "1001", "password": "secret-1001"}]
    config["trunks"], config["routes"] = [], []
    config["bots"] = [{"name": "desk", "engine": "mrcp", "server": f"sip:m@{lab.ip(70)}:8061"}]
    speech = Speech(lab, tls="stranger")
    bench = Bench(lab)
    lab.start(config, {"MRCP_SIP_TRANSPORT": "tls", "MRCP_SIP_TLS_CA": lab.path("ca.pem")})
    call = TonePhone(bench, "1001", 1500).dial("*55")
    call.wait("failed")
    equal(call.status, 480, "what the caller is told")
    check("TLS" in lab.server.text(), "the log does not say why")
    equal(speech.seen()["invites"], 0, "INVITEs")


@case("speech_key", weight=3)
def speech_key_case(lab):
    """A key over the greeting is for the menu alone: the old sentence is over, and the server does not hear the key."""
    bench, speech, call, server = call_bot(lab, greeting="Hello. " * 40)
    call.hears(server)
    call.keys("7")
    bench.elapse(3000)
    call.hang_up()
    lab.quiet()
    figures, notes = conversation(lab)
    check("wrong key 7" in notes, f"the key: {notes}")
    check(not any(n.startswith("said: ") for n in notes), f"nobody has said anything: {notes}")
    equal((figures["keys"], figures["no_matches"]), (1, 1), f"one key, one miss: {notes}")
    requests = speech.seen()["requests"]
    equal([r for r in requests if r == "BARGE-IN-OCCURRED"], [], f"requests: {requests}")


@case("speech_misses", weight=3)
def speech_misses_case(lab):
    """Something of which the server is not certain, then silence: the place of last resort."""
    bench, speech, call, server = call_bot(lab, says="desk@0.2|", no_input=1, tries=2,
                                           fallback="hangup")
    call.hears(server, since=0)
    lab.until(lambda: not call.wrong([]), 30, "the greeting is over")
    speak(bench, call)
    call.wait("ended", 30)
    figures, notes = conversation(lab)
    equal((figures["no_matches"], figures["no_inputs"]), (1, 1), "misses")
    check("said: desk (0.20)" in notes and "no-input" in notes, f"heard: {notes}")
    check("I did not hear anything." in notes, f"said: {notes}")
    equal(speech.seen()["left"], 0, "sessions left")


@case("speech_interrupted", weight=3)
def speech_interrupted_case(lab):
    """Who speaks into the greeting stops it; what the server says next is heard again."""
    bench, speech, call, server = call_bot(lab, says="hours", greeting="Hello. " * 40)
    call.hears(server)
    began = bench.now()
    speak(bench, call, 400)

    def pauses():
        return [at for at in range(int(began) + 100, int(bench.now()) - 150, 20)
                if call.heard(at, at + 150)["tones"]["440"]["max"] < 0.03]
    paused = lab.until(pauses, 6, "it is silent")
    call.hears(server, since=paused[0])
    call.keys("9")
    call.wait("ended", 20)
    figures, notes = conversation(lab)
    equal(figures["barge_ins"], 1, "barge-ins")
    # Of the 16 seconds of the greeting; that it is 100 ms, test_tap shows without a clock.
    check(0 < figures["barge_ms"][0] <= 4000, f"it was heard for {figures['barge_ms']} ms")
    check("key 9" in notes, f"keys: {notes}")
    equal(speech.seen()["left"], 0, "sessions left")


@case("speech_unreachable", weight=2)
def speech_unreachable_case(lab):
    """A server that refuses leaves the call as if there were no bot."""
    config = lab.config()
    config["extensions"] = [{"number": "1001", "password": "secret-1001"}]
    config["trunks"], config["routes"] = [], []
    config["bots"] = [{"name": "desk", "engine": "mrcp",
                       "server": f"sip:mresources@{lab.ip(70)}:8060"}]
    speech = Speech(lab, "refuse=503")
    bench = Bench(lab)
    lab.start(config)
    call = TonePhone(bench, "1001", 1500).dial("*55")
    call.wait("failed")
    equal(call.status, 480, "what the caller is told")
    lab.quiet()
    equal(speech.seen()["left"], 0, "sessions left")
