/* llvm: the model's tables, what is written, lines of the model, linking. */
#include <time.h>
#include "check_llvm.h"

/* ---- the model's tables */
static bool text_equal(const char *a, const char *b) { return (!a && !b) || (a && b && strcmp(a, b) == 0); }

START_TEST(the_model_is_read_back_field_by_field) {
  program_new(8);
  nest_new(false);
  LoopPhase second = {.axis = -1, .particles = -1};
  vec_push(arena, &program->phases, second);
  phase = &program->phases.at[0];
  static const double at[] = {0, 10}, value[] = {1e-3, 1e-5}, start[] = {0.5, -0.5, 0.25};
  static const uint32_t dim[] = {784, 3};
  static const int32_t trained[] = {0, 2};
  static const SviAxis axes[] = {{"image", -1, false, 0, 0, 0}, {"time", 0, true, 0, 0, 0}, {"k", -1, false, 1, 50, 0}};
  static const SviColumn columns[] = {{"x", "bit[784]", 0, 2, dim, 2352, {0, 1, true, false, true}, {3, 9}, 2}};
  static const SviParam params[] = {
    {"p.dense.W", -1, 2, dim, 2352, 128, false, "real", {SVI_INIT_NORMAL, 0.25, 2, 0, NULL, -1}, {7, 1}},
    {"p.dense.b", 1, 1, dim + 1, 3, 0, true, "positive", {SVI_INIT_VALUES, 0, 0, 3, start, 4}, {8, 2}},
  };
  static const SviOption options[] = {{"beta", {SVI_CURVE_COSINE, SVI_EPOCHS, 2, at, value, 12.5}, {2, 3}}};
  static const SviDraw draws[] = {{"q.z", true, {11, 4}}, {"q.h", false, {12, 5}}};
  static const SviReduction reductions[] = {{1, 2, 3, SVI_COMBINE_LOGSUMEXP}, {4, 5, 6, SVI_COMBINE_MAX}};
  static SviPhase phases[2] = {{.axis = 0,
                                .particles = 2,
                                .stream = true,
                                .ndomain = 1,
                                .domain = {{5, 4096}},
                                .nreduction = 2,
                                .reduction = reductions,
                                .place = {20, 1}},
                               {.axis = -1, .particles = -1}};
  phases[0].domain[15].bytes = 77;
  static const SviScalar scalars[] = {{"elbo", 9}};
  static const SviRows outs[] = {{"nll", 1, 1, 0, NULL, false}}, kept[] = {{"h", 5, 3, 1, dim + 1, true}};
  static const SviGrad grads[] = {{0, SVI_IN_LANES, 16, 0, 0}, {1, SVI_IN_OUT, 0, 0, 0}};
  static const SviUpdate updates[] = {{1, 99}};
  static const SviEntry entries[] = {{.name = "step:main",
                                      .nphase = 2,
                                      .phase = phases,
                                      .nscalar = 1,
                                      .scalar = scalars,
                                      .nout = 1,
                                      .out = outs,
                                      .nbatch = 1,
                                      .batch = kept,
                                      .ngrad = 2,
                                      .grad = grads,
                                      .nupdate = 1,
                                      .update = updates,
                                      .lane_size = 1000,
                                      .global_size = 2000,
                                      .axis = 0,
                                      .needs_data = true,
                                      .graph = "graph \"of\" step\n",
                                      .flops_row = 1.5e6,
                                      .flops_once = 2.5}};
  static const SviStep steps[] = {{"main", 0, true, 2, trained}};
  static const SviReport reports[] = {{"nll", 0}};
  static const SviModel m = {.abi = SVI_ABI,
                             .real_bytes = 8,
                             .name = "vae",
                             .path = "dir/vae.svm",
                             .source = "# text\n\"quoted\"\n",
                             .version = "0.1",
                             .hash = "abc",
                             .naxis = 3,
                             .axis = axes,
                             .ncolumn = 1,
                             .column = columns,
                             .nparam = 2,
                             .param = params,
                             .noption = 1,
                             .option = options,
                             .ndraw = 2,
                             .draw = draws,
                             .nentry = 1,
                             .entry = entries,
                             .nreport = 1,
                             .report = reports,
                             .train = {{SVI_RMSPROP,
                                        {SVI_CURVE_LINEAR, SVI_STEPS, 2, at, value, 0},
                                        0.9,
                                        0.99,
                                        0.999,
                                        1e-8,
                                        0.01,
                                        5,
                                        0.5},
                                       100,
                                       12.5,
                                       1,
                                       steps},
                             .param_size = 2480,
                             .info = "about"};
  Compiled c = compile_model(&m, &program, 2, NULL);
  const SviModel *r = c.model;
#define SAME(x) ck_assert_msg(r->x == m.x, #x " differs")
#define SAME_TEXT(x) ck_assert_msg(text_equal(r->x, m.x), #x " differs")
  SAME(abi);
  SAME(real_bytes);
  SAME_TEXT(name);
  SAME_TEXT(path);
  SAME_TEXT(source);
  SAME_TEXT(version);
  SAME_TEXT(hash);
  SAME(naxis);
  SAME(ncolumn);
  SAME(nparam);
  SAME(noption);
  SAME(ndraw);
  SAME(nentry);
  SAME(nreport);
  SAME(param_size);
  SAME_TEXT(info);
  for (int i = 0; i < 3; i++) {
    SAME_TEXT(axis[i].name);
    SAME(axis[i].parent);
    SAME(axis[i].ordered);
    SAME(axis[i].kind);
    SAME(axis[i].fallback);
  }
  SAME_TEXT(column[0].name);
  SAME_TEXT(column[0].type);
  SAME(column[0].axis);
  SAME(column[0].rank);
  SAME(column[0].dim[0]);
  SAME(column[0].dim[1]);
  SAME(column[0].size);
  SAME(column[0].range.lo);
  SAME(column[0].range.hi);
  SAME(column[0].range.lo_open);
  SAME(column[0].range.hi_open);
  SAME(column[0].range.whole);
  SAME(column[0].place.line); SAME(column[0].place.column); SAME(column[0].points);
  for (int i = 0; i < 2; i++) {
    SAME_TEXT(param[i].name);
    SAME(param[i].axis);
    SAME(param[i].rank);
    SAME(param[i].dim[0]);
    SAME(param[i].size);
    SAME(param[i].offset);
    SAME(param[i].state);
    SAME_TEXT(param[i].support);
    SAME(param[i].init.kind);
    SAME(param[i].init.a);
    SAME(param[i].init.b);
    SAME(param[i].init.nvalue);
    SAME(param[i].init.column);
    SAME(param[i].place.line); SAME(param[i].place.column);
  }
  ck_assert_ptr_null(r->param[0].init.value);
  for (int i = 0; i < 3; i++) SAME(param[1].init.value[i]);
  SAME_TEXT(option[0].name);
  SAME(option[0].schedule.curve);
  SAME(option[0].schedule.unit);
  SAME(option[0].schedule.n);
  SAME(option[0].schedule.at[1]);
  SAME(option[0].schedule.value[1]); SAME(option[0].schedule.period); SAME(option[0].place.line);
  for (int i = 0; i < 2; i++) { SAME_TEXT(draw[i].name); SAME(draw[i].once); SAME(draw[i].place.line); }
  SAME_TEXT(entry[0].name);
  SAME(entry[0].nphase);
  SAME(entry[0].nscalar);
  SAME(entry[0].nout);
  SAME(entry[0].nbatch);
  SAME(entry[0].ngrad);
  SAME(entry[0].nupdate);
  SAME(entry[0].lane_size);
  SAME(entry[0].global_size);
  SAME(entry[0].axis);
  SAME(entry[0].needs_data);
  SAME_TEXT(entry[0].graph);
  SAME(entry[0].flops_row);
  SAME(entry[0].flops_once);
  for (int i = 0; i < 2; i++) {
    ck_assert_ptr_nonnull((void *)(uintptr_t)r->entry[0].phase[i].run);
    SAME(entry[0].phase[i].axis);
    SAME(entry[0].phase[i].particles);
    SAME(entry[0].phase[i].stream);
    SAME(entry[0].phase[i].ndomain);
    SAME(entry[0].phase[i].nreduction);
    for (int d = 0; d < SVI_DOMAINS; d++) {
      SAME(entry[0].phase[i].domain[d].axes);
      SAME(entry[0].phase[i].domain[d].bytes);
    }
    SAME(entry[0].phase[i].place.line); SAME(entry[0].phase[i].place.column);
  }
  ck_assert(r->entry[0].phase[0].run != r->entry[0].phase[1].run);
  for (int i = 0; i < 2; i++) {
    SAME(entry[0].phase[0].reduction[i].lane);
    SAME(entry[0].phase[0].reduction[i].global);
    SAME(entry[0].phase[0].reduction[i].size);
    SAME(entry[0].phase[0].reduction[i].how);
  }
  SAME_TEXT(entry[0].scalar[0].name); SAME(entry[0].scalar[0].global);
  SAME_TEXT(entry[0].out[0].name);
  SAME(entry[0].out[0].axes);
  SAME(entry[0].out[0].size);
  SAME(entry[0].out[0].rank);
  SAME_TEXT(entry[0].batch[0].name); SAME(entry[0].batch[0].dim[0]);
  for (int i = 0; i < 2; i++) {
    SAME(entry[0].grad[i].param);
    SAME(entry[0].grad[i].where);
    SAME(entry[0].grad[i].offset);
  }
  SAME(entry[0].update[0].param); SAME(entry[0].update[0].global);
  SAME(train.optimizer.kind);
  SAME(train.optimizer.lr.curve);
  SAME(train.optimizer.lr.value[0]);
  SAME(train.optimizer.momentum);
  SAME(train.optimizer.beta1);
  SAME(train.optimizer.beta2);
  SAME(train.optimizer.eps);
  SAME(train.optimizer.decay);
  SAME(train.optimizer.clip);
  SAME(train.optimizer.average);
  SAME(train.batch);
  SAME(train.epochs);
  SAME(train.nstep);
  SAME_TEXT(train.step[0].name);
  SAME(train.step[0].entry);
  SAME(train.step[0].maximize);
  SAME(train.step[0].nparam);
  SAME(train.step[0].param[0]);
  SAME(train.step[0].param[1]);
  SAME_TEXT(report[0].name); SAME(report[0].entry);
  compiled_free(&c);
}
END_TEST

/* ---- forms, lines, linking */
static char *slurp(const char *path) {
  FILE *f = fopen(path, "rb");
  ck_assert_ptr_nonnull(f);
  char *text = calloc(1, 1 << 22);
  ck_assert_uint_lt(fread(text, 1, (1 << 22) - 1, f), (1 << 22) - 1);
  fclose(f);
  return text;
}

/* sum over 784 of x l - softplus(l), and (x - sigmoid(l)) c: the likelihood of a binary image and its gradient */
static void cross_entropy_program(void) {
  program_new(4);
  Buf x = buffer(BUF_CHUNK, 0, AXIS(IMAGE), DIMS(784)), l = buffer(BUF_CHUNK, 3136, AXIS(IMAGE), DIMS(784)),
      d = buffer(BUF_CHUNK, 6272, AXIS(IMAGE), DIMS(784));
  Buf c = buffer(BUF_CHUNK, 9408, AXIS(IMAGE), NO_DIMS), ll = buffer(BUF_OUT, 0, AXIS(IMAGE), NO_DIMS);
  nest_new(false);
  loop_rows(), loop_size(784);
  uint32_t weight = load(c, AT(at_loop(0)));
  uint32_t xv = load(x, AT(at_loop(0), at_loop(1))), lv = load(l, AT(at_loop(0), at_loop(1)));
  reduce(REDUCE_SUM, FROM_IDENTITY, ll, AT(at_loop(0)), op2(OP_sub, op2(OP_mul, xv, lv), op1(OP_softplus, lv)));
  store(d, AT(at_loop(0), at_loop(1)), op2(OP_mul, op2(OP_sub, xv, op1(OP_sigmoid, lv)), weight));
}

START_TEST(a_binary_likelihood_is_vectors_without_calls) {
  cross_entropy_program();
  World *w = world_new(4);
  program_agrees(w, 1e-4);
  LlvmOptions options = {.level = 2, .cpu = "x86-64-v4"};
  LlvmModule *m = llvm_build(arena, model_for(4), &program, sources, &options);
  char error[256], *path = arena_printf(arena, "%s/a.s", folder);
  size_t plain = llvm_size(m);
  llvm_optimise(m);
  ck_assert_uint_gt(llvm_size(m), plain / 2);
  ck_assert(llvm_write(m, LLVM_ASM, path, error));
  llvm_free(m);
  char *text = slurp(path);
  ck_assert_ptr_nonnull(strstr(text, "%zmm"));
  const char *loop =
      strstr(text, "step_test_0_nest_0:"); /* the nest's function comes after the phase that calls it */
  ck_assert_ptr_nonnull(loop);
  ck_assert_ptr_null(strstr(loop, "\tcallq"));
  ck_assert_ptr_null(strstr(text, "\tjmp\tsvi_"));
  if (getenv("SVIC_CHECK_TIME")) {
    Compiled c = compile(2, NULL);
    double best = 1e30;
    for (int i = 0; i < 2000; i++) {
      struct timespec a, b;
      clock_gettime(CLOCK_MONOTONIC, &a);
      run_in(&c, w);
      clock_gettime(CLOCK_MONOTONIC, &b);
      double t = (double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec);
      if (t < best) best = t;
    }
    printf("binary likelihood and gradient: %.3f ns an element\n", best / (9 * 784));
    compiled_free(&c);
  }
  free(text);
  unlink(path);
  world_free(w);
}
END_TEST

START_TEST(instructions_carry_the_lines_of_the_model) {
  const char *text = "line one\nline two\nline three\n";
  source_add(sources, "folder/some.svm", text, strlen(text), false);
  const Source *s = source_add(sources, "folder/other.svm", text, strlen(text), true);
  program_new(4);
  Buf a = buffer(BUF_PARAM, 0, 0, DIMS(9)), out = buffer(BUF_GLOBAL, 0, 0, DIMS(9));
  nest_new(false);
  loop_size(9);
  Span second = {s->base + 9, s->base + 13};
  uint32_t v = load(a, AT(at_loop(0)));
  v = add((LoopInstr){.kind = LI_OP, .op = OP_exp, .nargs = 1, .arg = {v}, .span = second});
  store(out, AT(at_loop(0)), v);
  LlvmOptions options = {.level = 2, .cpu = "x86-64-v3", .debug_lines = true};
  LlvmModule *m = llvm_build(arena, model_for(4), &program, sources, &options);
  llvm_optimise(m);
  char error[256], *path = arena_printf(arena, "%s/lines.s", folder);
  ck_assert(llvm_write(m, LLVM_ASM, path, error));
  llvm_free(m);
  char *assembly = slurp(path);
  ck_assert_ptr_nonnull(strstr(assembly, "\"folder\" \"other.svm\""));
  ck_assert_ptr_nonnull(strstr(assembly, "\t.loc\t1 2 1"));
  ck_assert_ptr_nonnull(strstr(assembly, "step_test_0"));
  free(assembly);
  unlink(path);
}
END_TEST

START_TEST(modules_are_the_same_each_time) {
  char *text[2];
  for (int i = 0; i < 2; i++) {
    cross_entropy_program();
    LlvmOptions options = {.level = 2};
    LlvmModule *m = llvm_build(arena, model_for(4), &program, sources, &options);
    llvm_optimise(m);
    char error[256], *path = arena_printf(arena, "%s/twice.ll", folder);
    ck_assert(llvm_write(m, LLVM_IR, path, error));
    llvm_free(m);
    text[i] = slurp(path);
    unlink(path);
  }
  ck_assert_str_eq(text[0], text[1]);
  free(text[0]);
  free(text[1]);
}
END_TEST

START_TEST(an_object_and_the_runtime_become_a_program) {
  program_new(4);
  Buf a = buffer(BUF_PARAM, 0, 0, DIMS(16)), out = buffer(BUF_GLOBAL, 0, 0, DIMS(16));
  nest_new(false);
  loop_size(16);
  store(out, AT(at_loop(0)), op1(OP_square, load(a, AT(at_loop(0)))));
  phase->axis = phase->particles = -1;
  LlvmOptions options = {.level = 1};
  LlvmModule *m = llvm_build(arena, model_for(4), &program, sources, &options);
  llvm_optimise(m);
  char error[1024], *object = arena_printf(arena, "%s/m.o", folder),
                    *program_path = arena_printf(arena, "%s/m", folder),
                    *main_path = arena_printf(arena, "%s/main.c", folder);
  ck_assert(llvm_write(m, LLVM_OBJECT, object, error));
  llvm_free(m);
  ck_assert(!llvm_link(object, folder, program_path, error));
  ck_assert_ptr_nonnull(strstr(error, "libsvirt.a"));
  FILE *f = fopen(main_path, "w");
  fprintf(f, "#include <math.h>\n" /* real_bytes is the second word */
             "extern const unsigned svi_model[]; int main(int n, char **v) { return v && svi_model[1] == 4 "
             "&& cos((double)n) < 2 ? 0 : 1; }\n");
  fclose(f);
  char command[2048];
  snprintf(command, sizeof command,
           "cd %s && cc -c main.c -o main.o && ar rcs libsvirt.a main.o && echo ' -lm\n' > link.txt", folder);
  ck_assert_int_eq(system(command), 0);
  if (!llvm_link(object, folder, program_path, error)) ck_abort_msg("%s", error);
  ck_assert_int_eq(system(program_path), 0);
  setenv("CC", "no-such-compiler", 1);
  ck_assert(!llvm_link(object, folder, program_path, error));
  ck_assert_ptr_nonnull(strstr(error, "was not found"));
  unsetenv("CC");
  snprintf(command, sizeof command, "cd %s && echo ' -lno-such-library' > link.txt", folder);
  ck_assert_int_eq(system(command), 0);
  ck_assert(!llvm_link(object, folder, program_path, error));
  ck_assert_ptr_nonnull(strstr(error, "no-such-library"));
  snprintf(command, sizeof command, "rm -f %s/m %s/m.o %s/main.* %s/libsvirt.a %s/link.txt", folder, folder,
           folder, folder, folder);
  ck_assert_int_eq(system(command), 0);
}
END_TEST

static uint32_t count_of(const char *text, const char *what) {
  uint32_t n = 0;
  for (const char *t = text; (t = strstr(t, what)); t += strlen(what)) n++;
  return n;
}

static void tanh_nest(Buf from, Buf to, uint32_t n) {
  nest_new(false);
  loop_rows(), loop_size(n);
  uint32_t scale = add((LoopInstr){.kind = LI_OPTION, .id = program->buffers.n % 4});
  store(to, AT(at_loop(0), at_loop(1)),
        op2(OP_mul, scale, op1(OP_tanh, load(from, AT(at_loop(0), at_loop(1))))));
}

START_TEST(equal_nests_are_one_function) {
  program_new(4);
  Buf a = buffer(BUF_CHUNK, 0, AXIS(IMAGE), DIMS(20)), b = buffer(BUF_CHUNK, 80, AXIS(IMAGE), DIMS(20));
  Buf c = buffer(BUF_CHUNK, 160, AXIS(IMAGE), DIMS(20)), d = buffer(BUF_OUT, 0, AXIS(IMAGE), DIMS(20));
  tanh_nest(a, b, 20);
  buffer(BUF_CHUNK, 240, AXIS(IMAGE), DIMS(20));          /* another option from here on */
  tanh_nest(b, c, 20);
  tanh_nest(c, c, 20);                                    /* in place: not the same code */
  tanh_nest(b, d, 20);                                    /* rows of the batch: not the same addresses */
  LlvmOptions options = {.level = 2};
  LlvmModule *m = llvm_build(arena, model_for(4), &program, sources, &options);
  char error[256], *path = arena_printf(arena, "%s/shared.ll", folder);
  ck_assert(llvm_write(m, LLVM_IR_PLAIN, path, error));
  llvm_free(m);
  char *text = slurp(path);
  ck_assert_uint_eq(count_of(text, "define internal void @step_test_0_nest_"), 3);
  ck_assert_uint_eq(count_of(text, "call void @step_test_0_nest_"), 4);
  free(text);
  unlink(path);
  World *w = world_new(4);
  program_agrees(w, 1e-5);
  world_free(w);
}
END_TEST

START_TEST(a_place_that_cannot_be_written_is_told) {
  cross_entropy_program();
  LlvmOptions options = {.level = 0};
  LlvmModule *m = llvm_build(arena, model_for(4), &program, sources, &options);
  char error[256];
  ck_assert(llvm_verify(m, stderr));
  ck_assert(!llvm_write(m, LLVM_IR, "/no/such/folder/x.ll", error));
  ck_assert_ptr_nonnull(strstr(error, "/no/such/folder/x.ll"));
  llvm_free(m);
}
END_TEST

TCase *module_cases(void) {
  TCase *t = tcase_create("modules");
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_add_test(t, the_model_is_read_back_field_by_field);
  tcase_add_test(t, a_binary_likelihood_is_vectors_without_calls);
  tcase_add_test(t, instructions_carry_the_lines_of_the_model);
  tcase_add_test(t, modules_are_the_same_each_time);
  tcase_add_test(t, an_object_and_the_runtime_become_a_program);
  tcase_add_test(t, equal_nests_are_one_function);
  tcase_add_test(t, a_place_that_cannot_be_written_is_told);
  return t;
}
