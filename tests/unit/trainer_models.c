#include "trainer_models.h"
#include <math.h>
#include <string.h>

#define N(a) (int32_t)(sizeof(a) / sizeof *(a)), a

/* ---- linear: y = x w + b, minimize the mean of (y - x w - b)^2 / 2 */
enum { L_LOSS = 0, L_GW = 1, L_GB = 6, L_LANE = 8 };

static void linear_rows(const SviCall *call, const SviChunk *chunk) {
  const double *w = call->param, *b = w + 5;
  double *x = chunk->scratch[0], *y = x + chunk->capacity * 5, *lane = chunk->lane, scale = 1 / (double)call->size[0];
  svi_load_rows(call, 0, chunk->first, chunk->rows, x);
  svi_load_rows(call, 1, chunk->first, chunk->rows, y);
  if (chunk->fresh) memset(lane, 0, L_LANE * sizeof *lane);
  for (uint64_t r = 0; r < chunk->rows; r++) {
    double e = b[0] - y[r];
    for (int i = 0; i < 5; i++) e += x[r * 5 + i] * w[i];
    lane[L_LOSS] += 0.5 * e * e * scale;
    for (int i = 0; i < 5; i++) lane[L_GW + i] += e * x[r * 5 + i] * scale;
    lane[L_GB] += e * scale;
  }
}

static void linear_report(const SviCall *call, const SviChunk *chunk) {
  const double *w = call->param, *b = w + 5;
  double *x = chunk->scratch[0], *y = x + chunk->capacity * 5, *out = call->out[0];
  svi_load_rows(call, 0, chunk->first, chunk->rows, x);
  svi_load_rows(call, 1, chunk->first, chunk->rows, y);
  for (uint64_t r = 0; r < chunk->rows; r++) {
    double e = b[0] - y[r];
    for (int i = 0; i < 5; i++) e += x[r * 5 + i] * w[i];
    out[chunk->first + r] = e * e;
  }
}

static const double zero = 0, lr_linear = 0.1;
static const uint32_t five = 5;
static const SviAxis linear_axes[] = { { "point", -1, false, 0, 0, 0 } };
#define REAL_RANGE { -INFINITY, INFINITY, true, true, false }
static const SviColumn linear_columns[] = {
  { .name = "x", .type = "real", .axis = 0, .rank = 1, .dim = &five, .size = 5, .range = REAL_RANGE, .place = { 2, 6 } },
  { .name = "y", .type = "real", .axis = 0, .rank = 0, .size = 1, .range = REAL_RANGE, .place = { 3, 6 } },
};
static const SviParam linear_params[] = {
  { .name = "w", .axis = -1, .rank = 1, .dim = &five, .size = 5, .offset = 0, .support = "real", .init = { .kind = SVI_INIT_UNIFORM, .a = -1, .b = 1 } },
  { .name = "b", .axis = -1, .rank = 0, .size = 1, .offset = 5, .support = "real", .init = { .kind = SVI_INIT_VALUES, .nvalue = 1, .value = &zero } },
};
static const SviReduction linear_sum[] = { { L_LOSS, 0, 1, SVI_COMBINE_SUM } };
static const SviPhase linear_phase[]  = { { .run = linear_rows, .axis = 0, .particles = -1, .ndomain = 1, .domain = { { 1, 48 } }, .nreduction = 1, .reduction = linear_sum } };
static const SviPhase linear_phase2[] = { { .run = linear_report, .axis = 0, .particles = -1, .ndomain = 1, .domain = { { 1, 48 } } } };
static const SviScalar linear_scalar[] = { { "objective", 0 } };
static const SviGrad linear_grad[] = { { 0, SVI_IN_LANES, L_GW, 0, 0 }, { 1, SVI_IN_LANES, L_GB, 0, 0 } };
static const SviRows linear_out[] = { { "error", 1, 1, 0, NULL, false } };
static const SviEntry linear_entries[] = {
  { .name = "step:main", .nphase = 1, .phase = linear_phase, .nscalar = 1, .scalar = linear_scalar, .ngrad = 2, .grad = linear_grad,
    .lane_size = L_LANE, .global_size = 1, .axis = 0, .needs_data = true },
  { .name = "report:error", .nphase = 1, .phase = linear_phase2, .nout = 1, .out = linear_out, .axis = 0, .needs_data = true },
};
static const int32_t linear_both[] = { 0, 1 };
static const SviStep linear_step[] = { { "main", 0, false, N(linear_both) } };
static const SviReport linear_reports[] = { { "error", 1 } };
const SviModel linear_model = {
  .abi = SVI_ABI, .real_bytes = 8, .name = "linear", .path = "linear.svm", .source = "# least squares\n", .version = "test", .hash = "1111",
  .naxis = 1, .axis = linear_axes, .ncolumn = 2, .column = linear_columns, .nparam = 2, .param = linear_params, .nentry = 2, .entry = linear_entries,
  .nreport = 1, .report = linear_reports, .param_size = 6,
  .train = { .optimizer = { .kind = SVI_SGD, .lr = { SVI_CURVE_HOLD, SVI_STEPS, 1, &zero, &lr_linear, 0 }, .momentum = 0.5, .clip = 1, .average = 0.99 },
             .batch = 32, .epochs = 5, .nstep = 1, .step = linear_step },
};

/* ---- mixed.  t = x W + b;  loss of a row = mean over particles of sum_j (t_j + 0.1 eps_pj - a_rowj)^2 + (y - M)^2 + sum_i (c_i - x_i)^2
 * with M the mean of t_0 over the batch.  Everything is divided by the rows of the batch. */
enum { M_W = 0, M_B = 24, M_MEAN = 28, M_C = 29, M_SIZE = 35 };
enum { L_T0 = 0, L_SUM = 1, L_DM = 2, L_W = 8, L_B = 32, L_C = 36, L_W2 = 48, L_B2 = 72, L_SIZE = 80 };
enum { G_T0 = 0, G_M = 1, G_LOSS = 2, G_DM = 3, G_OBJECTIVE = 4, G_SIZE = 8 };
enum { O_POISON, O_POISON_AT, O_RAMP };

static float noise(const uint32_t key[2], uint32_t row, uint32_t at) {
  uint64_t x = ((uint64_t)key[0] << 32 | key[1]) + row * UINT64_C(0x9e3779b97f4a7c15) + at * UINT64_C(0xd1342543de82ef95);
  x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
  x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
  return (float)((double)((x ^ x >> 31) >> 11) * 0x1p-53 * 2 - 1);
}

static void mixed_forward(const SviCall *call, const SviChunk *chunk) {
  const float *p = call->param;
  float *x = chunk->scratch[0], *t = (float *)call->batch[0] + chunk->first * 4, *lane = chunk->lane;
  svi_load_rows(call, 0, chunk->first, chunk->rows, x);
  for (uint64_t r = 0; r < chunk->rows; r++) for (int j = 0; j < 4; j++) t[r * 4 + j] = p[M_B + j];
  svi_gemm_f32(false, false, chunk->rows, 4, 6, x, 6, p + M_W, 4, true, t, 4);
  float sum = 0;
  for (uint64_t r = 0; r < chunk->rows; r++) sum += t[r * 4];
  lane[L_T0] = chunk->fresh ? sum : lane[L_T0] + sum;
}

static void mixed_mean(const SviCall *call, const SviChunk *chunk) {
  (void)chunk;
  float *g = call->global;
  g[G_M] = g[G_T0] / (float)call->size[0];
}

/* Scratch by rows: x, y, a, dt; by lines: eps. */
static void mixed_loss(const SviCall *call, const SviChunk *chunk) {
  const float *p = call->param, *t = (const float *)call->batch[0] + chunk->first * 4, *g = call->global;
  float *x = chunk->scratch[0], *y = x + chunk->capacity * 6, *a = y + chunk->capacity, *dt = a + chunk->capacity * 4, *eps = chunk->scratch[1];
  float *lane = chunk->lane, *da = (float *)call->out[0] + chunk->first * 4, scale = 1 / (float)call->size[0];
  uint64_t k = call->size[1];
  svi_load_rows(call, 0, chunk->first, chunk->rows, x);
  svi_load_rows(call, 1, chunk->first, chunk->rows, y);
  svi_load_rows(call, -1 - 3, chunk->first, chunk->rows, a);
  if (chunk->fresh) { lane[L_SUM] = lane[L_DM] = 0; memset(lane + L_W, 0, (L_W2 - L_W) * sizeof *lane); }
  for (uint64_t r = 0; r < chunk->rows; r++) {
    float loss = (y[r] - g[G_M]) * (y[r] - g[G_M]);
    uint32_t row = call->row[0][chunk->first + r];
    lane[L_DM] += 2 * (g[G_M] - y[r]) * scale;
    for (int j = 0; j < 4; j++) dt[r * 4 + j] = da[r * 4 + j] = 0;
    for (uint64_t q = 0; q < k; q++) for (int j = 0; j < 4; j++) {
      float *e = &eps[(r * k + q) * 4 + (uint64_t)j];
      *e = noise(call->key[0], row, (uint32_t)(q * 4) + (uint32_t)j);
      float d = t[r * 4 + j] + 0.1f * *e - a[r * 4 + j];
      loss += d * d / (float)k;
      dt[r * 4 + j] += 2 * d / (float)k * scale;
      da[r * 4 + j] -= 2 * d / (float)k * scale;
    }
    for (int i = 0; i < 6; i++) {
      float d = p[M_C + i] - x[r * 6 + i];
      loss += d * d;
      lane[L_C + i] += 2 * d * scale;
    }
    if (row == 7 && call->option[O_POISON_AT] > 0) {
      if (call->option[O_POISON] == 1) loss = NAN;
      if (call->option[O_POISON] == 2) dt[r * 4 + 1] = INFINITY;
    }
    lane[L_SUM] += loss * scale;
    for (int j = 0; j < 4; j++) lane[L_B + j] += dt[r * 4 + j];
  }
  svi_gemm_f32(true, false, 6, 4, chunk->rows, x, 6, dt, 4, true, lane + L_W, 4);
}

static void mixed_total(const SviCall *call, const SviChunk *chunk) {
  (void)chunk;
  float *g = call->global;
  const float *p = call->param;
  g[G_OBJECTIVE] = g[G_LOSS];
  g[G_DM] /= (float)call->size[0];
  g[6] = 0.9f * p[M_MEAN] + 0.1f * g[G_M];      /* the state's next value */
}

static void mixed_backward(const SviCall *call, const SviChunk *chunk) {
  const float *g = call->global;
  float *x = chunk->scratch[0], *lane = chunk->lane;
  svi_load_rows(call, 0, chunk->first, chunk->rows, x);
  if (chunk->fresh) memset(lane + L_W2, 0, (L_SIZE - L_W2) * sizeof *lane);
  for (uint64_t r = 0; r < chunk->rows; r++) {
    for (int i = 0; i < 6; i++) lane[L_W2 + i * 4] += x[r * 6 + i] * g[G_DM];
    lane[L_B2] += g[G_DM];
  }
}

/* A step without rows: minimize 0.05 sum c^2. */
static void mixed_shrink(const SviCall *call, const SviChunk *chunk) {
  (void)chunk;
  const float *c = (const float *)call->param + M_C;
  float *g = call->global;
  g[0] = 0;
  for (int i = 0; i < 6; i++) { g[0] += 0.05f * c[i] * c[i]; g[1 + i] = 0.1f * c[i]; }
}

/* log mean exp over the particles of -(t_0 + 0.1 eps - y)^2, in passes of `block`. */
static void mixed_report(const SviCall *call, const SviChunk *chunk) {
  const float *p = call->param;
  float *x = chunk->scratch[0], *y = x + chunk->capacity * 6, *eps = chunk->scratch[1], *out = call->out[0];
  uint64_t k = call->size[1];
  svi_load_rows(call, 0, chunk->first, chunk->rows, x);
  svi_load_rows(call, 1, chunk->first, chunk->rows, y);
  for (uint64_t r = 0; r < chunk->rows; r++) {
    double most = -INFINITY, sum = 0;
    float t = p[M_B];
    for (int i = 0; i < 6; i++) t += x[r * 6 + i] * p[M_W + i * 4];
    for (uint64_t first = 0; first < k; first += call->block) {
      uint64_t n = k - first < call->block ? k - first : call->block;
      for (uint64_t q = 0; q < n; q++) {
        eps[r * call->block + q] = noise(call->key[1], call->row[0][chunk->first + r], (uint32_t)(first + q));
        float d = t + 0.1f * eps[r * call->block + q] - y[r];
        double v = -(double)(d * d);
        if (v > most) { sum = sum * exp(most - v) + 1; most = v; } else sum += exp(v - most);
      }
    }
    out[chunk->first + r] = (float)(most + log(sum / (double)k));
  }
}

static void mixed_largest(const SviCall *call, const SviChunk *chunk) {
  float *x = chunk->scratch[0], *lane = chunk->lane;
  svi_load_rows(call, 1, chunk->first, chunk->rows, x);
  if (chunk->fresh) { lane[0] = -INFINITY; lane[1] = -INFINITY; }
  for (uint64_t r = 0; r < chunk->rows; r++) {
    if (x[r] > lane[0]) lane[0] = x[r];
    float a = lane[1] > x[r] ? lane[1] : x[r], b = lane[1] > x[r] ? x[r] : lane[1];
    lane[1] = a + log1pf(expf(b - a));
  }
}

static void mixed_sample(const SviCall *call, const SviChunk *chunk) {
  float *out = (float *)call->out[0] + chunk->first * 6;
  for (uint64_t r = 0; r < chunk->rows; r++)
    for (uint32_t i = 0; i < 6; i++) out[r * 6 + i] = 0.5f + 0.5f * noise(call->key[2], call->row[0][chunk->first + r], i);
}

static void mixed_encode(const SviCall *call, const SviChunk *chunk) {
  const float *p = call->param;
  float *x = chunk->scratch[0], *out = (float *)call->out[0] + chunk->first * 4;
  svi_load_rows(call, 0, chunk->first, chunk->rows, x);
  for (uint64_t r = 0; r < chunk->rows; r++) for (int j = 0; j < 4; j++) out[r * 4 + j] = p[M_B + j];
  svi_gemm_f32(false, false, chunk->rows, 4, 6, x, 6, p + M_W, 4, true, out, 4);
}

static void mixed_reconstruct(const SviCall *call, const SviChunk *chunk) {
  float *out = (float *)call->out[0] + chunk->first * 6;
  svi_load_rows(call, 0, chunk->first, chunk->rows, out);
}

static const uint32_t d6 = 6, d64[] = { 6, 4 }, d4 = 4;
static const double lr_mixed = 0.02, one = 1, half = 0.5, at_ramp[] = { 0, 100 }, ramp[] = { 0, 1 };
static const SviAxis mixed_axes[] = { { "row", -1, false, 0, 0, 0 }, { "particle", -1, false, 1, 3, 0 } };
static const SviColumn mixed_columns[] = {
  { .name = "x", .type = "bit", .axis = 0, .rank = 1, .dim = &d6, .size = 6, .range = { 0, 1, false, false, true }, .place = { 4, 6 } },
  { .name = "y", .type = "real", .axis = 0, .rank = 0, .size = 1, .range = REAL_RANGE, .place = { 5, 6 } },
};
static const SviParam mixed_params[] = {
  { .name = "p.W", .axis = -1, .rank = 2, .dim = d64, .size = 24, .offset = M_W, .support = "real", .init = { .kind = SVI_INIT_UNIFORM, .a = -0.5, .b = 0.5 } },
  { .name = "p.b", .axis = -1, .rank = 1, .dim = &d4, .size = 4, .offset = M_B, .support = "real", .init = { .kind = SVI_INIT_NORMAL, .a = 1, .b = 0.5 } },
  { .name = "p.mean", .axis = -1, .rank = 0, .size = 1, .offset = M_MEAN, .state = true, .support = "real", .init = { .kind = SVI_INIT_VALUES, .nvalue = 1, .value = &half } },
  { .name = "q.a", .axis = 0, .rank = 1, .dim = &d4, .size = 4, .support = "real", .init = { .kind = SVI_INIT_NORMAL, .a = 0, .b = 1 } },
  { .name = "p.c", .axis = -1, .rank = 1, .dim = &d6, .size = 6, .offset = M_C, .support = "real", .init = { .kind = SVI_INIT_LOGIT_MEAN, .column = 0 } },
};
static const SviOption mixed_options[] = {
  { "poison",    { SVI_CURVE_HOLD, SVI_STEPS, 1, &zero, &zero, 0 }, { 0, 0 } },
  { "poison_at", { SVI_CURVE_HOLD, SVI_STEPS, 1, &zero, &one, 0 }, { 0, 0 } },
  { "ramp",      { SVI_CURVE_LINEAR, SVI_STEPS, 2, at_ramp, ramp, 0 }, { 0, 0 } },
};
static const SviDraw mixed_draws[] = { { "q.eps", false, { 9, 3 } }, { "report.eps", true, { 10, 3 } }, { "sample.x", false, { 11, 3 } } };
static const SviReduction sum_t0[]   = { { L_T0, G_T0, 1, SVI_COMBINE_SUM } };
static const SviReduction sum_loss[] = { { L_SUM, G_LOSS, 2, SVI_COMBINE_SUM } };
static const SviReduction largest[]  = { { 0, 0, 1, SVI_COMBINE_MAX }, { 1, 1, 1, SVI_COMBINE_LOGSUMEXP } };
static const SviPhase mixed_step_phases[] = {
  { .run = mixed_forward,  .axis = 0,  .particles = -1, .ndomain = 1, .domain = { { 1, 24 } }, .nreduction = 1, .reduction = sum_t0 },
  { .run = mixed_mean,     .axis = -1, .particles = -1 },
  { .run = mixed_loss,     .axis = 0,  .particles = 1,  .ndomain = 2, .domain = { { 1, 60 }, { 2, 16 } }, .nreduction = 1, .reduction = sum_loss },
  { .run = mixed_total,    .axis = -1, .particles = -1 },
  { .run = mixed_backward, .axis = 0,  .particles = -1, .ndomain = 1, .domain = { { 1, 24 } } },
};
static const SviPhase shrink_phases[]  = { { .run = mixed_shrink, .axis = -1, .particles = -1 } };
static const SviPhase report_phases[]  = { { .run = mixed_report, .axis = 0, .particles = 1, .stream = true, .ndomain = 2, .domain = { { 1, 28 }, { 2, 4 } } } };
static const SviPhase largest_phases[] = { { .run = mixed_largest, .axis = 0, .particles = -1, .ndomain = 1, .domain = { { 1, 4 } }, .nreduction = 2, .reduction = largest } };
static const SviPhase sample_phases[]  = { { .run = mixed_sample, .axis = 0, .particles = -1 } };
static const SviPhase encode_phases[]  = { { .run = mixed_encode, .axis = 0, .particles = -1, .ndomain = 1, .domain = { { 1, 24 } } } };
static const SviPhase again_phases[]   = { { .run = mixed_reconstruct, .axis = 0, .particles = -1 } };
static const SviScalar mixed_scalar[]  = { { "objective", G_OBJECTIVE } }, first_scalar[] = { { "value", 0 } }, second_scalar[] = { { "value", 1 } };
static const SviRows mixed_kept[] = { { "t", 1, 4, 1, &d4, false } }, grad_out[] = { { "grad of q.a", 1, 4, 1, &d4, false } };
static const SviRows report_out[] = { { "nll", 1, 1, 0, NULL, false } }, x_out[] = { { "p.x", 1, 6, 1, &d6, false } }, t_out[] = { { "q.t", 1, 4, 1, &d4, false } };
static const SviGrad mixed_grad[] = { { 0, SVI_IN_LANES, L_W, 0, 0 }, { 0, SVI_IN_LANES, L_W2, 0, 0 }, { 1, SVI_IN_LANES, L_B, 0, 0 }, { 1, SVI_IN_LANES, L_B2, 0, 0 }, { 3, SVI_IN_OUT, 0, 0, 0 }, { 4, SVI_IN_LANES, L_C, 0, 0 } };
static const SviGrad shrink_grad[] = { { 4, SVI_IN_GLOBAL, 1, 0, 0 } };
static const SviUpdate mixed_update[] = { { 2, 6 } };
/* For the replay only: log(y + 1), which is -inf where y is -1. */
static const char mixed_graph[] =
  "graph 1\naxis 0 plate row\naxis 1 particle particle\n%0 = input \"y\" 1 scalar each row\n%1 = const 1 scalar\n"
  "%2 = add %0 %1 scalar each row \"one more\"\n%3 = log %2 scalar each row \"p.score\" @20-30\n%4 = sum %3 over axis row scalar\nroot \"objective\" %4\n";
static const SviEntry mixed_entries[] = {
  { .name = "step:shrink", .nphase = N(shrink_phases), .nscalar = 1, .scalar = first_scalar, .ngrad = 1, .grad = shrink_grad, .global_size = 8, .axis = -1 },
  { .name = "step:main", .nphase = N(mixed_step_phases), .nscalar = 1, .scalar = mixed_scalar, .nout = 1, .out = grad_out, .nbatch = 1, .batch = mixed_kept,
    .ngrad = N(mixed_grad), .nupdate = 1, .update = mixed_update, .lane_size = L_SIZE, .global_size = G_SIZE, .axis = 0, .needs_data = true, .graph = mixed_graph },
  { .name = "report:nll", .nphase = N(report_phases), .nout = 1, .out = report_out, .axis = 0, .needs_data = true },
  { .name = "report:most", .nphase = N(largest_phases), .nscalar = 1, .scalar = first_scalar, .lane_size = 2, .global_size = 2, .axis = 0, .needs_data = true },
  { .name = "report:lse", .nphase = N(largest_phases), .nscalar = 1, .scalar = second_scalar, .lane_size = 2, .global_size = 2, .axis = 0, .needs_data = true },
  { .name = "sample", .nphase = N(sample_phases), .nout = 1, .out = x_out, .axis = 0 },
  { .name = "encode", .nphase = N(encode_phases), .nout = 1, .out = t_out, .axis = 0, .needs_data = true },
  { .name = "reconstruct", .nphase = N(again_phases), .nout = 1, .out = x_out, .axis = 0, .needs_data = true },
};
static const int32_t only_c[] = { 4 }, main_params[] = { 0, 1, 2, 3, 4 };
static const SviStep mixed_steps[] = { { "shrink", 0, false, N(only_c) }, { "main", 1, false, N(main_params) } };
static const SviReport mixed_reports[] = { { "nll", 2 }, { "most", 3 }, { "lse", 4 } };
const SviModel mixed_model = {
  .abi = SVI_ABI, .real_bytes = 4, .name = "mixed", .path = "mixed.svm", .source = "# mixed\n\nmodel p { log(y + 1) }\n", .version = "test", .hash = "2222",
  .naxis = 2, .axis = mixed_axes, .ncolumn = 2, .column = mixed_columns, .nparam = 5, .param = mixed_params, .noption = 3, .option = mixed_options,
  .ndraw = 3, .draw = mixed_draws, .nentry = 8, .entry = mixed_entries, .nreport = 3, .report = mixed_reports, .param_size = M_SIZE,
  .train = { .optimizer = { .kind = SVI_ADAM, .lr = { SVI_CURVE_HOLD, SVI_STEPS, 1, &zero, &lr_mixed, 0 }, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8 },
             .batch = 64, .epochs = 3, .nstep = 2, .step = mixed_steps },
};

/* ---- plates */
static void plates_users(const SviCall *call, const SviChunk *chunk) {
  double *u = chunk->scratch[0], *grad = (double *)call->out[0] + chunk->first * 2, *lane = chunk->lane;
  uint64_t steps = call->size[3];
  svi_load_rows(call, -1, chunk->first, chunk->rows, u);
  svi_load_rows(call, 3, chunk->first, chunk->rows, chunk->scratch[1]);
  if (chunk->fresh) lane[0] = 0;
  for (uint64_t r = 0; r < chunk->rows; r++) {
    double mean = 0;
    for (uint64_t t = 0; t < steps; t++) mean += ((double *)chunk->scratch[1])[r * steps + t] / (double)steps;
    for (int i = 0; i < 2; i++) {
      double d = u[r * 2 + (uint64_t)i] - mean;
      lane[0] += d * d;
      grad[r * 2 + (uint64_t)i] = 2 * d;
    }
  }
}

static void plates_items(const SviCall *call, const SviChunk *chunk) {
  double *v = chunk->scratch[0], *grad = (double *)call->out[1] + chunk->first, *lane = chunk->lane;
  svi_load_rows(call, -2, chunk->first, chunk->rows, v);
  if (chunk->fresh) lane[1] = 0;
  for (uint64_t r = 0; r < chunk->rows; r++) {
    double d = v[r] - call->row[1][chunk->first + r];
    lane[1] += d * d;
    grad[r] = 2 * d;
  }
}

static void plates_ratings(const SviCall *call, const SviChunk *chunk) {
  double *x = chunk->scratch[0], *lane = chunk->lane;
  if (chunk->fresh) lane[2] = 0;
  for (int column = 0; column < 3; column++) {
    svi_load_rows(call, column, chunk->first, chunk->rows, x);
    for (uint64_t r = 0; r < chunk->rows; r++) lane[2] += x[r];
  }
}

static void plates_sum(const SviCall *call, const SviChunk *chunk) {
  (void)chunk;
  double *g = call->global;
  g[3] = g[0] + g[1];
}

static const uint32_t two = 2;
static const double lr_plates = 0.1;
static const SviAxis plates_axes[] = { { "user", -1, false, 0, 0, 0 }, { "item", -1, false, 0, 0, 0 }, { "rating", -1, false, 0, 0, 0 }, { "time", 0, true, 0, 0, 0 } };
static const SviColumn plates_columns[] = {
  { .name = "user", .type = "user", .axis = 2, .size = 1, .range = { 0, INFINITY, false, true, true }, .points = 1 },
  { .name = "item", .type = "item", .axis = 2, .size = 1, .range = { 0, INFINITY, false, true, true }, .points = 2 },
  { .name = "value", .type = "count", .axis = 2, .size = 1, .range = { 0, INFINITY, false, true, true } },
  { .name = "walk", .type = "real", .axis = 3, .size = 1, .range = REAL_RANGE },
};
static const SviParam plates_params[] = {
  { .name = "u", .axis = 0, .rank = 1, .dim = &two, .size = 2, .support = "real", .init = { .kind = SVI_INIT_NORMAL, .a = 0, .b = 1 } },
  { .name = "v", .axis = 1, .rank = 0, .size = 1, .support = "real", .init = { .kind = SVI_INIT_VALUES } },
};
static const SviReduction plates_u[] = { { 0, 0, 1, SVI_COMBINE_SUM } }, plates_v[] = { { 1, 1, 1, SVI_COMBINE_SUM } }, plates_r[] = { { 2, 2, 1, SVI_COMBINE_SUM } };
static const SviPhase plates_phases[] = {
  { .run = plates_users,   .axis = 0,  .particles = -1, .ndomain = 2, .domain = { { 1, 16 }, { 8, 8 } }, .nreduction = 1, .reduction = plates_u },
  { .run = plates_items,   .axis = 1,  .particles = -1, .ndomain = 1, .domain = { { 2, 8 } }, .nreduction = 1, .reduction = plates_v },
  { .run = plates_ratings, .axis = 2,  .particles = -1, .ndomain = 1, .domain = { { 4, 8 } }, .nreduction = 1, .reduction = plates_r },
  { .run = plates_sum,     .axis = -1, .particles = -1 },
};
static const SviScalar plates_scalar[] = { { "objective", 3 } };
static const SviRows plates_out[] = { { "grad of u", 1, 2, 1, &two, false }, { "grad of v", 2, 1, 0, NULL, false } };
static const SviGrad plates_grad[] = { { 0, SVI_IN_OUT, 0, 0, 0 }, { 1, SVI_IN_OUT, 1, 0, 0 } };
static const SviEntry plates_entries[] = {
  { .name = "step:main", .nphase = N(plates_phases), .nscalar = 1, .scalar = plates_scalar, .nout = 2, .out = plates_out, .ngrad = 2, .grad = plates_grad,
    .lane_size = 3, .global_size = 4, .axis = 2, .needs_data = true },
};
static const int32_t plates_both[] = { 0, 1 };
static const SviStep plates_steps[] = { { "main", 0, false, N(plates_both) } };
const SviModel plates_model = {
  .abi = SVI_ABI, .real_bytes = 8, .name = "plates", .path = "plates.svm", .source = "", .version = "test", .hash = "4444",
  .naxis = 4, .axis = plates_axes, .ncolumn = 4, .column = plates_columns, .nparam = 2, .param = plates_params, .nentry = 1, .entry = plates_entries,
  .train = { .optimizer = { .kind = SVI_ADAM, .lr = { SVI_CURVE_HOLD, SVI_STEPS, 1, &zero, &lr_plates, 0 }, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .average = 0.9 },
             .batch = 7, .epochs = 100, .nstep = 1, .step = plates_steps },
};
