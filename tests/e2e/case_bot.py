"""Bots that speak over a WebSocket: bot.js, which is written for Twilio Media Streams on another's library (ws of
Node.js), between a phone and the exchange."""
import glob
import json
import os
import re
import shutil
import subprocess

from lab import Skip, case, check, equal
from phone import level, samples_of
from tone import LEVEL, Bench, TonePhone

HERE = os.path.dirname(os.path.abspath(__file__))
TOKEN = "a token of ours"
MODULES = "/usr/share/nodejs"  # where Debian's node-ws is


class Voice:
    """A frequency of the bot, in the place of a phone's."""

    def __init__(self, bench, hertz):
        self.hertz, self.level, self.number = hertz, LEVEL, f"bot {hertz} Hz"
        bench.phones.append(self)

    def close(self):
        pass


def node_is_there():
    if not shutil.which("node") or not os.path.isdir(os.path.join(MODULES, "ws")):
        raise Skip("nodejs and node-ws are not installed: no bot of another's making can speak")


class Bot:
    """bot.js, and what it tells."""

    def __init__(self, lab, name="bot", at=None, **more):
        host, port = at or (lab.ip(90), 9000)
        node_is_there()
        env = dict(os.environ, NODE_PATH=MODULES, **more)
        self.lab, self.name = lab, name
        self.job = lab.job(name, ["node", os.path.join(HERE, "bot.js"), host, str(port), TOKEN,
                                  f"{lab.pbx}:8090"], env=env)
        lab.until(lambda: self.job.text(), 30, "the bot listens")

    def told(self, event):
        lines = [json.loads(line) for line in self.job.lines() if line.startswith("{")]
        return [m for m in lines if m.get("event") == event or event in m]

    def hears(self, event, n=1):
        self.lab.until(lambda: len(self.told(event)) >= n, 30, f"the bot is told {event} {n} times")
        return self.told(event)[n - 1]

    def marks(self):
        return [m["mark"]["name"] for m in self.told("mark")]

    def marked(self, *names):
        self.lab.until(lambda: self.marks() == list(names), 30, f"marks {names}")


def exchange(lab, recording=None, **more):
    config = lab.config()
    config["recording"] = recording or {"mode": "none"}
    config["extensions"] = [{"number": n, "password": f"secret-{n}"} for n in ("1001", "1002")]
    config["trunks"], config["routes"] = [], []
    config["sounds"] = {"hold_music": False}
    config["bots"] = [{"name": "agent", "engine": "stream", "token": TOKEN,
                       **{"url": f"ws://{lab.ip(90)}:9000/call?a=1", **more}}]
    config["bot_api"] = {"listen": f"{lab.pbx}:8090"}
    bench = Bench(lab)
    lab.start(config)
    return bench


def call_bot(lab, **more):
    bench = exchange(lab, **more)
    high, low = Voice(bench, 900), Voice(bench, 700)
    bot = Bot(lab)
    phone = TonePhone(bench, "1001", 500)
    call = phone.dial("*55")
    call.wait("up")
    return bench, bot, call, high, low


@case("bot_stream", weight=4)
def bot_stream_case(lab):
    """Messages in order and to the letter; sound both ways, marks, clear, keys, echo."""
    bench, bot, call, high, low = call_bot(lab)
    check(bot.hears("connection")["signed"], "X-Twilio-Signature is not what Twilio makes of the URL")
    equal(bot.hears("connected"), {"event": "connected", "protocol": "Call", "version": "1.0.0",
                                   "binary": False}, "the first message")
    start = bot.hears("start")
    equal(start["sequenceNumber"], "1", "the number of start")
    equal(start["start"]["mediaFormat"],
          {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}, "the format")
    equal(start["start"]["tracks"], ["inbound"], "the tracks")
    for key, kind in (("accountSid", "AC"), ("callSid", "CA"), ("streamSid", "MZ")):
        check(re.fullmatch(kind + "[0-9a-f]{32}", start["start"][key]), f"{key} of {start}")
    equal(start["streamSid"], start["start"]["streamSid"], "the stream")
    equal(start["start"]["customParameters"]["from"], "1001", "who calls")
    call.hears(high, since=0)
    bot.marked("greeting")
    media = bot.hears("media", 2)
    equal((media["media"]["track"], media["media"]["chunk"], media["media"]["timestamp"],
           media["media"]["payload"]), ("inbound", "51", "1000", 51 * 160), "the 51st chunk")
    call.keys("1")
    equal(bot.hears("dtmf")["dtmf"], {"track": "inbound_track", "digit": "1"}, "the key")
    call.hears(low)
    call.keys("2")
    bot.marked("greeting", "long")
    call.hears()
    since = bench.now()
    call.keys("4")
    call.hears(low, since=since)
    call.hears(high, since=since)
    bot.marked("greeting", "long", "first", "second")
    call.keys("3")
    call.hears(call.phone)
    call.whole(jumps=20)
    call.hang_up()
    equal(bot.hears("stop")["stop"]["callSid"], start["start"]["callSid"], "the call that stops")
    equal(bot.hears("closed")["closed"], 1000, "the code of the close frame")
    lab.until(lambda: not lab.ctl("calls"), 30, "no call is left")


@case("bot_ends", weight=2)
def bot_ends_case(lab):
    """The bot ends the call as Twilio's clients do, by HTTP."""
    _, bot, call, _, _ = call_bot(lab)
    bot.marked("greeting")
    call.keys("5")
    equal(bot.hears("posted")["status"], 200, "the reply")
    call.wait("ended")
    bot.hears("closed")


@case("bot_hands_over", weight=2)
def bot_hands_over_case(lab):
    """The bot hands the caller over to an extension: <Dial>."""
    bench, bot, call, _, _ = call_bot(lab)
    other = TonePhone(bench, "1002", 1300)
    bot.marked("greeting")
    call.keys("6")
    equal(bot.hears("posted")["status"], 200, "the reply")
    arrived = other.arrival()
    arrived.ring()
    arrived.answer()
    call.hears(other)
    arrived.hears(call.phone)
    bot.hears("closed")
    call.hang_up()


@case("bot_recorded", weight=3)
def bot_recorded_case(lab):
    """What a bot says is a track beside the caller's, and in the mix; who it hands over to is the third."""
    bench, bot, call, _, _ = call_bot(lab, recording={"dir": lab.path("recordings"), "mode": "both"})
    other = TonePhone(bench, "1002", 1300)
    bot.marked("greeting")
    call.keys("6")
    arrived = other.arrival()
    arrived.ring()
    arrived.answer()
    call.hears(other)
    arrived.hears(call.phone)
    call.hang_up()
    lab.until(lambda: not lab.ctl("calls"), 30, "no call is left")
    found = sidecar(lab)
    equal([t["party"] for t in found["call"]["tracks"]], ["1001", "bot:agent", "1002"], "the parties")
    heard = {file["track"]: bench.file(os.path.join(found["folder"], file["name"]))["tones"]
             for file in found["files"]}
    voices = {track: [hz for hz, t in tones.items() if t["max"] > 0.1] for track, tones in heard.items()}
    equal(voices, {None: ["500", "900", "1300"], 1: ["500"], 2: ["900"], 3: ["1300"]},
          "who is heard where")
    track, = [file["name"] for file in found["files"] if file["track"] == 2]
    rate, pcm = samples_of(os.path.join(found["folder"], track))
    # In pieces, if the machine has stood still.
    spoken = 20 * sum(level(pcm[i:i + rate // 50], 900, rate) > 0.1
                      for i in range(0, len(pcm), rate // 50))
    check(900 <= spoken <= 1100, f"a second of greeting on the bot's track: {spoken} ms")


def sidecar(lab):
    """Of the one recording that there is, when it is done."""
    def done():
        paths = glob.glob(lab.path("recordings") + "/*/*.json")
        if not paths:
            return None
        with open(paths[0], encoding="utf-8") as f:
            meta = json.load(f)
        return dict(meta, folder=os.path.dirname(paths[0])) if meta["state"] == "done" else None
    lab.until(done, 30, "the recording is done")
    return done()


@case("bot_closes", weight=2)
def bot_closes_case(lab):
    """A bot that closes its connection properly has said good-bye."""
    _, bot, call, _, _ = call_bot(lab)
    bot.marked("greeting")
    call.keys("7")
    bot.hears("closed")
    call.wait("ended")


@case("bot_breaks", weight=2)
def bot_breaks_case(lab):
    """A connection that breaks is made again, and the caller goes on with the same bot."""
    bench, bot, call, high, _ = call_bot(lab)
    bot.marked("greeting")
    call.hears()
    since = bench.now()
    call.keys("8")
    again = bot.hears("start", 2)
    equal(again["start"]["customParameters"]["resumed"], "1", "what the bot is told")
    equal(again["start"]["callSid"], bot.told("start")[0]["start"]["callSid"], "the call")
    call.hears(high, since=since)
    call.hang_up()


@case("bot_interrupted", weight=2)
def bot_interrupted_case(lab):
    """The caller speaks: what the bot says is not heard any more, and its mark comes back at once."""
    bench, bot, call, _, low = call_bot(lab)
    bot.marked("greeting")
    pitch = [180, 240, 210, 300, 190, 270]

    def interrupted():
        """After so many ms the bot was told."""
        n = len(bot.marks())
        call.keys("1")
        call.hears(low)
        began = bench.now()
        bench.tell("mute", call.ear, 0)
        for i in range(40):  # a voice is no tone
            bench.tell("tone", call.ear, pitch[i % 6])
            if len(bot.marks()) > n:
                break
            bench.elapse(20)
        bot.marked("greeting", *["long"] * n)
        took = bench.now() - began
        bench.tell("mute", call.ear, 1)
        check(call.heard(took + began + 60, bench.elapse(400))["tones"]["700"]["max"] < 0.03,
              "the bot is heard on")
        return took
    lab.least(interrupted, 1000, "until the bot was told, ms")
    call.hang_up()


def certify(lab, name, alternative, issuer=None):
    """A key and a certificate, of an issuer or of its own."""
    key, pem = lab.path(name + ".key"), lab.path(name + ".pem")
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
             "-keyout", key, "-out", pem, "-days", "2", "-subj", f"/CN={name}",
             "-addext", f"subjectAltName={alternative}"]
    if issuer:
        words += ["-CA", issuer[1], "-CAkey", issuer[0], "-addext", "basicConstraints=critical,CA:FALSE"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    check(done.returncode == 0, f"openssl: {done.stderr[-200:]}")
    return key, pem


@case("bot_tls", weight=3)
def bot_tls_case(lab):
    """wss://: the certificate is verified, against our authority and for the name in the URL."""
    authority = certify(lab, "authority", "DNS:authority.test")
    right = certify(lab, "right", "DNS:localhost", authority)
    wrong_name = certify(lab, "wrong", "DNS:elsewhere.test", authority)
    stranger = certify(lab, "stranger", "DNS:localhost")
    config = lab.config()
    config["extensions"] = [{"number": "1001", "password": "secret-1001"}]
    config["trunks"], config["sip"]["tls"] = [], {"ca": authority[1]}
    names = ("right", "wrong", "stranger")
    block = int(lab.net.split(".")[1]) * 100 + int(lab.net.split(".")[2])
    base = 20000 + block % 20000  # localhost is one for all cases
    config["bots"] = [{"name": name, "engine": "stream", "token": TOKEN, "url":
                       f"wss://localhost:{base + i}/"} for i, name in enumerate(names)]
    config["routes"] = [{"match": f"^77{i}$", "to": f"bot:{name}"} for i, name in enumerate(names)]
    config["bot_api"] = {"listen": f"{lab.pbx}:8090"}
    bench = Bench(lab)
    lab.start(config)
    bots = []
    for i, (name, pair) in enumerate(zip(names, (right, wrong_name, stranger))):
        bots.append(Bot(lab, name, at=("127.0.0.1", base + i), BOT_KEY=pair[0], BOT_CERTIFICATE=pair[1]))
    high = Voice(bench, 900)
    phone = TonePhone(bench, "1001", 500)
    call = phone.dial("770")
    call.wait("up")
    check(bots[0].hears("connection")["signed"], "the signature")
    call.hears(high, since=0)
    call.hang_up()
    for i in (1, 2):
        call = phone.dial(f"77{i}")
        call.wait("failed")
        equal(len(bots[i].told("connection")), 0, f"connections to {bots[i].name}")


def rings(lab, url=None, **timers):
    """1001 calls 1002, which rings and does not answer; its bot is to."""
    config = lab.config()
    config["extensions"] = [{"number": "1001", "password": "secret-1001"},
                            {"number": "1002", "password": "secret-1002", "bot": "agent"}]
    config["trunks"], config["routes"] = [], []
    config["sounds"] = {"hold_music": False}
    config["sip"]["timers"] = timers
    config["bots"] = [{"name": "agent", "engine": "stream", "url": url or f"ws://{lab.ip(90)}:9000/"}]
    bench = Bench(lab)
    lab.start(config)
    high = Voice(bench, 900)
    caller, callee = TonePhone(bench, "1001", 500), TonePhone(bench, "1002", 1300)
    bot = None if url else Bot(lab)
    call = caller.dial("1002")
    arrived = callee.arrival()
    arrived.ring()
    return bot, call, arrived, high


@case("bot_no_answer", weight=3)
def bot_no_answer_case(lab):
    """Nobody picks up: after no_answer_timeout the phone is cancelled and the bot has the call."""
    bot, call, arrived, high = rings(lab, no_answer_timeout=1.5)
    call.wait("up")
    call.hears(high, since=0)
    equal(bot.hears("start")["start"]["customParameters"]["reason"], "no_answer", "the reason")
    equal(bot.hears("start")["start"]["customParameters"]["to"], "1002", "who was called")
    lab.until(lambda: arrived.state not in ("ringing", "up", "new"), 30, "the phone is cancelled")
    call.hang_up()
    bot.hears("stop")
    lab.until(lambda: not lab.ctl("calls"), 30, "no call is left")


@case("bot_unreachable", weight=3)
def bot_unreachable_case(lab):
    """No bot is there: the phone rings on, and can be answered."""
    _, call, arrived, _ = rings(lab, url=f"ws://{lab.ip(91)}:9/", no_answer_timeout=1)
    call.bench.elapse(2500)
    equal(call.state, "ringing", "the call when the bot has failed")
    arrived.answer()
    call.wait("up")
    call.hears(arrived.phone)
    call.hang_up()
