/* What a mailbox says, in the order of words of the language: 0 is English, 1 Korean. */
#include "pbx/feature/voicemail_int.h"

#include "pbx/clock.h"

#define BEEP_MS 400

static bool korean(const struct pbx *p)
{
    return p->config->sounds.language == 1;
}

/* The part that has room; what does not fit at all is left out. */
static struct sound_list *part(struct vm_say *say)
{
    if (say->n + 1 < ARRAY_LEN(say->part) && say->part[say->n].n == MEDIA_MAX_ITEMS)
        say->n++;
    return &say->part[say->n];
}

void say_prompt(struct pbx *p, struct vm_say *say, enum prompt prompt)
{
    sound_prompt(p, part(say), prompt);
}

void say_beep(struct pbx *p, struct vm_say *say)
{
    sound_tone(p, part(say), TONE_DIAL, BEEP_MS);
}

void say_clip(struct vm_say *say, uint32_t number)
{
    sound_clip(part(say), number);
}

void say_digits(struct pbx *p, struct vm_say *say, struct str digits)
{
    for (size_t i = 0; i < digits.n; i++)
        if (digits.p[i] >= '0' && digits.p[i] <= '9')
            say_prompt(p, say, (enum prompt)(PROMPT_NUMBER_0 + digits.p[i] - '0'));
}

void say_number(struct pbx *p, struct vm_say *say, unsigned n)
{
    n = n > 99 ? 99 : n;
    if (n >= 20)
        say_prompt(p, say, (enum prompt)(PROMPT_NUMBER_20 + n / 10 - 2));
    if (n >= 20 && n % 10 == 0)
        return;
    say_prompt(p, say, (enum prompt)(PROMPT_NUMBER_0 + (n >= 20 ? n % 10 : n)));
}

/* "three new messages"; "새 메시지 삼 건". */
static void say_some(struct pbx *p, struct vm_say *say, unsigned n, enum prompt what)
{
    if (korean(p)) {
        say_prompt(p, say, what);
        say_number(p, say, n);
        say_prompt(p, say, PROMPT_VM_PIECES);
    } else {
        say_number(p, say, n);
        say_prompt(p, say, what);
    }
}

void say_counts(struct pbx *p, struct vm_say *say, unsigned n_new, unsigned n_old)
{
    if (!n_new && !n_old) {
        say_prompt(p, say, PROMPT_VM_NONE);
        return;
    }
    if (!korean(p))
        say_prompt(p, say, PROMPT_VM_YOU_HAVE);
    if (n_new)
        say_some(p, say, n_new, n_new == 1 ? PROMPT_VM_NEW_ONE : PROMPT_VM_NEW);
    if (n_new && n_old)
        say_prompt(p, say, PROMPT_VM_AND);
    if (n_old)
        say_some(p, say, n_old, n_old == 1 ? PROMPT_VM_OLD_ONE : PROMPT_VM_OLD);
    if (korean(p))
        say_prompt(p, say, PROMPT_VM_YOU_HAVE);
}

/* ---- date and time --------------------------------------------------------------------------- */

void say_envelope(struct pbx *p, struct vm_say *say, const struct vm_message *m)
{
    struct clock_day d = clock_local(m->at_ms, clock_zone_s(p->config->voicemail.time_zone));
    say_prompt(p, say, PROMPT_VM_RECEIVED);
    say_prompt(p, say, (enum prompt)(PROMPT_MONTH_1 + d.month - 1));
    say_number(p, say, d.day);
    if (korean(p))
        say_prompt(p, say, PROMPT_DAY);
    say_prompt(p, say, PROMPT_AT);
    say_number(p, say, d.hour);
    say_prompt(p, say, PROMPT_HOUR);
    if (d.minute) {
        say_number(p, say, d.minute);
        say_prompt(p, say, PROMPT_MINUTE);
    }
    say_prompt(p, say, PROMPT_VM_FROM);
    unsigned before = say->n * MEDIA_MAX_ITEMS + say->part[say->n].n;
    say_digits(p, say, m->caller);
    if (say->n * MEDIA_MAX_ITEMS + say->part[say->n].n == before)
        say_prompt(p, say, PROMPT_VM_UNKNOWN);
}
