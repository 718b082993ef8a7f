/* Compresses a second of a chord, decompresses it, and prints the sizes.
 *
 *     cargo build --release -p spiccato-c
 *     cc -I capi/include capi/examples/roundtrip.c -L target/release -lspiccato_c -lm -o roundtrip
 *     LD_LIBRARY_PATH=target/release ./roundtrip
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "spiccato.h"

static int fail(const char *what) {
    fprintf(stderr, "%s: %s\n", what, spiccato_error());
    return EXIT_FAILURE;
}

int main(int argc, char **argv) {
    /* The networks' own threads would wait for each other by spinning. Set once, before anything else. */
    setenv("CANDLE_NUM_THREADS", "1", 0);

    SpiccatoModel *model = spiccato_open(argc > 1 ? argv[1] : NULL);
    if (!model) return fail("open");

    SpiccatoFormat format = {.frames = 48000, .rate = 48000, .channels = 2};
    float *samples = malloc(format.frames * format.channels * sizeof *samples);
    if (!samples) return EXIT_FAILURE;
    for (size_t i = 0; i < format.frames; i++) {
        const double turns = 6.283185307179586 * (double)i / format.rate;
        samples[2 * i] = (float)(0.2 * sin(261.6 * turns) + 0.1 * sin(392.0 * turns));
        samples[2 * i + 1] = (float)(0.2 * sin(329.6 * turns));
    }

    size_t size;
    uint8_t *file = spiccato_encode(model, samples, &format, 4.0, &size);
    if (!file) return fail("encode");

    SpiccatoFormat decoded;
    float *sound = spiccato_decode(model, file, size, &decoded);
    if (!sound) return fail("decode");
    printf("%zu bytes; %llu frames of %u channels at %u Hz\n", size, (unsigned long long)decoded.frames,
           (unsigned)decoded.channels, (unsigned)decoded.rate);

    /* What fails says why. */
    file[size / 2] ^= 1;
    if (spiccato_decode(model, file, size, &decoded)) return EXIT_FAILURE;
    printf("damaged: %s\n", spiccato_error());

    spiccato_free(sound);
    spiccato_free(file);
    spiccato_free(model);
    free(samples);
    return EXIT_SUCCESS;
}
