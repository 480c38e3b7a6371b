/* llvm: hand-made loop programs against plain loops in C, in both widths, with and without optimisation. */
#include "check_llvm.h"

/* ---- ops */
START_TEST(every_elementwise_op_gives_what_its_row_says) {
  uint32_t bytes = widths[_i];
  program_new(bytes);
  enum { N = 150 };
  Buf a = buffer(BUF_CHUNK, 0, AXIS(IMAGE), DIMS(N)), b = buffer(BUF_PARAM, 0, 0, DIMS(N)),
      c = buffer(BUF_PARAM, N, 0, DIMS(N));
  World *w = world_new(bytes);
  uint32_t slot = 0;
  static const struct { OpKind op; int n; } ops[] = {
#define UNARY(name, ...)   {OP_##name, 1},
#define BINARY(name, ...)  {OP_##name, 2},
#define TERNARY(name, ...) {OP_##name, 3},
#include "../../compiler/ops/elementwise.def"
#undef UNARY
#undef BINARY
#undef TERNARY
  };
  for (size_t i = 0; i < LEN(ops); i++) {
    /* of the runtime, not inlined; the next test calls them */
    if (ops[i].op == OP_gamma_grad || ops[i].op == OP_vonmises_grad) continue;
    if (i % 8 == 0) nest_new(false), loop_rows(), loop_size(N), slot = i / 8 % 4;
    Buf out = buffer(BUF_OUT, slot, AXIS(IMAGE), DIMS(8, N));
    uint32_t x = load(a, AT(at_loop(0), at_loop(1))), y = load(b, AT(at_loop(1))), z = load(c, AT(at_loop(1)));
    uint32_t v = ops[i].n == 1   ? op1(ops[i].op, x)
                 : ops[i].n == 2 ? op2(ops[i].op, x, y)
                                 : op3(ops[i].op, op2(OP_lt, x, y), y, z);
    store(out, AT(at_loop(0), at_const((int32_t)(i % 8)), at_loop(1)), v);
  }
  program_agrees(w, bytes == 4 ? 2e-4 : 1e-9);
  world_free(w);
}
END_TEST

START_TEST(an_implicit_gradient_is_a_call_of_the_runtime) {
  program_new(4);
  Buf a = buffer(BUF_PARAM, 0, 0, DIMS(40)), out = buffer(BUF_GLOBAL, 0, 0, DIMS(40));
  nest_new(false);
  loop_size(40);
  uint32_t x = load(a, AT(at_loop(0)));
  store(out, AT(at_loop(0)), op2(_i ? OP_vonmises_grad : OP_gamma_grad, op2(OP_add, x, number(0.5)), x));
  World *w = world_new(4);
  program_agrees(w, 1e-3);
  world_free(w);
}
END_TEST

START_TEST(comparisons_are_numbers_and_select_takes_any_number) {
  program_new(4);
  Buf a = buffer(BUF_PARAM, 0, 0, DIMS(33)), out = buffer(BUF_GLOBAL, 0, 0, DIMS(4, 33));
  nest_new(false);
  loop_size(33);
  uint32_t x = load(a, AT(at_loop(0))), less = op2(OP_lt, x, number(0.5));
  store(out, AT(at_const(0), at_loop(0)), op2(OP_add, less, less));
  store(out, AT(at_const(1), at_loop(0)), op3(OP_select, less, x, number(7)));
  store(out, AT(at_const(2), at_loop(0)),
        op3(OP_select, op1(OP_floor, op2(OP_mul, x, number(2))), x, number(-7)));
  store(out, AT(at_const(3), at_loop(0)), op1(OP_sign, op2(OP_sub, x, number(0.5))));
  World *w = world_new(4);
  float *p = (float *)w->bytes;
  p[3] = NAN;
  p[4] = 0.5f;
  Compiled c = compile(2, NULL);
  run_in(&c, w);
  const float *g = w->call.global;
  for (int i = 0; i < 33; i++) {
    bool l = p[i] < 0.5f;
    ck_assert_float_eq(g[i], l ? 2.0f : 0.0f);
    if (i == 3) { ck_assert(g[33 + i] == 7.0f && isnan(g[66 + i]) && g[99 + i] == 0.0f); continue; }
    ck_assert_float_eq(g[33 + i], l ? p[i] : 7.0f);
    ck_assert_float_eq(g[66 + i], p[i] * 2 >= 1 ? p[i] : -7.0f);
    ck_assert_float_eq(g[99 + i], p[i] == 0.5f ? 0.0f : p[i] < 0.5f ? -1.0f : 1.0f);
  }
  compiled_free(&c);
  world_free(w);
}
END_TEST

/* ---- instructions */
START_TEST(options_counts_and_indices_are_numbers) {
  uint32_t bytes = widths[_i];
  program_new(bytes);
  Buf out = buffer(BUF_OUT, 0, AXIS(IMAGE), DIMS(5)), mark = buffer(BUF_CHUNK, 8, AXIS(IMAGE), DIMS(5));
  nest_new(false);
  loop_rows();
  loop_size(5);
  uint32_t option = add((LoopInstr){.kind = LI_OPTION, .id = 2});
  uint32_t here = add((LoopInstr){.kind = LI_COUNT, .id = IMAGE}),
           all = add((LoopInstr){.kind = LI_COUNT, .id = IMAGE, .kind2 = 1});
  uint32_t classes = add((LoopInstr){.kind = LI_COUNT, .id = CLASS});
  uint32_t row = add((LoopInstr){.kind = LI_IOTA, .at = AT(at_loop(0))}),
           dim = add((LoopInstr){.kind = LI_IOTA, .at = AT(at_plus(1, 2))});
  uint32_t inside = add((LoopInstr){.kind = LI_INSIDE, .at = AT(at_loop(1)), .lo = 1, .hi = 4});
  uint32_t s = op2(OP_add, op2(OP_mul, option, here), op2(OP_mul, all, classes));
  s = op2(OP_add, s, op2(OP_add, op2(OP_mul, row, number(100)), dim));
  store(out, AT(at_loop(0), at_loop(1)),
        op3(OP_select, inside, s, op2(OP_neg, s, s) /* one argument is read */));
  store(mark, AT(at_loop(0), at_loop(1)), inside);
  World *w = world_new(bytes), *got = world_copy(w);
  program_agrees(w, tolerance_of(bytes));
  Compiled c = compile(2, NULL);
  run_in(&c, got);
  for (uint32_t r = 0; r < 9; r++) for (uint32_t d = 0; d < 5; d++) {
    double expected = 2.25 * IMAGES + TOTAL * CLASSES + (5 + r) * 100.0 + d + 2;
    ck_assert_double_eq_tol(real_at(got, got->out[0], (5 + r) * 5 + d),
                            d >= 1 && d < 4 ? expected : -expected, 1e-3);
  }
  compiled_free(&c);
  world_free(got);
  world_free(w);
}
END_TEST

START_TEST(accesses_of_every_kind_find_their_element) {
  uint32_t bytes = widths[_i];
  program_new(bytes);
  Buf table = buffer(BUF_PARAM, 64, 0, DIMS(6, 4)), wide = buffer(BUF_CHUNK, 24, AXIS(IMAGE), DIMS(9));
  Buf out = buffer(BUF_OUT, 1, AXIS(IMAGE), DIMS(3, 4)), kept = buffer(BUF_BATCH, 2, AXIS(IMAGE), DIMS(4));
  Buf users = buffer(BUF_BATCH, 3, AXIS(USER), DIMS(2));
  nest_new(false);
  loop_rows();
  loop_size(4);
  uint32_t x = load(wide, AT(at_loop(0), at_plus(1, 3)));                       /* a slice */
  uint32_t last = load(table, AT(at_const(5), at_loop(1)));
  uint32_t pick = op1(OP_floor, op2(OP_mul, x, number(6)));
  uint32_t gathered = load(table, AT(at_value(pick), at_loop(1)));
  uint32_t far = add((LoopInstr){.kind = LI_LOAD, .buf = table, .guard = true,
                                 .at = AT(at_value(op2(OP_mul, pick, number(-3))), at_plus(1, 2))});
  uint32_t before =
      add((LoopInstr){.kind = LI_LOAD, .buf = wide, .guard = true, .at = AT(at_plus(0, -1), at_loop(1))});
  uint32_t own = load(kept, AT(at_loop(0), at_loop(1)));
  uint32_t user = load(users, AT(at_value(pick), at_const(1)));
  store(out, AT(at_loop(0), at_const(0), at_loop(1)), op2(OP_add, op2(OP_mul, x, last), gathered));
  store(out, AT(at_loop(0), at_const(1), at_loop(1)), op2(OP_sub, far, before));
  store(out, AT(at_loop(0), at_const(2), at_loop(1)), op2(OP_mul, own, user));
  World *w = world_new(bytes);
  program_agrees(w, tolerance_of(bytes));
  world_free(w);
}
END_TEST

START_TEST(an_index_that_is_no_number_is_clamped) {
  program_new(4);
  Buf table = buffer(BUF_PARAM, 0, 0, DIMS(6)), at = buffer(BUF_PARAM, 100, 0, DIMS(40)),
      out = buffer(BUF_GLOBAL, 0, 0, DIMS(40));
  nest_new(false);
  loop_size(40);
  uint32_t i = load(at, AT(at_loop(0)));
  store(out, AT(at_loop(0)),
        add((LoopInstr){.kind = LI_LOAD, .buf = table, .guard = true, .at = AT(at_value(i))}));
  World *w = world_new(4);
  float *p = (float *)w->bytes, *index = p + 100;
  index[0] = NAN, index[1] = INFINITY, index[2] = -INFINITY, index[3] = 1e30f, index[4] = 4.0f,
  index[5] = -2.0f;
  Compiled c = compile(2, NULL);
  run_in(&c, w);
  const float *g = w->call.global;
  ck_assert(g[0] == p[0] && g[1] == p[5] && g[2] == p[0] && g[3] == p[5] && g[4] == p[4] && g[5] == p[0]);
  compiled_free(&c);
  world_free(w);
}
END_TEST

START_TEST(padding_reads_nothing_outside) {
  program_new(4);
  Buf a = buffer(BUF_CHUNK, 0, AXIS(IMAGE), DIMS(40)), out = buffer(BUF_OUT, 0, AXIS(IMAGE), DIMS(100));
  nest_new(false);
  loop_rows();
  loop_size(100);
  uint32_t inside = add((LoopInstr){.kind = LI_INSIDE, .at = AT(at_loop(1)), .lo = 30, .hi = 70});
  uint32_t x =
      add((LoopInstr){.kind = LI_LOAD, .buf = a, .guard = true, .at = AT(at_loop(0), at_plus(1, -30))});
  store(out, AT(at_loop(0), at_loop(1)), op3(OP_select, inside, x, number(0)));
  World *w = world_new(4);
  program_agrees(w, 0);
  world_free(w);
}
END_TEST

/* ---- random draws */
static void random_program(uint32_t bytes, RandomKind kind, bool stream) {
  program_new(bytes);
  phase->stream = stream;
  Buf rows = buffer(BUF_OUT, 0, AXIS(IMAGE) | AXIS(K), DIMS(5)), once = buffer(BUF_GLOBAL, 0, 0, DIMS(7, 11));
  nest_new(false);
  loop_size(7);
  loop_size(11);
  uint32_t v = add((LoopInstr){.kind = LI_RANDOM,
                               .kind2 = (uint8_t)kind,
                               .id = 1,
                               .shape = shape_n(0, DIMS(7, 11)),
                               .at = AT(at_loop(0), at_loop(1))});
  store(once, AT(at_loop(0), at_loop(1)), v);
  nest_new(stream);
  loop_rows();
  loop_axis(K);
  loop_size(5);
  v = add((LoopInstr){.kind = LI_RANDOM,
                      .kind2 = (uint8_t)kind,
                      .id = 3,
                      .shape = shape_n(AXIS(IMAGE) | AXIS(K), DIMS(5)),
                      .at = AT(at_loop(0), at_loop(1), at_loop(2))});
  store(rows, AT(at_loop(0), at_loop(1), at_loop(2)), v);
}

START_TEST(draws_are_the_native_kernels_bit_for_bit) {
  uint32_t bytes = widths[_i & 1];
  RandomKind kind = _i & 2 ? RANDOM_NORMAL : RANDOM_UNIFORM;
  random_program(bytes, kind, (_i & 4) != 0);
  static const int levels[] = {0, 2};
  for (size_t i = 0; i < LEN(levels); i++) {
    World *got = world_new(bytes), *expected = world_copy(got);
    Compiled c =
        compile(levels[i], "x86-64"); /* without fused multiply-add, as the native kernels are compiled */
    run_in(&c, got);
    interpret(expected);
    worlds_agree(got, expected, 0);
    compiled_free(&c);
    world_free(got);
    world_free(expected);
  }
}
END_TEST

START_TEST(draws_do_not_depend_on_how_rows_and_particles_are_cut) {
  random_program(4, RANDOM_UNIFORM, true);
  Compiled c = compile(2, NULL);
  World *a = world_new(4), *b = world_copy(a);
  a->chunk.first = 2, a->chunk.rows = 12, a->call.block = 10;
  run_in(&c, a);
  for (uint64_t r = 2; r < 14; r++) {
    b->chunk.first = r, b->chunk.rows = 1, b->call.block = 3;
    run_in(&c, b);
  }
  worlds_agree(a, b, 0);
  ck_assert_float_eq(((float *)a->out[0])[(2 * PARTICLES + 4) * 5 + 1],
                     svi_uniform_f32(a->key[3][0], a->key[3][1], a->rows[IMAGE][2], 4 * 5 + 1));
  compiled_free(&c);
  world_free(a);
  world_free(b);
}
END_TEST

START_TEST(a_sampler_gets_key_counter_and_argument) {
  program_new(4);
  Buf a = buffer(BUF_PARAM, 0, 0, DIMS(3)), out = buffer(BUF_OUT, 0, AXIS(IMAGE), DIMS(3));
  nest_new(false);
  loop_rows();
  loop_size(3);
  uint32_t alpha = load(a, AT(at_loop(1)));
  uint32_t v = add((LoopInstr){.kind = LI_RANDOM, .kind2 = RANDOM_POISSON, .id = 2, .nargs = 1, .arg = {alpha},
                               .shape = shape_n(AXIS(IMAGE), DIMS(3)), .at = AT(at_loop(0), at_loop(1))});
  store(out, AT(at_loop(0), at_loop(1)), v);
  World *w = world_new(4);
  Compiled c = compile(2, NULL);
  run_in(&c, w);
  for (uint32_t r = 0; r < 9; r++) for (uint32_t d = 0; d < 3; d++) {
      float expected = svi_poisson_f32(w->key[2][0], w->key[2][1], w->rows[IMAGE][5 + r], d,
                                              ((const float *)w->call.param)[d]);
      ck_assert_float_eq(((float *)w->out[0])[(5 + r) * 3 + d], expected);
  }
  compiled_free(&c);
  world_free(w);
}
END_TEST

/* Gamma draws are inlined, and vectors of them end with a call: three to a row make a loop with a tail. */
START_TEST(gamma_draws_are_those_of_the_library) {
  program_new(4);
  Buf a = buffer(BUF_PARAM, 0, 0, DIMS(3)), out = buffer(BUF_OUT, 0, AXIS(IMAGE), DIMS(3, 50));
  nest_new(false);
  loop_rows();
  loop_size(3);
  loop_size(50);
  uint32_t alpha = load(a, AT(at_loop(1)));
  uint32_t v = add((LoopInstr){.kind = LI_RANDOM, .kind2 = RANDOM_GAMMA, .id = 2, .nargs = 1, .arg = {alpha},
                               .shape = shape_n(AXIS(IMAGE), DIMS(3, 50)), .at = AT(at_loop(0), at_loop(1), at_loop(2))});
  store(out, AT(at_loop(0), at_loop(1), at_loop(2)), v);
  World *w = world_new(4);
  for (int i = 0; i < 3; i++) ((float *)w->call.param)[i] = (float[]){0.3f, 1, 5}[i];
  Compiled c = compile(2, NULL);
  run_in(&c, w);
  for (uint32_t r = 0; r < 9; r++) for (uint32_t d = 0; d < 150; d++) {
      float expected = svi_standard_gamma_f32(w->key[2][0], w->key[2][1], w->rows[IMAGE][5 + r], d, ((const float *)w->call.param)[d / 50]);
      ck_assert_float_eq_tol(((float *)w->out[0])[(5 + r) * 150 + d], expected, 1e-4f * expected);
  }
  compiled_free(&c);
  world_free(w);
}
END_TEST

/* ---- reductions: of [rows][5][6][7], keeping every subset of the loops */
START_TEST(reductions_over_any_loops_agree) {
  ReduceKind kind = (ReduceKind)(_i / 2);
  uint32_t bytes = widths[_i % 2];
  for (unsigned kept = 0; kept < 16; kept++) {
    program_new(bytes);
    Buf x = buffer(BUF_CHUNK, 0, AXIS(IMAGE), DIMS(5, 6, 7));
    uint32_t dims[3], n = 0;
    if (kept & 2) dims[n++] = 5;
    if (kept & 4) dims[n++] = 6;
    if (kept & 8) dims[n++] = 7;
    for (ReduceFrom from = FROM_IDENTITY; from <= FROM_BEFORE; from++) {
      Buf y = kept & 1 ? buffer(BUF_OUT, from, AXIS(IMAGE), n, dims) : buffer(BUF_LANE, from * 512, 0, n, dims);
      nest_new(false);
      loop_rows();
      loop_size(5);
      loop_size(6);
      loop_size(7);
      Access at = {.n = 0};
      for (uint32_t l = 0; l < 4; l++) if (kept >> l & 1) at.at[at.n++] = at_loop(l);
      uint32_t v = load(x, AT(at_loop(0), at_loop(1), at_loop(2), at_loop(3)));
      reduce(kind, from, y, at, op2(OP_add, v, number(kind == REDUCE_PROD ? 0.5 : -0.25)));
    }
    World *w = world_new(bytes);
    program_agrees(w, tolerance_of(bytes) * 20);
    w->chunk.fresh = false;
    w->chunk.rows = 1;
    program_agrees(w, tolerance_of(bytes) * 20);
    world_free(w);
  }
}
END_TEST

START_TEST(a_column_sum_is_the_sum_of_the_columns) {
  program_new(4);
  enum { COLUMNS = 37 };
  Buf x = buffer(BUF_CHUNK, 0, AXIS(IMAGE), DIMS(COLUMNS)), y = buffer(BUF_LANE, 16, 0, DIMS(COLUMNS));
  nest_new(false);
  loop_rows();
  loop_size(COLUMNS);
  reduce(REDUCE_SUM, FROM_LANE, y, AT(at_loop(1)), load(x, AT(at_loop(0), at_loop(1))));
  Compiled c = compile(2, NULL);
  World *w = world_new(4);
  double expected[COLUMNS] = {0};
  for (int chunk = 0; chunk < 3; chunk++) {
    w->chunk.fresh = chunk == 0;
    const float *in = w->chunk.scratch[0];
    for (int r = 0; r < 9; r++) for (int j = 0; j < COLUMNS; j++) expected[j] += (double)in[r * COLUMNS + j];
    run_in(&c, w);
  }
  for (int j = 0; j < COLUMNS; j++)
    ck_assert_double_eq_tol((double)((float *)w->chunk.lane)[16 + j], expected[j], 1e-4);
  compiled_free(&c);
  world_free(w);
}
END_TEST

START_TEST(logsumexp_takes_infinities_and_large_numbers) {
  static const float rows[][4] = {
      {-INFINITY, -INFINITY, -INFINITY, -INFINITY},
      {-INFINITY, 1, -INFINITY, 1},
      {1000, 1000, 999, -1000},
      {0, INFINITY, 3, 4},
      {NAN, 1, 2, 3},
      {-INFINITY, -INFINITY, NAN, 1},
      {-1e30f, -1e30f, -1e30f, -1e30f},
  };
  static const double expected[] = {-INFINITY, 1.6931471805599453, 1000.8619948040582, INFINITY, NAN, NAN,
                                    -1e30};
  for (int from_memory = 0; from_memory < 2; from_memory++) {
    program_new(4);
    Buf x = buffer(BUF_CHUNK, 0, AXIS(IMAGE), DIMS(4)), y = buffer(BUF_CHUNK, 1024, AXIS(IMAGE), NO_DIMS);
    nest_new(false);
    if (from_memory) {                                   /* the reduced loop outside */
      loop_size(4);
      loop_rows();
      reduce(REDUCE_LOGSUMEXP, FROM_IDENTITY, y, AT(at_loop(1)), load(x, AT(at_loop(1), at_loop(0))));
    } else {
      loop_rows();
      loop_size(4);
      reduce(REDUCE_LOGSUMEXP, FROM_IDENTITY, y, AT(at_loop(0)), load(x, AT(at_loop(0), at_loop(1))));
    }
    Compiled c = compile(2, NULL);
    World *w = world_new(4);
    w->chunk.rows = LEN(rows);
    memcpy(w->chunk.scratch[0], rows, sizeof rows);
    run_in(&c, w);
    const float *got = (const float *)((char *)w->chunk.scratch[0] + 1024 * w->chunk.capacity);
    for (size_t i = 0; i < LEN(rows); i++) {
      if (isnan(expected[i])) ck_assert(isnan(got[i]));
      else if (isinf(expected[i])) ck_assert((double)got[i] == expected[i]);
      else ck_assert_double_eq_tol((double)got[i], expected[i], 1e-6 * fabs(expected[i]));
    }
    compiled_free(&c);
    world_free(w);
  }
}
END_TEST

START_TEST(a_maximum_lets_nan_through) {
  program_new(4);
  Buf x = buffer(BUF_CHUNK, 0, AXIS(IMAGE), DIMS(64)), y = buffer(BUF_OUT, 0, AXIS(IMAGE), DIMS(2));
  nest_new(false);
  loop_rows();
  loop_size(64);
  uint32_t v = load(x, AT(at_loop(0), at_loop(1)));
  reduce(REDUCE_MAX, FROM_IDENTITY, y, AT(at_loop(0), at_const(0)), v);
  reduce(REDUCE_MIN, FROM_IDENTITY, y, AT(at_loop(0), at_const(1)), v);
  World *w = world_new(4);
  ((float *)w->chunk.scratch[0])[2 * 64 + 17] = NAN;
  program_agrees(w, 0);
  Compiled c = compile(2, NULL);
  run_in(&c, w);
  ck_assert(isnan(((float *)w->out[0])[(5 + 2) * 2]) && isnan(((float *)w->out[0])[(5 + 2) * 2 + 1]));
  compiled_free(&c);
  world_free(w);
}
END_TEST

START_TEST(a_scatter_adds_at_computed_places) {
  uint32_t bytes = widths[_i];
  program_new(bytes);
  Buf at = buffer(BUF_CHUNK, 0, AXIS(IMAGE), NO_DIMS), x = buffer(BUF_CHUNK, 64, AXIS(IMAGE), DIMS(5));
  Buf table = buffer(BUF_LANE, 8, 0, DIMS(4, 5)), fresh = buffer(BUF_GLOBAL, 0, 0, DIMS(4, 5));
  nest_new(false);
  loop_rows();
  loop_size(5);
  uint32_t place_ = op1(OP_floor, op2(OP_mul, load(at, AT(at_loop(0))), number(4)));
  uint32_t v = load(x, AT(at_loop(0), at_loop(1)));
  reduce(REDUCE_SUM, FROM_BEFORE, table, AT(at_value(place_), at_loop(1)), v);
  World *w = world_new(bytes);
  program_agrees(w, tolerance_of(bytes));
  /* one that begins at zero everywhere, not only where something is added */
  program->phases.at[0].steps.n = 0;
  nest_new(false);
  loop_rows();
  loop_size(5);
  place_ = op1(OP_floor, op2(OP_mul, load(at, AT(at_loop(0))), number(2)));
  v = load(x, AT(at_loop(0), at_loop(1)));
  reduce(REDUCE_SUM, FROM_IDENTITY, fresh, AT(at_value(place_), at_loop(1)), v);
  Compiled c = compile(2, NULL);
  run_in(&c, w);
  for (int i = 10; i < 20; i++) ck_assert(real_at(w, w->call.global, (size_t)i) == 0);
  ck_assert(real_at(w, w->call.global, 0) != 0 && real_at(w, w->call.global, 20) != 0);
  compiled_free(&c);
  world_free(w);
}
END_TEST

/* ---- streams */
START_TEST(streams_carry_reductions_from_block_to_block) {
  uint32_t bytes = widths[_i];
  program_new(bytes);
  phase->stream = true;
  Buf x = buffer(BUF_CHUNK, 16, AXIS(IMAGE) | AXIS(K), DIMS(5)),
      shift = buffer(BUF_CHUNK, 0, AXIS(IMAGE), DIMS(5));
  Buf logw = buffer(BUF_CHUNK, 256, AXIS(IMAGE) | AXIS(K), NO_DIMS),
      total = buffer(BUF_CHUNK, 512, AXIS(IMAGE), NO_DIMS);
  Buf mean = buffer(BUF_CHUNK, 1024, AXIS(IMAGE), DIMS(5)), lane = buffer(BUF_LANE, 0, 0, NO_DIMS),
      out = buffer(BUF_OUT, 0, AXIS(IMAGE), NO_DIMS);
  Buf all = buffer(BUF_OUT, 2, AXIS(IMAGE) | AXIS(K), DIMS(5));
  nest_new(false);
  loop_rows();
  loop_size(5);
  store(shift, AT(at_loop(0), at_loop(1)), add((LoopInstr){.kind = LI_IOTA, .at = AT(at_loop(1))}));
  nest_new(true);
  loop_rows();
  loop_axis(K);
  loop_size(5);
  uint32_t particle = add((LoopInstr){.kind = LI_IOTA, .at = AT(at_loop(1))});
  uint32_t v = op2(OP_add, op2(OP_mul, particle, number(0.125)), load(shift, AT(at_loop(0), at_loop(2))));
  v = op1(OP_sin, v);
  store(x, AT(at_loop(0), at_loop(1), at_loop(2)), v);
  store(all, AT(at_loop(0), at_loop(1), at_loop(2)), v);
  reduce(REDUCE_SUM, FROM_IDENTITY, logw, AT(at_loop(0), at_loop(1)), v);
  reduce(REDUCE_SUM, FROM_BLOCK, mean, AT(at_loop(0), at_loop(2)), v);
  nest_new(true);
  loop_rows();
  loop_axis(K);
  uint32_t lw = load(logw, AT(at_loop(0), at_loop(1)));
  reduce(REDUCE_LOGSUMEXP, FROM_BLOCK, total, AT(at_loop(0)), lw);
  reduce(REDUCE_SUM, FROM_LANE, lane, AT_NOTHING, lw);
  nest_new(false);
  loop_rows();
  store(out, AT(at_loop(0)), load(total, AT(at_loop(0))));
  World *w = world_new(bytes);
  static const uint64_t blocks[] = {4, 10, 1, 16};
  for (size_t i = 0; i < LEN(blocks); i++) {
    w->call.block = blocks[i];
    w->chunk.fresh = i != 1;
    w->chunk.rows = i == 2 ? 1 : 9;
    program_agrees(w, tolerance_of(bytes) * 10);
  }
  world_free(w);
}
END_TEST

/* ---- calls */
START_TEST(products_get_sizes_strides_and_whether_to_add) {
  uint32_t bytes = widths[_i];
  program_new(bytes);
  Buf x = buffer(BUF_CHUNK, 0, AXIS(IMAGE), DIMS(6)), weight = buffer(BUF_PARAM, 0, 0, DIMS(6, 8)),
      y = buffer(BUF_CHUNK, 128, AXIS(IMAGE), DIMS(8));
  Buf dw = buffer(BUF_LANE, 0, 0, DIMS(6, 8)), dw2 = buffer(BUF_LANE, 256, 0, DIMS(6, 8)),
      dx = buffer(BUF_CHUNK, 512, AXIS(IMAGE), DIMS(6));
  Buf per = buffer(BUF_CHUNK, 0, AXIS(IMAGE) | AXIS(K), DIMS(6)),
      q = buffer(BUF_CHUNK, 128, AXIS(IMAGE) | AXIS(K), DIMS(8));
  const Extent one = {1, 0}, rows = {1, AXIS(IMAGE)};
#define N(x) ((Extent){x, 0})
  Call forward_ = {.kind = CALL_GEMM,
                   .batch = one,
                   .m = rows,
                   .n = N(8),
                   .k = N(6),
                   .a = x,
                   .b = weight,
                   .c = y,
                   .lda = N(6),
                   .ldb = N(8),
                   .ldc = N(8)};
  Call gradient = {.kind = CALL_GEMM,
                   .batch = one,
                   .m = N(6),
                   .n = N(8),
                   .k = rows,
                   .a = x,
                   .b = y,
                   .c = dw,
                   .lda = N(6),
                   .ldb = N(8),
                   .ldc = N(8),
                   .ta = true,
                   .from = FROM_LANE};
  Call more = gradient, back = {.kind = CALL_GEMM,
                                .batch = one,
                                .m = rows,
                                .n = N(6),
                                .k = N(8),
                                .a = y,
                                .b = weight,
                                .c = dx,
                                .lda = N(8),
                                .ldb = N(8),
                                .ldc = N(6),
                                .tb = true};
  more.c = dw2, more.from = FROM_IDENTITY, more.add = true;
  Call batched = {.kind = CALL_GEMM,
                  .batch = rows,
                  .m = {1, AXIS(K)},
                  .n = N(8),
                  .k = N(6),
                  .a = per,
                  .b = weight,
                  .c = q,
                  .lda = N(6),
                  .ldb = N(8),
                  .ldc = N(8),
                  .stride_a = {6, AXIS(K)},
                  .stride_b = N(0),
                  .stride_c = {8, AXIS(K)}};
  const Call *calls[] = {&forward_, &gradient, &more, &back, &batched};
  for (size_t i = 0; i < LEN(calls); i++) {
    Step s = {.is_call = true, .call = *calls[i]};
    vec_push(arena, &phase->steps, s);
  }
  World *w = world_new(bytes);
  program_agrees(w, tolerance_of(bytes) * 10);
  w->chunk.fresh = false;
  w->chunk.rows = 1;
  program_agrees(w, tolerance_of(bytes) * 10);
  world_free(w);
}
END_TEST

START_TEST(columns_and_factorisations_get_their_arguments) {
  program_new(4);
  Buf data = buffer(BUF_CHUNK, 64, AXIS(IMAGE), DIMS(784)), a = buffer(BUF_BATCH, 1, AXIS(IMAGE), DIMS(4, 4)),
      l = buffer(BUF_CHUNK, 0, AXIS(IMAGE), DIMS(4, 4)), b = buffer(BUF_PARAM, 8, 0, DIMS(4, 2));
  const Extent rows = {1, AXIS(IMAGE)};
  Call load_ = {.kind = CALL_LOAD_ROWS, .column = -3, .m = rows, .c = data};
  Call cholesky = {.kind = CALL_CHOLESKY, .batch = rows, .n = N(4), .a = a, .c = l};
  Call solve = {.kind = CALL_SOLVE_TRI,
                .batch = rows,
                .n = N(4),
                .m = N(2),
                .lower = true,
                .trans = false,
                .a = l,
                .b = b,
                .c = data};
  const Call *calls[] = {&load_, &cholesky, &solve};
  World *w = world_new(4);
  for (size_t i = 0; i < LEN(calls); i++) {
    Step s = {.is_call = true, .call = *calls[i]};
    phase->steps.n = 0;
    vec_push(arena, &phase->steps, s);
    Compiled c = compile(2, NULL);
    run_in(&c, w);
    compiled_free(&c);
    if (i != 1) continue;
    ck_assert_uint_eq(solved.batch, 9);
    ck_assert_uint_eq(solved.n, 4);
    ck_assert_ptr_eq(solved.a, (float *)w->batch[1] + 5 * 16);
    ck_assert_ptr_eq(solved.c, w->chunk.scratch[0]);
  }
  ck_assert(solved.m == 2 && solved.lower && !solved.trans && solved.b == (const float *)w->call.param + 8);
  char *column = (char *)w->chunk.scratch[0] + 64 * w->chunk.capacity;
  ck_assert_ptr_eq(solved.c, column);
  ck_assert_ptr_eq(loaded.call, &w->call);
  ck_assert_int_eq(loaded.column, -3);
  ck_assert(loaded.first == 5 && loaded.rows == 9 && loaded.out == column);
  world_free(w);
}
END_TEST

/* ---- merging, storage in place, serial phases */
START_TEST(merged_loops_compute_the_same) {
  uint32_t bytes = widths[_i];
  program_new(bytes);
  Buf x = buffer(BUF_CHUNK, 0, AXIS(IMAGE) | AXIS(K), DIMS(5, 3)),
      y = buffer(BUF_CHUNK, 256, AXIS(IMAGE) | AXIS(K), DIMS(5, 3));
  Buf bias = buffer(BUF_PARAM, 0, 0, DIMS(5, 3)), turned = buffer(BUF_CHUNK, 0, AXIS(IMAGE), DIMS(3, 5)),
      index = buffer(BUF_CHUNK, 2048, AXIS(IMAGE) | AXIS(CLASS), DIMS(5));
  nest_new(false);                                      /* all four loops are one */
  loop_rows(), loop_axis(K), loop_size(5), loop_size(3);
  store(y, AT(at_loop(0), at_loop(1), at_loop(2), at_loop(3)),
        op1(OP_exp, load(x, AT(at_loop(0), at_loop(1), at_loop(2), at_loop(3)))));
  nest_new(false);                                      /* rows x particles, and 5 x 3 */
  loop_rows(), loop_axis(K), loop_size(5), loop_size(3);
  uint32_t b = load(bias, AT(at_loop(2), at_loop(3)));
  store(x, AT(at_loop(0), at_loop(1), at_loop(2), at_loop(3)),
        op2(OP_mul, b, load(y, AT(at_loop(0), at_loop(1), at_loop(2), at_loop(3)))));
  nest_new(false);                                      /* transposed: nothing merges */
  loop_rows(), loop_size(5), loop_size(3);
  b = load(bias, AT(at_loop(1), at_loop(2)));
  store(turned, AT(at_loop(0), at_loop(2), at_loop(1)), b);
  nest_new(false);                                      /* an index axis, and loops of one turn */
  loop_rows(), loop_size(1), loop_axis(CLASS), loop_size(5), loop_size(1);
  uint32_t z = load(turned, AT(at_loop(0), at_loop(2), at_loop(3)));
  uint32_t i = add((LoopInstr){.kind = LI_IOTA, .at = AT(at_loop(4))});
  store(index, AT(at_loop(0), at_loop(2), at_loop(3)), op2(OP_add, z, op2(OP_add, i, number(0.5))));
  nest_new(false);                                      /* a value between the loops */
  loop_rows(), loop_size(3), loop_size(5);
  uint32_t row = load(turned, AT(at_loop(0), at_loop(1), at_const(0)));
  store(index, AT(at_loop(0), at_loop(1), at_loop(2)),
        op2(OP_sub, load(index, AT(at_loop(0), at_loop(1), at_loop(2))), op1(OP_log, row)));
  World *w = world_new(bytes);
  program_agrees(w, tolerance_of(bytes) * 10);
  w->chunk.rows = 1;
  program_agrees(w, tolerance_of(bytes) * 10);
  world_free(w);
}
END_TEST

START_TEST(a_value_may_take_the_place_of_its_argument) {
  program_new(4);
  Buf x = buffer(BUF_CHUNK, 64, AXIS(IMAGE), DIMS(100)), y = buffer(BUF_CHUNK, 64, AXIS(IMAGE), DIMS(100));
  nest_new(false);
  loop_rows(), loop_size(100);
  uint32_t v = load(x, AT(at_loop(0), at_loop(1)));
  store(y, AT(at_loop(0), at_loop(1)), op2(OP_add, op1(OP_tanh, v), v));
  World *w = world_new(4);
  program_agrees(w, 1e-5);
  world_free(w);
}
END_TEST

START_TEST(a_serial_phase_has_no_chunk) {
  program_new(4);
  phase->axis = -1;
  phase->particles = -1;
  Buf kept = buffer(BUF_BATCH, 0, AXIS(USER) | AXIS(IMAGE), DIMS(3)),
      out = buffer(BUF_GLOBAL, 32, 0, DIMS(3)), all = buffer(BUF_GLOBAL, 64, 0, NO_DIMS);
  nest_new(false);
  loop_axis(USER), loop_axis(IMAGE), loop_size(3);
  uint32_t v = load(kept, AT(at_loop(0), at_loop(1), at_loop(2)));
  reduce(REDUCE_SUM, FROM_IDENTITY, out, AT(at_loop(2)), v);
  reduce(REDUCE_MAX, FROM_IDENTITY, all, AT_NOTHING, v);
  nest_new(false);                                      /* no loop at all */
  uint32_t a = load(out, AT(at_const(1)));
  store(out, AT(at_const(2)), op2(OP_mul, a, load(all, AT_NOTHING)));
  World *w = world_new(4);
  program_agrees(w, 1e-4);
  world_free(w);
}
END_TEST

/* Merged to one loop and vectorised, or kept apart by a sum over the last: either is done in parts, and their sums joined. */
START_TEST(a_large_nest_of_a_serial_phase_is_forked) {
  program_new(widths[_i]);
  phase->axis = -1;
  phase->particles = -1;
  Buf x = buffer(BUF_BATCH, 0, AXIS(USER) | AXIS(IMAGE), DIMS(40)), y = buffer(BUF_BATCH, 1, AXIS(USER) | AXIS(IMAGE), DIMS(40)),
      each = buffer(BUF_BATCH, 2, AXIS(USER) | AXIS(IMAGE), NO_DIMS);
  Buf sum = buffer(BUF_GLOBAL, 0, 0, NO_DIMS), most = buffer(BUF_GLOBAL, 16, 0, DIMS(2)), whole = buffer(BUF_GLOBAL, 32, 0, NO_DIMS);
  nest_new(false);
  loop_axis(USER), loop_axis(IMAGE), loop_size(40);
  Access own = AT(at_loop(0), at_loop(1), at_loop(2));
  uint32_t v = add((LoopInstr){.kind = LI_OP, .op = OP_tanh, .nargs = 1, .arg = {load(x, own)}});
  store(y, own, op2(OP_mul, v, number(2)));
  reduce(REDUCE_SUM, FROM_IDENTITY, sum, AT_NOTHING, v);
  reduce(REDUCE_MAX, FROM_BEFORE, most, AT(at_const(1)), v);
  nest_new(false);
  loop_axis(USER), loop_axis(IMAGE), loop_size(40);
  v = add((LoopInstr){.kind = LI_OP, .op = OP_exp, .nargs = 1, .arg = {load(y, own)}});
  reduce(REDUCE_SUM, FROM_IDENTITY, each, AT(at_loop(0), at_loop(1)), v);
  reduce(REDUCE_LOGSUMEXP, FROM_IDENTITY, whole, AT_NOTHING, v);
  World *w = world_new(widths[_i]);
  forks = 0;
  program_agrees(w, 1e-4);
  ck_assert_uint_ge(forks, 2);
  world_free(w);
}
END_TEST

START_TEST(a_sum_over_the_outer_of_two_loops_does_not_count_the_inner_ones) {
  program_new(4);
  Buf x = buffer(BUF_CHUNK, 0, AXIS(IMAGE), DIMS(8)), y = buffer(BUF_CHUNK, 64, AXIS(IMAGE), DIMS(8)),
      n = buffer(BUF_GLOBAL, 0, 0, NO_DIMS);
  nest_new(false);
  loop_rows(), loop_size(8);
  add((LoopInstr){
      .kind = LI_REDUCE, .kind2 = REDUCE_SUM, .buf = n, .nargs = 1, .arg = {number(1)}, .depth = 1});
  store(y, AT(at_loop(0), at_loop(1)), load(x, AT(at_loop(0), at_loop(1))));
  World *w = world_new(4);
  program_agrees(w, 0);
  world_free(w);
}
END_TEST

START_TEST(axes_without_rows_leave_identities) {
  program_new(4);
  Buf x = buffer(BUF_BATCH, 0, AXIS(USER), DIMS(5)), all = buffer(BUF_GLOBAL, 0, 0, NO_DIMS),
      columns = buffer(BUF_GLOBAL, 8, 0, DIMS(5));
  nest_new(false);
  loop_axis(USER), loop_size(5);
  uint32_t v = load(x, AT(at_loop(0), at_loop(1)));
  reduce(REDUCE_SUM, FROM_IDENTITY, all, AT_NOTHING, v);
  reduce(REDUCE_LOGSUMEXP, FROM_IDENTITY, columns, AT(at_loop(1)), v);
  World *w = world_new(4);
  w->call.size[USER] = 0;
  Compiled c = compile(2, NULL);
  run_in(&c, w);
  const float *g = w->call.global;
  ck_assert_float_eq(g[0], 0);
  for (int i = 8; i < 13; i++) ck_assert(isinf(g[i]) && g[i] < 0);
  compiled_free(&c);
  world_free(w);
}
END_TEST

/* ---- nests at random */
static uint32_t dice_state;
static uint32_t dice(uint32_t n) {
  dice_state = dice_state * 1664525u + 1013904223u;
  return (dice_state >> 8) % n;
}

static AxisSet shape_at_random(uint32_t *rank, uint32_t *dim, const uint32_t *loop_of, uint32_t nloop,
                               Access *at, bool rows) {
  AxisSet axes = 0;
  *rank = 0;
  at->n = 0;
  bool used[LOOP_DEPTH_MAX] = {false};
  if (rows) axes |= AXIS(IMAGE);
  for (uint32_t a = 0; a < AXES; a++) {                 /* axes by rising number, wherever their loops stand */
    for (uint32_t l = 0; l < nloop; l++) {
      bool is = (loop_of[l] == 100 && a == IMAGE && rows) || (loop_of[l] == 101 && a == K && dice(2)) ||
                (loop_of[l] == 102 && a == CLASS && dice(2));
      if (!is) continue;
      axes |= AXIS(a);
      used[l] = true;
      at->at[at->n++] = at_loop(l);
    }
  }
  for (uint32_t tries = 0; tries < nloop; tries++) {     /* dims: mostly in the order of the loops */
    uint32_t l = dice(4) ? tries : dice(nloop);
    if (loop_of[l] >= 100 || used[l] || !dice(3)) continue;
    used[l] = true;
    int32_t plus = dice(4) ? 0 : (int32_t)dice(3);
    dim[(*rank)++] = loop_of[l] + (uint32_t)plus + (dice(5) ? 0 : 1);
    at->at[at->n++] = at_plus(l, plus);
  }
  return axes;
}

START_TEST(nests_at_random_agree) {
  dice_state = (uint32_t)_i * 2654435761u + 17;
  static const char *const processors[] = {NULL, "x86-64", "x86-64-v3"};
  if (_i % 3 < 2 || __builtin_cpu_supports("avx2")) processor = processors[_i % 3];
  uint32_t bytes = widths[_i % 2];
  program_new(bytes);
  phase->stream = dice(2);
  uint32_t chunk_at[3] = {0, 0, 0}, lane_at = 0;
  for (uint32_t steps = 0; steps < 4; steps++) {
    bool streamed = phase->stream && (steps == 1 || steps == 2);
    nest_new(streamed);
    uint32_t loop_of[LOOP_DEPTH_MAX], n = 2 + dice(3);
    bool has_rows = false, has_k = false, has_class = false;
    for (uint32_t l = 0; l < n; l++) {
      uint32_t what = dice(5);
      if (what == 0 && !has_rows) has_rows = true, loop_of[l] = 100, loop_rows();
      else if (what == 1 && !has_k && (streamed || !phase->stream))
        has_k = true, loop_of[l] = 101, loop_axis(K);
      else if (what == 2 && !has_class) has_class = true, loop_of[l] = 102, loop_axis(CLASS);
      else loop_of[l] = 1 + dice(5) * dice(2), loop_size(loop_of[l]);
    }
    uint32_t value[8], values = 0;
    for (uint32_t i = 0; i < 3; i++) {
      uint32_t rank, dim[DIM_MAX] = {0};
      Access at;
      AxisSet axes = shape_at_random(&rank, dim, loop_of, n, &at, has_rows);
      Buf b;
      if (axes & AXIS(K) && !has_rows) b = buffer(BUF_BATCH, 3, axes, rank, dim);
      else if (has_rows) b = buffer(BUF_CHUNK, 8 * dice(20), axes, rank, dim);
      else b = buffer(BUF_PARAM, dice(100), axes, rank, dim);
      bool guard = at.n > 0 && dice(4) == 0;
      if (guard) at.at[dice(at.n)].plus += (int32_t)dice(9) - 4;
      value[values++] = add((LoopInstr){.kind = LI_LOAD, .buf = b, .at = at, .guard = guard});
    }
    value[values] = op2(OP_mul, value[0], value[1]), values++;
    value[values] = op2(OP_add, value[3], value[2]), values++;
    if (dice(3) == 0) {
      uint32_t l = dice(n);
      if (loop_of[l] != 100)
        value[4] = op2(OP_mul, value[4],
                       op2(OP_add, number(1), add((LoopInstr){.kind = LI_IOTA, .at = AT(at_loop(l))})));
    }
    for (uint32_t i = 0; i < 2; i++) { /* results that keep some loops, in storage of their own */
      uint32_t rank, dim[DIM_MAX] = {0};
      Access at;
      AxisSet axes = shape_at_random(&rank, dim, loop_of, n, &at, has_rows && dice(2));
      uint64_t size = bytes;
      for (uint32_t d = 0; d < rank; d++) size *= dim[d];
      if (axes & AXIS(CLASS)) size *= CLASSES;
      Buf b;
      if (axes & AXIS(IMAGE)) {
        uint32_t domain = axes & AXIS(K) ? 1 : 0;
        b = buffer(BUF_CHUNK, 2048 + chunk_at[domain], axes, rank, dim);
        chunk_at[domain] += (uint32_t)size;
      } else if (axes & AXIS(K)) {
        b = buffer(BUF_OUT, i, axes, rank, dim);
      } else {
        b = buffer(BUF_LANE, lane_at, axes, rank, dim);
        lane_at += (uint32_t)(size / bytes);
      }
      bool carries = axes & AXIS(K) || !streamed;
      uint32_t v = op2(OP_mul, dice(3) ? value[4] : value[dice(3)], number(0.5));
      add((LoopInstr){.kind = LI_REDUCE,
                      .kind2 = (uint8_t)dice(5),
                      .from = carries   ? FROM_IDENTITY
                              : dice(2) ? FROM_BLOCK
                                        : FROM_LANE,
                      .buf = b,
                      .at = at,
                      .nargs = 1,
                      .arg = {v},
                      .depth = dice(3) ? n : dice(n + 1)});
    }
  }
  World *w = world_new(bytes);
  w->chunk.rows = 1 + dice(9);
  program_agrees(w, tolerance_of(bytes) * 50);
  world_free(w);
}
END_TEST

#ifdef __SANITIZE_ADDRESS__
enum { NESTS = 10 };                                      /* for its memory, not for its numbers */
#else
enum { NESTS = 30 };
#endif

int main(void) {
  if (!mkdtemp(folder)) return 1;
  Suite *s = suite_create("llvm");
  TCase *t = tcase_create("nests");
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_set_timeout(t, 300);
  tcase_add_loop_test(t, every_elementwise_op_gives_what_its_row_says, 0, 2);
  tcase_add_loop_test(t, an_implicit_gradient_is_a_call_of_the_runtime, 0, 2);
  tcase_add_test(t, comparisons_are_numbers_and_select_takes_any_number);
  tcase_add_loop_test(t, options_counts_and_indices_are_numbers, 0, 2);
  tcase_add_loop_test(t, accesses_of_every_kind_find_their_element, 0, 2);
  tcase_add_test(t, an_index_that_is_no_number_is_clamped);
  tcase_add_test(t, padding_reads_nothing_outside);
  tcase_add_loop_test(t, draws_are_the_native_kernels_bit_for_bit, 0, 8);
  tcase_add_test(t, draws_do_not_depend_on_how_rows_and_particles_are_cut);
  tcase_add_test(t, a_sampler_gets_key_counter_and_argument);
  tcase_add_test(t, gamma_draws_are_those_of_the_library);
  tcase_add_loop_test(t, reductions_over_any_loops_agree, 0, 10);
  tcase_add_test(t, a_column_sum_is_the_sum_of_the_columns);
  tcase_add_test(t, logsumexp_takes_infinities_and_large_numbers);
  tcase_add_test(t, a_maximum_lets_nan_through);
  tcase_add_loop_test(t, a_scatter_adds_at_computed_places, 0, 2);
  tcase_add_loop_test(t, streams_carry_reductions_from_block_to_block, 0, 2);
  tcase_add_loop_test(t, products_get_sizes_strides_and_whether_to_add, 0, 2);
  tcase_add_test(t, columns_and_factorisations_get_their_arguments);
  tcase_add_loop_test(t, merged_loops_compute_the_same, 0, 2);
  tcase_add_test(t, a_value_may_take_the_place_of_its_argument);
  tcase_add_test(t, a_serial_phase_has_no_chunk);
  tcase_add_loop_test(t, a_large_nest_of_a_serial_phase_is_forked, 0, 2);
  tcase_add_test(t, a_sum_over_the_outer_of_two_loops_does_not_count_the_inner_ones);
  tcase_add_test(t, axes_without_rows_leave_identities);
  tcase_add_loop_test(t, nests_at_random_agree, 0, getenv("SVIC_CHECK_NESTS") ? atoi(getenv("SVIC_CHECK_NESTS")) : NESTS);
  suite_add_tcase(s, t);
  suite_add_tcase(s, module_cases());
  SRunner *r = srunner_create(s);
  srunner_run_all(r, CK_ENV);
  int failed = srunner_ntests_failed(r);
  srunner_free(r);
  rmdir(folder);
  return failed != 0;
}
