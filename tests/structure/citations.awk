# citations.awk - reads kernels/METHOD.md, then C files. Prints "citation<TAB>WHAT" for every place that names METHOD.md without a
# section on the same line, or with one that it does not have.

FILENAME ~ /METHOD\.md$/ {
  if (match($0, /^## §[0-9]+/))
    section[substr($0, 4, RLENGTH - 3)] = 1
  next
}

{
  rest = $0
  while (match(rest, /METHOD\.md/)) {
    rest = substr(rest, RSTART + RLENGTH)
    if (!match(rest, /^ §[0-9]+/)) {
      print "citation\t" FILENAME " names METHOD.md and no section"
      continue
    }
    while (match(rest, /^[, and]*§[0-9]+/)) {
      cited = substr(rest, 1, RLENGTH)
      rest = substr(rest, RLENGTH + 1)
      sub(/^[, and]*/, "", cited)
      if (!(cited in section))
        print "citation\t" FILENAME " cites METHOD.md " cited
    }
  }
}
