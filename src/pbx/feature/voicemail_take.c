/* Recordings of a mailbox, which outlive their calls, and the sounds that it lends. */
#include "pbx/feature/voicemail_int.h"

#include "pbx/record.h"

/* ---- recordings ------------------------------------------------------------------------------ */

static struct vm_take *take_find(struct pbx *p, uint64_t number, handle_t *ret)
{
    struct slot_table *all = &p->voicemail->takes;
    uint32_t at = 0;
    struct vm_take *t;
    while ((t = slot_next(all, &at, ret)))
        if ((PBX_RECORD_MESSAGE | t->m.id) == number)
            return t;
    return NULL;
}

static void take_free(struct pbx *p, handle_t h)
{
    struct vm_take *t = slot_find(&p->voicemail->takes, h);
    BUG_ON(pbx_keep(p, &t->number, STR_NONE) || pbx_keep(p, &t->m.caller, STR_NONE) ||
           pbx_keep(p, &t->m.name, STR_NONE)); /* freeing cannot fail */
    slot_put(&p->voicemail->takes, h);
}

static void order(struct pbx *p, const struct vm_take *t, const struct leg_stream *s)
{
    struct pbx_file *f = vm_file(p, PBX_FILE_BEGIN, t->number, t->m.id);
    uint64_t number = f->number;
    struct media_cmd *cmd = &pbx_emit(p, PBX_OUT_MEDIA)->media;
    *cmd = (struct media_cmd){.kind = MEDIA_RECORD, .id = s->id};
    cmd->record.number = number;
    cmd->record.rate_hz = 8000;
    cmd->record.mixed = true;
}

static int keep_texts(struct pbx *p, struct vm_take *t, const struct vm_session *s)
{
    const struct leg *leg = vm_leg(p, s);
    int err = pbx_keep(p, &t->number, s->number);
    if (t->m.state == VM_GREETING || err)
        return err;
    err = pbx_keep(p, &t->m.caller, leg->party);
    return err ? err : pbx_keep(p, &t->m.name, leg->name);
}

/* The timer ends it when nobody speaks, and at its greatest length. */
static void arm(struct pbx *p, struct vm_session *s, bool talks)
{
    usec_t left = s->ends > p->now ? s->ends - p->now : 0;
    usec_t silence = p->config->voicemail.silence_ms * USEC_MS;
    pbx_timer_start(p, &s->timer, talks || left < silence ? left : silence);
}

int vm_take_begin(struct pbx *p, struct vm_session *s, enum vm_state state)
{
    handle_t h;
    struct call *call = call_find(p, s->call);
    struct leg_stream *stream = sound_stream(vm_leg(p, s));
    struct vm_box *b = vm_box_of(p, s);
    if (!stream)
        return -ENOENT;
    struct vm_take *t = b ? slot_take(&p->voicemail->takes, &h) : NULL;
    if (!t)
        return -EAGAIN;
    t->session = s->self;
    t->m.id = vm_message_id(p);
    t->m.state = (uint8_t)state;
    t->m.urgent = s->urgent;
    t->m.at_ms = pbx_wall_ms(p);
    t->began = p->now;
    if (keep_texts(p, t, s)) {
        take_free(p, h);
        return -EAGAIN;
    }
    s->take = h;
    b->coming++;
    recording_call_over(p, call); /* a stream is in one recording */
    vm_message_store(p, t->number, &t->m, VM_COMING);
    order(p, t, stream);
    s->ends = p->now + p->config->voicemail.max_ms * USEC_MS;
    arm(p, s, false);
    return 0;
}

void vm_take_talks(struct pbx *p, struct vm_session *s, bool talks)
{
    struct vm_take *t = slot_find(&p->voicemail->takes, s->take);
    if (!t || t->stopping)
        return;
    if (talks && !t->talked && t->m.state == VM_NEW) /* from now on a kill does not lose it */
        vm_message_store(p, t->number, &t->m, VM_NEW);
    t->talked |= talks;
    arm(p, s, talks);
}

static bool long_enough(const struct pbx *p, uint64_t ms)
{
    return ms >= p->config->voicemail.min_ms;
}

bool vm_take_end(struct pbx *p, struct vm_session *s, bool drop)
{
    struct vm_take *t = slot_find(&p->voicemail->takes, s->take);
    s->take = 0;
    if (!t)
        return false;
    t->dropped |= drop || !t->talked;
    pbx_timer_stop(p, &s->timer);
    if (t->dropped)
        vm_message_store(p, t->number, &t->m, VM_COMING);
    if (!t->stopping) {
        struct media_cmd *cmd = &pbx_emit(p, PBX_OUT_MEDIA)->media;
        *cmd = (struct media_cmd){.kind = MEDIA_RECORD_STOP};
        cmd->record.number = PBX_RECORD_MESSAGE | t->m.id;
    }
    t->stopping = true;
    return !t->dropped && long_enough(p, (p->now - t->began) / USEC_MS);
}

static struct str sidecar(struct pbx *p, const struct vm_take *t)
{
    struct buf b;
    size_t cap = 6 * (t->number.n + t->m.caller.n + t->m.name.n) + 128;
    char *mem = arena_take(&p->turn, cap);
    if (!mem)
        return STR("{}");
    buf_init(&b, mem, cap);
    buf_lit(&b, "{\"mailbox\":\"");
    buf_json(&b, t->number);
    buf_lit(&b, "\",\"caller\":\"");
    buf_json(&b, t->m.caller);
    buf_lit(&b, "\",\"caller_name\":\"");
    buf_json(&b, t->m.name);
    buf_lit(&b, "\",\"at_ms\":");
    buf_u64(&b, t->m.at_ms);
    buf_ch(&b, '}');
    return b.full ? STR("{}") : buf_str(&b);
}

void voicemail_stopped(struct pbx *p, uint64_t number)
{
    handle_t h;
    struct vm_take *t = take_find(p, number, &h);
    if (!t)
        return;
    vm_file(p, PBX_FILE_META, t->number, t->m.id)->json = sidecar(p, t);
    (void)vm_file(p, PBX_FILE_END, t->number, t->m.id);
}

void voicemail_recorded(struct pbx *p, const struct pbx_recorded *r)
{
    handle_t h;
    struct vm_take *t = take_find(p, r->number, &h);
    if (!t)
        return;
    struct vm_box *b = vm_box_find(p, t->number);
    if (!r->ended) { /* what there is stays; RECORDED and END follow as ever */
        struct vm_session *s = vm_session_find(p, t->session);
        trace_emit(&p->trace, TRACE_VM_STOPPED, 0, TS(t->number), TS(r->text));
        if (s && s->take == h) {
            (void)vm_take_end(p, s, false);
            (s->kind == VM_LEAVE ? &vm_leave_does : &vm_listen_does)->broken(p, s);
        }
        return;
    }
    t->m.ms = r->ms < UINT32_MAX ? (uint32_t)r->ms : UINT32_MAX;
    bool keep = !t->dropped && long_enough(p, r->ms) && r->bytes;
    b->coming--;
    if (!keep || vm_message_add(p, b, &t->m))
        vm_message_forget(p, t->number, t->m.id);
    take_free(p, h);
}

bool voicemail_is_idle(const struct pbx *p)
{
    return p->voicemail->takes.used == 0;
}

/* ---- sounds ---------------------------------------------------------------------------------- */

static void clip_free(struct pbx *p, unsigned i)
{
    struct media_cmd *cmd = &pbx_emit(p, PBX_OUT_MEDIA)->media;
    *cmd = (struct media_cmd){.kind = MEDIA_CLIP};
    cmd->play.clip_number = SOUND_OWN + i;
    p->voicemail->clip[i] = (struct vm_clip){0};
}

bool vm_clip_load(struct pbx *p, struct vm_session *s, uint64_t id)
{
    struct vm_clip *clip = p->voicemail->clip;
    unsigned i = 0;
    vm_clip_drop(p, s);
    while (i < VM_CLIPS && clip[i].used)
        i++;
    if (i == VM_CLIPS)
        return false;
    clip[i] = (struct vm_clip){.session = s->self, .used = true, .loading = true};
    s->clip = SOUND_OWN + i;
    vm_file(p, PBX_FILE_LOAD, s->number, id)->clip = s->clip;
    return true;
}

void vm_clip_drop(struct pbx *p, struct vm_session *s)
{
    unsigned i = s->clip - SOUND_OWN;
    if (!s->clip)
        return;
    s->clip = 0;
    p->voicemail->clip[i].session = 0;
    if (!p->voicemail->clip[i].loading) /* else when it has come */
        clip_free(p, i);
}

void voicemail_loaded(struct pbx *p, uint32_t number, int err, uint32_t ms)
{
    unsigned i = number - SOUND_OWN;
    if (number < SOUND_OWN || i >= VM_CLIPS || !p->voicemail->clip[i].loading)
        return;
    struct vm_session *s = vm_session_find(p, p->voicemail->clip[i].session);
    p->voicemail->clip[i].loading = false;
    err = !err && !ms ? -ENODATA : err;
    if (!s) {
        clip_free(p, i);
        return;
    }
    if (err)
        vm_clip_drop(p, s);
    (s->kind == VM_LEAVE ? &vm_leave_does : &vm_listen_does)->loaded(p, s, err);
}
