/* Principal components of a table:   pca Q [NAME] <rows.csv >components.csv
 *
 * In: a line of names, then rows of numbers.  Out: the first Q components of each row, scaled to variance 1, as columns NAME.0, NAME.1, ...
 * (start.0, ...).  They are eigenvectors of the rows' scalar products, by Jacobi's rotations: for some hundred rows. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 2000 };                           /* rows */

/* a [n, n] becomes diagonal, v its eigenvectors, as columns */
static void jacobi(double *a, double *v, int n) {
  for (int i = 0; i < n; i++) for (int j = 0; j < n; j++) v[i * n + j] = i == j;
  for (int sweep = 0; sweep < 50; sweep++) {
    double off = 0, all = 0;
    for (int i = 0; i < n * n; i++) all += a[i] * a[i], off += i % (n + 1) ? a[i] * a[i] : 0;
    if (off < 1e-24 * all) return;
    for (int p = 0; p < n; p++)
      for (int q = p + 1; q < n; q++) {
        double apq = a[p * n + q];
        if (apq == 0) continue;
        double theta = (a[q * n + q] - a[p * n + p]) / (2 * apq);
        double t = (theta < 0 ? -1 : 1) / (fabs(theta) + sqrt(theta * theta + 1)), c = 1 / sqrt(t * t + 1), s = t * c;
        for (int k = 0; k < n; k++) {
          double x = a[k * n + p], y = a[k * n + q];
          a[k * n + p] = c * x - s * y, a[k * n + q] = s * x + c * y;
        }
        for (int k = 0; k < n; k++) {
          double x = a[p * n + k], y = a[q * n + k];
          a[p * n + k] = c * x - s * y, a[q * n + k] = s * x + c * y;
          x = v[k * n + p], y = v[k * n + q];
          v[k * n + p] = c * x - s * y, v[k * n + q] = s * x + c * y;
        }
      }
  }
}

int main(int argc, char **argv) {
  int Q = argc > 1 ? atoi(argv[1]) : 0, n = 0, d = 1;
  const char *name = argc > 2 ? argv[2] : "start";
  char *line = NULL;
  size_t room = 0;
  if (Q < 1 || getline(&line, &room, stdin) < 0) { fprintf(stderr, "usage: pca Q [NAME] <rows.csv >components.csv\n"); return 2; }
  for (char *p = line; *p; p++) d += *p == ',';
  double *x = malloc(sizeof *x * MOST * (size_t)d);
  while (n < MOST && getline(&line, &room, stdin) > 0) {
    char *p = line;
    for (int j = 0; j < d; j++, p += *p == ',') x[n * d + j] = strtod(p, &p);
    n++;
  }
  if (Q > n) { fprintf(stderr, "pca: %d rows have no %d components\n", n, Q); return 1; }
  for (int j = 0; j < d; j++) {
    double mean = 0;
    for (int i = 0; i < n; i++) mean += x[i * d + j] / n;
    for (int i = 0; i < n; i++) x[i * d + j] -= mean;
  }
  double *g = calloc((size_t)(n * n), sizeof *g), *v = malloc(sizeof *v * (size_t)(n * n));
  for (int i = 0; i < n; i++)
    for (int k = 0; k < n; k++)
      for (int j = 0; j < d; j++) g[i * n + k] += x[i * d + j] * x[k * d + j];
  jacobi(g, v, n);
  int *best = malloc(sizeof *best * (size_t)n);
  for (int i = 0; i < n; i++) {                 /* by size, the largest first */
    int k = i;
    for (; k > 0 && g[best[k - 1] * (n + 1)] < g[i * (n + 1)]; k--) best[k] = best[k - 1];
    best[k] = i;
  }
  for (int q = 0; q < Q; q++) printf("%s%s.%d", q ? "," : "", name, q);
  for (int i = 0; i < n; i++) {
    putchar('\n');
    for (int q = 0; q < Q; q++) {
      int k = best[q], first = 0;
      for (int r = 0; r < n; r++) if (fabs(v[r * n + k]) > fabs(v[first * n + k]) + 1e-9) first = r;
      printf("%s%.9g", q ? "," : "", v[i * n + k] * sqrt(n) * (v[first * n + k] < 0 ? -1 : 1));      /* the largest element is positive */
    }
  }
  putchar('\n');
  return 0;
}
