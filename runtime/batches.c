/* Which rows make up a batch.
 *
 * Every epoch visits the rows of a plate in its own order, a pure function of (seed, plate, epoch); batch i of the run is
 * the next stretch of it.  So resuming needs to know nothing but the step.  The last batch of an epoch may be shorter. */
#include "trainer.h"

static uint64_t batches_random(uint64_t *state) { return hash_mix((*state)++); }

/* Fisher and Yates; the bias of a 64-bit multiplication is below rows / 2^64. */
static void batches_shuffle(Batches *b, uint64_t epoch) {
  for (uint64_t i = 0; i < b->rows; i++) b->order[i] = (uint32_t)i;
  uint64_t state = hash_mix(hash_mix(hash_mix(b->seed) ^ (uint64_t)b->axis) + epoch);
  for (uint64_t i = b->rows; i > 1; i--) {
    uint64_t j = (uint64_t)((unsigned __int128)batches_random(&state) * i >> 64);
    uint32_t t = b->order[i - 1];
    b->order[i - 1] = b->order[j];
    b->order[j] = t;
  }
  b->epoch = epoch;
}

void batches_new(Batches *b, uint64_t seed, int axis, uint64_t rows, uint64_t batch) {
  *b = (Batches){ .seed = seed, .axis = axis, .rows = rows, .batch = batch < rows ? batch : rows, .epoch = UINT64_MAX };
  b->count = b->batch ? (rows + b->batch - 1) / b->batch : 1;
  b->order = memory_new(rows, sizeof *b->order, "the order of the rows");
}

uint64_t batches_at(Batches *b, uint64_t i, const uint32_t **rows) {
  if (b->batch == 0) { *rows = b->order; return 0; }
  uint64_t epoch = i / b->count, first = i % b->count * b->batch;
  if (epoch != b->epoch) batches_shuffle(b, epoch);
  *rows = b->order + first;
  return first + b->batch <= b->rows ? b->batch : b->rows - first;
}

void batches_free(Batches *b) { memory_free(b->order); b->order = NULL; }
