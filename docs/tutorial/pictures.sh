#!/usr/bin/env bash
# pictures.sh - runs docs/tutorial/tutorial.yaml, keeps the table that it prints as results.txt, and draws the pictures of
# docs/tutorial.md from it. With --draw it only draws.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
command -v gnuplot >/dev/null || { echo "pictures.sh needs gnuplot" >&2; exit 1; }

if [ "${1:-}" != --draw ]; then
  TUTORIAL_FOLDER=$(mktemp -d)
  export TUTORIAL_FOLDER
  trap 'rm -rf "$TUTORIAL_FOLDER"' EXIT
  # As the page calls it, so that paths are printed as it shows them.
  (cd "$here/../.." && "${COPPICE:-build/coppice}" run docs/tutorial/tutorial.yaml) >"$here/results.txt"
fi

# "METHOD-SPARSITY PERPLEXITY TIMES_DENSE" of the first table.
rows() { awk -v method="$1" '/^Accuracy/ { exit } index($1, method "-") == 1 { print substr($1, length(method) + 2), $2, $3 }' "$here/results.txt"; }
dense=$(awk '$1 == "dense" { print $2; exit }' "$here/results.txt")
draw() {
  {
    echo "load '$here/../style.gnuplot'; set output '$here/$1.svg'"
    for method in magnitude wanda alps; do
      printf '$%s << EOD\n%s\nEOD\n' "$method" "$(rows "$method")"
    done
    echo "$2"
  } | gnuplot
}
draw perplexity "set xlabel 'sparsity'; set ylabel 'perplexity'; set logscale y; set yrange [15:120]; set ytics (15, 20, 30, 50, 70, 100); set xrange [0.38:0.72]
plot \$magnitude with linespoints lw 2 pt 7 lc rgb '#888888' title 'magnitude', \$wanda with linespoints lw 2 pt 5 lc rgb '#2f6db3' title 'wanda', \
  \$alps with linespoints lw 2 pt 9 lc rgb '#c0392b' title 'alps', $dense lw 1.5 dt 2 lc rgb '#000000' title 'dense'"
draw times-dense "set style data histograms; set style histogram clustered; set style fill solid 0.9; set ylabel 'times the dense perplexity'; set yrange [0:7]
set xlabel 'sparsity'
plot \$magnitude using 3:xtic(1) lc rgb '#888888' title 'magnitude', \$wanda using 3 lc rgb '#2f6db3' title 'wanda', \$alps using 3 lc rgb '#c0392b' title 'alps'"
