#!/usr/bin/env bash
# picture.sh NAME JSON [FOLDER] - draws what tests/bench.sh --json NAME has printed, into FOLDER (docs/speed). Called by
# tests/bench.sh --page for the benchmarks that have a picture:
#   roofline  roofline.svg
#   scaling   scaling-time.svg and scaling-memory.svg
# Other names have none. Prints the lines of Markdown that show them. Needs gnuplot and jq.
set -euo pipefail
docs=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../docs" && pwd)
name=$1 json=$2 folder=${3:-$docs/speed}
case $name in roofline | scaling) ;; *) exit 0 ;; esac
command -v gnuplot >/dev/null || { echo "picture.sh: no picture of $name: gnuplot is not installed" >&2; exit 0; }
. "$docs/../tests/bench/page.sh"
processor=$(processor_name)

# The rows "SERIES: SIZE" as "x measured beside SIZE".
points() { jq -r --arg series "$1: " 'select(.name | startswith($series)) | "\(.x) \(.value) \(.beside) \"\(.name | ltrimstr($series))\""' "$json"; }
block() { printf '$%s << EOD\n%s\nEOD\n' "$1" "$2"; }

draw_roofline() {
  local i=0 plots='' series data types=(7 5 9 11 13 6 4) colours=(2f6db3 c0392b 2e8b57 8e44ad e67e22 16a085 555555)
  # Left of the ridge the roof is what memory lets through, and right of it what the units do.
  read -r bandwidth peak < <(jq -rs '"\(min_by(.x) | .beside / .x) \(map(.beside) | max)"' "$json")
  echo "load '$docs/style.gnuplot'; set terminal svg size 720,560; set output '$folder/roofline.svg'
set title \"What kernels reach of one core\\n{/*0.8 $processor}\"
set logscale xy; set xrange [0.1:2000]; set yrange [0.5:2 * $peak]; set grid xtics ytics lc rgb '#dddddd'
set xlabel 'operations for each byte that must be read or written'; set ylabel '10^9 operations a second'
set bmargin 12.5; set key at screen 0.5, screen 0.01 center bottom Left reverse samplen 2; roof(x) = x * $bandwidth < $peak ? x * $bandwidth : $peak"
  while read -r series; do
    data=$(points "$series")
    block "series$i" "$data"
    plots+=", \$series$i with linespoints lw 1.5 pt ${types[i]} ps 0.8 lc rgb '#${colours[i]}' title \"$series\""
    # Of several sizes it says which are the ends.
    if [ "$(wc -l <<<"$data")" -gt 1 ]; then
      block "ends$i" "$(sed -n '1p;$p' <<<"$data")"
      plots+=", \$ends$i using 1:2:4 with labels left offset 0.6,-0.7 font ',9' tc rgb '#${colours[i]}' notitle"
    fi
    i=$((i + 1))
  done < <(jq -r '.name | split(": ")[0]' "$json" | awk '!seen[$0]++')
  echo "plot roof(x) lw 2 lc rgb '#000000' title sprintf('the most a core can do: %.0f GF/s, %.1f GB/s', $peak, $bandwidth)$plots"
}

draw_scaling() { # KIND YLABEL
  local x points
  echo "load '$docs/style.gnuplot'; set terminal svg size 720,560; set output '$folder/scaling-$1.svg'
set multiplot layout 2,2 title \"$2 of pruning with wanda, and what coppice plan expects\\n{/*0.8 $processor; 4 layers of 512 channels, 4096 tokens, one rank, but for what the axis says}\"
set logscale xy 2; set ylabel '$3'; set format x '%.0f'; set offsets graph 0.1, graph 0.1, graph 0.2, graph 0.5
set key right bottom samplen 2 box lc rgb '#dddddd'"
  for x in tokens width layers ranks; do
    points=$(points "$1 by $x")
    block "$x" "$points"
    echo "set xlabel '${x/width/width (hidden channels)}'; set xtics ($(awk '{ printf "%s%s", (NR > 1 ? ", " : ""), $1 }' <<<"$points"))
plot \$$x using 1:3 with lines lw 1.5 dt 2 lc rgb '#000000' title 'expected', \$$x using 1:2 with points pt 7 lc rgb '#2f6db3' title 'measured'"
  done
  echo "unset multiplot"
}

mkdir -p "$folder"
if [ "$name" = roofline ]; then
  draw_roofline | gnuplot
  echo "![What kernels reach of one core](speed/roofline.svg)"
else
  draw_scaling time Time seconds | gnuplot
  draw_scaling memory Memory 'megabytes, all ranks' | gnuplot
  echo "![Time by tokens, width, layers and ranks](speed/scaling-time.svg)"
  echo "![Memory by tokens, width, layers and ranks](speed/scaling-memory.svg)"
fi
