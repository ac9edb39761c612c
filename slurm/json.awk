# json.awk - flattens JSON to lines "path<TAB>value": .memory.rank<TAB>123, .variants.0.name<TAB>dense
# POSIX awk, so that submit.sh needs no jq and no Python on a login node. In strings \\" \\\\ and \\/ are what they stand
# for; the escapes of control characters stay, so that a value is one line.
{ text = text $0 "\n" }

function fail(what) {
  print "json.awk: " what > "/dev/stderr"
  failed = 1
  exit 1
}

# The next token: punctuation, a number, a word, or a string with its quotes; "" at the end.
function take(   found) {
  sub(/^[ \t\r\n]+/, "", text)
  if (match(text, /^"([^"\\]|\\.)*"/) || match(text, /^[-+.0-9A-Za-z]+/) || match(text, /^[][{}:,]/)) {
    found = substr(text, 1, RLENGTH)
    text = substr(text, RLENGTH + 1)
    return found
  }
  if (text != "")
    fail("not JSON at: " substr(text, 1, 20))
  return ""
}

function unquote(word,   text, at) {
  if (word !~ /^"/)
    return word
  word = substr(word, 2, length(word) - 2)
  text = ""
  while (at = index(word, "\\")) {
    text = text substr(word, 1, at - 1)
    if (substr(word, at + 1, 1) ~ /["\\\/]/)
      text = text substr(word, at + 1, 1)
    else
      text = text substr(word, at, 2)
    word = substr(word, at + 2)
  }
  return text word
}

function value(path,   token, name, i) {
  token = take()
  if (token == "{") {
    for (token = take(); token != "}"; token = take()) {
      if (token == ",")
        token = take()
      name = unquote(token)
      if (take() != ":")
        fail("no value for " path "." name)
      value(path "." name)
    }
  } else if (token == "[") {
    sub(/^[ \t\r\n]+/, "", text)
    if (substr(text, 1, 1) == "]") {
      take()
      return
    }
    i = 0
    do {
      value(path "." i++)
      token = take()
    } while (token == ",")
    if (token != "]")
      fail("a list does not end")
  } else if (token == "" || token ~ /^[]}:,]$/) {
    fail("a value is missing")
  } else {
    print path "\t" unquote(token)
  }
}

END {
  if (!failed)
    value("")
}
