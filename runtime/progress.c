/* How far training is: one redrawn line on a terminal, lines at growing intervals elsewhere. All on stderr. */
#include <math.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "trainer.h"

static void time_text(double s, char text[32]) {
  if (!(s >= 0) || s > 1e8) snprintf(text, 32, "?");
  else if (s < 60)    snprintf(text, 32, "%.0fs", s);
  else if (s < 3600)  snprintf(text, 32, "%d:%02d", (int)(s / 60), (int)s % 60);
  else snprintf(text, 32, "%d:%02d:%02d", (int)(s / 3600), (int)(s / 60) % 60, (int)s % 60);
}

static void rate_text(double r, char text[32]) {
  if (r >= 1e6) snprintf(text, 32, "%.2fM", r / 1e6);
  else if (r >= 1e4) snprintf(text, 32, "%.1fk", r / 1e3);
  else snprintf(text, 32, "%.0f", r);
}

void progress_start(Progress *p, const SviModel *m, uint64_t first, uint64_t steps, uint64_t epoch_steps, bool quiet) {
  (void)m;
  *p = (Progress){ .quiet = quiet, .terminal = isatty(STDERR_FILENO) && !quiet, .first_step = first, .steps = steps,
                   .epoch_steps = epoch_steps ? epoch_steps : 1, .start = time_now() };
  p->epochs = (double)steps / (double)p->epoch_steps;
}

/* What a line of a terminal has room for beside the bar. */
static void progress_short(const Progress *p, const ProgressLine *l, char *text, size_t room) {
  char left[32], rate[32];
  double spent = time_now() - p->start, done = (double)(l->step - p->first_step);
  time_text(done > 0 ? spent / done * (double)(p->steps - l->step) : -1, left);
  rate_text(l->rate, rate);
  snprintf(text, room, "%5.1f%% | %.6g | %s left | epoch %.4g/%.4g | %s rows/s | lr %.3g", p->steps ? 100 * (double)l->step / (double)p->steps : 100, l->objective, left,
           (double)l->step / (double)p->epoch_steps, p->epochs, rate, l->lr);
}

static void progress_text(const Progress *p, const ProgressLine *l, char *text, size_t room) {
  char left[32], rate[32], valid[48] = "";
  double spent = time_now() - p->start, done = (double)(l->step - p->first_step);
  time_text(done > 0 ? spent / done * (double)(p->steps - l->step) : -1, left);
  rate_text(l->rate, rate);
  if (l->has_valid) snprintf(valid, sizeof valid, " | valid %.6g", l->valid);
  snprintf(text, room, "epoch %.4g/%.4g | step %llu/%llu | objective %.6g%s | lr %.3g | %s rows/s | %s left", (double)l->step / (double)p->epoch_steps, p->epochs,
           (unsigned long long)l->step, (unsigned long long)p->steps, l->objective, valid, l->lr, rate, left);
}

void progress_draw(Progress *p, const ProgressLine *l) {
  if (!p->terminal) return;
  double now = time_now();
  if (now - p->last_draw < 0.1) return;
  p->last_draw = now;
  struct winsize w = {0};
  int width = ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 20 ? w.ws_col : 80;
  enum { BAR = 20 };
  char text[300], bar[BAR + 1];
  int full = p->steps ? (int)(BAR * (double)l->step / (double)p->steps) : 0;
  memset(bar, '.', BAR);
  memset(bar, '#', (size_t)(full < BAR ? full : BAR));
  bar[BAR] = 0;
  progress_short(p, l, text, sizeof text);
  if (width > BAR + 30) fprintf(stderr, "\r[%s] %-*.*s", bar, width - BAR - 4, width - BAR - 4, text);
  else fprintf(stderr, "\r%-*.*s", width - 1, width - 1, text);
  fflush(stderr);
  p->drawn = true;
}

void progress_end(Progress *p) {
  if (p->drawn) fputs("\r\033[K", stderr);
  p->drawn = false;
}

void progress_line(Progress *p, const ProgressLine *l) {
  if (p->quiet) return;
  char text[300];
  progress_end(p);
  progress_text(p, l, text, sizeof text);
  fprintf(stderr, "%s\n", text);
}
