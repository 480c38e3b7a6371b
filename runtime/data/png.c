/* png: pictures out.
 *
 * In:  bytes of grey or of red, green and blue, row by row; or a stack of small float images.
 * Out: a PNG file, by libpng through save.c.  libpng leaves by longjmp; that ends in write_rows, which
 *      keeps nothing in variables that the jump could lose. */
#include "inside.h"

#include <inttypes.h>
#include <math.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>

#define MOST_SIDE  1000000u      /* libpng's own limit */
#define MOST_BYTES (1ull << 32)

typedef struct {
  SviSave  save;
  char     reason[128];          /* libpng's */
} Sink;

static void on_write(png_structp png, png_bytep bytes, size_t n) {
  Sink *sink = png_get_io_ptr(png);
  if (!svi_save_bytes(&sink->save, bytes, n)) png_error(png, "cannot write");
}

static void on_flush(png_structp png) { (void)png; }

static void on_error(png_structp png, png_const_charp text) {
  Sink *sink = png_get_error_ptr(png);
  snprintf(sink->reason, sizeof sink->reason, "%s", text);
  png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp text) { (void)png; (void)text; }

/* setjmp has a function of its own; nothing here changes between it and a jump. */
static bool write_rows(png_structp png, png_infop info, uint32_t width, uint32_t height, int channels,
                       const uint8_t *bytes) {
  if (setjmp(png_jmpbuf(png))) return false;
  png_set_IHDR(png, info, width, height, 8, channels == 1 ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB,
               PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(png, info);
  for (uint32_t y = 0; y < height; y++) png_write_row(png, bytes + (size_t)y * width * (size_t)channels);
  png_write_end(png, NULL);
  return true;
}

static bool write_png(const char *path, uint32_t width, uint32_t height, int channels, const uint8_t *bytes,
                      SviError *error) {
  SviShown shown = svi_path_shown(path);
  if (width == 0 || height == 0 || width > MOST_SIDE || height > MOST_SIDE)
    return svi_fail(error, "%s: a picture of %" PRIu32 " x %" PRIu32 " pixels, needed 1 to %u each way",
                    shown.text, width, height, MOST_SIDE);
  Sink sink = { .reason = "out of memory" };
  if (!svi_save_open(&sink.save, path, error)) return false;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &sink, on_error, on_warning);
  png_infop info = png ? png_create_info_struct(png) : NULL;
  bool ok = false;
  if (info) {
    png_set_write_fn(png, &sink, on_write, on_flush);
    ok = write_rows(png, info, width, height, channels, bytes);
  }
  png_destroy_write_struct(&png, &info);
  if (ok) return svi_save_done(&sink.save);
  if (!sink.save.failed) svi_fail(error, "%s: libpng: %s", shown.text, sink.reason);
  svi_save_drop(&sink.save);
  return false;
}

bool svi_png_write_gray(const char *path, uint32_t width, uint32_t height, const uint8_t *bytes,
                        SviError *error) {
  return write_png(path, width, height, 1, bytes, error);
}

bool svi_png_write_rgb(const char *path, uint32_t width, uint32_t height, const uint8_t *bytes,
                       SviError *error) {
  return write_png(path, width, height, 3, bytes, error);
}

/* ---- a grid ---- */

#define GUTTER_GREY 128          /* tells itself from black and from white */

static uint8_t grey_of(float v) { return v > 0 ? v < 1 ? (uint8_t)(v * 255 + 0.5f) : 255 : 0; }

/* One image at `out` in a picture of `width` pixels a row. */
static void draw(uint8_t *out, size_t width, const float *image, uint32_t h, uint32_t w, uint32_t magnify) {
  for (uint32_t y = 0; y < h; y++) {
    uint8_t *row = out + (size_t)y * magnify * width;
    for (uint32_t x = 0; x < w; x++)
      memset(row + (size_t)x * magnify, grey_of(image[(size_t)y * w + x]), magnify);
    for (uint32_t k = 1; k < magnify; k++) memcpy(row + k * width, row, (size_t)w * magnify);
  }
}

/* n cells of `side` pixels with gutters; 0 when that is too long. */
static uint64_t span_of(uint64_t n, uint64_t side, uint64_t gutter) {
  uint64_t cell = side + gutter;
  return n > MOST_SIDE || cell > MOST_SIDE || n * cell + gutter > MOST_SIDE ? 0 : n * cell + gutter;
}

bool svi_png_grid(const char *path, const float *images, size_t n, uint32_t h, uint32_t w, SviGrid grid,
                  SviError *error) {
  SviShown shown = svi_path_shown(path);
  uint64_t magnify = grid.magnify ? grid.magnify : 1;
  if (n == 0 || h == 0 || w == 0)
    return svi_fail(error, "%s: %zu images of %" PRIu32 " x %" PRIu32 " pixels make no picture", shown.text,
                    n, h, w);
  size_t columns = grid.columns ? grid.columns : (size_t)ceil(sqrt((double)n));
  if (columns > n) columns = n;
  size_t rows = (n - 1) / columns + 1;
  uint64_t width = span_of(columns, w * magnify, grid.gutter);
  uint64_t height = span_of(rows, h * magnify, grid.gutter);
  if (!width || !height || width * height > MOST_BYTES)
    return svi_fail(error, "%s: a grid of %zu x %zu images is too large for a picture; show fewer or "
                    "magnify less", shown.text, columns, rows);
  uint8_t *bytes = malloc(width * height);
  if (!bytes) return svi_fail(error, "%s: out of memory for %" PRIu64 " bytes", shown.text, width * height);
  memset(bytes, GUTTER_GREY, width * height);
  for (size_t i = 0; i < n; i++) {
    size_t y = grid.gutter + i / columns * (h * magnify + grid.gutter);
    size_t x = grid.gutter + i % columns * (w * magnify + grid.gutter);
    draw(bytes + y * width + x, width, images + i * h * w, h, w, (uint32_t)magnify);
  }
  bool ok = svi_png_write_gray(path, (uint32_t)width, (uint32_t)height, bytes, error);
  free(bytes);
  return ok;
}
