/* Values that change while training: a schedule at a time.
 *
 * Time is counted in steps done or in epochs done (a fraction inside an epoch), as the schedule's unit says.  Between two
 * points a curve holds the earlier value, or goes to the next one on a line or on half a cosine; with a period it starts
 * again. */
#include <math.h>
#include "trainer.h"

double schedule_at(const SviSchedule *s, double step, double epoch) {
  if (s->n <= 0) return 0;
  double t = s->unit == SVI_EPOCHS ? epoch : step;
  if (s->period > 0) t = fmod(t, s->period);
  if (t < s->at[0]) return s->value[0];
  int32_t i = 0;
  while (i + 1 < s->n && t >= s->at[i + 1]) i++;
  if (i + 1 == s->n) return s->value[i];
  double from = s->value[i], to = s->value[i + 1];
  double part = (t - s->at[i]) / (s->at[i + 1] - s->at[i]);
  switch (s->curve) {
  case SVI_CURVE_HOLD:   return from;
  case SVI_CURVE_LINEAR: return from + (to - from) * part;
  case SVI_CURVE_COSINE: return from + (to - from) * 0.5 * (1 - cos(3.14159265358979323846 * part));
  }
  return from;
}

bool schedule_rests(const SviSchedule *s, double step, double epoch) {
  return s->n <= 1 || (!(s->period > 0) && (s->unit == SVI_EPOCHS ? epoch : step) >= s->at[s->n - 1]);
}
