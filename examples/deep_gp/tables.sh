# What `run` and `check` do to tables: lines of numbers between commas, the first line names.

# column_of FILE NAME COLUMNS ROWS RECORD AS: from what world.svm drew, the columns AS.0, AS.1, ... of one record
column_of() {
  awk -F, -v at="$2[0]" -v d="$3" -v n="$4" -v record="$5" -v as="$6" '
    NR == 1 { for (i = 1; i <= NF; i++) if ($i == at) c = i }
    NR == record + 1 {
      for (k = 0; k < d; k++) printf "%s%s.%d", (k ? "," : ""), as, k; print ""
      for (i = 0; i < n; i++) { for (k = 0; k < d; k++) printf "%s%s", (k ? "," : ""), $(c + k * n + i); print "" }
    }' "$1"
}

# some_rows FILE NAME AS COUNT: COUNT rows at even distances of the columns NAME.0, NAME.1, ..., as columns AS.0, AS.1, ...
some_rows() {
  awk -F, -v name="$2." -v as="$3" -v m="$4" '
    NR == 1 { for (i = 1; i <= NF; i++) if (index($i, name) == 1) c[++n] = i; for (k = 1; k <= n; k++) printf "%s%s.%d", (k > 1 ? "," : ""), as, k - 1; print ""; next }
    { for (k = 1; k <= n; k++) row[NR - 1, k] = $(c[k]); rows = NR - 1 }
    END { for (i = 0; i < m; i++) { r = int((i + 0.5) * rows / m) + 1; for (k = 1; k <= n; k++) printf "%s%s", (k > 1 ? "," : ""), row[r, k]; print "" } }' "$1"
}

# latent_table FILE DEPTH Q: from what `encode` wrote, the means of the last layer times the root of their relevance, the largest spread first;
# the first line says the spreads
latent_table() {
  awk -F, -v l="$2" -v Q="$3" '
    NR == 1 { for (i = 1; i <= NF; i++) { if ($i == "x[" l "].mean[0]") m = i; if ($i == "relevance[" l "].mean[0]") w = i }; next }
    { n++; for (q = 0; q < Q; q++) { v[n, q] = $(m + q) * sqrt($(w + q)); s[q] += v[n, q]; ss[q] += v[n, q] ^ 2 } }
    END {
      for (q = 0; q < Q; q++) { d[q] = sqrt(ss[q] / n - (s[q] / n) ^ 2); o[q] = q }
      for (i = 1; i < Q; i++) for (k = i; k > 0 && d[o[k]] > d[o[k - 1]]; k--) { t = o[k]; o[k] = o[k - 1]; o[k - 1] = t }
      for (q = 0; q < Q; q++) printf "%s%.4g", (q ? "," : ""), d[o[q]]; print ""
      for (i = 1; i <= n; i++) { for (q = 0; q < Q; q++) printf "%s%.6g", (q ? "," : ""), v[i, o[q]]; print "" }
    }' "$1"
}

# dimensions TABLE: how many columns of a latent_table spread by a twentieth of the first or more
dimensions() { head -n 1 "$1" | awk -F, '{ for (q = 1; q <= NF; q++) n += $q >= $1 / 20; print n }'; }

# neighbour_error TABLE LABELS: how many rows of a latent_table have a nearest neighbour of another label
neighbour_error() {
  awk -F, 'FNR == NR { label[FNR] = $1; next } FNR > 1 { n++; for (q = 1; q <= NF; q++) v[n, q] = $q; Q = NF }
    END { for (i = 1; i <= n; i++) {
        least = -1
        for (j = 1; j <= n; j++) if (i != j) { d = 0; for (q = 1; q <= Q; q++) d += (v[i, q] - v[j, q]) ^ 2; if (least < 0 || d < least) { least = d; near = j } }
        wrong += label[i] != label[near]
      }
      print wrong + 0 }' "$2" "$1"
}
