/* G.729 (annexes A and B, RFC 3551 section 4.5.6) by a plug-in that the program does not contain: a
 * shared library with the interface of bcg729, opened when the configuration names one. */
#include "engine/media/codec.h"

#include <dlfcn.h>
#include <errno.h>

#define FRAME_SAMPLES 80
#define FRAME_BYTES   10
#define SID_BYTES     2

static struct {
    void *(*dec_new)(void);
    void (*dec_free)(void *);
    void (*decode)(void *, const uint8_t *, uint8_t n, uint8_t erased, uint8_t sid, uint8_t rfc3389,
                   int16_t *);
    void *(*enc_new)(uint8_t vad);
    void (*enc_free)(void *);
    void (*encode)(void *, const int16_t *, uint8_t *, uint8_t *n);
} plugin;

/* ISO C knows no way from an object pointer to a function pointer; POSIX demands this one. */
static bool symbol(void *lib, const char *name, void *fn)
{
    void *p = dlsym(lib, name);
    *(void **)fn = p;
    return p != NULL;
}

int codec_g729_load(const char *library)
{
    void *lib = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (!lib)
        return -ENOENT;
    bool all = symbol(lib, "initBcg729DecoderChannel", &plugin.dec_new) &&
               symbol(lib, "closeBcg729DecoderChannel", &plugin.dec_free) &&
               symbol(lib, "bcg729Decoder", &plugin.decode) &&
               symbol(lib, "closeBcg729EncoderChannel", &plugin.enc_free) &&
               symbol(lib, "bcg729Encoder", &plugin.encode) &&
               symbol(lib, "initBcg729EncoderChannel", &plugin.enc_new);
    if (all)
        return 0;
    plugin.enc_new = NULL;
    dlclose(lib);
    return -ENOENT;
}

/* Without the plug-in the codec is unknown. */
static uint32_t rate(const struct media_format *f)
{
    return plugin.enc_new ? 8000 : 0;
}

static void *decoder(const struct media_format *f)
{
    return plugin.dec_new();
}

static void *encoder(const struct media_format *f)
{
    return plugin.enc_new(0);
}

static void decoder_free(void *d)
{
    plugin.dec_free(d);
}

static void encoder_free(void *e)
{
    plugin.enc_free(e);
}

static unsigned samples_of(const struct media_format *f, const uint8_t *payload, size_t n)
{
    size_t frames = n / FRAME_BYTES, rest = n % FRAME_BYTES;
    if ((rest && rest != SID_BYTES) || frames + 1 > CODEC_MAX_SAMPLES / FRAME_SAMPLES)
        return 0;
    return (unsigned)(frames + (rest != 0)) * FRAME_SAMPLES;
}

static int decode(void *d, const uint8_t *in, size_t n, int16_t *out)
{
    unsigned samples = samples_of(NULL, in, n);
    if (samples == 0)
        return -EBADMSG;
    for (unsigned done = 0; done < samples; done += FRAME_SAMPLES) {
        bool sid = n < FRAME_BYTES;
        plugin.decode(d, in, (uint8_t)(sid ? SID_BYTES : FRAME_BYTES), 0, sid, 0, out + done);
        in += sid ? SID_BYTES : FRAME_BYTES;
        n -= sid ? SID_BYTES : FRAME_BYTES;
    }
    return (int)samples;
}

static int conceal(void *d, unsigned samples, int16_t *out)
{
    unsigned done = 0;
    for (; done + FRAME_SAMPLES <= samples; done += FRAME_SAMPLES)
        plugin.decode(d, NULL, 0, 1, 0, 0, out + done);
    return (int)done;
}

static int encode(void *e, const int16_t *in, unsigned samples, uint8_t *out)
{
    size_t n = 0;
    for (unsigned done = 0; done + FRAME_SAMPLES <= samples; done += FRAME_SAMPLES) {
        uint8_t bytes = 0;
        plugin.encode(e, in + done, out + n, &bytes);
        n += bytes;
    }
    return (int)n;
}

static unsigned whole(const struct media_format *f, unsigned samples)
{
    return samples / FRAME_SAMPLES * FRAME_SAMPLES;
}

const struct codec codec_g729 = {.name = STR_INIT("G729"),
                                 .rate = rate,
                                 .decoder = decoder,
                                 .encoder = encoder,
                                 .decoder_free = decoder_free,
                                 .encoder_free = encoder_free,
                                 .decode = decode,
                                 .conceal = conceal,
                                 .encode = encode,
                                 .samples = samples_of,
                                 .whole = whole};
