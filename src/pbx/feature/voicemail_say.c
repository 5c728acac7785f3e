/* What a mailbox says, in the order of words of the language: 0 is English, 1 Korean. */
#include "pbx/feature/voicemail_int.h"

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

struct day {
    unsigned month, day, hour, minute;
};

/* Days since 1970-01-01 to a date of the Gregorian calendar; years begin in March, so that the day
 * of the leap year is the last. */
static void day_of(uint64_t days, struct day *ret)
{
    uint64_t z = days + 719468, era = z / 146097, of_era = z - era * 146097;
    uint64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    uint64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    uint64_t month = (5 * of_year + 2) / 153;
    ret->day = (unsigned)(of_year - (153 * month + 2) / 5 + 1);
    ret->month = (unsigned)(month < 10 ? month + 3 : month - 9);
}

static uint64_t digits_of(struct str s, unsigned at)
{
    return (uint64_t)(s.p[at] - '0') * 10 + (uint64_t)(s.p[at + 1] - '0');
}

/* On the clock of voicemail.time_zone, which the configuration has checked: "+09:00". */
static struct day local_time(const struct pbx *p, uint64_t ms)
{
    struct day d = {0};
    struct str zone = p->config->voicemail.time_zone;
    uint64_t off_s = (digits_of(zone, 1) * 60 + digits_of(zone, 4)) * 60, s = ms / 1000;
    s = zone.p[0] == '-' ? s - off_s : s + off_s;
    day_of(s / 86400, &d);
    d.hour = (unsigned)(s / 3600 % 24);
    d.minute = (unsigned)(s / 60 % 60);
    return d;
}

void say_envelope(struct pbx *p, struct vm_say *say, const struct vm_message *m)
{
    struct day d = local_time(p, m->at_ms);
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
