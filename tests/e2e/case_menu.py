"""The builtin bot, in the place of somebody who does not answer: espeak-ng speaks, keys choose, and words where
pocketsphinx is installed."""
import os
import shutil
import wave

from case_tone import has_spoken
from lab import Skip, case, check, equal
from phone import Baresip
from tone import Bench, TonePhone

DICTIONARY = "/usr/share/pocketsphinx/model/en-us/cmudict-en-us.dict"
WORDS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data", "ears")


def exchange(lab):
    config = lab.config()
    config["sip"]["timers"] = {"no_answer_timeout": 1.5}
    numbers = ("1001", "1002", "1003")
    config["extensions"] = [{"number": n, "password": f"secret-{n}"} for n in numbers]
    config["extensions"][1].update(bot="reception", voicemail=True)
    config["trunks"], config["routes"] = [], []
    config["sounds"] = {"hold_music": False}
    config["bots"] = [{
        "name": "reception", "no_input": 30, "greeting": "Hello. You have reached the reception.",
        "menu": [{"key": "1", "prompt": "For the workshop, press one.", "do": "transfer:1003"},
                 {"key": "2", "prompt": "To leave a message, press two.", "do": "message"}]}]
    bench = Bench(lab)
    lab.start(config)
    return bench


def reach_bot(lab, bench):
    """1001 calls 1002, whose phone rings in vain."""
    caller, callee = TonePhone(bench, "1001", 500), TonePhone(bench, "1002", 900)
    call = caller.dial("1002")
    arrived = callee.arrival()
    arrived.ring()
    call.wait("up")
    arrived.wait("ended")
    bench.tell("mute", call.ear, 1)
    lab.until(lambda: has_spoken(call), 30, "the menu is over")
    return call


def explained(lab, call):
    """The exchange's own traffic shows that nobody who was called has answered; the record, who has."""
    told = lab.ctl("explain", call)
    equal([(b["bot"], b["outcome"]) for b in told["bots"]], [("reception", "answered")], "whom it names")
    explained_as = told["report"]["calls"][0]
    equal(explained_as["scenario"], "bot", "what the call is explained as")
    check(any(f["text"].startswith("A bot answered for 1002 after ") for f in explained_as["findings"]),
          f"its story: {[f['text'] for f in explained_as['findings']]}")


@case("menu_hands_over", weight=4)
def menu_hands_over_case(lab):
    """A key hands the caller over; both hear each other, and the record tells of it."""
    bench = exchange(lab)
    workshop = TonePhone(bench, "1003", 1300)
    call = reach_bot(lab, bench)
    lab.until(lambda: lab.ctl("bots")[0]["state"] == "listening", 30, "it listens")
    live = lab.ctl("bots")[0]
    equal((live["bot"], live["reason"]), ("reception", "no_answer"), "now")
    explained(lab, "1")
    call.keys("1")
    arrived = workshop.arrival()
    arrived.ring()
    arrived.answer()
    bench.tell("mute", call.ear, 0)
    call.hears(workshop)
    arrived.hears(call.phone)
    call.hang_up()
    lab.until(lambda: lab.ctl("cdr"), 30, "a record")
    record = lab.ctl("cdr")[0]
    equal((record["scenario"], record["answered_by"]), ("bot", "bot:reception"), "the record")
    check(any(s["party"] == "1003" for s in record["detail"]["segments"]), "1003 is in the record")
    equal([a["status"] for a in record["detail"]["attempts"]], [487, 200], "who was tried")
    told = lab.ctl("bots", record["id"])[0]
    check(told["after_ms"] >= 1400, f"the bot was asked after {told['after_ms']} ms")
    equal((told["outcome"], told["figures"]["keys"]), ("answered", 1), "what is kept of it")
    equal([n["text"] for n in told["transcript"]], ["greeting", "key 1", "goes to 1003"], "what was said")
    lab.least(lambda: asked_after(lab, call.phone), 3000, "until the bot was asked, ms",
              told["after_ms"])


def asked_after(lab, phone):
    """Another call that the bot takes; after so many ms it was asked."""
    before = len(lab.ctl("cdr"))
    call = phone.dial("1002")
    call.wait("up")
    call.hang_up()
    lab.until(lambda: len(lab.ctl("cdr")) > before, 30, "a record")
    return lab.ctl("bots", lab.ctl("cdr")[0]["id"])[0]["after_ms"]


@case("menu_takes_message", weight=4)
def menu_takes_message_case(lab):
    """A key leads to the mailbox of whom the bot stands in for; what is said there is kept."""
    bench = exchange(lab)
    call = reach_bot(lab, bench)
    call.keys("2")
    lab.until(lambda: call.heard(-500)["rms"] > 0.003, 30, "the mailbox speaks")
    lab.until(lambda: call.heard(-2500)["rms"] < 0.003, 30, "and waits")
    bench.tell("mute", call.ear, 0)
    bench.elapse(4000)
    call.hang_up()
    lab.until(lambda: not lab.ctl("calls"), 30, "the call is over")
    explained(lab, lab.cdrs(1)[0]["id"])
    lab.until(lambda: [m["new"] for m in lab.ctl("mailboxes") if m["extension"] == "1002"] == [1], 30,
              "one message")


def says(phone, *parts):
    """The microphone of the phone: seconds of silence and recorded words, by turns, then silence."""
    with wave.open(os.path.join(phone.dir, "tone.wav"), "wb") as w:
        w.setnchannels(1)
        w.setsampwidth(2)
        w.setframerate(8000)
        for part in parts + (60,):
            if isinstance(part, str):
                with wave.open(os.path.join(WORDS, part + "-8k.wav")) as words:
                    w.writeframes(words.readframes(words.getnframes()))
            else:
                w.writeframes(bytes(int(part * 16000)))


@case("menu_words", weight=3)
def menu_words_case(lab):
    """A caller says what others press: a word that the menu does not know, then one that it does, over its sentences."""
    if not shutil.which("pocketsphinx_continuous") or not os.path.exists(DICTIONARY):
        raise Skip("pocketsphinx and pocketsphinx-en-us are not installed")
    config = lab.config()
    config["bots"] = [{
        "name": "reception", "greeting": "Hello. Whom would you like to speak to?",
        "menu": [{"key": "1", "prompt": "The workshop?", "words": ["workshop"], "do": "hangup"},
                 {"key": "2", "prompt": "Or the front desk?", "words": ["front desk", "the front desk", "desk xyzzyx"],
                  "do": "transfer:1428"}]}]
    lab.start(config)
    check('bot reception: "desk xyzzyx" is never understood: xyzzyx is not in the dictionary' in lab.server.text(),
          "no warning of a word that is not in the dictionary")
    check(lab.server.text().count("never understood") == 1, "warnings of words that are in it")
    caller, desk = Baresip(lab, "1427", 500), Baresip(lab, "1428", 900)
    caller.registered()
    desk.registered()
    says(caller, 1.5, "banana", 7, "front-desk")
    caller.dial("*55")
    desk.wait("CALL_ESTABLISHED", seconds=60)
    caller.tell("hangup")
    lab.until(lambda: lab.ctl("cdr"), 30, "a record")
    told = lab.ctl("bots", lab.ctl("cdr")[0]["id"])[0]
    spoken = [n["text"] for n in told["transcript"] if n["who"] == "caller"]
    check("front desk" in spoken[-1], f"what was understood: {told['transcript']}")
    equal(told["figures"]["no_matches"], 1, f"the other word: {told['transcript']}")
    check(told["figures"]["barge_ins"] >= 1, f"the bot was interrupted: {told['figures']}")
