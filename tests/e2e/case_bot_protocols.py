"""Bots that are not Twilio's: JSON with binary sound (bot_json.js, on another's library), and AudioSocket
(audiosocket.py), each between a phone and the exchange."""
import json
import os
import sys

from case_bot import HERE, MODULES, TOKEN, Voice, exchange, node_is_there
from lab import case, check, equal
from tone import TonePhone


class Program:
    """What speaks for a bot, and what it tells."""

    def __init__(self, lab, name, argv, **env):
        self.lab, self.name = lab, name
        self.job = lab.job(name, argv, env=dict(os.environ, **env))
        lab.until(lambda: self.job.text(), 30, "the bot listens")

    def told(self, kind):
        lines = [json.loads(line) for line in self.job.lines() if line.startswith("{")]
        return [m for m in lines if m["type"] == kind]

    def hears(self, kind, n=1):
        self.lab.until(lambda: len(self.told(kind)) >= n, 30, f"the bot is told {kind} {n} times")
        return self.told(kind)[n - 1]


def call_json(lab, **more):
    node_is_there()
    bench = exchange(lab, protocol="json", **more)
    high, low = Voice(bench, 900), Voice(bench, 700)
    bot = Program(lab, "bot", ["node", os.path.join(HERE, "bot_json.js"), lab.ip(90), "9000", TOKEN],
                  NODE_PATH=MODULES)
    phone = TonePhone(bench, "1001", 500)
    call = phone.dial("*55")
    call.wait("up")
    return bench, bot, call, high, low


def conversation(lab, rate):
    _, bot, call, high, low = call_json(lab, rate=rate)
    check(bot.hears("connection")["trusted"], "the token is not that of the configuration")
    start = bot.hears("start")
    equal((start["encoding"], start["rate"], start["channels"], start["frame_ms"], start["from"],
           start["bot"], start["resumed"]), ("pcm_s16le", int(rate), 1, 20, "1001", "agent", False),
          "the start")
    call.hears(high, since=0)
    equal(bot.hears("mark")["name"], "greeting", "the mark")
    equal(bot.hears("second")["bytes"], int(rate) // 25, "the bytes of a frame")
    call.keys("1")
    call.hears(low)
    call.keys("2")
    equal(bot.hears("mark", 2)["name"], "long", "the mark of what was cleared")
    call.hears()
    call.keys("3")
    call.hears(call.phone)
    call.whole(jumps=20)
    call.hang_up()
    bot.hears("stop")
    equal(bot.hears("closed")["code"], 1000, "the code of the close frame")
    lab.until(lambda: not lab.ctl("calls"), 30, "no call is left")
    record = lab.ctl("cdr")[0]
    equal(record["id"], start["call"], "the call's name")


@case("bot_json", weight=3)
def bot_json_case(lab):
    """JSON and binary sound at 8 kHz: told, heard, marked, cleared, echoed; the call's name is its record's."""
    conversation(lab, "8000")


@case("bot_json_wide", weight=3)
def bot_json_wide_case(lab):
    """The same at 16 kHz."""
    conversation(lab, "16000")


@case("bot_json_hands_over", weight=2)
def bot_json_hands_over_case(lab):
    """A JSON message hands the caller over, and a line of the transcript is kept; another one hangs up."""
    bench, bot, call, _, _ = call_json(lab)
    other = TonePhone(bench, "1002", 1300)
    bot.hears("mark")
    call.keys("6")
    arrived = other.arrival()
    arrived.ring()
    arrived.answer()
    call.hears(other)
    arrived.hears(call.phone)
    bot.hears("closed")
    call.hang_up()
    again = call.phone.dial("*55")
    again.wait("up")
    bot.hears("mark", 2)
    again.keys("5")
    again.wait("ended")


def call_audiosocket(lab, **more):
    bench = exchange(lab, url=f"audiosocket://{lab.ip(90)}:9092", protocol="audiosocket", **more)
    high = Voice(bench, 900)
    bot = Program(lab, "bot", [sys.executable, os.path.join(HERE, "audiosocket.py"), lab.ip(90), "9092"])
    phone = TonePhone(bench, "1001", 500)
    call = phone.dial("*55")
    call.wait("up")
    return bench, bot, call, high


@case("bot_audiosocket", weight=3)
def bot_audiosocket_case(lab):
    """AudioSocket at 8 kHz: who calls, sound both ways, a key, and the end that the caller makes."""
    _, bot, call, high = call_audiosocket(lab)
    call.hears(high, since=0)
    equal((bot.hears("sound")["kind"], bot.hears("sound")["bytes"]), (0x10, 320), "the frames")
    bot.hears("second")
    call.keys("3")
    equal(bot.hears("dtmf")["digit"], "3", "the key")
    call.hears(call.phone)
    call.hang_up()
    bot.hears("hangup")
    bot.hears("closed")
    lab.until(lambda: not lab.ctl("calls"), 30, "no call is left")
    record = lab.ctl("cdr")[0]
    equal(bot.hears("uuid")["uuid"].replace("-", ""), record["id"], "the call's name")


@case("bot_audiosocket_ends", weight=2)
def bot_audiosocket_ends_case(lab):
    """AudioSocket at 16 kHz: the bot hangs up; one that breaks off leaves the caller to its fallback."""
    bench, bot, call, high = call_audiosocket(lab, rate="16000", fallback="transfer:1002")
    call.hears(high, since=0)
    equal((bot.hears("sound")["kind"], bot.hears("sound")["bytes"]), (0x12, 640), "the frames")
    call.keys("5")
    call.wait("ended")
    other = TonePhone(bench, "1002", 1300)
    again = call.phone.dial("*55")
    again.wait("up")
    bot.hears("sound", 2)
    again.keys("8")
    arrived = other.arrival()
    arrived.ring()
    arrived.answer()
    again.hears(other)
    again.hang_up()
