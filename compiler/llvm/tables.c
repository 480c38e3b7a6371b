/* The model's tables as constants: `svi_model` and all it points at.
 *
 * In:  an SviModel in this compiler's memory, and the function of each phase.
 * Out: the constant, of the layout the runtime was compiled with (both read svi.h).
 *
 * Every struct of svi.h has a table of its members below; a new member is one row here.  Forgetting it does not compile:
 * sizes are asserted; and tables_emit() checks that rows cover their struct.  Structs are packed, with padding spelled
 * out, so their layout is C's and padding is zero. */
#include "emit.h"

typedef enum {
  CELL_INTEGER, CELL_DOUBLE, CELL_TEXT, CELL_CODE, CELL_WORDS /* inline, uint64_t each */, CELL_STRUCT, CELL_MANY
} CellKind;
typedef struct Table Table;
typedef struct {
  const char  *name;
  uint32_t     at, size;
  CellKind     kind;
  const Table *of;            /* CELL_STRUCT, CELL_MANY */
  uint32_t     count_at;      /* CELL_MANY: the int32_t that says how many */
} Row;
struct Table { const char *name; uint32_t size, nrow; const Row *row; };

/* ---- the tables */
#define CELL_OF(x) _Generic((x), double: CELL_DOUBLE, const char *: CELL_TEXT, SviRun: CELL_CODE, default: CELL_INTEGER)
#define MEMBER(m)             (((T *)0)->m)
#define FIELD(m)              {#m, offsetof(T, m), sizeof MEMBER(m), CELL_OF(MEMBER(m)), NULL, 0}
#define WORDS(m)              {#m, offsetof(T, m), sizeof MEMBER(m), CELL_WORDS, NULL, 0}
#define STRUCT(m, type)       {#m, offsetof(T, m), sizeof MEMBER(m), CELL_STRUCT, &table_##type, 0}
#define MANY(m, type, count)  {#m, offsetof(T, m), sizeof MEMBER(m), CELL_MANY, &table_##type, offsetof(T, count)}
#define TABLE(type, bytes) \
  static const Table table_##type = {#type, sizeof(type), LEN(rows_##type), rows_##type}; \
  _Static_assert(sizeof(type) == (bytes), "svi.h has changed " #type ": describe its members above");

#define SCALAR(type, cell) \
  static const Row rows_##type[] = {{#type, 0, sizeof(type), cell, NULL, 0}}; \
  TABLE(type, sizeof(type))
SCALAR(uint32_t, CELL_INTEGER)
SCALAR(int32_t,  CELL_INTEGER)
SCALAR(double,   CELL_DOUBLE)

#define T SviPlace
static const Row rows_SviPlace[] = {FIELD(line), FIELD(column)};
TABLE(SviPlace, 8)
#undef T

#define T SviSchedule
static const Row rows_SviSchedule[] = {FIELD(curve), FIELD(unit), FIELD(n), MANY(at, double, n), MANY(value, double, n), FIELD(period)};
TABLE(SviSchedule, 40)
#undef T

#define T SviAxis
static const Row rows_SviAxis[] = {FIELD(name), FIELD(parent), FIELD(ordered), FIELD(kind), FIELD(fallback), FIELD(again)};
TABLE(SviAxis, 32)
#undef T

#define T SviRange
static const Row rows_SviRange[] = {FIELD(lo), FIELD(hi), FIELD(lo_open), FIELD(hi_open), FIELD(whole)};
TABLE(SviRange, 24)
#undef T

#define T SviColumn
static const Row rows_SviColumn[] = {
  FIELD(name), FIELD(type), FIELD(axis), FIELD(rank), MANY(dim, uint32_t, rank), FIELD(size), STRUCT(range, SviRange),
  STRUCT(place, SviPlace), FIELD(points),
};
TABLE(SviColumn, 80)
#undef T

#define T SviParam
static const Row rows_SviParam[] = {
  FIELD(name), FIELD(axis), FIELD(rank), MANY(dim, uint32_t, rank), FIELD(size), FIELD(offset), FIELD(state), FIELD(support),
  FIELD(init.kind), FIELD(init.a), FIELD(init.b), FIELD(init.nvalue), MANY(init.value, double, init.nvalue), FIELD(init.column),
  STRUCT(place, SviPlace),
};
TABLE(SviParam, 112)
#undef T

#define T SviOption
static const Row rows_SviOption[] = {FIELD(name), STRUCT(schedule, SviSchedule), STRUCT(place, SviPlace)};
TABLE(SviOption, 56)
#undef T

#define T SviDraw
static const Row rows_SviDraw[] = {FIELD(name), FIELD(once), STRUCT(place, SviPlace)};
TABLE(SviDraw, 24)
#undef T

#define T SviReduction
static const Row rows_SviReduction[] = {FIELD(lane), FIELD(global), FIELD(size), FIELD(how)};
TABLE(SviReduction, 32)
#undef T

#define T SviPhase
static const Row rows_SviPhase[] = {
  FIELD(run), FIELD(axis), FIELD(particles), FIELD(stream), FIELD(after), FIELD(ndomain), WORDS(domain), FIELD(nreduction),
  MANY(reduction, SviReduction, nreduction), STRUCT(place, SviPlace),
};
TABLE(SviPhase, 304)
#undef T

#define T SviRows
static const Row rows_SviRows[] = {FIELD(name), FIELD(axes), FIELD(size), FIELD(rank), MANY(dim, uint32_t, rank), FIELD(window)};
TABLE(SviRows, 48)
#undef T

#define T SviGrad
static const Row rows_SviGrad[] = {FIELD(param), FIELD(where), FIELD(offset), FIELD(columns), FIELD(shift)};
TABLE(SviGrad, 24)
#undef T

#define T SviUpdate
static const Row rows_SviUpdate[] = {FIELD(param), FIELD(global)};
TABLE(SviUpdate, 16)
#undef T

#define T SviScalar
static const Row rows_SviScalar[] = {FIELD(name), FIELD(global)};
TABLE(SviScalar, 16)
#undef T

#define T SviEntry
static const Row rows_SviEntry[] = {
  FIELD(name), FIELD(nphase), MANY(phase, SviPhase, nphase), FIELD(nscalar), MANY(scalar, SviScalar, nscalar),
  FIELD(nout), MANY(out, SviRows, nout), FIELD(nbatch), MANY(batch, SviRows, nbatch), FIELD(ngrad), MANY(grad, SviGrad, ngrad),
  FIELD(nupdate), MANY(update, SviUpdate, nupdate), FIELD(lane_size), FIELD(global_size), FIELD(axis), FIELD(needs_data), FIELD(whole),
  FIELD(graph), FIELD(flops_row), FIELD(flops_once),
};
TABLE(SviEntry, 152)
#undef T

#define T SviOptimizer
static const Row rows_SviOptimizer[] = {
  FIELD(kind), STRUCT(lr, SviSchedule), FIELD(momentum), FIELD(beta1), FIELD(beta2), FIELD(eps), FIELD(decay), FIELD(clip),
  FIELD(average), FIELD(history),
};
TABLE(SviOptimizer, 112)
#undef T

#define T SviStep
static const Row rows_SviStep[] = {FIELD(name), FIELD(entry), FIELD(maximize), FIELD(nparam), MANY(param, int32_t, nparam)};
TABLE(SviStep, 32)
#undef T

#define T SviTrain
static const Row rows_SviTrain[] = {STRUCT(optimizer, SviOptimizer), FIELD(batch), FIELD(epochs), FIELD(nstep), MANY(step, SviStep, nstep)};
TABLE(SviTrain, 144)
#undef T

#define T SviReport
static const Row rows_SviReport[] = {FIELD(name), FIELD(entry)};
TABLE(SviReport, 16)
#undef T

#define T SviModel
static const Row rows_SviModel[] = {
  FIELD(abi), FIELD(real_bytes), FIELD(name), FIELD(path), FIELD(source), FIELD(version), FIELD(hash),
  FIELD(naxis), MANY(axis, SviAxis, naxis), FIELD(ncolumn), MANY(column, SviColumn, ncolumn), FIELD(nlatent), MANY(latent, SviColumn, nlatent), FIELD(nparam),
  MANY(param, SviParam, nparam), FIELD(noption), MANY(option, SviOption, noption), FIELD(ndraw), MANY(draw, SviDraw, ndraw),
  FIELD(nentry), MANY(entry, SviEntry, nentry), FIELD(nreport), MANY(report, SviReport, nreport), STRUCT(train, SviTrain),
  FIELD(param_size), FIELD(info), FIELD(no_weight),
};
TABLE(SviModel, 344)
#undef T

static const Table *const all_tables[] = {
  &table_SviPlace, &table_SviSchedule, &table_SviAxis, &table_SviRange, &table_SviColumn, &table_SviParam, &table_SviOption,
  &table_SviDraw, &table_SviReduction, &table_SviPhase, &table_SviRows, &table_SviGrad, &table_SviUpdate, &table_SviScalar,
  &table_SviEntry, &table_SviOptimizer, &table_SviStep, &table_SviTrain, &table_SviReport, &table_SviModel,
};

/* Rows lie in order, and between them there is less than alignment would ask for. */
static void table_check(const Table *t) {
  uint32_t at = 0;
  for (uint32_t i = 0; i <= t->nrow; i++) {
    uint32_t next = i < t->nrow ? t->row[i].at : t->size;
    if (next < at || next - at > 7) BUG("%s has a member between %s and %s that tables.c does not describe", t->name,
                                        i ? t->row[i - 1].name : "its start", i < t->nrow ? t->row[i].name : "its end");
    if (i < t->nrow) at = next + t->row[i].size;
  }
}

/* ---- to constants */
typedef struct { Emit *e; LLVMValueRef *const *run; uint32_t entry, phase; } Walk;
static LLVMValueRef struct_constant(Walk *w, const Table *t, const char *from);

static LLVMValueRef private_global(Emit *e, LLVMValueRef v, const char *name, unsigned align) {
  LLVMValueRef g = LLVMAddGlobal(e->m, LLVMTypeOf(v), name);
  LLVMSetInitializer(g, v);
  LLVMSetGlobalConstant(g, true);
  LLVMSetLinkage(g, LLVMPrivateLinkage);
  LLVMSetUnnamedAddress(g, LLVMGlobalUnnamedAddr);
  LLVMSetAlignment(g, align);
  return g;
}

static uint64_t integer_at(const char *from, uint32_t size) {
  switch (size) {
    case 1: { uint8_t  x; memcpy(&x, from, 1); return x; }
    case 4: { uint32_t x; memcpy(&x, from, 4); return x; }
    case 8: { uint64_t x; memcpy(&x, from, 8); return x; }
  }
  BUG("an integer of %u bytes", size);
}

static LLVMValueRef many_constant(Walk *w, const Row *r, const char *from) {
  const char *first = *(const char *const *)(from + r->at);
  uint32_t n = (uint32_t)integer_at(from + r->count_at, 4);
  if (!first || (int32_t)n <= 0) return LLVMConstNull(w->e->ptr);
  LLVMValueRef *v = arena_alloc(w->e->arena, n * sizeof *v);
  for (uint32_t i = 0; i < n; i++) {
    if (r->of == &table_SviEntry) w->entry = i;
    if (r->of == &table_SviPhase) w->phase = i;
    v[i] = struct_constant(w, r->of, first + (size_t)i * r->of->size);
  }
  return private_global(w->e, LLVMConstArray2(LLVMTypeOf(v[0]), v, n), r->name, 8);
}

static LLVMValueRef cell_constant(Walk *w, const Row *r, const char *from) {
  Emit *e = w->e;
  switch (r->kind) {
    case CELL_INTEGER: return LLVMConstInt(LLVMIntTypeInContext(e->c, 8 * r->size), integer_at(from + r->at, r->size), false);
    case CELL_DOUBLE: {
      double x;
      memcpy(&x, from + r->at, sizeof x);
      return LLVMConstReal(e->f64, x);
    }
    case CELL_TEXT: {
      const char *text = *(const char *const *)(from + r->at);
      if (!text) return LLVMConstNull(e->ptr);
      return private_global(e, LLVMConstStringInContext(e->c, text, (unsigned)strlen(text), false), r->name, 1);
    }
    case CELL_CODE: return w->run[w->entry][w->phase];
    case CELL_WORDS: {
      uint32_t n = r->size / 8;
      LLVMValueRef *v = arena_alloc(e->arena, n * sizeof *v);
      for (uint32_t i = 0; i < n; i++) v[i] = emit_index(e, integer_at(from + r->at + 8 * i, 8));
      return LLVMConstArray2(e->i64, v, n);
    }
    case CELL_STRUCT: return struct_constant(w, r->of, from + r->at);
    case CELL_MANY:   return many_constant(w, r, from);
  }
  BUG("cell of kind %d", (int)r->kind);
}

static LLVMValueRef struct_constant(Walk *w, const Table *t, const char *from) {
  LLVMValueRef v[64];
  uint32_t n = 0, at = 0;
  if (t->nrow == 1 && t->row->size == t->size) return cell_constant(w, t->row, from);
  for (uint32_t i = 0; i <= t->nrow; i++) {
    uint32_t next = i < t->nrow ? t->row[i].at : t->size;
    if (next > at) v[n++] = LLVMConstNull(LLVMArrayType2(w->e->i8, next - at));
    if (i == t->nrow) break;
    v[n++] = cell_constant(w, &t->row[i], from);
    at = next + t->row[i].size;
  }
  return LLVMConstStructInContext(w->e->c, v, n, true);
}

void tables_emit(Emit *e, const SviModel *model, LLVMValueRef *const *run) {
  for (size_t i = 0; i < LEN(all_tables); i++) table_check(all_tables[i]);
  Walk w = {e, run, 0, 0};
  LLVMValueRef v = struct_constant(&w, &table_SviModel, (const char *)model);
  LLVMValueRef g = LLVMAddGlobal(e->m, LLVMTypeOf(v), "svi_model");
  LLVMSetInitializer(g, v);
  LLVMSetGlobalConstant(g, true);
  LLVMSetAlignment(g, 16);
}
