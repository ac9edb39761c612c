# parameters.awk - reads C files and prints "parameters<TAB>FILE FUNCTION COUNT" for every function with more than
# `most` parameters (-v most=7). A reader of declarations at file level, no parser: it needs no program besides awk.
# Matrix products take the parameters of BLAS, so functions called gemm or gemm_... are left out.

function count(arguments,   depth, commas, i, c) {
  for (i = 1; i <= length(arguments); i++) {
    c = substr(arguments, i, 1)
    if (c == "(" || c == "[")
      depth++
    else if (c == ")" || c == "]") {
      if (--depth == 0)
        break
    } else if (c == "," && depth == 1)
      commas++
  }
  return commas + 1
}

# A declaration or the head of a definition: everything at file level before its ';' or '{'.
function judge(text,   name, found) {
  gsub(/__attribute__[ \t]*\(\([^)]*(\([^)]*\))?[^)]*\)\)/, "", text)
  if (text ~ /(^|[ \t])typedef([ \t]|$)/ || !match(text, /[A-Za-z_][A-Za-z0-9_]*[ \t]*\(/))
    return
  if (index(substr(text, 1, RSTART), "=")) # a variable with its first value
    return
  name = substr(text, RSTART, RLENGTH)
  sub(/[ \t]*\($/, "", name)
  if (name ~ /^gemm(_|$)/)
    return
  found = count(substr(text, RSTART + RLENGTH - 1))
  if (found > most && !reported[FILENAME, name]++)
    printf "parameters\t%s %s %d\n", FILENAME, name, found
}

FNR == 1 { depth = 0; comment = 0; macro = 0; text = "" }

{
  line = $0
  if (macro || (!comment && line ~ /^[ \t]*#/)) {
    macro = line ~ /\\$/
    next
  }
  gsub(/\\./, "", line)
  gsub(/"[^"]*"/, "", line)
  gsub(/'[^']*'/, "", line)
  sub(/\/\/.*/, "", line)
  while (line != "") {
    if (comment) {
      if (!(at = index(line, "*/")))
        break
      line = substr(line, at + 2)
      comment = 0
      continue
    }
    if (!match(line, /\/\*|[{};]/)) {
      if (depth == 0)
        text = text line " "
      break
    }
    mark = substr(line, RSTART, RLENGTH)
    if (depth == 0)
      text = text substr(line, 1, RSTART - 1)
    line = substr(line, RSTART + RLENGTH)
    if (mark == "/*")
      comment = 1
    else if (mark == "{") {
      if (depth++ == 0) {
        judge(text)
        text = ""
      }
    } else if (mark == "}")
      depth--
    else if (depth == 0) {
      judge(text)
      text = ""
    }
  }
}
