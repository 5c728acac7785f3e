/* An owner listens to a mailbox: who is it, what is there, one message after the other. Every key
 * may come before the sentence that explains it has ended. */
#include "pbx/feature/voicemail_int.h"

#include "base/mem.h"

enum {
    LISTEN_BOX, /* which mailbox? */
    LISTEN_PIN,
    LISTEN_TOP,
    LISTEN_MESSAGE, /* it is heard */
    LISTEN_KEYS,    /* it has been heard: what now? */
    LISTEN_GREETING,
    LISTEN_PLAYBACK, /* of the greeting */
    LISTEN_SPEAK,    /* the greeting is about to be recorded */
    LISTEN_RECORD,
    LISTEN_BYE
};

static void bye(struct pbx *p, struct vm_session *s)
{
    s->state = LISTEN_BYE;
    vm_say_prompt(p, s, PROMPT_GOODBYE);
}

/* What the state asks for, behind `first` (PROMPTS: nothing). */
static void ask(struct pbx *p, struct vm_session *s, unsigned state, enum prompt first)
{
    static const uint16_t prompts[] = {[LISTEN_BOX] = PROMPT_VM_BOX,
                                       [LISTEN_PIN] = PROMPT_VM_PIN,
                                       [LISTEN_TOP] = PROMPT_VM_MENU,
                                       [LISTEN_KEYS] = PROMPT_VM_KEYS,
                                       [LISTEN_GREETING] = PROMPT_VM_GREETING};
    const struct vm_box *b = vm_box_of(p, s);
    struct vm_say say = {.n = 0};
    s->state = (uint8_t)state;
    s->n_typed = 0;
    if (first != PROMPTS)
        say_prompt(p, &say, first);
    if (state == LISTEN_TOP && b)
        say_counts(p, &say, b->n[VM_NEW], b->n[VM_OLD]);
    say_prompt(p, &say, (enum prompt)prompts[state]);
    vm_say(p, s, &say);
}

/* ---- who is it ------------------------------------------------------------------------------- */

static struct str pin_of(struct pbx *p, const struct vm_session *s)
{
    const struct config_extension *e = s->number.n ? vm_owner(p, s->number) : NULL;
    return e ? e->voicemail_pin : STR_NONE;
}

static void enter(struct pbx *p, struct vm_session *s)
{
    if (!s->number.n)
        ask(p, s, LISTEN_BOX, PROMPTS);
    else if (s->own && !pin_of(p, s).n)
        ask(p, s, LISTEN_TOP, PROMPTS);
    else
        ask(p, s, LISTEN_PIN, PROMPTS);
}

/* A mailbox that does not exist, has no PIN or is locked is refused as a wrong PIN is. */
static bool pin_is_right(struct pbx *p, const struct vm_session *s)
{
    struct str pin = pin_of(p, s);
    const struct vm_box *b = pin.n ? vm_box_of(p, s) : NULL;
    bool open = b && (s->own || !pin_is_locked(&b->pins, p->now));
    return open && str_eq(pin, str_of(s->typed, s->n_typed));
}

static void wrong(struct pbx *p, struct vm_session *s)
{
    struct vm_say say = {.n = 0};
    struct vm_box *b = !s->own && pin_of(p, s).n ? vm_box_of(p, s) : NULL;
    if (b) /* in whatever call: who hangs up after two has not got two more */
        pin_wrong(&b->pins, p->now, VM_TRIES);
    if (++s->tries < VM_TRIES) {
        ask(p, s, LISTEN_PIN, PROMPT_VM_WRONG);
        return;
    }
    s->state = LISTEN_BYE;
    say_prompt(p, &say, PROMPT_VM_WRONG);
    say_prompt(p, &say, PROMPT_GOODBYE);
    vm_say(p, s, &say);
}

static void typed(struct pbx *p, struct vm_session *s)
{
    if (s->state == LISTEN_PIN && pin_is_right(p, s)) {
        ask(p, s, LISTEN_TOP, PROMPTS);
    } else if (s->state == LISTEN_PIN) {
        wrong(p, s);
    } else {
        if (pbx_keep(p, &s->number, str_of(s->typed, s->n_typed)))
            s->number = STR_NONE;
        if (s->number.n && vm_owner(p, s->number))
            cdr_keep(p, call_find(p, s->call), &call_find(p, s->call)->cdr.callee, s->number);
        ask(p, s, LISTEN_PIN, PROMPTS);
    }
}

static void type(struct pbx *p, struct vm_session *s, char digit)
{
    vm_hush(p, s);
    pbx_timer_start(p, &s->timer, VM_WAIT);
    if (digit == '#' && s->n_typed)
        typed(p, s);
    else if (digit != '#' && s->n_typed < VM_TYPED)
        s->typed[s->n_typed++] = digit;
}

/* ---- messages -------------------------------------------------------------------------------- */

static struct vm_message *current(struct pbx *p, const struct vm_session *s)
{
    struct vm_box *b = vm_box_of(p, s);
    return b && s->at < s->n ? vm_message_find(b, s->list[s->at].id) : NULL;
}

/* What was marked goes. */
static void leave_list(struct pbx *p, struct vm_session *s)
{
    struct vm_box *b = s->n ? vm_box_of(p, s) : NULL;
    for (uint32_t i = 0; b && i < s->n; i++) {
        struct vm_message *m = s->list[i].gone ? vm_message_find(b, s->list[i].id) : NULL;
        if (m)
            vm_message_remove(p, b, m);
    }
    mem_free(s->list);
    s->list = NULL;
    s->n = s->at = 0;
}

/* The new ones first, the oldest of each in front. */
static void enter_list(struct pbx *p, struct vm_session *s)
{
    struct vm_box *b = vm_box_of(p, s);
    leave_list(p, s);
    uint32_t n = b ? b->n[VM_NEW] + b->n[VM_OLD] : 0;
    s->list = n ? mem_zero(n * sizeof(*s->list)) : NULL;
    for (unsigned state = VM_NEW; s->list && state <= VM_OLD; state++)
        list_each(node, &b->messages)
        {
            const struct vm_message *m = container_of(node, struct vm_message, node);
            if (m->state == state)
                s->list[s->n++].id = m->id;
        }
}

static void show(struct pbx *p, struct vm_session *s)
{
    vm_hush(p, s);
    pbx_timer_stop(p, &s->timer);
    s->state = LISTEN_MESSAGE;
    if (!current(p, s))
        ask(p, s, LISTEN_KEYS, PROMPT_VM_LOST);
    else if (!vm_clip_load(p, s, s->list[s->at].id))
        ask(p, s, LISTEN_KEYS, PROMPT_VM_LATER);
}

static void begin(struct pbx *p, struct vm_session *s)
{
    enter_list(p, s);
    if (s->n)
        show(p, s);
    else
        ask(p, s, LISTEN_TOP, PROMPTS);
}

static void step(struct pbx *p, struct vm_session *s, bool forward)
{
    if (forward && s->at + 1 >= s->n) {
        ask(p, s, LISTEN_KEYS, PROMPT_VM_NO_MORE);
        return;
    }
    if (forward)
        s->at++;
    else if (s->at)
        s->at--;
    show(p, s);
}

static void loaded(struct pbx *p, struct vm_session *s, int err)
{
    struct vm_say say = {.n = 0};
    struct vm_box *b = vm_box_of(p, s);
    struct vm_message *m = s->state == LISTEN_PLAYBACK ? vm_greeting(b) : current(p, s);
    if (s->state != LISTEN_MESSAGE && s->state != LISTEN_PLAYBACK)
        return;
    if (!err) {
        say_clip(&say, s->clip);
        vm_say(p, s, &say);
        return;
    }
    if (m && vm_is_gone(err))
        vm_message_remove(p, b, m);
    ask(p, s, s->state == LISTEN_PLAYBACK ? LISTEN_GREETING : LISTEN_KEYS,
        vm_is_gone(err) ? PROMPT_VM_LOST : PROMPT_VM_LATER);
}

static void envelope(struct pbx *p, struct vm_session *s)
{
    struct vm_say say = {.n = 0};
    const struct vm_message *m = current(p, s);
    s->state = LISTEN_KEYS;
    if (m)
        say_envelope(p, &say, m);
    else
        say_prompt(p, &say, PROMPT_VM_LOST);
    vm_say(p, s, &say);
}

static void message_key(struct pbx *p, struct vm_session *s, char digit)
{
    struct vm_message *m = current(p, s);
    switch (digit) {
    case '1':
        show(p, s);
        break;
    case '4':
    case '6':
        step(p, s, digit == '6');
        break;
    case '5':
        envelope(p, s);
        break;
    case '7':
        s->list[s->at].gone ^= true;
        ask(p, s, LISTEN_KEYS, s->list[s->at].gone ? PROMPT_VM_DELETED : PROMPT_VM_RESTORED);
        break;
    case '9':
        s->list[s->at].gone = false;
        if (m)
            vm_message_mark(p, vm_box_of(p, s), m, VM_OLD);
        ask(p, s, LISTEN_KEYS, m ? PROMPT_VM_KEPT : PROMPT_VM_LOST);
        break;
    case '0':
        ask(p, s, LISTEN_GREETING, PROMPTS);
        break;
    case '*':
        leave_list(p, s);
        ask(p, s, LISTEN_TOP, PROMPTS);
        break;
    default:
        ask(p, s, LISTEN_KEYS, PROMPT_INVALID);
    }
}

static void top_key(struct pbx *p, struct vm_session *s, char digit)
{
    if (digit == '1')
        begin(p, s);
    else if (digit == '0')
        ask(p, s, LISTEN_GREETING, PROMPTS);
    else
        ask(p, s, LISTEN_TOP, digit == '*' ? PROMPTS : PROMPT_INVALID);
}

/* ---- the greeting ---------------------------------------------------------------------------- */

static void speak(struct pbx *p, struct vm_session *s)
{
    struct vm_say say = {.n = 0};
    s->state = LISTEN_SPEAK;
    say_prompt(p, &say, PROMPT_VM_GREETING_SPEAK);
    say_beep(p, &say);
    vm_say(p, s, &say);
}

static void playback(struct pbx *p, struct vm_session *s)
{
    struct vm_box *b = vm_box_of(p, s);
    const struct vm_message *m = b ? vm_greeting(b) : NULL;
    vm_hush(p, s);
    pbx_timer_stop(p, &s->timer);
    s->state = LISTEN_PLAYBACK;
    if (!m || !vm_clip_load(p, s, m->id))
        ask(p, s, LISTEN_GREETING, m ? PROMPT_VM_LATER : PROMPT_VM_GREETING_NONE);
}

static void greeting_key(struct pbx *p, struct vm_session *s, char digit)
{
    struct vm_box *b = vm_box_of(p, s);
    struct vm_message *m = b ? vm_greeting(b) : NULL;
    if (digit == '1')
        playback(p, s);
    else if (digit == '2')
        speak(p, s);
    else if (digit == '7') {
        if (m)
            vm_message_remove(p, b, m);
        ask(p, s, LISTEN_GREETING, m ? PROMPT_VM_DELETED : PROMPT_VM_GREETING_NONE);
    } else if (digit == '*' || digit == '0')
        ask(p, s, LISTEN_TOP, PROMPTS);
    else
        ask(p, s, LISTEN_GREETING, PROMPT_INVALID);
}

static void recorded(struct pbx *p, struct vm_session *s, bool drop)
{
    bool kept = vm_take_end(p, s, drop);
    ask(p, s, LISTEN_GREETING,
        kept   ? PROMPT_VM_GREETING_SAVED
        : drop ? PROMPT_VM_CANCELLED
               : PROMPT_VM_NOT_KEPT);
}

static void record(struct pbx *p, struct vm_session *s)
{
    s->state = LISTEN_RECORD;
    if (vm_take_begin(p, s, VM_GREETING))
        ask(p, s, LISTEN_GREETING, PROMPT_NOT_AVAILABLE);
}

/* ---- what happens ---------------------------------------------------------------------------- */

static void up(struct pbx *p, struct vm_session *s)
{
    enter(p, s);
}

static void key(struct pbx *p, struct vm_session *s, char digit)
{
    s->repeats = 0;
    switch (s->state) {
    case LISTEN_BOX:
    case LISTEN_PIN:
        type(p, s, digit);
        return;
    case LISTEN_SPEAK:
    case LISTEN_RECORD:
        if (digit == '#' || digit == '*')
            recorded(p, s, digit == '*');
        return;
    case LISTEN_BYE:
        return;
    default:
        break;
    }
    if (digit == '#')
        bye(p, s);
    else if (s->state == LISTEN_TOP)
        top_key(p, s, digit);
    else if (s->state == LISTEN_GREETING || s->state == LISTEN_PLAYBACK)
        greeting_key(p, s, digit);
    else
        message_key(p, s, digit);
}

/* A message that was heard to its end is new no more. */
static void heard(struct pbx *p, struct vm_session *s)
{
    struct vm_message *m = current(p, s);
    if (m)
        vm_message_mark(p, vm_box_of(p, s), m, VM_OLD);
    ask(p, s, LISTEN_KEYS, PROMPTS);
}

static void said(struct pbx *p, struct vm_session *s)
{
    switch (s->state) {
    case LISTEN_MESSAGE:
        heard(p, s);
        break;
    case LISTEN_PLAYBACK:
        ask(p, s, LISTEN_GREETING, PROMPTS);
        break;
    case LISTEN_SPEAK:
        record(p, s);
        break;
    case LISTEN_BYE:
        vm_hang_up(p, s);
        break;
    case LISTEN_RECORD:
        break;
    default:
        pbx_timer_start(p, &s->timer, VM_WAIT);
    }
}

static void late(struct pbx *p, struct vm_session *s)
{
    if (s->state == LISTEN_RECORD)
        recorded(p, s, false);
    else if ((s->state == LISTEN_BOX || s->state == LISTEN_PIN) && s->n_typed)
        typed(p, s);
    else if (++s->repeats >= VM_REPEATS)
        bye(p, s);
    else
        ask(p, s, s->state, PROMPTS);
}

static void broken(struct pbx *p, struct vm_session *s)
{
    ask(p, s, LISTEN_GREETING, PROMPT_NOT_AVAILABLE);
}

const struct vm_does vm_listen_does = {.up = up,
                                       .key = key,
                                       .said = said,
                                       .late = late,
                                       .loaded = loaded,
                                       .broken = broken,
                                       .over = leave_list};
