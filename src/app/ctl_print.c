#include "app/ctl_print.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"

#define MAX_COLUMNS 10

/* Which members of each list are shown, and as what. */
static const struct {
    const char *word;
    struct {
        const char *key, *title;
    } column[MAX_COLUMNS];
} tables[] = {
    {"calls",
     {{"id", "CALL"},
      {"state", "STATE"},
      {"caller", "FROM"},
      {"dialled", "DIALLED"},
      {"callee", "TO"},
      {"answered_by", "ANSWERED BY"},
      {"codec", "CODEC"},
      {"age_s", "SECONDS"}}},
    {"registrations",
     {{"aor", "ADDRESS OF RECORD"},
      {"contact", "CONTACT"},
      {"transport", "VIA"},
      {"source", "SOURCE"},
      {"expires_s", "SECONDS"},
      {"user_agent", "PHONE"}}},
    {"trunks",
     {{"name", "TRUNK"},
      {"state", "STATE"},
      {"address", "ADDRESS"},
      {"expires_s", "SECONDS"},
      {"reason", "REASON"}}},
    {"subscriptions",
     {{"subscriber", "EXTENSION"},
      {"event", "EVENT"},
      {"resource", "OF"},
      {"contact", "CONTACT"},
      {"transport", "VIA"},
      {"source", "SOURCE"},
      {"expires_s", "SECONDS"},
      {"notifies", "TOLD"}}},
    {"mailboxes",
     {{"extension", "EXTENSION"},
      {"new", "NEW"},
      {"old", "OLD"},
      {"urgent_new", "URGENT NEW"},
      {"urgent_old", "URGENT OLD"}}},
    {"messages",
     {{"id", "MESSAGE"},
      {"state", "STATE"},
      {"urgent", "URGENT"},
      {"caller", "FROM"},
      {"name", "NAME"},
      {"at_ms", "WHEN"},
      {"ms", "LENGTH ms"}}},
    /* the list within each of `ctl conferences` */
    {"members",
     {{"number", "MEMBER"},
      {"party", "PARTY"},
      {"name", "NAME"},
      {"state", "STATE"},
      {"moderator", "MODERATOR"},
      {"muted", "MUTED"},
      {"held", "HOLDS"},
      {"talks", "TALKS"},
      {"since_ms", "SINCE"}}},
    {"bans",
     {{"address", "ADDRESS"},
      {"failures", "FAILURES"},
      {"seconds_left", "SECONDS LEFT"},
      {"times", "TIMES"}}},
    {"settings",
     {{"extension", "EXTENSION"},
      {"forward_always", "FORWARD"},
      {"forward_busy", "WHEN BUSY"},
      {"forward_no_answer", "NO ANSWER"},
      {"forward_unregistered", "UNREGISTERED"},
      {"dnd", "DO NOT DISTURB"}}},
    {"certificates",
     {{"file", "CERTIFICATE"},
      {"until", "UNTIL"},
      {"days_left", "DAYS LEFT"},
      {"default", "FOR ALL"},
      {"names", "NAMES"}}},
    {"rtt",
     {{"peer", "PEER"},
      {"srtt_us", "SRTT us"},
      {"rttvar_us", "RTTVAR us"},
      {"samples", "SAMPLES"},
      {"t1_ms", "T1 ms"}}},
    {"cdr",
     {{"start_ms", "STARTED"},
      {"caller", "FROM"},
      {"dialled", "DIALLED"},
      {"callee", "TO"},
      {"answered_by", "ANSWERED BY"},
      {"disposition", "RESULT"},
      {"ended_by", "ENDED BY"},
      {"q850_cause", "CAUSE"},
      {"talk_ms", "TALK ms"},
      {"id", "RECORD"}}},
    {"attempts",
     {{"at_ms", "WHEN"},
      {"from", "FROM"},
      {"to", "TO"},
      {"source", "SOURCE"},
      {"invites", "INVITES"},
      {"status", "STATUS"},
      {"call", "CALL"},
      {"call_id", "CALL-ID"}}},
    {"quality",
     {{"leg", "LEG"},
      {"direction", "WAY"},
      {"codec", "CODEC"},
      {"packets", "PACKETS"},
      {"lost", "LOST"},
      {"discarded", "DISCARDED"},
      {"jitter_us", "JITTER us"},
      {"rtt_mean_us", "ROUND TRIP us"},
      {"concealed", "CONCEALED"},
      {"mos", "MOS"}}},
    /* the list within `ctl explain` and its kin */
    {"asked",
     {{"bot", "BOT"},
      {"engine", "ENGINE"},
      {"reason", "WHY"},
      {"outcome", "CAME TO"},
      {"after_ms", "AFTER ms"},
      {"ms", "FOR ms"}}},
    /* the list within each of `ctl bots` */
    {"transcript", {{"ms", "AT ms"}, {"who", "WHO"}, {"text", "WHAT"}}},
    /* the list within `ctl timers` */
    {"timers", {{"timer", "TIMER"}, {"method", "METHOD"}, {"due_ms", "DUE IN ms"}}},
};

static bool is_time(const char *key)
{
    return strcmp(key, "start_ms") == 0 || strcmp(key, "since_ms") == 0 ||
           strcmp(key, "at_ms") == 0;
}

/* What a phone sends must not steer the terminal: no C0, no DEL, no C1 (U+0080 to U+009F). */
static void tame(char *text)
{
    for (unsigned char *p = (unsigned char *)text; *p; p++) {
        if (*p < 0x20 || *p == 0x7F)
            *p = '?';
        else if (*p == 0xC2 && p[1] >= 0x80 && p[1] <= 0x9F)
            *p = p[1] = '?';
    }
}

static void text_of(const char *key, const json_t *v, char *out, size_t cap)
{
    if (json_is_string(v)) {
        snprintf(out, cap, "%s", json_string_value(v));
        tame(out);
    } else if (json_is_integer(v) && is_time(key)) {
        time_t t = (time_t)(json_integer_value(v) / 1000);
        struct tm tm;
        if (!localtime_r(&t, &tm) || !strftime(out, cap, "%Y-%m-%d %H:%M:%S", &tm))
            out[0] = '\0';
    } else if (json_is_integer(v)) {
        snprintf(out, cap, "%lld", (long long)json_integer_value(v));
    } else if (json_is_real(v)) {
        snprintf(out, cap, "%g", json_real_value(v));
    } else if (json_is_boolean(v)) {
        snprintf(out, cap, "%s", json_is_true(v) ? "yes" : "no");
    } else {
        snprintf(out, cap, "-");
    }
}

/* The last column is not padded: no line ends in blanks. */
static void print_cell(const char *text, size_t width, bool last)
{
    if (last)
        printf("%s\n", text);
    else
        printf("%-*s  ", (int)width, text);
}

static void print_table(size_t which, const json_t *list)
{
    size_t width[MAX_COLUMNS] = {0}, columns = 0, i;
    const json_t *row;
    char text[512];
    while (columns < MAX_COLUMNS && tables[which].column[columns].key)
        columns++;
    for (size_t c = 0; c < columns; c++) {
        width[c] = strlen(tables[which].column[c].title);
        json_array_foreach(list, i, row)
        {
            const char *key = tables[which].column[c].key;
            text_of(key, json_object_get(row, key), text, sizeof(text));
            width[c] = strlen(text) > width[c] ? strlen(text) : width[c];
        }
    }
    for (size_t c = 0; c < columns; c++)
        print_cell(tables[which].column[c].title, width[c], c + 1 == columns);
    json_array_foreach(list, i, row)
    {
        for (size_t c = 0; c < columns; c++) {
            const char *key = tables[which].column[c].key;
            text_of(key, json_object_get(row, key), text, sizeof(text));
            print_cell(text, width[c], c + 1 == columns);
        }
    }
}

/* Prints `list` as the table of that name, if there is one. */
static bool put_table(const char *name, const json_t *list)
{
    for (size_t i = 0; json_is_array(list) && i < ARRAY_LEN(tables); i++)
        if (strcmp(tables[i].word, name) == 0) {
            print_table(i, list);
            return true;
        }
    return false;
}

static void print_trace(const json_t *result)
{
    const json_t *e;
    size_t i;
    json_array_foreach(json_object_get(result, "events"), i, e)
    {
        char what[64], extra[64] = "";
        const json_t *method = json_object_get(e, "method"), *ms = json_object_get(e, "for_ms");
        text_of("", json_object_get(e, "what"), what, sizeof(what));
        if (json_is_string(method))
            snprintf(extra, sizeof(extra), " (%s)", json_string_value(method));
        else if (json_is_integer(ms))
            snprintf(extra, sizeof(extra), " for %lld ms", (long long)json_integer_value(ms));
        printf("%10.3f  leg %lld  %-16s %s%s\n",
               (double)json_integer_value(json_object_get(e, "ms")) / 1000.0,
               (long long)json_integer_value(json_object_get(e, "leg")),
               json_string_value(json_object_get(e, "event")), what, extra);
    }
}

static void print_object(const json_t *object, int depth);

static void print_list(const char *key, const json_t *list, int depth)
{
    const json_t *item;
    char text[512];
    size_t i;
    json_array_foreach(list, i, item)
    {
        text_of(key, item, text, sizeof(text));
        if (json_is_object(item))
            print_object(item, depth + 1);
        else
            printf("%*s%-*s %s\n", depth * 2, "", 24, key, text);
    }
}

static void print_object(const json_t *object, int depth)
{
    const char *key;
    json_t *v;
    char text[512];
    json_object_foreach((json_t *)(uintptr_t)object, key, v)
    {
        if (json_is_object(v)) {
            printf("%*s%s\n", depth * 2, "", key);
            print_object(v, depth + 1);
        } else if (json_is_array(v)) {
            if (!put_table(key, v))
                print_list(key, v, depth);
        } else {
            text_of(key, v, text, sizeof(text));
            printf("%*s%-*s %s\n", depth * 2, "", 24, key, text);
        }
    }
}

static void print_each(const json_t *list)
{
    const json_t *item;
    size_t i;
    json_array_foreach(list, i, item)
    {
        if (i)
            putchar('\n');
        print_object(item, 0);
    }
}

/* What went wrong with each bot, by the exchange's own lines of its transcript. */
static void print_bot_faults(const json_t *bots)
{
    const json_t *bot, *note;
    size_t i, k;
    json_array_foreach(bots, i, bot)
    {
        json_array_foreach(json_object_get(bot, "transcript"), k, note)
        {
            char name[256], what[1024];
            const char *who = json_string_value(json_object_get(note, "who"));
            if (!who || strcmp(who, "exchange") != 0)
                continue;
            text_of("bot", json_object_get(bot, "bot"), name, sizeof(name));
            text_of("text", json_object_get(note, "text"), what, sizeof(what));
            printf("%s, %lld ms: %s\n", name,
                   (long long)json_integer_value(json_object_get(note, "ms")), what);
        }
    }
}

/* The report as it came; where people ask why, how the media were belongs to it. */
static void print_report(const char *word, const json_t *result)
{
    const json_t *quality = json_object_get(result, "quality");
    json_int_t left_out = json_integer_value(json_object_get(result, "left_out"));
    const char *text = json_string_value(json_object_get(result, "text"));
    fputs(text[0] == '\n' ? text + 1 : text, stdout); /* a heading has a line of its own above */
    if (left_out)
        printf("... %lld older messages are left out\n", (long long)left_out);
    if (json_is_true(json_object_get(result, "cut")))
        puts("... and more");
    const json_t *bots = json_object_get(result, "bots");
    if (strcmp(word, "ladder") == 0)
        return;
    if (json_array_size(bots)) {
        putchar('\n');
        put_table("asked", bots);
        print_bot_faults(bots);
    }
    if (json_array_size(quality)) {
        putchar('\n');
        put_table("quality", quality);
    }
}

void ctl_print(const char *word, const json_t *result)
{
    if (put_table(word, result))
        return;
    if (json_is_string(json_object_get(result, "text"))) {
        print_report(word, result);
        return;
    }
    if (strcmp(word, "conferences") == 0 || strcmp(word, "bots") == 0) {
        print_each(result);
        return;
    }
    if (strcmp(word, "trace") == 0)
        print_trace(result);
    else
        print_object(result, 0);
}
