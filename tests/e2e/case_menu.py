"""The builtin bot, in the place of somebody who does not answer: espeak-ng speaks, keys choose."""
from case_tone import has_spoken
from lab import case, check, equal
from tone import Bench, TonePhone


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
    equal(told["report"]["calls"][0]["scenario"], "bot", "what the call is explained as")


@case("menu_hands_over", weight=4)
def menu_hands_over_case(lab):
    """A key hands the caller over; both hear each other, and the record tells of it."""
    bench = exchange(lab)
    workshop = TonePhone(bench, "1003", 1300)
    call = reach_bot(lab, bench)
    live = lab.ctl("bots")[0]
    equal((live["bot"], live["reason"], live["state"]), ("reception", "no_answer", "listening"), "now")
    explained(lab, "1")
    call.keys("1")
    arrived = workshop.arrival()
    arrived.ring()
    arrived.answer()
    bench.tell("mute", call.ear, 0)
    call.hears(workshop)
    arrived.hears(call.phone)
    call.hang_up()
    lab.until(lambda: lab.ctl("cdr"), 5, "a record")
    record = lab.ctl("cdr")[0]
    equal((record["scenario"], record["answered_by"]), ("bot", "bot:reception"), "the record")
    check(any(s["party"] == "1003" for s in record["detail"]["segments"]), "1003 is in the record")
    equal([a["status"] for a in record["detail"]["attempts"]], [487, 200], "who was tried")
    told = lab.ctl("bots", record["id"])[0]
    check(1400 <= told["after_ms"] < 3000, f"the bot was asked after {told['after_ms']} ms")
    equal((told["outcome"], told["figures"]["keys"]), ("answered", 1), "what is kept of it")
    equal([n["text"] for n in told["transcript"]], ["greeting", "key 1", "goes"], "what was said")


@case("menu_takes_message", weight=4)
def menu_takes_message_case(lab):
    """A key leads to the mailbox of whom the bot stands in for; what is said there is kept."""
    bench = exchange(lab)
    call = reach_bot(lab, bench)
    call.keys("2")
    lab.until(lambda: call.heard(-500)["rms"] > 0.003, 10, "the mailbox speaks")
    lab.until(lambda: call.heard(-1500)["rms"] < 0.003, 30, "and waits")
    bench.tell("mute", call.ear, 0)
    bench.elapse(4000)
    call.hang_up()
    lab.until(lambda: not lab.ctl("calls"), 5, "the call is over")
    explained(lab, lab.cdrs(1)[0]["id"])
    lab.until(lambda: [m["new"] for m in lab.ctl("mailboxes") if m["extension"] == "1002"] == [1], 5,
              "one message")
