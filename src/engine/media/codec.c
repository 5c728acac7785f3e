#include "engine/media/codec.h"

static const struct codec *const registry[CODEC_COUNT] = {
    [CODEC_PCMU] = &codec_pcmu, [CODEC_PCMA] = &codec_pcma, [CODEC_G722] = &codec_g722,
    [CODEC_OPUS] = &codec_opus, [CODEC_L16] = &codec_l16,   [CODEC_G729] = &codec_g729,
};

bool codec_known(uint8_t id)
{
    static const struct media_format any = {.clock_hz = 8000};
    return id < CODEC_COUNT && registry[id] && registry[id]->rate(&any) != 0;
}

const struct codec *codec_of(uint8_t id)
{
    return codec_known(id) ? registry[id] : NULL;
}

enum codec_id codec_find(struct str name, uint32_t clock_hz)
{
    for (unsigned i = 0; i < CODEC_COUNT; i++)
        if (registry[i] && str_ieq(registry[i]->name, name)) {
            struct media_format f = {.clock_hz = clock_hz};
            bool fits = i == CODEC_OPUS  ? clock_hz == 48000
                        : i == CODEC_L16 ? registry[i]->rate(&f) == clock_hz
                                         : clock_hz == 8000;
            return fits ? (enum codec_id)i : CODEC_NONE;
        }
    if (str_ieq(name, STR("telephone-event")))
        return CODEC_EVENT;
    return str_ieq(name, STR("CN")) ? CODEC_CN : CODEC_NONE;
}

struct str codec_name(uint8_t id)
{
    if (id < CODEC_COUNT && registry[id])
        return registry[id]->name;
    return id == CODEC_EVENT ? STR("telephone-event") : id == CODEC_CN ? STR("CN") : STR("");
}
