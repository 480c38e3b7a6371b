/* safetensors: checkpoints.
 *
 * In and out: the length of a header (8 bytes), the header (JSON: each tensor's type, shape and place, and
 * under "__metadata__" texts by name), the numbers.  Reading trusts nothing: the tensors must tile the
 * bytes after the header, without gaps, overlaps or rest, each with the length that its shape asks for.
 * Writing puts wide numbers first and pads the header to a multiple of eight, so every tensor is aligned.
 *
 * The format: https://github.com/huggingface/safetensors#format */
#include "inside.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define MOST_HEADER 100000000u         /* as the format says */
#define MOST_VALUES 8000000u           /* of JSON, each some 64 bytes of memory */

static const struct { const char *name; SviType type; } dtype_table[] = {
  { "BOOL", SVI_BOOL },
  { "F32",  SVI_F32  },
  { "F64",  SVI_F64  },
  { "I16",  SVI_I16  },
  { "I32",  SVI_I32  },
  { "I64",  SVI_I64  },
  { "I8",   SVI_I8   },
  { "U16",  SVI_U16  },
  { "U32",  SVI_U32  },
  { "U64",  SVI_U64  },
  { "U8",   SVI_U8   },
};
#define DTYPES (sizeof dtype_table / sizeof dtype_table[0])

/* ---- reading ---- */

typedef struct { uint64_t begin, end; uint32_t at; } Place;

/* JSON has doubles: whole, not negative, and small enough to be exact. */
static bool read_whole(const cJSON *v, uint64_t *out) {
  if (!cJSON_IsNumber(v) || !(v->valuedouble >= 0 && v->valuedouble <= 9007199254740992.0)) return false;
  *out = (uint64_t)v->valuedouble;
  return (double)*out == v->valuedouble;
}

static bool read_dtype(const char *name, SviType *type) {
  for (size_t i = 0; i < DTYPES; i++)
    if (!strcmp(dtype_table[i].name, name)) return *type = dtype_table[i].type, true;
  return false;
}

static bool read_tensor(const cJSON *v, const char *where, uint64_t room, SviFile *f, Place *place,
                        SviError *error) {
  const char *name = v->string;
  const cJSON *dtype = cJSON_GetObjectItemCaseSensitive(v, "dtype");
  const cJSON *shape = cJSON_GetObjectItemCaseSensitive(v, "shape");
  const cJSON *offsets = cJSON_GetObjectItemCaseSensitive(v, "data_offsets");
  if (!cJSON_IsString(dtype) || !cJSON_IsArray(shape) || !cJSON_IsArray(offsets))
    return svi_fail(error, "%s: tensor `%.100s`: needed dtype, shape and data_offsets", where, name);
  SviType type;
  if (!read_dtype(dtype->valuestring, &type))
    return svi_fail(error, "%s: tensor `%.100s`: numbers of type %.20s are not read; needed F32, F64, or "
                    "whole numbers or BOOL", where, name, dtype->valuestring);
  uint64_t dim[SVI_MAX_RANK] = { 0 }, bytes;
  int rank = 0;
  for (const cJSON *d = shape->child; d; d = d->next) {
    if (rank == SVI_MAX_RANK)
      return svi_fail(error, "%s: tensor `%.100s`: more than %d dimensions", where, name, SVI_MAX_RANK);
    if (!read_whole(d, &dim[rank++]))
      return svi_fail(error, "%s: tensor `%.100s`: dimension %d is not a whole number below 2^53", where,
                      name, rank);
  }
  const cJSON *first = offsets->child, *second = first ? first->next : NULL;
  if (!second || second->next || !read_whole(first, &place->begin) || !read_whole(second, &place->end))
    return svi_fail(error, "%s: tensor `%.100s`: data_offsets must be two whole numbers", where, name);
  if (place->begin > place->end)
    return svi_fail(error, "%s: tensor `%.100s`: data_offsets [%" PRIu64 ",%" PRIu64 "] run backwards",
                    where, name, place->begin, place->end);
  if (place->end > room)
    return svi_fail(error, "%s: truncated: tensor `%.100s` ends at byte %" PRIu64 " of the numbers, the "
                    "file holds %" PRIu64, where, name, place->end, room);
  if (!svi_dims_size(dim, rank, svi_type_size(type), &bytes))
    return svi_fail(error, "%s: tensor `%.100s`: its shape has more elements than any file", where, name);
  if (bytes != place->end - place->begin)
    return svi_fail(error, "%s: tensor `%.100s`: its type and shape need %" PRIu64 " bytes, its data_offsets "
                    "hold %" PRIu64, where, name, bytes, place->end - place->begin);
  SviArray *a = svi_file_add(f, name, strlen(name), where, error);
  if (!a) return false;
  a->type = type;
  a->rank = rank;
  memcpy(a->dim, dim, sizeof dim);
  return true;
}

static bool read_notes(const cJSON *v, const char *where, SviTensors *t, SviError *error) {
  if (!cJSON_IsObject(v) || t->note)
    return svi_fail(error, "%s: __metadata__ must be one object of texts", where);
  size_t n = (size_t)cJSON_GetArraySize(v);
  t->note = calloc(n + 1, sizeof *t->note);
  if (!t->note) return svi_fail(error, "%s: out of memory", where);
  for (const cJSON *e = v->child; e; e = e->next) {
    if (!cJSON_IsString(e))
      return svi_fail(error, "%s: __metadata__: `%.100s` is not a text", where, e->string);
    SviNote *note = &t->note[t->nnotes++];
    *note = (SviNote){ strdup(e->string), strdup(e->valuestring) };
    if (!note->key || !note->value) return svi_fail(error, "%s: out of memory", where);
  }
  return true;
}

static int by_place(const void *a, const void *b) {
  const Place *x = a, *y = b;
  if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
  return x->end < y->end ? -1 : x->end > y->end;
}

static bool check_places(Place *place, const SviFile *f, uint64_t room, const char *where, SviError *error) {
  qsort(place, f->n, sizeof *place, by_place);
  uint64_t at = 0;
  for (size_t i = 0; i < f->n; i++) {
    if (place[i].begin != at)
      return svi_fail(error, "%s: tensor `%.100s` begins at byte %" PRIu64 " of the numbers, needed %" PRIu64
                      ", where the one before it ends", where, f->at[place[i].at].name, place[i].begin, at);
    at = place[i].end;
  }
  if (at != room)
    return svi_fail(error, "%s: the tensors end at byte %" PRIu64 " of the numbers, the file holds %" PRIu64,
                    where, at, room);
  return true;
}

static bool read_tensors(const cJSON *root, SviBytes data, const char *where, SviTensors *t, Place *place,
                         SviError *error) {
  for (const cJSON *v = root->child; v; v = v->next) {
    if (!strcmp(v->string, "__metadata__")) {
      if (!read_notes(v, where, t, error)) return false;
      continue;
    }
    Place *p = &place[t->file.n];
    p->at = (uint32_t)t->file.n;
    if (!read_tensor(v, where, data.size, &t->file, p, error)) return false;
    t->file.at[p->at].bytes = data.at + p->begin;
  }
  return check_places(place, &t->file, data.size, where, error) && svi_file_names(&t->file, where, error);
}

/* An object and after it nothing but spaces, or NULL and where it goes wrong. */
static cJSON *parse_header(const char *text, size_t size, size_t *end) {
  const char *stop = text;
  if (size == 0 || text[0] != '{') return NULL;
  cJSON *root = cJSON_ParseWithLengthOpts(text, size, &stop, false);
  for (*end = (size_t)(stop - text); root && *end < size; ++*end) {
    if (text[*end] == ' ') continue;
    cJSON_Delete(root);
    return NULL;
  }
  return root;
}

bool svi_safetensors_read(SviBytes in, const char *where, SviTensors *t, SviError *error) {
  if (in.size < 8)
    return svi_fail(error, "%s: truncated: %zu bytes, a safetensors file has at least 8", where, in.size);
  uint64_t size = svi_le64(in.at);
  if (size > MOST_HEADER)
    return svi_fail(error, "%s: not a safetensors file: its header would have %" PRIu64 " bytes, the most "
                    "is %u", where, size, MOST_HEADER);
  if (size > in.size - 8)
    return svi_fail(error, "%s: truncated: the header has %" PRIu64 " bytes, the file holds %zu", where, size,
                    in.size - 8);
  const char *text = (const char *)in.at + 8;
  size_t values = 0;
  for (size_t i = 0; i < size; i++) values += text[i] == ',' || text[i] == '[' || text[i] == '{';
  if (values > MOST_VALUES)
    return svi_fail(error, "%s: its header has more than %u values", where, MOST_VALUES);
  size_t end = 0;
  cJSON *root = parse_header(text, size, &end);
  if (!root) return svi_fail(error, "%s: byte %zu: the header is not a JSON object", where, 8 + end);
  Place *place = malloc(((size_t)cJSON_GetArraySize(root) + 1) * sizeof *place);
  SviBytes data = { in.at + 8 + size, in.size - 8 - size };
  bool ok = place ? read_tensors(root, data, where, t, place, error)
                  : svi_fail(error, "%s: out of memory", where);
  free(place);
  cJSON_Delete(root);
  return ok;
}

void svi_safetensors_close(SviTensors *t) {
  for (size_t i = 0; i < t->nnotes; i++) { free((char *)t->note[i].key); free((char *)t->note[i].value); }
  free(t->note);
  svi_file_close(&t->file);
  *t = (SviTensors){ 0 };
}

bool svi_safetensors_open(const char *path, SviTensors *t, SviError *error) {
  *t = (SviTensors){ 0 };
  SviShown shown = svi_path_shown(path);
  SviBytes in;
  bool ok = svi_file_map(path, shown.text, &t->file, &in, error)
    && svi_safetensors_read(in, shown.text, t, error);
  if (!ok) svi_safetensors_close(t);
  return ok;
}

const SviArray *svi_safetensors_find(const SviTensors *t, const char *name) {
  return svi_file_find(&t->file, name);
}

const char *svi_safetensors_note(const SviTensors *t, const char *key) {
  for (size_t i = 0; i < t->nnotes; i++) if (!strcmp(t->note[i].key, key)) return t->note[i].value;
  return NULL;
}

/* ---- writing ---- */

/* Text that grows; after a failed allocation text is NULL and the rest is ignored. */
typedef struct { char *text; size_t n, room; bool failed; } Grow;

static void grow_bytes(Grow *g, const char *s, size_t n) {
  if (g->failed) return;
  if (n > g->room - g->n) {
    size_t room = 2 * (g->room + n) + 64;
    char *more = realloc(g->text, room);
    if (!more) { g->failed = true; return; }
    g->text = more;
    g->room = room;
  }
  memcpy(g->text + g->n, s, n);
  g->n += n;
}

static void grow_text(Grow *g, const char *s) { grow_bytes(g, s, strlen(s)); }

static void grow_whole(Grow *g, uint64_t v) {
  char text[24];
  grow_bytes(g, text, (size_t)snprintf(text, sizeof text, "%" PRIu64, v));
}

static void grow_quoted(Grow *g, const char *s) {
  char code[8];
  grow_text(g, "\"");
  for (; *s; s++) {
    if (*s == '"' || *s == '\\') { grow_text(g, "\\"); grow_bytes(g, s, 1); }
    else if ((unsigned char)*s < 0x20) { snprintf(code, sizeof code, "\\u%04x", *s); grow_text(g, code); }
    else grow_bytes(g, s, 1);
  }
  grow_text(g, "\"");
}

static void grow_tensor(Grow *g, const SviArray *a, uint64_t begin, uint64_t end) {
  const char *dtype = "";
  for (size_t i = 0; i < DTYPES; i++) if (dtype_table[i].type == a->type) dtype = dtype_table[i].name;
  grow_quoted(g, a->name);
  grow_text(g, ":{\"dtype\":\"");
  grow_text(g, dtype);
  grow_text(g, "\",\"shape\":[");
  for (int i = 0; i < a->rank; i++) {
    if (i) grow_text(g, ",");
    grow_whole(g, a->dim[i]);
  }
  grow_text(g, "],\"data_offsets\":[");
  grow_whole(g, begin);
  grow_text(g, ",");
  grow_whole(g, end);
  grow_text(g, "]}");
}

static void grow_header(Grow *g, const SviArray *const *order, size_t n, const SviNote *notes,
                        size_t nnotes) {
  uint64_t at = 0;
  bool any = false;
  grow_text(g, "{");
  if (nnotes) grow_text(g, "\"__metadata__\":{");
  for (size_t i = 0; i < nnotes; i++) {
    if (i) grow_text(g, ",");
    grow_quoted(g, notes[i].key);
    grow_text(g, ":");
    grow_quoted(g, notes[i].value);
  }
  if (nnotes) { grow_text(g, "}"); any = true; }
  for (size_t i = 0; i < n; i++) {
    uint64_t size = svi_array_count(order[i]) * svi_type_size(order[i]->type);
    if (any) grow_text(g, ",");
    any = true;
    grow_tensor(g, order[i], at, at + size);
    at += size;
  }
  grow_text(g, "}");
  while (!g->failed && g->n % 8) grow_text(g, " ");
}

static bool check_tensors(const char *path, const SviArray *tensors, size_t n, const SviNote *notes,
                          size_t nnotes, SviError *error) {
  SviShown shown = svi_path_shown(path);
  SviFile all = { .at = (SviArray *)tensors, .n = n };
  uint64_t bytes, total = 0;
  for (size_t i = 0; i < n; i++) {
    if (!svi_save_check(path, &tensors[i], &bytes, error)) return false;
    if (!strcmp(tensors[i].name, "__metadata__"))
      return svi_fail(error, "%s: a tensor cannot be called __metadata__", shown.text);
    if (__builtin_add_overflow(total, bytes, &total) || total > 1ull << 53)
      return svi_fail(error, "%s: the tensors have too many bytes together", shown.text);
    if (!svi_text_is_utf8(tensors[i].name))
      return svi_fail(error, "%s: the name `%.100s` is not UTF-8", shown.text, tensors[i].name);
  }
  for (size_t i = 0; i < nnotes; i++)
    if (!svi_text_is_utf8(notes[i].key) || !svi_text_is_utf8(notes[i].value))
      return svi_fail(error, "%s: metadata `%.100s` is not UTF-8", shown.text, notes[i].key);
  return svi_file_names(&all, shown.text, error);
}

static bool write_tensors(const char *path, const SviArray *const *order, size_t n, Grow *g,
                          SviError *error) {
  SviShown shown = svi_path_shown(path);
  if (g->failed) return svi_fail(error, "%s: out of memory", shown.text);
  if (g->n > MOST_HEADER)
    return svi_fail(error, "%s: a header of %zu bytes, the format's most is %u", shown.text, g->n,
                    MOST_HEADER);
  uint64_t size = g->n;
  SviSave s;
  if (!svi_save_open(&s, path, error)) return false;
  svi_save_bytes(&s, &size, sizeof size);
  svi_save_bytes(&s, g->text, g->n);
  for (size_t i = 0; i < n; i++)
    svi_save_bytes(&s, order[i]->bytes, svi_array_count(order[i]) * svi_type_size(order[i]->type));
  return svi_save_done(&s);
}

bool svi_safetensors_write(const char *path, const SviArray *tensors, size_t n, const SviNote *notes,
                           size_t nnotes, SviError *error) {
  if (!check_tensors(path, tensors, n, notes, nnotes, error)) return false;
  const SviArray **order = malloc((n + 1) * sizeof *order);
  if (!order) return svi_fail(error, "%s: out of memory", svi_path_shown(path).text);
  size_t k = 0;
  for (size_t each = 8; each; each /= 2)
    for (size_t i = 0; i < n; i++) if (svi_type_size(tensors[i].type) == each) order[k++] = &tensors[i];
  Grow g = { 0 };
  grow_header(&g, order, n, notes, nnotes);
  bool ok = write_tensors(path, order, n, &g, error);
  free(g.text);
  free(order);
  return ok;
}
