// C interface of the Spiccato audio codec. Written by cbindgen from src/lib.rs: see README.md.

#ifndef SPICCATO_H
#define SPICCATO_H

#include <stddef.h>
#include <stdint.h>

// An open model. Any number of threads may use one at once.
typedef struct SpiccatoModel SpiccatoModel;

// What interleaved samples mean.
typedef struct {
  // Samples per channel.
  uint64_t frames;
  // Frames in a second, from 8000 to 192000.
  uint32_t rate;
  // 1, or 2 for left and right.
  uint16_t channels;
} SpiccatoFormat;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// Opens a model file, or the built-in model where `path` is null.
//
// Returns null on failure. `spiccato_free` closes the model.
//
// # Safety
// `path` is null or a string that ends with a zero byte: UTF-8, or any bytes on Unix.
SpiccatoModel *spiccato_open(const char *path);

// Compresses interleaved samples with full scale from -1 to 1 to the content of a `.spic` file, at a bitrate of the
// whole file in kilobits per second.
//
// Returns the bytes and their number in `size`; null on failure. `spiccato_free` frees them.
//
// # Safety
// `samples` are `frames * channels` numbers; `format` and `size` point to a value each.
uint8_t *spiccato_encode(const SpiccatoModel *model,
                         const float *samples,
                         const SpiccatoFormat *format,
                         double bitrate,
                         size_t *size);

// Decompresses the content of a `.spic` file.
//
// Returns interleaved samples and in `format` what they mean; null on failure. `spiccato_free` frees them.
//
// # Safety
// `file` has `size` bytes; `format` points to a value.
float *spiccato_decode(const SpiccatoModel *model, const uint8_t *file, size_t size, SpiccatoFormat *format);

// Closes a model, or frees bytes or samples, that one of the functions returned.
//
// Null, and what has been freed before, is left alone.
void spiccato_free(void *object);

// Why the last function that failed in this thread did so, in UTF-8.
//
// The string is empty if none did. It stays valid until another function fails in this thread, or the thread ends.
const char *spiccato_error(void);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* SPICCATO_H */
