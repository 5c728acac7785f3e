/* A caller leaves a message: the greeting, the tone, the recording. "#" or hanging up ends it, "*"
 * takes it back. */
#include "pbx/feature/voicemail_int.h"

enum { LEAVE_GREETING, LEAVE_RECORDING, LEAVE_BYE };

static void bye(struct pbx *p, struct vm_session *s, enum prompt prompt)
{
    struct vm_say say = {.n = 0};
    s->state = LEAVE_BYE;
    say_prompt(p, &say, prompt);
    say_prompt(p, &say, PROMPT_GOODBYE);
    vm_say(p, s, &say);
}

/* Its own voice before ours; ours says the number, as the owner would. */
static void greet(struct pbx *p, struct vm_session *s, bool own)
{
    struct vm_say say = {.n = 0};
    bool korean = p->config->sounds.language == 1;
    if (own) {
        say_clip(&say, s->clip);
    } else {
        if (!korean)
            say_prompt(p, &say, PROMPT_VM_REACHED);
        say_digits(p, &say, s->number);
        if (korean)
            say_prompt(p, &say, PROMPT_VM_REACHED);
        say_prompt(p, &say, PROMPT_VM_LEAVE);
    }
    say_beep(p, &say);
    vm_say(p, s, &say);
}

static void up(struct pbx *p, struct vm_session *s)
{
    struct vm_box *b = vm_box_of(p, s);
    struct vm_message *own = b ? vm_greeting(b) : NULL;
    if (!b || vm_box_is_full(p, b))
        bye(p, s, PROMPT_VM_FULL);
    else if (!own || !vm_clip_load(p, s, own->id))
        greet(p, s, false);
}

static void loaded(struct pbx *p, struct vm_session *s, int err)
{
    struct vm_box *b = vm_box_of(p, s);
    struct vm_message *own = b ? vm_greeting(b) : NULL;
    if (s->state != LEAVE_GREETING)
        return;
    if (own && vm_is_gone(err))
        vm_message_remove(p, b, own);
    greet(p, s, !err);
}

static void record(struct pbx *p, struct vm_session *s)
{
    const struct vm_box *b = vm_box_of(p, s);
    s->state = LEAVE_RECORDING;
    vm_clip_drop(p, s);
    if (b && vm_box_is_full(p, b)) /* by others who have heard the greeting at the same time */
        bye(p, s, PROMPT_VM_FULL);
    else if (vm_take_begin(p, s, VM_NEW))
        bye(p, s, PROMPT_NOT_AVAILABLE);
}

static void end(struct pbx *p, struct vm_session *s)
{
    bool kept = vm_take_end(p, s, false);
    bye(p, s, kept ? PROMPT_VM_SAVED : PROMPT_VM_NOT_KEPT);
}

static void said(struct pbx *p, struct vm_session *s)
{
    if (s->state == LEAVE_GREETING)
        record(p, s);
    else if (s->state == LEAVE_BYE)
        vm_hang_up(p, s);
}

static void key(struct pbx *p, struct vm_session *s, char digit)
{
    if (s->state == LEAVE_BYE)
        return;
    if (digit == '*') {
        (void)vm_take_end(p, s, true);
        bye(p, s, PROMPT_VM_CANCELLED);
    } else if (digit == '#' && s->state == LEAVE_RECORDING) {
        end(p, s);
    } else if (digit == '#') { /* who knows the greeting goes on to the tone */
        struct vm_say say = {.n = 0};
        say_beep(p, &say);
        vm_say(p, s, &say);
        vm_clip_drop(p, s);
    }
}

static void late(struct pbx *p, struct vm_session *s)
{
    if (s->state == LEAVE_RECORDING)
        end(p, s);
}

static void broken(struct pbx *p, struct vm_session *s)
{
    bye(p, s, PROMPT_NOT_AVAILABLE);
}

const struct vm_does vm_leave_does = {
    .up = up, .key = key, .said = said, .late = late, .loaded = loaded, .broken = broken};
