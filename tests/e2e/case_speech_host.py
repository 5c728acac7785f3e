"""How the exchange hosts sessions with speech servers: credentials, figures, its own traffic, an environment
that is wrong, and servers that go away."""
import re
import signal
import socket

import names as servers
from case_mrcp import Names, Speech
from case_tls import authority, certificate
from case_speech import call_bot, speak
from lab import case, check, equal
from tone import Bench, TonePhone


@case("speech_figures", weight=2)
def speech_figures_case(lab):
    """With credentials; then what ctl and Prometheus are told, and the messages as a ladder."""
    bench, speech, call, server = call_bot(lab, "auth", server_user="alice", server_password="secret")
    call.hears(server, since=0)
    equal(lab.ctl("mrcp")["sessions"], 1, "sessions open")
    call.hang_up()
    lab.quiet()
    told = lab.until(lambda: lab.ctl("mrcp")["sipByeSent"] and lab.ctl("mrcp"), 30, "the BYE")
    for name, value in (("sessions", 0), ("opened", 1), ("failed", 0), ("lost", 0),
                        ("sipAuthChallenges", 1), ("sipError4xx", 0), ("sipByeSent", 1),
                        ("connects", 1), ("shared", 1)):
        equal(told[name], value, name)
    check(told["requests"] >= 2 and told["responses"] >= 2, f"requests: {told}")
    text = lab.ctl_run("metrics").stdout
    for line in ("ringdown_mrcp_sipByeSent 1", "ringdown_mrcp_sipAuthChallenges 1",
                 "ringdown_mrcp_opened 1"):
        check(line + "\n" in text, f"metrics lack {line}")
    seen = speech.seen()
    equal((seen["invites"], seen["byes"], seen["left"]), (2, 1, 0), "INVITEs, BYEs, sessions left")
    ladder = lab.ctl_run("ladder", "--width", "200", seen["calls"][0]).stdout
    for what in ("INVITE", "401", "200", "BYE"):
        check(what in ladder, f"the ladder lacks {what}: {ladder[:600]}")


@case("speech_hangs_up", weight=3)
def speech_hangs_up_case(lab):
    """A server that hangs up in the middle: the caller is told so by the exchange, and brought on."""
    bench, speech, call, server = call_bot(lab, "hang-up=2", greeting="Hello. " * 40,
                                           fallback="transfer:1002")
    other = TonePhone(bench, "1002", 1300)
    call.hears(server, since=0)
    arrived = other.arrival(30)
    arrived.answer()
    call.hears(other)
    told = lab.ctl("mrcp")
    equal((told["lost"], told["sessions"]), (1, 0), "lost, open")
    call.hang_up()
    lab.quiet()
    row, = lab.query("SELECT * FROM call_bot")
    check('"errors":1' in row["figures"], f"figures: {row['figures']}")
    told = lab.ctl_run("explain", "1").stdout
    check(" ms: the server hung up\n" in told, f"explained: {told}")
    seen = speech.seen()
    equal(seen["left"], 1, "sessions that the server itself has ended")
    equal(seen["byes"], 0, "BYEs to who has hung up")


@case("speech_refreshed")
def speech_refreshed_case(lab):
    """A server that refreshes the session by INVITE, with what it has said before."""
    bench, speech, call, server = call_bot(lab, "refresh=0.5", greeting="Hello. " * 20)
    call.hears(server)
    lab.until(lambda: "our INVITE: 200" in speech.job.text(), 10, "its answer")
    call.hears(server)
    call.hang_up()
    lab.quiet()
    seen = speech.seen()
    equal((seen["invites"], seen["byes"], seen["left"]), (1, 1, 0), "INVITEs, BYEs, sessions left")


@case("speech_gone", weight=2)
def speech_gone_case(lab):
    """It is killed, and its control connection with it."""
    bench, speech, call, server = call_bot(lab, greeting="Hello. " * 40, fallback="hangup")
    call.hears(server)
    speech.job.signal(signal.SIGKILL)
    call.wait("ended", 30)
    equal(lab.ctl("mrcp")["lost"], 1, "lost")


@case("speech_off", captured=False)
def speech_off_case(lab):
    """MRCP_ENABLE_SIP_V2=0: as if there were no bot, and the log says why."""
    config = lab.config()
    config["extensions"] = [{"number": "1001", "password": "secret-1001"}]
    config["trunks"], config["routes"] = [], []
    config["bots"] = [{"name": "desk", "engine": "mrcp",
                       "server": f"sip:mresources@{lab.ip(70)}:8060"}]
    lab.put_config(config)
    # A value that is not possible is no reason to guess.
    job = lab.job("wrong", [lab.program, "serve", "-c", "ringdown.yaml"],
                  env={"PATH": "/usr/bin:/bin", "MRCP_SIP_TRANSPORT": "smoke"})
    job.wait(10, status=1)
    check("MRCP_SIP_TRANSPORT" in job.text(), f"why: {job.text()}")
    speech = Speech(lab)
    bench = Bench(lab)
    lab.start(config, {"MRCP_ENABLE_SIP_V2": "0"})
    call = TonePhone(bench, "1001", 1500).dial("*55")
    call.wait("failed")
    lab.until(lambda: "MRCP_ENABLE_SIP_V2" in lab.server.text(), 30, "the log says why")
    told = lab.ctl("mrcp")
    equal((told["opened"], told["failed"]), (0, 1), "opened, failed")
    equal(speech.seen()["invites"], 0, "INVITEs")


@case("speech_moves", weight=2)
def speech_moves_case(lab):
    """A name that leads somewhere else is asked for again when a session has failed, and not before."""
    config = lab.config()
    config["extensions"] = [{"number": "1001", "password": "secret-1001"}]
    config["trunks"], config["routes"] = [], []
    config["dns"] = {"servers": [f"{lab.ip(72)}:5353"]}
    config["bots"] = [{"name": "desk", "engine": "mrcp", "server": "sip:m@live.asr.test:8060"}]
    speech = Speech(lab)
    names = Names(lab, lab.ip(73), lab.ip(73))  # where nobody is
    try:
        bench = Bench(lab)
        lab.start(config)
        phone = TonePhone(bench, "1001", 1500)
        phone.dial("*55").wait("failed")
        names.host[b"live"] = lab.ip(70)
        for _ in range(2):
            call = phone.dial("*55")
            call.wait("up")
            call.hang_up()
            lab.quiet()
        asked = {i for i, (name, kind) in names.questions if kind == 1}
        equal({name for name, kind in names.asked if kind == 1}, {"live.asr.test"}, "asked for")
        equal(len(asked), 2, f"times that it is asked for its address: {names.questions}")
    finally:
        names.close()
    lab.until(lambda: lab.ctl("mrcp")["sipByeSent"] == 2, 30, "both are over")
    equal(speech.seen()["left"], 0, "sessions left")


@case("speech_passed_over", weight=3)
def speech_passed_over_case(lab):
    """Of a name's two addresses the silent one is passed over, and is the last to be tried from then on."""
    config = lab.config()
    config["extensions"] = [{"number": "1001", "password": "secret-1001"}]
    config["trunks"], config["routes"] = [], []
    config["dns"] = {"servers": [f"{lab.ip(72)}:5353"]}
    config["bots"] = [{"name": "desk", "engine": "mrcp", "server": "sip:m@asr.test:8060", "open_timeout": 6}]
    speech = Speech(lab)
    names = servers.Names(lab.ip(72), {("asr.test", "A"): [servers.a(lab.ip(71)), servers.a(lab.ip(70))]}, ttl=600)
    silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    silent.bind((lab.ip(71), 8060))
    silent.setblocking(False)
    try:
        bench = Bench(lab)
        lab.start(config)
        phone = TonePhone(bench, "1001", 1500)
        for _ in range(2):
            call = phone.dial("*55")
            call.wait("up")
            call.hang_up()
            lab.quiet()
        tried = set()
        while True:
            try:
                tried.add(re.search(rb"Call-ID: (.*?)\r\n", silent.recv(65535))[1])
            except BlockingIOError:
                break
        equal(len(tried), 1, "calls that the silent one was asked for")
    finally:
        silent.close()
        names.sock.close()
    lab.until(lambda: lab.ctl("mrcp")["sipByeSent"] == 2, 30, "both are over")
    equal(speech.seen()["left"], 0, "sessions left")


@case("speech_stops", weight=2)
def speech_stops_case(lab):
    """An exchange that ends hangs up its sessions first."""
    bench, speech, call, server = call_bot(lab, greeting="Hello. " * 40)
    call.hears(server)
    lab.server.end(10)
    call.wait("ended", 10)
    seen = speech.seen()
    equal((seen["byes"], seen["left"]), (1, 0), "BYEs, sessions left")
    lab.start()


@case("speech_why", captured=False)
def speech_why_case(lab):
    """The reason that is told is that of this time: a certificate once, nobody there then."""
    authority(lab)
    certificate(lab, "name", "DNS:elsewhere.test")
    config = lab.config()
    config["extensions"] = [{"number": "1001", "password": "secret-1001"}]
    config["trunks"], config["routes"] = [], []
    config["bots"] = [{"name": "desk", "engine": "mrcp",
                       "server": f"sips:mresources@{lab.ip(70)}:8061"}]
    speech = Speech(lab, tls="name")
    bench = Bench(lab)
    lab.start(config, {"MRCP_SIP_TLS_CA": lab.path("ca.pem")})
    phone = TonePhone(bench, "1001", 1500)
    phone.dial("*55").wait("failed")
    lab.until(lambda: "the bot fails: TLS: " in lab.server.text(), 30, "the certificate is told")
    equal(speech.seen()["invites"], 0, "INVITEs")
    phone.dial("*55").wait("failed")
    lab.until(lambda: "the bot fails: nobody is there" in lab.server.text(), 30, "nobody is told")
    equal(lab.server.text().count("the bot fails: TLS: "), 1, "reasons of TLS")


def plain_config(lab, server, numbers, **bot):
    config = lab.config()
    config["extensions"] = [{"number": n, "password": f"secret-{n}"} for n in numbers]
    config["trunks"], config["routes"] = [], []
    config["bots"] = [{"name": "desk", "engine": "mrcp", "server": server, **bot}]
    return config


@case("speech_why_both", captured=False)
def speech_why_both_case(lab):
    """Two calls that wait for one handshake, which fails: both are told why."""
    authority(lab)
    listener = socket.create_server((lab.ip(70), 8061))
    bench = Bench(lab)
    lab.start(plain_config(lab, f"sips:mresources@{lab.ip(70)}:8061", ("1001", "1002")),
              {"MRCP_SIP_TLS_CA": lab.path("ca.pem")})
    calls = [TonePhone(bench, n, 1500).dial("*55") for n in ("1001", "1002")]
    try:
        listener.settimeout(10)
        peer = listener.accept()[0]
        lab.until(lambda: lab.ctl("mrcp")["sessions"] == 2, 30, "both are being opened")
        peer.sendall(b"I do not speak TLS.\r\n")
        for call in calls:
            call.wait("failed")
        peer.close()
    finally:
        listener.close()
    lab.until(lambda: lab.server.text().count("the bot fails: ") == 2, 30, "both are told")
    equal(lab.server.text().count("the bot fails: TLS: "), 2, "reasons of TLS")


@case("speech_stops_opening", captured=False)
def speech_stops_opening_case(lab):
    """An exchange that ends while a session is being opened waits for it, to hang it up."""
    speech = Speech(lab, "delay=0.5")
    bench = Bench(lab)
    lab.start(plain_config(lab, f"sip:mresources@{lab.ip(70)}:8060", ("1001",), open_timeout=5))
    TonePhone(bench, "1001", 1500).dial("*55")
    lab.until(lambda: lab.ctl("mrcp")["sessions"] == 1, 30, "it is being opened")
    lab.server.end(10)
    seen = speech.seen()
    equal((seen["byes"], seen["left"]), (1, 0), "BYEs, sessions left")
    lab.start()


@case("speech_limits", weight=2)
def speech_limits_case(lab):
    """How many conversations there may be is what limits.bots said at the start, for all who count."""
    speech = Speech(lab)
    bench = Bench(lab)
    numbers = ("1001", "1002", "1003", "1004")
    config = plain_config(lab, f"sip:mresources@{lab.ip(70)}:8060", numbers)
    bots = config.pop("bots")
    lab.start({**config, "limits": {"bots": 4}})
    lab.put_config({**config, "limits": {"bots": 1}, "bots": bots})
    lab.reload()
    calls = [TonePhone(bench, n, 1500).dial("*55") for n in numbers]
    for call in calls:
        call.wait("up")
    equal(lab.ctl("mrcp")["sessions"], 4, "sessions")
    for call in calls:
        call.hang_up()
    lab.quiet()
    lab.until(lambda: lab.ctl("mrcp")["sipByeSent"] == 4, 30, "all are over")
    equal(speech.seen()["left"], 0, "sessions left")


@case("speech_two", weight=3)
def speech_two_case(lab):
    """Two conversations share a control connection, and neither hears of the other."""
    bench, speech, first, server = call_bot(lab, says="hours")
    first.hears(server, since=0)
    second = TonePhone(bench, "1002", 1300).dial("*55")
    second.wait("up")
    bench.tell("mute", second.ear, 1)
    second.hears(server, since=0)
    equal(lab.ctl("mrcp")["sessions"], 2, "sessions")
    first.hang_up()
    lab.until(lambda: lab.ctl("mrcp")["sessions"] == 1, 30, "one is over")
    lab.until(lambda: not second.wrong([]), 30, "the greeting is over")
    since = bench.now()
    speak(bench, second)
    second.hears(server, since=since)
    second.keys("9")
    second.wait("ended", 20)
    told = lab.until(lambda: lab.ctl("mrcp")["sipByeSent"] == 2 and lab.ctl("mrcp"), 30, "BYEs")
    equal((told["connects"], told["shared"], told["heard"]), (1, 3, 1), "connections, shared, heard")
    seen = speech.seen()
    equal((seen["connections"], seen["left"]), (1, 0), "connections, sessions left")
